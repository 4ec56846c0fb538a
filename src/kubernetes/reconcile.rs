//! The reconcile loop of a function's Deployment: one task, which makes the Deployment what is desired. What is
//! desired may change during a call. It is read again after each, so a thousand changes are a few calls, and the
//! last one counts.
//!
//! A Deployment that already makes the pods that are wanted is not touched: a control plane that was
//! restarted finds its own, takes over its number of pods and its token, and the pods notice nothing.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::cluster::call;
use super::deployment;
use super::deployment::{DELETION_COST, DesiredTemplate};
use super::failure::CallFailure;
use super::observed_pod::PodProblem;
use super::template::{FUNCTION, name_of};
use super::tracked_pod::TrackedPod;
use super::workload::{DesiredDeployment, Workload};
use crate::backoff::ExponentialBackoff;
use crate::id::Token;

/// The first pause after a call that failed; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The deletion cost of a scale-down candidate, against 0 of the others: the cheapest goes first.
const CANDIDATE_COST: &str = "-1";

/// The outcome of one reconciliation.
enum Action {
    /// Something was written; there may be more to do.
    Requeue,
    /// The Deployment is as it is desired.
    AwaitChange,
}

/// The next step that brings a Deployment closer to what is desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReconcileStep {
    /// Nothing is to be done before something changes.
    AwaitChange,
    /// Delete the Deployment.
    Remove,
    /// Create it with the desired template, update it, or take it over.
    Apply,
    /// Annotate pods that are scale-down candidates, or those that are none any more.
    Annotate,
    /// Write the desired number of pods.
    Scale,
}

/// The state that decides the next step.
#[derive(Clone, Copy, Debug)]
struct ReconcileState<'a> {
    /// No version wants the Deployment any more.
    is_deleting: bool,
    /// A version is open.
    has_pod_sets: bool,
    /// Hash of the template that is desired.
    desired_template: Option<&'a str>,
    /// Hash of the template that the Deployment is known to have.
    applied_template: Option<&'a str>,
    /// The annotation of a pod does not say whether it is a scale-down candidate.
    has_stale_annotation: bool,
    desired_replicas: u32,
    applied_replicas: Option<u32>,
}

impl ReconcileState<'_> {
    fn next_step(&self) -> ReconcileStep {
        if self.is_deleting {
            // The close of its last version requeues it.
            return if self.has_pod_sets { ReconcileStep::AwaitChange } else { ReconcileStep::Remove };
        }
        if self.desired_template.is_none() {
            ReconcileStep::AwaitChange
        } else if self.applied_template != self.desired_template {
            ReconcileStep::Apply
        } else if self.has_stale_annotation {
            // First, so that a lower number takes the pods that are meant.
            ReconcileStep::Annotate
        } else if self.applied_replicas != Some(self.desired_replicas) {
            ReconcileStep::Scale
        } else {
            ReconcileStep::AwaitChange
        }
    }
}

impl Workload {
    /// Has the Deployment reconciled, by the task that does so already or by a new one.
    pub(super) fn requeue(self: &Rc<Self>) {
        if !self.reconciling.replace(true) {
            tokio::task::spawn_local(self.clone().reconcile_loop());
        }
    }

    async fn reconcile_loop(self: Rc<Self>) {
        let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        loop {
            match self.reconcile().await {
                Ok(Action::AwaitChange) => break,
                Ok(Action::Requeue) => pauses.reset(),
                Err(problem) => {
                    self.set_problem(Some(problem));
                    pauses.pause().await;
                }
            }
        }
        self.reconciling.set(false);
    }

    /// Makes the next change that brings the Deployment closer to what is desired. Its calls are boxed: a thousand
    /// functions wait in line after a start, and each of these futures is to be small.
    async fn reconcile(self: &Rc<Self>) -> Result<Action, PodProblem> {
        match self.next_step() {
            ReconcileStep::AwaitChange => return Ok(Action::AwaitChange),
            ReconcileStep::Remove => {
                let _permit = self.cluster.applying.acquire().await;
                // It may be desired again by now.
                if self.next_step() == ReconcileStep::Remove {
                    Box::pin(self.remove()).await?;
                    if self.next_step() == ReconcileStep::Remove {
                        return Ok(Action::AwaitChange);
                    }
                }
            }
            ReconcileStep::Apply => {
                let _permit = self.cluster.applying.acquire().await;
                // Something else may be desired by now.
                let desired = self.desired.borrow().clone();
                if let Some(desired) = desired.filter(|_| self.next_step() == ReconcileStep::Apply) {
                    Box::pin(self.apply(&desired)).await?;
                }
            }
            ReconcileStep::Annotate => Box::pin(self.annotate()).await?,
            ReconcileStep::Scale => Box::pin(self.scale()).await?,
        }
        Ok(Action::Requeue)
    }

    fn next_step(&self) -> ReconcileStep {
        let (desired, applied) = (self.desired.borrow(), self.applied_template.borrow());
        let state = ReconcileState {
            is_deleting: self.deleting.get(),
            has_pod_sets: self.has_pod_sets(),
            desired_template: desired.as_ref().map(|desired| desired.template.hash.as_str()),
            applied_template: applied.as_deref(),
            has_stale_annotation: self.pods.borrow().values().any(TrackedPod::has_stale_annotation),
            desired_replicas: self.desired_replicas.get(),
            applied_replicas: self.applied_replicas.get(),
        };
        state.next_step()
    }

    /// Writes the desired number of pods.
    async fn scale(self: &Rc<Self>) -> Result<(), PodProblem> {
        let replicas = self.desired_replicas.get();
        let change = json!({ "spec": { "replicas": replicas } });
        let name = name_of(&self.name);
        let patch = Patch::Merge(&change);
        match call(self.deployment_api().patch_scale(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => {
                self.applied_replicas.set(Some(replicas));
                self.scaled.set(self.cluster.context.clock.now());
            }
            // Somebody has deleted it.
            Err(CallFailure::NotFound) => *self.applied_template.borrow_mut() = None,
            Err(failed) => return Err(problem(failed)),
        }
        self.reached();
        Ok(())
    }

    /// Creates the Deployment with the desired template, updates it, or takes it over as it is.
    async fn apply(self: &Rc<Self>, desired: &DesiredDeployment) -> Result<(), PodProblem> {
        let (deployments, name) = (self.deployment_api(), name_of(&self.name));
        let found = call(deployments.get_opt(&name)).await.map_err(problem)?;
        self.reached();
        let Some(found) = found else { return self.create(&desired.template).await };
        if !deployment::is_ours(&found, &self.name) {
            return Err(PodProblem {
                text: format!(
                    "there is a Deployment {name} that is not ours; delete it, or name the function otherwise"
                ),
                permanent: true,
                exit: None,
            });
        }
        if found.metadata.deletion_timestamp.is_some() {
            return Err(later(format!("the Deployment {name} is being deleted")));
        }
        let before = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let before = u32::try_from(before).unwrap_or(0);
        if self.applied_replicas.get().is_none() {
            // It is of a process before this one, which had reasons for as many as there are.
            self.desired_replicas.set(self.desired_replicas.get().max(before.min(desired.max_replicas)));
        }
        let current = deployment::current(&found);
        if let Some((template_hash, token)) = &current {
            self.remember_token(template_hash, *token);
        }
        let is_wanted = |(template_hash, _): &(String, Token)| *template_hash == desired.template.hash;
        if current.as_ref().is_some_and(is_wanted) && self.is_owned(&found) {
            self.applied_replicas.set(Some(before));
        } else {
            let token = match current.filter(is_wanted) {
                Some((_, token)) => token,
                None => Token::random(),
            };
            self.remember_token(&desired.template.hash, token);
            let replicas = self.desired_replicas.get();
            let object = desired.template.applied_to(found, &self.name, token, replicas, self.owner());
            // A change in the meantime is a conflict, and the object is read again.
            call(deployments.replace(&name, &PostParams::default(), &object)).await.map_err(problem)?;
            self.applied_replicas.set(Some(replicas));
        }
        self.adopt_pods().await?;
        *self.applied_template.borrow_mut() = Some(desired.template.hash.clone());
        self.serve_with_older();
        Ok(())
    }

    async fn create(self: &Rc<Self>, template: &DesiredTemplate) -> Result<(), PodProblem> {
        let (token, replicas) = (Token::random(), self.desired_replicas.get());
        // Before any pod can announce itself with it.
        self.remember_token(&template.hash, token);
        let object = template.object(&self.name, token, replicas, self.owner());
        match call(self.deployment_api().create(&PostParams::default(), &object)).await {
            Ok(_) => {
                *self.applied_template.borrow_mut() = Some(template.hash.clone());
                self.applied_replicas.set(Some(replicas));
                Ok(())
            }
            // An answer that was lost, most likely: it is looked at again.
            Err(CallFailure::AlreadyExists) => Ok(()),
            Err(failed) => Err(problem(failed)),
        }
    }

    /// Adopts the pods that there were before the watch told of their changes.
    async fn adopt_pods(self: &Rc<Self>) -> Result<(), PodProblem> {
        if self.adopted.get() {
            return Ok(());
        }
        let ours = ListParams::default().labels(&format!("{FUNCTION}={}", self.name));
        let found = call(self.pod_api().list(&ours)).await.map_err(problem)?;
        for pod in found {
            let is_news = self.pods.borrow().get(&pod.name_any()).is_none_or(|tracked| !tracked.is_seen());
            if is_news {
                self.pod_changed(&pod);
            }
        }
        self.adopted.set(true);
        Ok(())
    }

    /// Annotates the scale-down candidates, and takes the annotation from pods that are none any more.
    async fn annotate(&self) -> Result<(), PodProblem> {
        let due = || {
            let pods = self.pods.borrow();
            let mut due = pods.iter().filter(|(_, tracked)| tracked.has_stale_annotation());
            due.next().map(|(name, tracked)| (name.clone(), tracked.scale_down_candidate))
        };
        let mut seen = BTreeSet::new();
        while let Some((pod, is_candidate)) = due() {
            let cost = is_candidate.then_some(CANDIDATE_COST);
            let change = json!({ "metadata": { "annotations": { DELETION_COST: cost } } });
            let patch = Patch::Merge(&change);
            match call(self.pod_api().patch(&pod, &PatchParams::default(), &patch)).await {
                Ok(_) | Err(CallFailure::NotFound) => {}
                Err(failed) => return Err(problem(failed)),
            }
            if let Some(tracked) = self.pods.borrow_mut().get_mut(&pod) {
                tracked.annotated = is_candidate;
            }
            // A pod that changes again and again does not hold up the others.
            if !seen.insert(pod) {
                break;
            }
        }
        Ok(())
    }

    async fn remove(self: &Rc<Self>) -> Result<(), PodProblem> {
        let (deployments, name) = (self.deployment_api(), name_of(&self.name));
        let found = call(deployments.get_opt(&name)).await.map_err(problem)?;
        if found.is_some_and(|found| deployment::is_ours(&found, &self.name)) {
            match call(deployments.delete(&name, &DeleteParams::background())).await {
                Ok(_) | Err(CallFailure::NotFound) => {}
                Err(failed) => return Err(problem(failed)),
            }
        }
        *self.applied_template.borrow_mut() = None;
        self.applied_replicas.set(None);
        self.tokens.borrow_mut().clear();
        self.set_problem(None);
        if self.deleting.get() && !self.has_pod_sets() {
            self.desired_replicas.set(0);
            self.cluster.pods.remove_workload(&self.name);
        }
        Ok(())
    }

    fn is_owned(&self, found: &Deployment) -> bool {
        self.owner().is_none_or(|owner| {
            found.metadata.owner_references.iter().flatten().any(|known| known.uid == owner.uid)
        })
    }

    fn owner(&self) -> Option<OwnerReference> {
        self.cluster.owner(&self.name)
    }

    fn deployment_api(&self) -> Api<Deployment> {
        self.cluster.api()
    }

    fn pod_api(&self) -> Api<Pod> {
        self.cluster.api()
    }
}

fn problem(failed: CallFailure) -> PodProblem {
    match failed {
        CallFailure::Permanent(end) => end.into(),
        CallFailure::Transient(text) => later(format!("the Kubernetes API cannot do it now: {text}")),
        CallFailure::NotFound => later("the Deployment is not there".to_owned()),
        CallFailure::AlreadyExists => later("the Deployment is there already".to_owned()),
    }
}

/// A problem that may be over in a moment, so that waiting may help.
fn later(text: String) -> PodProblem {
    PodProblem { text, permanent: false, exit: None }
}

#[cfg(test)]
mod tests {
    use super::ReconcileStep::{Annotate, Apply, AwaitChange, Remove, Scale};
    use super::*;

    /// Size of the future that a function makes, in bytes.
    fn size_of_future<A, F: Future>(_of: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_reconciliation_that_waits_in_line_is_small() {
        let bytes = size_of_future(Workload::reconcile_loop);
        assert!(bytes <= 512, "a thousand of them take {bytes} KB");
    }

    const DESIRED: ReconcileState<'_> = ReconcileState {
        is_deleting: false,
        has_pod_sets: true,
        desired_template: Some("new"),
        applied_template: Some("new"),
        has_stale_annotation: false,
        desired_replicas: 3,
        applied_replicas: Some(3),
    };

    #[test]
    fn nothing_is_done_where_nothing_is_desired_or_all_is_as_desired() {
        let nothing = ReconcileState { desired_template: None, applied_replicas: None, ..DESIRED };
        assert_eq!((DESIRED.next_step(), nothing.next_step()), (AwaitChange, AwaitChange));
    }

    #[test]
    fn a_template_comes_before_annotations_and_those_before_the_number_that_they_are_for() {
        let behind = ReconcileState {
            applied_template: Some("old"),
            has_stale_annotation: true,
            applied_replicas: Some(4),
            ..DESIRED
        };
        let unknown = ReconcileState { applied_template: None, ..behind };
        let applied = ReconcileState { applied_template: Some("new"), ..behind };
        let annotated = ReconcileState { has_stale_annotation: false, ..applied };
        assert_eq!(
            [behind, unknown, applied, annotated].map(|state| state.next_step()),
            [Apply, Apply, Annotate, Scale]
        );
    }

    #[test]
    fn a_deployment_that_no_version_wants_is_removed_when_the_last_one_is_closed_and_not_changed_before() {
        let deleting = ReconcileState {
            is_deleting: true,
            applied_template: Some("old"),
            applied_replicas: None,
            ..DESIRED
        };
        let closed = ReconcileState { has_pod_sets: false, ..deleting };
        assert_eq!((deleting.next_step(), closed.next_step()), (AwaitChange, Remove));
    }
}
