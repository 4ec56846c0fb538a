//! The pods of one `WARM` function, over all of its versions: one Deployment, and the pod sets of its versions.
//!
//! The desired state is kept here and written by one task at a time ([`reconcile`](super::reconcile)). The
//! observed state comes from the pods and from the watch, pod by pod ([`TrackedPod`]), and is passed on to the
//! pod sets: one for each open version. Versions with the same pod template share their pods; a pod set with another
//! template gets the pods of a rolling update of the same Deployment.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::cluster::Cluster;
use super::deployment::DesiredTemplate;
use super::observed_pod::{ObservedPod, PodProblem};
use super::pod_set::{PodSet, Withdrawal};
use super::tracked_pod::{PodChange, PodState, TrackedPod};
use super::warm_room::WarmRoom;
use super::{failure, template};
use crate::clock::Nanos;
use crate::error::{ApiError, ErrorCode};
use crate::exit::Exit;
use crate::id::Token;
use crate::instance::InstanceStart;
use crate::messages::control_message::Announcement;

/// Pods that have announced themselves and that the watch has not shown yet, of one function. A watch that
/// is not down shows each within a second; this bounds what somebody with a token can make us remember.
const UNSEEN_MAX: usize = 1024;
/// Longest time until the watch shows a pod that has announced itself. The watch may be down for a while.
const UNSEEN_PATIENCE: Duration = Duration::from_secs(60);
/// Pod templates whose tokens are known: the desired one and those that still have pods.
const TOKENS_MAX: usize = 16;

/// The Deployment that a function is to have.
#[derive(Debug)]
pub(super) struct DesiredDeployment {
    /// The template of its pods.
    pub template: DesiredTemplate,
    /// The largest number of its pods.
    pub max_replicas: u32,
}

/// The pods of one function.
#[derive(Debug)]
pub struct Workload {
    pub(super) cluster: Rc<Cluster>,
    pub(super) name: String,
    pod_sets: RefCell<Vec<Rc<PodSet>>>,
    /// By name.
    pub(super) pods: RefCell<BTreeMap<String, TrackedPod>>,
    pub(super) desired: RefCell<Option<Rc<DesiredDeployment>>>,
    /// Number of pods that are wanted.
    pub(super) desired_replicas: Cell<u32>,
    /// No version wants it any more: the Deployment goes when the last one is closed.
    pub(super) deleting: Cell<bool>,
    /// Hash of the pod template that the Deployment is known to have.
    pub(super) applied_template: RefCell<Option<String>>,
    /// Number of pods that the Deployment is known to ask for.
    pub(super) applied_replicas: Cell<Option<u32>>,
    /// Time at which the API server last took a number of pods; 0: never.
    pub(super) scaled: Cell<Nanos>,
    /// A task reconciles the Deployment.
    pub(super) reconciling: Cell<bool>,
    /// The pods that there were before the watch told of their changes are known.
    pub(super) adopted: Cell<bool>,
    /// Tokens of pods, by the hash of their template.
    pub(super) tokens: RefCell<Vec<(String, Token)>>,
    /// The problem for which there are fewer pods than desired, or for which that is not known.
    problem: RefCell<Option<PodProblem>>,
    /// The room that was made for its pods where a quota is met.
    room: WarmRoom,
}

impl Workload {
    /// Returns the workload of a function, and makes it where there is none yet.
    #[must_use]
    pub fn of(cluster: &Rc<Cluster>, name: &str) -> Rc<Self> {
        if let Some(known) = cluster.pods.workload(name) {
            return known;
        }
        let workload = Rc::new(Self {
            cluster: cluster.clone(),
            name: name.to_owned(),
            pod_sets: RefCell::default(),
            pods: RefCell::default(),
            desired: RefCell::default(),
            desired_replicas: Cell::new(0),
            deleting: Cell::new(false),
            applied_template: RefCell::default(),
            applied_replicas: Cell::new(None),
            scaled: Cell::new(0),
            reconciling: Cell::new(false),
            adopted: Cell::new(false),
            tokens: RefCell::default(),
            problem: RefCell::default(),
            room: WarmRoom::default(),
        });
        cluster.pods.add_workload(name, workload.clone());
        workload
    }

    // ---- the versions ----

    /// Adds the pod set of a version that was opened: from now on the Deployment is what it wants.
    pub(super) fn join(self: &Rc<Self>, pod_set: &Rc<PodSet>, desired: DesiredDeployment, min: u32) {
        self.deleting.set(false);
        self.desired_replicas.set(self.desired_replicas.get().max(min).min(desired.max_replicas));
        *self.desired.borrow_mut() = Some(Rc::new(desired));
        self.pod_sets.borrow_mut().push(pod_set.clone());
        self.requeue();
    }

    /// Removes the pod set of a version that was closed and of which nothing runs any more.
    pub(super) fn leave(self: &Rc<Self>, pod_set: &Rc<PodSet>) {
        self.pod_sets.borrow_mut().retain(|one| !Rc::ptr_eq(one, pod_set));
        if self.deleting.get() {
            self.requeue();
        }
    }

    /// Has the Deployment deleted when its last version is closed: none wants pods that stay any more.
    pub fn retire(self: &Rc<Self>) {
        self.deleting.set(true);
        self.requeue();
    }

    /// Whether this pod set is that of the latest version, which decides what is desired.
    #[must_use]
    pub(super) fn is_current(&self, pod_set: &PodSet) -> bool {
        !self.deleting.get()
            && self.pod_sets.borrow().last().is_some_and(|last| std::ptr::eq(&**last, pod_set))
    }

    #[must_use]
    pub(super) fn has_pod_sets(&self) -> bool {
        !self.pod_sets.borrow().is_empty()
    }

    /// Whether calls wait for the first of its pods.
    #[must_use]
    pub(super) fn is_needed(&self) -> bool {
        self.pod_sets.borrow().iter().any(|pod_set| pod_set.is_needed())
    }

    /// Copies the list of pod sets, for a loop in which it may change.
    #[must_use]
    pub(super) fn pod_sets(&self) -> Vec<Rc<PodSet>> {
        self.pod_sets.borrow().clone()
    }

    // ---- how many ----

    /// Raises the desired number of pods to at least this.
    pub(super) fn want(self: &Rc<Self>, replicas: u32) {
        let max = self.desired.borrow().as_ref().map_or(0, |desired| desired.max_replicas);
        let replicas = replicas.min(max);
        if replicas > self.desired_replicas.get() {
            self.desired_replicas.set(replicas);
            self.keep_needed();
            self.requeue();
        }
    }

    /// Lowers the desired number of pods to at most this.
    pub(super) fn limit(self: &Rc<Self>, replicas: u32) {
        if replicas < self.desired_replicas.get() {
            self.desired_replicas.set(replicas);
            self.requeue();
        }
    }

    /// Lowers the desired number by one, for an idle pod, unless `min` would not be left.
    pub(super) fn offer_for_scale_down(self: &Rc<Self>, pod: &str, min: u32) {
        if self.desired_replicas.get() <= min {
            return;
        }
        if let Some(tracked) = self.pods.borrow_mut().get_mut(pod)
            && tracked.counts()
        {
            tracked.scale_down_candidate = true;
        } else {
            return;
        }
        self.desired_replicas.set(self.desired_replicas.get() - 1);
        self.requeue();
    }

    /// Has scale-down candidates serve again that need not go after all.
    fn keep_needed(&self) {
        let Some(template_hash) = self.desired.borrow().as_ref().map(|desired| desired.template.hash.clone())
        else {
            return;
        };
        let mut pods = self.pods.borrow_mut();
        let count = pods.values().filter(|one| one.counts() && one.template_hash == template_hash).count();
        let excess = count.saturating_sub(self.desired_replicas.get() as usize);
        let candidates = pods.values_mut().filter(|one| one.counts() && one.scale_down_candidate);
        for tracked in candidates.skip(excess) {
            tracked.scale_down_candidate = false;
        }
    }

    // ---- what there is ----

    /// Number of pods with a template that a Deployment counts, without scale-down candidates.
    #[must_use]
    pub(super) fn count(&self, template_hash: &str) -> usize {
        let pods = self.pods.borrow();
        pods.values()
            .filter(|one| one.counts() && !one.scale_down_candidate && one.template_hash == template_hash)
            .count()
    }

    /// Number of pods with a template that a Deployment counts and that do not answer.
    #[must_use]
    pub(super) fn stuck(&self, template_hash: &str) -> u32 {
        let pods = self.pods.borrow();
        let stuck =
            pods.values().filter(|one| one.counts() && one.stuck && one.template_hash == template_hash);
        u32::try_from(stuck.count()).unwrap_or(u32::MAX)
    }

    /// Number of pods with other templates that serve.
    #[must_use]
    pub(super) fn serving_of_others(&self, template_hash: &str) -> usize {
        let pods = self.pods.borrow();
        pods.values()
            .filter(|one| one.state == PodState::Serving && one.template_hash != template_hash)
            .count()
    }

    /// Number of pods with a template that serve, stay, and that Kubernetes has found ready.
    #[must_use]
    pub(super) fn found_ready(&self, template_hash: &str) -> usize {
        let pods = self.pods.borrow();
        let own = pods.values().filter(|one| !one.scale_down_candidate && one.template_hash == template_hash);
        own.filter(|one| one.is_found_ready()).count()
    }

    /// Whether there are pods with other templates.
    #[must_use]
    pub(super) fn is_mixed(&self, template_hash: &str) -> bool {
        self.pods.borrow().values().any(|one| one.counts() && one.template_hash != template_hash)
    }

    /// The start of a pod that was asked for, with what is known of it besides.
    #[must_use]
    pub(super) fn start_of(&self, pod: &str, start: InstanceStart) -> InstanceStart {
        let of_pod = self.pods.borrow().get(pod).map(|tracked| tracked.start);
        of_pod.unwrap_or_default().add_to(start, self.scaled.get())
    }

    /// Every pod that may be given a slot: its name, the hash of its template and its address.
    #[must_use]
    pub(super) fn serving(&self) -> Vec<(String, String, SocketAddr)> {
        let pods = self.pods.borrow();
        let serving =
            pods.iter().filter(|(_, one)| one.state == PodState::Serving && !one.scale_down_candidate);
        serving
            .filter_map(|(name, one)| Some((name.clone(), one.template_hash.clone(), one.address?)))
            .collect()
    }

    /// The problem that keeps pods with a template from serving, and whether all of them have a permanent one.
    #[must_use]
    pub(super) fn why_not(&self, template_hash: &str) -> Option<(PodProblem, bool)> {
        let pods = self.pods.borrow();
        let with_template = || pods.values().filter(|one| one.counts() && one.template_hash == template_hash);
        let is_permanent = |one: &TrackedPod| one.problem.as_ref().is_some_and(|problem| problem.permanent);
        let own = self.problem.borrow();
        let problem = with_template().find_map(|one| one.problem.clone()).or_else(|| own.clone())?;
        let all_permanent = with_template().all(is_permanent);
        let none_to_come = with_template().next().is_some() || own.as_ref().is_some_and(|one| one.permanent);
        Some((problem, all_permanent && none_to_come))
    }

    // ---- what is told ----

    /// Takes an instance's announcement that it listens; `None` where the token is none of this function's.
    ///
    /// # Errors
    /// The reason of a refusal. The instance announces itself again.
    pub fn announced(self: &Rc<Self>, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        let Announcement { token, instance: pod, address, report } = announcement;
        let template_hash = {
            let tokens = self.tokens.borrow();
            // All of them are compared, so that the time tells nothing of the token.
            tokens.iter().fold(
                None,
                |found, (template_hash, known)| {
                    if known == token { Some(template_hash.clone()) } else { found }
                },
            )?
        };
        let prefix = format!("{}-", template::name_of(&self.name));
        let is_new = !self.pods.borrow().contains_key(pod);
        let unseen = || self.pods.borrow().values().filter(|tracked| !tracked.is_seen()).count();
        if !pod.starts_with(&prefix) || (is_new && unseen() >= UNSEEN_MAX) {
            let text = format!("{pod:?} cannot be a pod of {}, or too many have said so", self.name);
            return Some(Err(ApiError::new(ErrorCode::Unauthorized, text)));
        }
        let change = {
            let mut pods = self.pods.borrow_mut();
            let tracked = pods.entry(pod.clone()).or_insert_with(|| TrackedPod::new(template_hash.clone()));
            if tracked.template_hash != template_hash {
                let text = "the token is that of pods of another revision";
                return Some(Err(ApiError::new(ErrorCode::Unauthorized, text)));
            }
            tracked.start.told(*report, self.cluster.context.clock.now());
            tracked.announced(*address)
        };
        if is_new {
            self.forget_unseen_later(pod.clone());
        }
        self.pass_on(pod, &change);
        self.probe_until_ready(pod);
        Some(Ok(()))
    }

    /// Takes a pod as the watch shows it.
    pub fn pod_changed(self: &Rc<Self>, pod: &Pod) {
        let (Some(name), Some(observed)) = (&pod.metadata.name, ObservedPod::of(pod)) else { return };
        if let Some(token) = observed.token
            && !observed.terminating
        {
            self.remember_token(&observed.template_hash, token);
        }
        if observed.problem.is_none() {
            // A pod could be created.
            self.set_problem(None);
        }
        let (change, may_serve) = {
            let mut pods = self.pods.borrow_mut();
            let tracked =
                pods.entry(name.clone()).or_insert_with(|| TrackedPod::new(observed.template_hash.clone()));
            if !tracked.is_seen() {
                self.room.pod_made();
            }
            tracked.template_hash.clone_from(&observed.template_hash);
            tracked.start.observe(pod, self.cluster.context.clock.now());
            let change = tracked.observe(observed);
            (change, tracked.may_serve())
        };
        self.pass_on(name, &change);
        if may_serve {
            self.probe_until_healthy(name.clone());
        }
        self.probe_until_ready(name);
    }

    /// Forgets a pod that the watch says is deleted.
    pub fn pod_gone(self: &Rc<Self>, name: &str) {
        let change = self.pods.borrow_mut().get_mut(name).map(TrackedPod::deleted);
        if let Some(change) = change {
            self.pass_on(name, &change);
            self.pods.borrow_mut().remove(name);
        }
    }

    /// Forgets pods that are missing in the list with which the watch begins again: they were deleted in the
    /// meantime.
    pub fn pods_listed(self: &Rc<Self>, names: &BTreeSet<String>) {
        let pods = self.pods.borrow();
        let gone: Vec<String> = pods
            .iter()
            .filter(|(name, tracked)| tracked.is_seen() && !names.contains(*name))
            .map(|(name, _)| name.clone())
            .collect();
        drop(pods);
        for name in gone {
            self.pod_gone(&name);
        }
    }

    /// Takes the message of an event that a ReplicaSet could not create a pod. Where a quota is met, finished Jobs go for
    /// it.
    pub fn pod_not_created(self: &Rc<Self>, replica_set: &str, message: &str) {
        let now = self.cluster.context.clock.now();
        if !self.room.make(&self.cluster.finished_jobs, replica_set, message, now) {
            self.set_problem(Some(failure::of_failed_create(message).into()));
        }
    }

    /// Sets why there are no more pods; `None` where nothing speaks against them any more.
    pub fn set_problem(self: &Rc<Self>, problem: Option<PodProblem>) {
        if *self.problem.borrow() == problem {
            return;
        }
        if let Some(PodProblem { text, .. }) = &problem {
            tracing::warn!(function = %self.name, "{text}");
        }
        *self.problem.borrow_mut() = problem;
        self.sync_instances();
    }

    /// Clears a passing problem: the API server has answered.
    pub(super) fn reached(self: &Rc<Self>) {
        let is_over = self.problem.borrow().as_ref().is_some_and(|problem| !problem.permanent);
        if is_over {
            self.set_problem(None);
        }
    }

    /// Remembers the token of pods with a template.
    pub(super) fn remember_token(&self, template_hash: &str, token: Token) {
        let mut tokens = self.tokens.borrow_mut();
        if tokens.iter().any(|(_, known)| *known == token) {
            return;
        }
        if tokens.len() >= TOKENS_MAX {
            tokens.remove(0);
        }
        tokens.push((template_hash.to_owned(), token));
    }

    /// Has adopted pods with an older template serve until there are others.
    pub(super) fn serve_with_older(self: &Rc<Self>) {
        if let [pod_set] = self.pod_sets().as_slice() {
            pod_set.take_older();
        }
        self.sync_instances();
    }

    /// Passes a change of a pod on to the pod sets.
    pub(super) fn pass_on(self: &Rc<Self>, name: &str, change: &PodChange) {
        match change {
            PodChange::Nothing => {}
            PodChange::ProblemChanged(exit) => {
                self.log_problem(name);
                if let Some(exit) = exit {
                    self.pod_sets().iter().for_each(|pod_set| pod_set.ended(name, *exit));
                }
            }
            // A pod set with a free slot takes it in `sync_instances`.
            PodChange::Up => {}
            PodChange::Restarted(exit) => self.lose(name, *exit, Withdrawal::AtOnce),
            PodChange::Down(exit) => {
                let is_leaving = self.pods.borrow().get(name).is_none_or(|tracked| !tracked.counts());
                self.lose(name, *exit, if is_leaving { Withdrawal::Gentle } else { Withdrawal::AtOnce });
                if !is_leaving {
                    self.log_problem(name);
                    self.probe_until_healthy(name.to_owned());
                }
            }
        }
        self.sync_instances();
    }

    fn lose(&self, name: &str, exit: Option<Exit>, withdrawal: Withdrawal) {
        for pod_set in self.pod_sets() {
            pod_set.lose(name, exit, withdrawal);
        }
    }

    /// Gives every pod set its serving pods, and fails pending starts that cannot succeed.
    pub(super) fn sync_instances(&self) {
        self.keep_needed();
        for pod_set in self.pod_sets() {
            pod_set.sync_instances();
        }
    }

    fn log_problem(&self, pod: &str) {
        if let Some(tracked) = self.pods.borrow().get(pod) {
            let text = tracked.problem.as_ref().map_or("it is not ready any more", |problem| &problem.text);
            tracing::warn!(function = %self.name, pod, "a pod does not serve: {text}");
        }
    }

    fn forget_unseen_later(self: &Rc<Self>, pod: String) {
        let workload = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(UNSEEN_PATIENCE).await;
            let unseen = workload.pods.borrow().get(&pod).is_some_and(|tracked| !tracked.is_seen());
            if unseen {
                workload.pod_gone(&pod);
            }
        });
    }
}
