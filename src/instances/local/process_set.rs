//! The local instances of one version: started on demand and up to `min`, watched, replaced when
//! they crash, stopped when idle.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::process::StartOptions;
use super::serving_process::ServingProcess;
use super::{LocalContext, serving_process};
use crate::backoff::ExponentialBackoff;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::channel::{AnswerSender, oneshot};
use crate::clock::Nanos;
use crate::exit::describe;
use crate::function_version::FunctionVersion;
use crate::instance::{Address, Ending, InstanceKey, InstanceProblem, InstanceStart, Target};
use crate::probe;
use crate::scheduler::message::SchedulerCommand;
use crate::start_reason::StartReason;

/// An instance that crashes sooner than this after it was ready counts as a failure; one that
/// lived longer is replaced at once.
const STEADY_NS: Nanos = 500_000_000;
/// The first pause after a failure; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause after a failure to start.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest pause after a crash of an instance that had started: what waits waits for it, and
/// may be the very request that makes it crash.
const CRASH_PAUSE_MAX: Duration = Duration::from_secs(1);
/// The first pause between two health checks of an instance that was lost, as nothing tells that it is well again.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest pause between two such checks.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(200);
/// The log target of crashes; `dev` shows them and tells of failed starts in its own words.
pub(crate) const CRASH: &str = "picofaas::crash";

#[derive(Debug)]
enum ProcessState {
    Free,
    Starting(AbortHandle),
    Running { stop: Option<AnswerSender<()>> },
}

#[derive(Debug)]
struct ProcessSlot {
    generation: u32,
    state: ProcessState,
}

/// The instances of one version.
#[derive(Debug)]
pub struct ProcessSet {
    context: Rc<LocalContext>,
    function: Arc<FunctionVersion>,
    slots: RefCell<Vec<ProcessSlot>>,
    min: Cell<u32>,
    failures: Cell<u32>,
    /// No start before this time.
    not_before: Cell<Nanos>,
    /// The last failure was one to start: another start would most likely fail, too.
    cannot_start: Cell<bool>,
    closed: Cell<bool>,
    ever_ready: Cell<bool>,
    replacement: Cell<bool>,
    /// An instance has become ready or has ended, or fewer are kept running.
    changed: ChangeSignal,
}

impl ProcessSet {
    /// The set of this version, with no instance yet.
    #[must_use]
    pub fn new(context: Rc<LocalContext>, function: Arc<FunctionVersion>) -> Rc<Self> {
        let slots = function
            .addresses
            .iter()
            .map(|_| ProcessSlot { generation: 0, state: ProcessState::Free })
            .collect();
        let min = Cell::new(function.spec.replicas().min);
        Rc::new(Self {
            context,
            function,
            slots: RefCell::new(slots),
            min,
            failures: Cell::new(0),
            not_before: Cell::new(0),
            cannot_start: Cell::new(false),
            closed: Cell::new(false),
            ever_ready: Cell::new(false),
            replacement: Cell::new(false),
            changed: ChangeSignal::default(),
        })
    }

    /// Whether its version may take over: an instance has been ready, or none is kept running.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        self.ever_ready.get() || self.min.get() == 0
    }

    /// Returns when its version may take over.
    pub async fn until_it_can_serve(&self) {
        self.changed.until(|| self.can_serve()).await;
    }

    /// Starting and running instances.
    #[must_use]
    pub fn count(&self) -> u32 {
        let slots = self.slots.borrow();
        let live = slots.iter().filter(|slot| match &slot.state {
            ProcessState::Free => false,
            ProcessState::Starting(_) => true,
            ProcessState::Running { stop } => stop.is_some(),
        });
        u32::try_from(live.count()).unwrap_or(u32::MAX)
    }

    /// Whether no process is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.borrow().iter().all(|slot| matches!(slot.state, ProcessState::Free))
    }

    /// Returns when no process is left.
    pub async fn emptied(&self) {
        self.changed.until(|| self.is_empty()).await;
    }

    /// Number of instances kept running.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min.get()
    }

    /// Sets the number of instances kept running, and starts what is missing.
    pub fn set_min(self: &Rc<Self>, min: u32) {
        self.min.set(min);
        self.changed.notify();
        self.keep_min();
    }

    /// Keeps none running any more; those that run are stopped when the scheduler retires them.
    pub fn wind_down(&self) {
        self.min.set(0);
        self.changed.notify();
    }

    /// Starts what is missing below `min`, unless starts have to pause.
    pub fn keep_min(self: &Rc<Self>) {
        if self.closed.get() {
            return;
        }
        if self.has_to_wait() {
            self.replace_later();
            return;
        }
        self.start_missing(self.min.get(), StartReason::Min);
    }

    /// Starts what is missing below `target` and was not asked for, unless starts have to pause.
    pub(crate) fn start_up_to(self: &Rc<Self>, target: u32, reason: StartReason) {
        if !self.closed.get() && !self.has_to_wait() {
            self.start_missing(target, reason);
        }
    }

    fn start_missing(self: &Rc<Self>, target: u32, reason: StartReason) {
        while self.count() < target {
            self.context.commands.send(SchedulerCommand::Starting { version: self.function.index, count: 1 });
            if !self.start(self.context.host.clock.now(), reason) {
                return;
            }
        }
    }

    /// The scheduler asks for one more. Where there is none and none can be started it is told so
    /// at once, so that nobody waits in vain; otherwise the start waits until the pause is over.
    pub fn start_wanted(self: &Rc<Self>) {
        self.start_wanted_at(self.context.host.clock.now());
    }

    fn start_wanted_at(self: &Rc<Self>, wanted: Nanos) {
        if !self.has_to_wait() {
            self.start(wanted, StartReason::Call);
        } else if self.cannot_start.get() && self.count() == 0 {
            self.start_failed();
        } else {
            let set = self.clone();
            tokio::task::spawn_local(async move {
                set.until_it_may_start().await;
                // The index of a closed set may be another version's by now.
                if !set.closed.get() {
                    set.start_wanted_at(wanted);
                }
            });
        }
    }

    /// Whether starts pause, or one that failed has to wait for a build that may mend it.
    fn has_to_wait(&self) -> bool {
        self.pause_ns() > 0 || (self.cannot_start.get() && self.context.host.builds.is_building(self.name()))
    }

    /// Returns when nothing has to wait any more.
    async fn until_it_may_start(&self) {
        while self.has_to_wait() {
            tokio::time::sleep(Duration::from_nanos(self.pause_ns())).await;
            if self.cannot_start.get() {
                self.context.host.builds.over(self.name()).await;
            }
        }
    }

    /// The rest of the pause after a failure.
    fn pause_ns(&self) -> Nanos {
        self.not_before.get().saturating_sub(self.context.host.clock.now())
    }

    fn name(&self) -> &str {
        self.function.spec.name.as_str()
    }

    /// Stops an instance that the scheduler has retired.
    pub fn stop(&self, instance: InstanceKey) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(usize::from(instance.place))
            && slot.generation == instance.generation
            && let ProcessState::Running { stop } = &mut slot.state
            && let Some(stop) = stop.take()
        {
            channel::answer(stop, ());
        }
    }

    /// A connection to an instance failed: it is granted again when it answers its health check.
    pub fn look_after(self: &Rc<Self>, instance: InstanceKey) {
        let set = self.clone();
        tokio::task::spawn_local(async move {
            let socket = Target::Unix(set.context.socket(instance));
            let mut pauses = ExponentialBackoff::doubling(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
            let started = set.context.host.clock.now();
            let patience = set.context.start_timeout_ms * 1_000_000;
            while set.is_running(instance) {
                // It may have ended while it was asked.
                if probe::health(&socket).await.is_ok() && set.is_running(instance) {
                    set.context.commands.send(SchedulerCommand::Ready { instance, started: false });
                    return;
                }
                if set.context.host.clock.now() - started > patience {
                    tracing::warn!(function = %set.function.spec.name, "an instance is stuck and is stopped");
                    set.stop(instance);
                    return;
                }
                pauses.pause().await;
            }
        });
    }

    /// Starts nothing more, and stops everything.
    pub fn close(&self) {
        self.closed.set(true);
        for slot in self.slots.borrow_mut().iter_mut() {
            match &mut slot.state {
                ProcessState::Free => {}
                ProcessState::Starting(task) => {
                    task.abort();
                    slot.state = ProcessState::Free;
                }
                ProcessState::Running { stop } => {
                    if let Some(stop) = stop.take() {
                        channel::answer(stop, ());
                    }
                }
            }
        }
        self.changed.notify();
    }

    /// Begins one start, asked for at `wanted`; false, and the scheduler knows, where there is no free slot.
    fn start(self: &Rc<Self>, wanted: Nanos, reason: StartReason) -> bool {
        let free = {
            let slots = self.slots.borrow();
            slots.iter().position(|slot| matches!(slot.state, ProcessState::Free))
        };
        let Some(at) = free.filter(|_| !self.closed.get()) else {
            self.start_failed();
            return false;
        };
        let generation = self.slots.borrow()[at].generation.wrapping_add(1);
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        let instance = InstanceKey { version: self.function.index, place, generation };
        self.context.populated.borrow_mut().insert(self.function.index);
        self.function.metrics.of_control().count_starts(reason, 1);
        let task = tokio::task::spawn_local(self.clone().live(instance, wanted));
        self.slots.borrow_mut()[at] =
            ProcessSlot { generation, state: ProcessState::Starting(task.abort_handle()) };
        true
    }

    /// The life of one instance, asked for at `wanted`.
    async fn live(self: Rc<Self>, instance: InstanceKey, wanted: Nanos) {
        let began = self.context.host.clock.now();
        let started = self.become_ready(instance).await;
        let ServingProcess { mut process, report, created, ready, connection: _ } = match started {
            Ok(serving) => serving,
            Err(mut problem) => {
                self.free(instance);
                self.cannot_start.set(true);
                problem.reason.insert_str(0, "an instance failed to start: ");
                self.failed_once(problem, PAUSE_MAX);
                self.start_failed();
                self.keep_min();
                return;
            }
        };
        process.tail.become_shared();
        let (stop, stopped) = oneshot::channel();
        self.slots.borrow_mut()[usize::from(instance.place)].state =
            ProcessState::Running { stop: Some(stop) };
        let socket = Target::Unix(self.context.socket(instance));
        let name = process.pid().map_or_else(String::new, |pid| pid.to_string()).into();
        let start = InstanceStart { name, wanted, began, created, ready, ..InstanceStart::default() }
            .with_report(&report, ready);
        let address = Address::new(instance.generation, start, socket, "localhost", "/invoke");
        self.function.addresses[usize::from(instance.place)].store(Some(Arc::new(address)));
        self.function.problem.store(None);
        self.cannot_start.set(false);
        self.ever_ready.set(true);
        self.changed.notify();
        tracing::info!(
            function = %self.function.spec.name,
            instance = instance.place,
            pid = process.pid(),
            took_ms = (ready - began) / 1_000_000,
            "instance ready"
        );
        self.context.commands.send(SchedulerCommand::Ready { instance, started: true });

        let patience = Duration::from_millis(self.context.stop_timeout_ms);
        let crashed = tokio::select! {
            status = process.ended() => Some(status),
            _ = stopped => None,
        };
        if crashed.is_none() {
            process.stop(patience).await;
        }
        if let Some(Ok(exit)) = crashed {
            // A gateway that lost its connection may be waiting for it.
            let ending = Ending { generation: instance.generation, exit };
            self.function.endings[usize::from(instance.place)].store(Some(Arc::new(ending)));
        }
        self.function.addresses[usize::from(instance.place)].store(None);
        self.free(instance);
        self.context.commands.send(SchedulerCommand::Down { instance });
        if let Some(status) = crashed {
            let how = status.map_or_else(|error| error.to_string(), describe);
            tracing::warn!(target: CRASH, function = %self.function.spec.name, instance = instance.place, "instance crashed: {how}");
            if self.context.host.clock.now() - ready >= STEADY_NS {
                self.failures.set(0);
            } else if self.failures.get() == 0 {
                // The first crash is replaced at once; those that follow it closely are not.
                self.failures.set(1);
            } else {
                let reason = format!("an instance crashed: {how}");
                let problem = serving_process::explain(&reason, &process, &self.function.spec);
                self.failed_once(problem, CRASH_PAUSE_MAX);
            }
        }
        self.keep_min();
    }

    /// Starts the process and waits until it answers its health check.
    async fn become_ready(&self, instance: InstanceKey) -> Result<ServingProcess, InstanceProblem> {
        let socket = self.context.socket(instance);
        let options = StartOptions { socket: Some(socket), ..StartOptions::default() };
        serving_process::start(&self.context, &self.function.spec, options).await
    }

    fn failed_once(&self, problem: InstanceProblem, pause_max: Duration) {
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        let before = usize::try_from(failures - 1).unwrap_or(usize::MAX);
        let pause = ExponentialBackoff::doubling(PAUSE_MIN, pause_max).nth(before).unwrap_or(pause_max);
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.not_before.set(self.context.host.clock.now() + pause_ns);
        tracing::warn!(function = %self.function.spec.name, failures, ?pause, "{problem}");
        self.function.problem.store(Some(Arc::new(problem)));
    }

    fn start_failed(&self) {
        self.context.commands.send(SchedulerCommand::StartFailed { version: self.function.index });
    }

    fn replace_later(self: &Rc<Self>) {
        if self.replacement.replace(true) {
            return;
        }
        let set = self.clone();
        tokio::task::spawn_local(async move {
            set.until_it_may_start().await;
            set.replacement.set(false);
            set.keep_min();
        });
    }

    fn free(&self, instance: InstanceKey) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[usize::from(instance.place)];
        if slot.generation == instance.generation {
            slot.state = ProcessState::Free;
            self.changed.notify();
        }
    }

    fn is_running(&self, instance: InstanceKey) -> bool {
        self.slots.borrow().get(usize::from(instance.place)).is_some_and(|slot| {
            slot.generation == instance.generation && matches!(slot.state, ProcessState::Running { .. })
        })
    }
}
