//! The pods that serve one version: the part of a [`Workload`] that belongs to that version.
//!
//! | word | means |
//! |---|---|
//! | *slot* | one of the version's `replicas.max` slots, in which a serving pod is known to the scheduler |
//! | *pending start* | a start that the scheduler counts on and that was neither answered with a pod nor refused |

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::deployment::DesiredTemplate;
use super::instance_index::{InstanceIndex, LostPod, TemplateAge};
use super::pod_connections::PodConnections;
use super::workload::{DesiredDeployment, Workload};
use crate::backoff::ExponentialBackoff;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::ApiError;
use crate::exit::Exit;
use crate::function_version::FunctionVersion;
use crate::instance::{Address, Ending, InstanceKey, InstanceProblem, InstanceStart, Target};
use crate::messages::control_message::Announcement;
use crate::probe;
use crate::scheduler::message::SchedulerCommand;
use crate::start_reason::StartReason;

/// The first pause between two looks whether an instance can be reached again, of which nothing tells: the watch
/// knows only of pods that were not ready. It doubles.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest such pause.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Way in which a pod's slot is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    /// Nothing is sent to the pod any more.
    AtOnce,
    /// The pod still takes what was granted to it before the scheduler is told.
    Gentle,
}

/// The pods of one version.
#[derive(Debug)]
pub struct PodSet {
    cluster: Rc<Cluster>,
    workload: Rc<Workload>,
    function: Arc<FunctionVersion>,
    template_hash: String,
    index: RefCell<InstanceIndex>,
    connections: PodConnections,
    min: Cell<u32>,
    pending_starts: Cell<u32>,
    /// The times at which pending starts were asked for, the oldest first.
    asked: RefCell<VecDeque<Nanos>>,
    /// Pods with an older template serve until one of its own does.
    takes_older: Cell<bool>,
    /// Time at which the scheduler last asked for one more, or the version was opened.
    last_request: Cell<Nanos>,
    closed: Cell<bool>,
}

impl PodSet {
    /// Opens the pod set of a version: gives the version the pods that serve it already, and has the
    /// Deployment changed to what this version wants.
    #[must_use]
    pub fn open(cluster: &Rc<Cluster>, function: &Arc<FunctionVersion>) -> Rc<Self> {
        let spec = &function.spec;
        let workload = Workload::of(cluster, spec.name.as_ref());
        let context = &cluster.context;
        let start_s = context.start_timeout_ms.div_ceil(1000);
        let template = DesiredTemplate::new(spec, &cluster.lasting_runtime_url, start_s);
        let pod_set = Rc::new(Self {
            cluster: cluster.clone(),
            workload: workload.clone(),
            function: function.clone(),
            template_hash: template.hash.clone(),
            index: RefCell::new(InstanceIndex::new(function.addresses.len())),
            connections: PodConnections::default(),
            min: Cell::new(spec.replicas().min),
            pending_starts: Cell::new(0),
            asked: RefCell::default(),
            takes_older: Cell::new(false),
            last_request: Cell::new(context.clock.now()),
            closed: Cell::new(false),
        });
        // A rolling update brings these: they are not asked for besides.
        let coming = workload.desired_replicas.get().max(spec.replicas().min).min(spec.replicas().max);
        pod_set.expect_starts(coming, StartReason::Min);
        let desired = DesiredDeployment { template, max_replicas: spec.replicas().max };
        workload.join(&pod_set, desired, spec.replicas().min);
        workload.sync_instances();
        context.populated.borrow_mut().insert(function.index);
        pod_set
    }

    /// Takes an announcement of one of its pods; `None` where the token is none of theirs.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        self.workload.announced(announcement)
    }

    /// Number of pods with its template, those that start included.
    #[must_use]
    pub fn count(&self) -> u32 {
        let own = self.workload.count(&self.template_hash);
        let older = self.index.borrow().older().len();
        u32::try_from(own + older).unwrap_or(u32::MAX)
    }

    /// Number of pods that are kept running.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min.get()
    }

    /// Sets how many are kept running, and starts what is missing.
    pub fn set_min(&self, min: u32) {
        self.min.set(min);
        if self.workload.is_current(self) {
            self.start_missing(min, StartReason::Min);
            self.sync_instances();
        }
    }

    /// Starts what is missing below `target` and was not asked for.
    pub(crate) fn start_up_to(&self, target: u32, reason: StartReason) {
        let is_missing = self.assigned() + self.pending_starts.get() < target;
        if is_missing && !self.closed.get() && self.workload.is_current(self) {
            self.last_request.set(self.cluster.context.clock.now());
            self.start_missing(target, reason);
            self.sync_instances();
        }
    }

    fn start_missing(&self, target: u32, reason: StartReason) {
        self.expect_starts(target.saturating_sub(self.assigned() + self.pending_starts.get()), reason);
        self.workload.want(target);
        self.cluster.context.populated.borrow_mut().insert(self.function.index);
    }

    /// Whether its version may take over: it has a serving pod, and Kubernetes has found at least as many of its pods
    /// ready as the versions before it have left; or no version has any. A pod that serves on its own word alone does
    /// not replace another: the next change of the template would have the Deployment take it away and keep the other.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        let found_ready = self.workload.found_ready(&self.template_hash);
        (self.assigned() > 0 && found_ready >= self.workload.serving_of_others(&self.template_hash))
            || (self.min.get() == 0 && self.workload.desired_replicas.get() == 0)
    }

    /// Starts one more, for the scheduler.
    pub fn start_wanted(&self) {
        self.last_request.set(self.cluster.context.clock.now());
        self.function.metrics.of_control().count_starts(StartReason::Call, 1);
        self.asked.borrow_mut().push_back(self.last_request.get());
        self.pending_starts.set(self.pending_starts.get() + 1);
        self.cluster.context.populated.borrow_mut().insert(self.function.index);
        if !self.closed.get() {
            // Pods that start anyway, to replace lost ones or in a rolling update, will do; a stuck one will not.
            let stuck = self.workload.stuck(&self.template_hash);
            self.workload.want(self.assigned() + self.pending_starts.get() + stuck);
        }
        self.sync_instances();
    }

    /// Whether calls wait for the first of its pods.
    #[must_use]
    pub(super) fn is_needed(&self) -> bool {
        self.pending_starts.get() > 0 && self.function.queue.waits_for_an_instance()
    }

    /// Releases a pod that the scheduler has retired.
    pub fn stop(&self, instance: InstanceKey) {
        let pod = self.index.borrow().occupant(instance).map(|occupant| occupant.pod.clone());
        let Some(pod) = pod else { return };
        self.lose(&pod, None, Withdrawal::Gentle);
        if self.workload.is_current(self) {
            self.workload.offer_for_scale_down(&pod, self.min.get());
            self.sync_instances();
        }
    }

    /// Probes an instance to which a connection failed, until it answers and is granted again.
    pub fn look_after(self: &Rc<Self>, instance: InstanceKey) {
        let pod_set = self.clone();
        tokio::task::spawn_local(async move {
            let mut pauses = ExponentialBackoff::doubling(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
            while let Some(address) = pod_set.address(instance) {
                if probe::health(&Target::Tcp(address)).await.is_ok() && pod_set.address(instance).is_some() {
                    pod_set
                        .cluster
                        .context
                        .commands
                        .send(SchedulerCommand::Ready { instance, started: false });
                    return;
                }
                pauses.pause().await;
            }
        });
    }

    /// Gives up pending starts for which no execution waits any more. Returns whether there are pods that may
    /// become idle.
    pub fn may_scale_down(&self, now: Nanos) -> bool {
        if self.closed.get() || !self.workload.is_current(self) {
            return !self.closed.get() && self.assigned() > 0;
        }
        let needed = self.min.get().max(self.assigned());
        let idle_ns = u64::from(self.function.spec.idle_timeout_ms) * NANOS_PER_MS;
        let patience_ns = idle_ns.max(self.cluster.context.start_timeout_ms * NANOS_PER_MS);
        if self.workload.desired_replicas.get() > needed
            && now.saturating_sub(self.last_request.get()) > patience_ns
            && self.function.queue.depth() == 0
            && !self.workload.is_mixed(&self.template_hash)
        {
            self.fail_pending_starts();
            self.workload.limit(needed);
        }
        self.workload.desired_replicas.get() > self.min.get() || self.count() > self.min.get()
    }

    /// Keeps no pod running any more; running ones go with the Deployment, or serve the next version.
    pub fn wind_down(&self) {
        self.min.set(0);
    }

    /// Closes the set: the version is empty and its index will be another's.
    pub fn close(self: &Rc<Self>) {
        if !self.closed.replace(true) {
            self.workload.leave(self);
        }
    }

    // ---- called by the workload ----

    /// Has pods with the template before serve until it has pods of its own.
    pub(super) fn take_older(&self) {
        self.takes_older.set(self.assigned() == 0);
    }

    /// Takes a pod's slot away: it does not serve any more, or not as it did.
    pub(super) fn lose(&self, pod: &str, exit: Option<Exit>, withdrawal: Withdrawal) {
        if self.closed.get() {
            return;
        }
        if withdrawal == Withdrawal::Gentle {
            self.connections.close(pod);
        }
        let LostPod { endings, vacated } = self.index.borrow_mut().remove(pod, exit);
        for (at, ending) in endings {
            self.tell_ending(at, ending);
        }
        let Some((at, generation)) = vacated else { return };
        match withdrawal {
            Withdrawal::AtOnce => self.function.addresses[at].store(None),
            Withdrawal::Gentle => {}
        }
        self.cluster.context.commands.send(SchedulerCommand::Down { instance: self.key(at, generation) });
    }

    /// Explains the loss of a pod whose container's end was not known then.
    pub(super) fn ended(&self, pod: &str, exit: Exit) {
        let explained = self.index.borrow_mut().explain(pod, exit);
        if let Some((at, ending)) = explained {
            self.tell_ending(at, ending);
        }
    }

    /// Publishes how an instance ended: a gateway that lost its connection may be waiting for it.
    fn tell_ending(&self, at: usize, mut ending: Ending) {
        if let (Exit::OutOfMemory { limit }, Some(known)) =
            (&mut ending.exit, self.function.spec.resources.limits.memory_bytes())
        {
            *limit = known;
        }
        self.function.endings[at].store(Some(Arc::new(ending)));
    }

    /// Gives a slot to every serving pod that has none, publishes the problem, and fails pending starts that
    /// cannot succeed.
    pub(super) fn sync_instances(&self) {
        if self.closed.get() {
            return;
        }
        for (pod, template_hash, address) in self.workload.serving() {
            if template_hash == self.template_hash {
                if self.takes_older.replace(false) {
                    self.dismiss_older();
                }
                self.assign(&pod, address, TemplateAge::Current);
            } else if self.takes_older.get() {
                self.assign(&pod, address, TemplateAge::Older);
            }
        }
        let problem = self.workload.why_not(&self.template_hash);
        let text = problem.as_ref().map(|(problem, _)| problem.text.as_str());
        if self.function.problem.load().as_ref().map(|known| known.reason.as_str()) != text {
            self.function.problem.store(text.map(|text| Arc::new(InstanceProblem::new(text))));
        }
        let older_may_serve = self.takes_older.get() && self.workload.is_mixed(&self.template_hash);
        if self.assigned() == 0 && !older_may_serve && problem.is_some_and(|(_, permanent)| permanent) {
            self.fail_pending_starts();
        }
    }

    // ---- slots ----

    fn assign(&self, pod: &str, address: SocketAddr, age: TemplateAge) {
        let assigned = self.index.borrow_mut().insert(pod, address, age);
        let Some((at, generation)) = assigned else { return };
        let host = address.to_string();
        let started = age == TemplateAge::Current && self.pending_starts.get() > 0;
        let start = self.start_of(pod, started);
        let entry = Address::new(generation, start, Target::Tcp(address), &host, "/invoke");
        let entry = Address { web_connections: self.connections.of(pod), ..entry };
        self.function.addresses[at].store(Some(Arc::new(entry)));
        if started {
            self.pending_starts.set(self.pending_starts.get() - 1);
        }
        self.cluster.context.populated.borrow_mut().insert(self.function.index);
        tracing::info!(function = %self.function.spec.name, pod, instance = at, "instance ready");
        self.cluster
            .context
            .commands
            .send(SchedulerCommand::Ready { instance: self.key(at, generation), started });
    }

    /// How a pod came to be that serves from now on. The API server decides when it starts; of one that was not
    /// asked for, that is not known.
    fn start_of(&self, pod: &str, is_asked_for: bool) -> InstanceStart {
        let asked = if is_asked_for { self.asked.borrow_mut().pop_front() } else { None };
        let name = pod.into();
        let Some(wanted) = asked else { return InstanceStart { name, ..InstanceStart::default() } };
        let ready = self.cluster.context.clock.now();
        let start = InstanceStart { name, wanted, began: wanted, ready, ..InstanceStart::default() };
        self.workload.start_of(pod, start)
    }

    fn dismiss_older(&self) {
        let pods = self.index.borrow().older();
        for pod in pods {
            self.lose(&pod, None, Withdrawal::Gentle);
        }
    }

    fn assigned(&self) -> u32 {
        let assigned = self.index.borrow().taken();
        u32::try_from(assigned).unwrap_or(u32::MAX)
    }

    fn address(&self, instance: InstanceKey) -> Option<SocketAddr> {
        let index = self.index.borrow();
        index.occupant(instance).filter(|_| !self.closed.get()).map(|occupant| occupant.address)
    }

    fn key(&self, at: usize, generation: u32) -> InstanceKey {
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        InstanceKey { version: self.function.index, place, generation }
    }

    // ---- pending starts ----

    /// Tells the scheduler to count on so many more.
    fn expect_starts(&self, count: u32, reason: StartReason) {
        if count > 0 {
            self.function.metrics.of_control().count_starts(reason, count);
            self.pending_starts.set(self.pending_starts.get() + count);
            let now = self.cluster.context.clock.now();
            self.asked.borrow_mut().extend((0..count).map(|_| now));
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.cluster
                .context
                .commands
                .send(SchedulerCommand::Starting { version: self.function.index, count });
        }
    }

    fn fail_pending_starts(&self) {
        self.asked.borrow_mut().clear();
        for _ in 0..self.pending_starts.replace(0) {
            self.cluster
                .context
                .commands
                .send(SchedulerCommand::StartFailed { version: self.function.index });
        }
    }
}

#[cfg(test)]
mod tests;
