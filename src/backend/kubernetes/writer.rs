//! The one task that writes a function's Deployment. What is wanted may change while a call is on its way:
//! it is read again after each, so a thousand wishes are a few calls, and the last one counts.
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
use super::deployment::{self, DELETION_COST, Design};
use super::sighting::Trouble;
use super::template::{FUNCTION, name_of};
use super::verdict::Failed;
use super::workload::{Plan, Workload};
use crate::backoff::ExponentialBackoff;
use crate::id::{Entropy, Token};

/// The first pause after a call that failed; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What an idle pod costs, against 0 of the others: the cheapest goes first.
const EXCUSED_COST: &str = "-1";

/// What a step has come to.
enum Step {
    /// Something was written; there may be more.
    More,
    /// Everything is as it is wanted.
    Done,
}

impl Workload {
    /// Has what is wanted written.
    pub(super) fn kick(self: &Rc<Self>) {
        if !self.writing.replace(true) {
            tokio::task::spawn_local(self.clone().write());
        }
    }

    async fn write(self: Rc<Self>) {
        let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        loop {
            match self.step().await {
                Ok(Step::Done) => break,
                Ok(Step::More) => pauses.reset(),
                Err(trouble) => {
                    self.set_trouble(Some(trouble));
                    pauses.pause().await;
                }
            }
        }
        self.writing.set(false);
    }

    /// Its calls are boxed: what waits in line, as a thousand functions do after a start, is to be small.
    async fn step(self: &Rc<Self>) -> Result<Step, Trouble> {
        let plan = self.plan.borrow().clone();
        if self.doomed.get() {
            if self.has_crews() {
                // Its last lane, when it is closed, has this looked at again.
                return Ok(Step::Done);
            }
            let _turn = self.cluster.ensuring.take().await;
            // It may be wanted again by now.
            if self.doomed.get() && !self.has_crews() {
                Box::pin(self.remove()).await?;
            }
            return Ok(if self.doomed.get() && !self.has_crews() { Step::Done } else { Step::More });
        }
        let Some(plan) = plan else { return Ok(Step::Done) };
        if self.made.borrow().as_deref() != Some(plan.design.revision.as_str()) {
            let _turn = self.cluster.ensuring.take().await;
            // What is wanted may be something else by now.
            let is_wanted = self.plan.borrow().as_ref().is_some_and(|now| Rc::ptr_eq(now, &plan));
            if is_wanted && !self.doomed.get() {
                Box::pin(self.ensure(&plan)).await?;
            }
            return Ok(Step::More);
        }
        if Box::pin(self.mark()).await? {
            return Ok(Step::More);
        }
        if self.written.get() == Some(self.replicas.get()) {
            return Ok(Step::Done);
        }
        Box::pin(self.scale()).await?;
        Ok(Step::More)
    }

    /// Has the Deployment want as many pods as are wanted here.
    async fn scale(self: &Rc<Self>) -> Result<(), Trouble> {
        let replicas = self.replicas.get();
        let change = json!({ "spec": { "replicas": replicas } });
        let name = name_of(&self.name);
        let patch = Patch::Merge(&change);
        match call(self.deployments().patch_scale(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => self.written.set(Some(replicas)),
            // Somebody has deleted it.
            Err(Failed::NotFound) => *self.made.borrow_mut() = None,
            Err(failed) => return Err(trouble(failed)),
        }
        self.reached();
        Ok(())
    }

    /// Makes the Deployment one that makes the pods of the plan.
    async fn ensure(self: &Rc<Self>, plan: &Plan) -> Result<(), Trouble> {
        let (deployments, name) = (self.deployments(), name_of(&self.name));
        let found = call(deployments.get_opt(&name)).await.map_err(trouble)?;
        self.reached();
        let Some(found) = found else { return self.create(&plan.design).await };
        if !deployment::is_ours(&found, &self.name) {
            return Err(Trouble {
                text: format!(
                    "there is a Deployment {name} that is not ours; delete it, or name the function otherwise"
                ),
                hopeless: true,
                exit: None,
            });
        }
        if found.metadata.deletion_timestamp.is_some() {
            return Err(later(format!("the Deployment {name} is being deleted")));
        }
        let before = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let before = u32::try_from(before).unwrap_or(0);
        if self.written.get().is_none() {
            // It is of a process before this one, which had reasons for as many as there are.
            self.replicas.set(self.replicas.get().max(before.min(plan.max)));
        }
        let current = deployment::current(&found);
        if let Some((revision, token)) = &current {
            self.learn_token(revision, *token);
        }
        let is_wanted = |(revision, _): &(String, Token)| *revision == plan.design.revision;
        if current.as_ref().is_some_and(is_wanted) && self.is_owned(&found) {
            self.written.set(Some(before));
        } else {
            let token = match current.filter(is_wanted) {
                Some((_, token)) => token,
                None => new_token(),
            };
            self.learn_token(&plan.design.revision, token);
            let replicas = self.replicas.get();
            let object = plan.design.applied_to(found, &self.name, token, replicas, self.owner());
            // What was changed in the meantime is read again.
            call(deployments.replace(&name, &PostParams::default(), &object)).await.map_err(trouble)?;
            self.written.set(Some(replicas));
        }
        self.find_pods().await?;
        *self.made.borrow_mut() = Some(plan.design.revision.clone());
        self.found_older();
        Ok(())
    }

    async fn create(self: &Rc<Self>, design: &Design) -> Result<(), Trouble> {
        let (token, replicas) = (new_token(), self.replicas.get());
        // Before any pod can announce itself with it.
        self.learn_token(&design.revision, token);
        let object = design.object(&self.name, token, replicas, self.owner());
        match call(self.deployments().create(&PostParams::default(), &object)).await {
            Ok(_) => {
                *self.made.borrow_mut() = Some(design.revision.clone());
                self.written.set(Some(replicas));
                Ok(())
            }
            // An answer that was lost, most likely: it is looked at again.
            Err(Failed::Exists) => Ok(()),
            Err(failed) => Err(trouble(failed)),
        }
    }

    /// Finds the pods that were there before their changes were told.
    async fn find_pods(self: &Rc<Self>) -> Result<(), Trouble> {
        if self.found.get() {
            return Ok(());
        }
        let ours = ListParams::default().labels(&format!("{FUNCTION}={}", self.name));
        let found = call(self.pods().list(&ours)).await.map_err(trouble)?;
        for pod in found {
            let is_news = self.members.borrow().get(&pod.name_any()).is_none_or(|member| !member.is_seen());
            if is_news {
                self.pod_changed(&pod);
            }
        }
        self.found.set(true);
        Ok(())
    }

    /// Marks the pods that may go, and takes the mark from those that may not any more. Answers whether
    /// there was one to be changed.
    async fn mark(&self) -> Result<bool, Trouble> {
        let due = || {
            let members = self.members.borrow();
            let mut due = members.iter().filter(|(_, one)| one.counts() && one.excused != one.marked);
            due.next().map(|(name, one)| (name.clone(), one.excused))
        };
        let mut marked = BTreeSet::new();
        while let Some((pod, excused)) = due() {
            let cost = excused.then_some(EXCUSED_COST);
            let change = json!({ "metadata": { "annotations": { DELETION_COST: cost } } });
            let patch = Patch::Merge(&change);
            match call(self.pods().patch(&pod, &PatchParams::default(), &patch)).await {
                Ok(_) | Err(Failed::NotFound) => {}
                Err(failed) => return Err(trouble(failed)),
            }
            if let Some(member) = self.members.borrow_mut().get_mut(&pod) {
                member.marked = excused;
            }
            // One that changes its mind all the time does not hold up the others.
            if !marked.insert(pod) {
                break;
            }
        }
        Ok(!marked.is_empty())
    }

    async fn remove(self: &Rc<Self>) -> Result<(), Trouble> {
        let (deployments, name) = (self.deployments(), name_of(&self.name));
        let found = call(deployments.get_opt(&name)).await.map_err(trouble)?;
        if found.is_some_and(|found| deployment::is_ours(&found, &self.name)) {
            match call(deployments.delete(&name, &DeleteParams::background())).await {
                Ok(_) | Err(Failed::NotFound) => {}
                Err(failed) => return Err(trouble(failed)),
            }
        }
        *self.made.borrow_mut() = None;
        self.written.set(None);
        self.tokens.borrow_mut().clear();
        self.set_trouble(None);
        if self.doomed.get() && !self.has_crews() {
            self.replicas.set(0);
            self.cluster.pods.let_go(&self.name);
            self.cluster.workloads.borrow_mut().remove(&self.name);
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

    fn deployments(&self) -> Api<Deployment> {
        self.cluster.api()
    }

    fn pods(&self) -> Api<Pod> {
        self.cluster.api()
    }
}

fn new_token() -> Token {
    let mut entropy = Entropy::new();
    Token { high: entropy.u64(), low: entropy.u64() }
}

fn trouble(failed: Failed) -> Trouble {
    match failed {
        Failed::Refused(end) => end.into(),
        Failed::Later(text) => later(format!("the Kubernetes API cannot do it now: {text}")),
        Failed::NotFound => later("the Deployment is not there".to_owned()),
        Failed::Exists => later("the Deployment is there already".to_owned()),
    }
}

/// What may be over in a moment, so that to wait is not in vain.
fn later(text: String) -> Trouble {
    Trouble { text, hopeless: false, exit: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the future that a function makes, in bytes.
    fn size_of_future<A, F: Future>(_of: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_writer_that_waits_in_line_is_small() {
        let bytes = size_of_future(Workload::write);
        assert!(bytes <= 512, "a thousand of them take {bytes} KB");
    }
}
