//! The single-use instances of one version of a function: started up to the reserve and on demand, given away once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::per_attempt::PerAttempt;
use super::refills::{ColdStart, Refills, StandbyRoom};
use super::reserve::Reserve;
use super::standby_instance::{ExpectedAnnouncement, StandbyInstance, StandbySource};
use super::standby_slot::{SlotState, StandbyCounts, StandbyOrder, StandbySlot};
use super::standby_state::{StandbyProblem, StandbyState};
use crate::backoff::ExponentialBackoff;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::clock::{Clock, NANOS_PER_MS, Nanos};
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::id::Token;
use crate::instance::{InstanceKey, InstanceProblem, InstanceStart, VersionIndex};
use crate::kubernetes::idle_pods::IdlePod;
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};
use crate::scheduler::command_sender::CommandSender;
use crate::scheduler::message::SchedulerCommand;
use crate::spec::Standby;

/// The first pause after a start that failed; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Time for which none is started ahead after one made room for others (ns).
const RELEASED_NS: Nanos = 10_000_000_000;
/// Time for which an instance stays that is one too many, as the reserve may soon be larger again (ns).
const SURPLUS_NS: Nanos = 30_000_000_000;

/// The parts of the control thread that the single-use instances of any version need.
#[derive(Debug, Clone)]
pub(crate) struct StandbyContext {
    /// Time.
    pub(crate) clock: Clock,
    /// The way to the scheduler.
    pub(crate) commands: Rc<CommandSender>,
    /// Versions that are looked at from time to time.
    pub(crate) populated: Rc<RefCell<BTreeSet<VersionIndex>>>,
    /// See [`Refills`].
    pub(crate) refills: Rc<Refills>,
}

/// The single-use instances of one version.
#[derive(Debug)]
pub struct StandbySet {
    context: StandbyContext,
    source: StandbySource,
    function: Arc<FunctionVersion>,
    pub(crate) per_attempt: PerAttempt,
    reserve: RefCell<Reserve>,
    /// By place. The first is that of what starts an instance for each attempt, and stays free here.
    slots: RefCell<Vec<StandbySlot>>,
    /// Tokens of instances, with who waits for its announcement.
    tokens: RefCell<Vec<KnownToken>>,
    failures: Cell<u32>,
    /// No start before this time.
    not_before: Cell<Nanos>,
    /// Why the last start failed, while it is the last one.
    problem: RefCell<Option<InstanceProblem>>,
    /// The generation of the instance at place 0, and whether it is ready.
    fallback: Cell<(u32, bool)>,
    /// There are as many instances ahead of all functions as there may be.
    is_limited: Cell<bool>,
    is_refilling: Cell<bool>,
    /// A start has ended: well, or not.
    has_started: Cell<bool>,
    winds_down: Cell<bool>,
    closed: Cell<bool>,
    changed: ChangeSignal,
}

/// The token of an instance, with who waits for its announcement.
type KnownToken = (Token, Option<AnswerSender<Box<Announcement>>>);

/// One start.
#[derive(Debug)]
struct StandbyStart {
    /// Time at which it was asked for.
    asked: Nanos,
    /// A call waits for it.
    cold: Option<ColdStart>,
    /// Its place among those that nobody asked for.
    room: Option<StandbyRoom>,
    /// It runs already, and is taken over from an earlier control plane.
    idle: Option<IdlePod>,
}

impl StandbySet {
    /// The instances of this version, of which the first are being started.
    #[must_use]
    pub(crate) fn open(
        context: StandbyContext,
        source: StandbySource,
        function: Arc<FunctionVersion>,
        bounds: Standby,
        per_attempt: PerAttempt,
    ) -> Rc<Self> {
        let idle_ns = u64::from(function.spec.idle_timeout_ms) * NANOS_PER_MS;
        let set = Rc::new(Self {
            slots: RefCell::new(function.addresses.iter().map(|_| StandbySlot::new()).collect()),
            reserve: RefCell::new(Reserve::new(bounds, idle_ns)),
            tokens: RefCell::default(),
            context,
            source,
            function,
            per_attempt,
            failures: Cell::new(0),
            not_before: Cell::new(0),
            problem: RefCell::new(None),
            fallback: Cell::new((0, false)),
            is_limited: Cell::new(false),
            is_refilling: Cell::new(false),
            has_started: Cell::new(false),
            winds_down: Cell::new(false),
            closed: Cell::new(false),
            changed: ChangeSignal::default(),
        });
        set.context.populated.borrow_mut().insert(set.function.index);
        set.adopt();
        set.refill();
        set
    }

    // ---- what others ask ----

    /// Places by what is there.
    #[must_use]
    pub(crate) fn counts(&self) -> StandbyCounts {
        StandbyCounts::of(&self.slots.borrow())
    }

    /// Instances that are to be ready.
    #[must_use]
    pub(crate) fn target(&self) -> u32 {
        match self.winds_down.get() || self.closed.get() {
            true => 0,
            false => self.reserve.borrow_mut().target(self.now()),
        }
    }

    /// Its state, as people are told of it.
    #[must_use]
    pub(crate) fn state(&self) -> StandbyState {
        let StandbyCounts { ready, starting, .. } = self.counts();
        let limited = || StandbyProblem::Limited { standby_max: self.context.refills.standby_max() };
        let failed = self.problem.borrow().clone().map(StandbyProblem::Failed);
        let problem = failed.or_else(|| self.is_limited.get().then(limited));
        StandbyState { ready, starting, target: self.target(), problem }
    }

    /// Executions that run.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.counts().leaving + self.per_attempt.count()
    }

    /// Whether its version may take over: an instance is ready, or none is to be, or none can be started.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        self.has_started.get() || self.target() == 0
    }

    /// Returns when its version may take over.
    pub async fn until_it_can_serve(&self) {
        self.changed.until(|| self.can_serve()).await;
    }

    /// Whether no instance is left that ends with this process.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_unused() && self.per_attempt.count() == 0
    }

    fn is_unused(&self) -> bool {
        let StandbyCounts { ready, starting, leaving, .. } = self.counts();
        starting + leaving == 0 && (ready == 0 || self.source.outlives_us())
    }

    /// Returns when no instance is left that ends with this process.
    pub async fn emptied(&self) {
        self.changed.until(|| self.is_unused()).await;
        self.per_attempt.emptied().await;
    }

    // ---- what happens ----

    /// Starts the instance of one attempt, as none was ready and none can be started ahead.
    pub fn start_job(&self, start: JobStart) {
        self.reserve.borrow_mut().called(self.now());
        self.per_attempt.start(start);
    }

    /// An instance was given an execution.
    pub fn taken(self: &Rc<Self>, take: Box<StandbyTake>) {
        self.reserve.borrow_mut().called(self.now());
        self.failures.set(0);
        self.context.refills.given_away();
        if let Some(order) = self.leave(take.instance) {
            channel::answer(order, StandbyOrder::Take(take));
        }
        // Else it ended in this moment; dropped, the message says so.
        self.refill();
    }

    /// An instance says that it listens. `None` where the token is none of this version's.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        let mut tokens = self.tokens.borrow_mut();
        let (_, waiting) = tokens.iter_mut().find(|(known, _)| *known == announcement.token)?;
        // It may say so again, where it did not hear the answer.
        if let Some(waiting) = waiting.take() {
            channel::answer(waiting, Box::new(announcement.clone()));
        }
        Some(Ok(()))
    }

    /// The scheduler asks for one more, as a call waits.
    pub fn start_wanted(self: &Rc<Self>) {
        let now = self.now();
        if self.closed.get() || self.not_before.get() > now {
            self.fall_back();
            self.start_failed();
            return;
        }
        self.start(StandbyStart {
            asked: now,
            cold: Some(self.context.refills.cold_start()),
            room: None,
            idle: None,
        });
    }

    /// Stops an instance that the scheduler has retired, and that has no execution.
    pub fn stop(&self, instance: InstanceKey) {
        if let Some(order) = self.leave(instance) {
            channel::answer(order, StandbyOrder::Stop);
        }
    }

    /// Brings the reserve to its size, as time has passed.
    pub fn keep(self: &Rc<Self>, now: Nanos) {
        let version = self.function.index;
        let target = self.target();
        if self.counts().ready > target {
            let idle = SURPLUS_NS.min(u64::from(self.function.spec.idle_timeout_ms) * NANOS_PER_MS);
            let keep = u16::try_from(target).unwrap_or(u16::MAX);
            let idle_before = now.saturating_sub(idle);
            self.context.commands.send(SchedulerCommand::ReapIdle { version, keep, idle_before });
        }
        let age_max = self.source.age_max().map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        if let Some(idle_before) = age_max.and_then(|age| now.checked_sub(age))
            && self.oldest_ready().is_some_and(|since| since < idle_before)
        {
            self.context.commands.send(SchedulerCommand::ReapIdle { version, keep: 0, idle_before });
        }
        self.refill();
    }

    /// Time of the last call.
    #[must_use]
    pub(crate) fn last_call(&self) -> Option<Nanos> {
        self.reserve.borrow().last_call()
    }

    /// Whether an instance waits for an execution.
    #[must_use]
    pub(crate) fn has_ready(&self) -> bool {
        self.counts().ready > 0
    }

    /// Stops one that waits, as others need its place, and starts none for a while.
    pub(crate) fn release_one(&self) {
        let now = self.now();
        self.not_before.set(self.not_before.get().max(now + RELEASED_NS));
        let keep = u16::try_from(self.counts().ready.saturating_sub(1)).unwrap_or(u16::MAX);
        let version = self.function.index;
        tracing::info!(function = %self.function.spec.name, "a standby instance makes room, as a quota is met");
        self.context.commands.send(SchedulerCommand::ReapIdle { version, keep, idle_before: now });
    }

    /// Starts none ahead any more; those that are ready are stopped when the scheduler retires them.
    pub fn wind_down(&self) {
        self.winds_down.set(true);
        self.changed.notify();
    }

    /// Starts nothing more, and stops what has no execution and ends with this process.
    pub fn stop_own(&self) {
        match self.source.outlives_us() {
            true => {
                self.closed.set(true);
                self.changed.notify();
            }
            false => self.close(),
        }
    }

    /// Starts nothing more, and stops what has no execution.
    pub fn close(&self) {
        self.closed.set(true);
        let places: Vec<InstanceKey> = {
            let slots = self.slots.borrow();
            let key = |(place, slot): (u16, &StandbySlot)| self.key(place, slot.generation);
            (0..).zip(slots.iter()).map(key).collect()
        };
        for instance in places {
            self.stop(instance);
        }
        self.changed.notify();
    }

    // ---- starts ----

    /// Takes over instances that an earlier control plane made.
    fn adopt(self: &Rc<Self>) {
        for idle in self.source.idle() {
            let room = self.context.refills.room();
            self.tell_of_start();
            self.start(StandbyStart { asked: self.now(), cold: None, room, idle: Some(idle) });
        }
    }

    /// Tells the scheduler of a start that it has not asked for.
    fn tell_of_start(&self) {
        self.context.commands.send(SchedulerCommand::Starting { version: self.function.index, count: 1 });
    }

    /// Starts what the reserve lacks, when that takes nothing from a call that waits.
    fn refill(self: &Rc<Self>) {
        if !self.lacks_some() || self.is_refilling.replace(true) {
            return;
        }
        let set = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                let pause = set.not_before.get().saturating_sub(set.now());
                tokio::time::sleep(Duration::from_nanos(pause)).await;
                set.context.refills.quiet().await;
                if !set.lacks_some() {
                    break;
                }
                let room = set.context.refills.room();
                set.is_limited.set(room.is_none());
                if room.is_none() {
                    break;
                }
                set.tell_of_start();
                if !set.start(StandbyStart { asked: set.now(), cold: None, room, idle: None }) {
                    break;
                }
            }
            set.is_refilling.set(false);
        });
    }

    fn lacks_some(&self) -> bool {
        self.counts().reserve() < self.target()
    }

    /// Begins a start of which the scheduler knows; `false`, and it is told, where there is no place.
    fn start(self: &Rc<Self>, start: StandbyStart) -> bool {
        let free = {
            let slots = self.slots.borrow();
            slots.iter().skip(1).position(|slot| matches!(slot.state, SlotState::Free)).map(|at| at + 1)
        };
        let Some(at) = free.filter(|_| !self.closed.get()) else {
            self.start_failed();
            return false;
        };
        let generation = self.slots.borrow()[at].generation.wrapping_add(1);
        let instance = self.key(u16::try_from(at).unwrap_or(u16::MAX), generation);
        let is_wanted = start.cold.is_some();
        self.slots.borrow_mut()[at] = StandbySlot { generation, state: SlotState::Starting { is_wanted } };
        tokio::task::spawn_local(self.clone().live(instance, start));
        true
    }

    /// The life of one instance.
    async fn live(self: Rc<Self>, instance: InstanceKey, start: StandbyStart) {
        let StandbyStart { asked, cold, room, idle } = start;
        let began = self.now();
        let token = Token::random();
        let (announce, announced) = oneshot::channel();
        if self.source.expects_announcements() {
            self.tokens.borrow_mut().push((token, Some(announce)));
        }
        let expected = ExpectedAnnouncement { token, announced };
        let closed = self.changed.until(|| self.closed.get());
        let was_idle = idle.is_some();
        let started = match idle {
            Some(idle) => self.source.adopt(idle).await,
            None => self.source.start(&self.function.spec, instance, expected, closed).await,
        };
        drop(cold);
        let single = match started {
            Ok(single) => single,
            Err(problem) => {
                self.tokens.borrow_mut().retain(|(known, _)| *known != token);
                self.set_state(instance, SlotState::Free);
                if was_idle {
                    tracing::info!(function = %self.function.spec.name, "{problem}");
                    self.refill();
                } else if !self.closed.get() {
                    self.failed(problem);
                }
                self.start_failed();
                return;
            }
        };
        let ready = self.now();
        if !was_idle {
            self.reserve.borrow_mut().started(ready - began);
        }
        let start = InstanceStart { name: single.name().into(), wanted: asked, began, ready };
        let address = single.address(instance.generation, start);
        let at = usize::from(instance.place);
        self.function.addresses[at].store(Some(Arc::new(address)));
        let (order, ordered) = oneshot::channel();
        self.set_state(instance, SlotState::Ready { order, since: ready });
        self.recovered();
        self.context.commands.send(SchedulerCommand::Ready { instance, started: true });
        self.wait(single, ordered, room).await;
        self.tokens.borrow_mut().retain(|(known, _)| *known != token);
        self.function.addresses[at].store(None);
        self.set_state(instance, SlotState::Free);
        self.context.commands.send(SchedulerCommand::Down { instance });
        self.refill();
    }

    /// From when an instance is ready until it is gone.
    async fn wait(
        &self,
        mut single: StandbyInstance,
        ordered: AnswerReceiver<StandbyOrder>,
        room: Option<StandbyRoom>,
    ) {
        let ready = self.now();
        let order = tokio::select! {
            biased;
            order = ordered => order.unwrap_or(StandbyOrder::Stop),
            problem = single.ended_idle(&self.function.spec) => {
                self.wasted(ready);
                return self.failed(problem);
            }
        };
        drop(room);
        match order {
            StandbyOrder::Take(take) => single.serve(*take).await,
            StandbyOrder::Stop => {
                self.wasted(ready);
                single.stop().await;
            }
        }
    }

    /// An instance that was ready at this time was never used.
    fn wasted(&self, ready: Nanos) {
        self.function.metrics.of_control().standby_wasted_ns.add(self.now() - ready);
    }

    /// An instance could not be started, or ended before it was used: what waits is served otherwise.
    fn failed(&self, problem: InstanceProblem) {
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        let before = usize::try_from(failures - 1).unwrap_or(usize::MAX);
        let pause = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX).nth(before).unwrap_or(PAUSE_MAX);
        let pause_ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.not_before.set(self.now() + pause_ns);
        tracing::warn!(function = %self.function.spec.name, failures, ?pause, "a standby instance failed: {problem}");
        *self.problem.borrow_mut() = Some(problem);
        self.has_started.set(true);
        self.fall_back();
        self.changed.notify();
    }

    fn recovered(&self) {
        *self.problem.borrow_mut() = None;
        self.has_started.set(true);
        let (generation, is_ready) = self.fallback.get();
        if is_ready {
            self.fallback.set((generation, false));
            self.context.commands.send(SchedulerCommand::Down { instance: self.key(0, generation) });
        }
        self.changed.notify();
    }

    /// Has calls served by an instance that is started for each, until one can be started ahead.
    fn fall_back(&self) {
        let (generation, is_ready) = self.fallback.get();
        if !is_ready && !self.closed.get() {
            let generation = generation.wrapping_add(1);
            self.fallback.set((generation, true));
            let instance = self.key(0, generation);
            self.context.commands.send(SchedulerCommand::Ready { instance, started: false });
        }
    }

    fn start_failed(&self) {
        self.context.commands.send(SchedulerCommand::StartFailed { version: self.function.index });
    }

    // ---- places ----

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn key(&self, place: u16, generation: u32) -> InstanceKey {
        InstanceKey { version: self.function.index, place, generation }
    }

    /// Takes an instance out of those that are ready; `None` where it is none of them.
    fn leave(&self, instance: InstanceKey) -> Option<AnswerSender<StandbyOrder>> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(usize::from(instance.place))?;
        if slot.generation != instance.generation || !matches!(slot.state, SlotState::Ready { .. }) {
            return None;
        }
        match std::mem::replace(&mut slot.state, SlotState::Leaving) {
            SlotState::Ready { order, .. } => Some(order),
            SlotState::Free | SlotState::Starting { .. } | SlotState::Leaving => None,
        }
    }

    /// Time at which the oldest of those that wait became ready.
    fn oldest_ready(&self) -> Option<Nanos> {
        let slots = self.slots.borrow();
        let since = |slot: &StandbySlot| match slot.state {
            SlotState::Ready { since, .. } => Some(since),
            SlotState::Free | SlotState::Starting { .. } | SlotState::Leaving => None,
        };
        slots.iter().filter_map(since).min()
    }

    fn set_state(&self, instance: InstanceKey, state: SlotState) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[usize::from(instance.place)];
        if slot.generation == instance.generation {
            slot.state = state;
            self.changed.notify();
        }
    }
}
