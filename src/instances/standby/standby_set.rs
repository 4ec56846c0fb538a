//! The single-use instances of one version of a function: started up to the reserve and on demand, given away once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::announced::AnnouncedInstances;
use super::context::StandbyContext;
use super::per_attempt::PerAttempt;
use super::refills::{ColdStart, StandbyRoom};
use super::reserve::Reserve;
use super::standby_instance::{StandbyInstance, StandbySource};
use super::standby_places::{Occupant, StandbyPlaces};
use super::standby_slot::{SlotState, StandbyCounts, StandbyOrder};
use super::standby_state::{StandbyProblem, StandbyState};
use super::start_failures::StartFailures;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::channel::{AnswerReceiver, oneshot};
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::instance::{InstanceKey, InstanceProblem, InstanceStart};
use crate::kubernetes::idle_pods::IdlePod;
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};
use crate::scheduler::message::SchedulerCommand;
use crate::spec::Standby;

/// Time in which it is told that an instance had an execution which is retired, or has ended.
const LAST_TAKE: Duration = Duration::from_millis(100);
/// Time for which none is started ahead after one made room for others (ns).
const RELEASED_NS: Nanos = 10_000_000_000;
/// Time for which an instance stays that is one too many, as the reserve may soon be larger again (ns).
const SURPLUS_NS: Nanos = 30_000_000_000;

/// The single-use instances of one version.
#[derive(Debug)]
pub struct StandbySet {
    context: StandbyContext,
    source: StandbySource,
    function: Arc<FunctionVersion>,
    pub(crate) per_attempt: PerAttempt,
    reserve: RefCell<Reserve>,
    places: StandbyPlaces,
    announced: AnnouncedInstances,
    failures: StartFailures,
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
            places: StandbyPlaces::new(function.addresses.len()),
            reserve: RefCell::new(Reserve::new(bounds, idle_ns)),
            announced: AnnouncedInstances::default(),
            context,
            source,
            function,
            per_attempt,
            failures: StartFailures::default(),
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
        self.places.counts()
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
        let target = self.target();
        let limited = || StandbyProblem::Limited { standby_max: self.context.refills.standby_max() };
        let failed = self.failures.problem().map(StandbyProblem::Failed);
        let is_limited = self.is_limited.get() && ready + starting < target;
        let problem = failed.or_else(|| is_limited.then(limited));
        StandbyState { ready, starting, target, problem }
    }

    /// Executions that run.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self.source.outlives_us() {
            // Single-use instances are among its own.
            true => self.per_attempt.count(),
            false => self.counts().leaving + self.per_attempt.count(),
        }
    }

    /// Whether its version may take over: an instance is ready, or none is to be, or none can be started.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        self.has_started.get() || self.is_limited.get() || self.target() == 0
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
    pub fn start_job(self: &Rc<Self>, start: JobStart) {
        self.reserve.borrow_mut().called(self.now());
        self.per_attempt.start(start);
        self.context.populated.borrow_mut().insert(self.function.index);
        self.refill();
    }

    /// An instance was given an execution.
    pub fn taken(self: &Rc<Self>, take: Box<StandbyTake>) {
        self.reserve.borrow_mut().called(self.now());
        self.failures.was_used();
        self.context.refills.given_away();
        if let Some(order) = self.places.leave(occupant(take.instance)) {
            channel::answer(order, StandbyOrder::Take(take));
        }
        // Else it ended in this moment; dropped, the message says so.
        self.refill();
    }

    /// An instance says that it listens. `None` where the token is none of this version's.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        self.announced.take(announcement).then_some(Ok(()))
    }

    /// The scheduler asks for one more, as a call waits.
    pub fn start_wanted(self: &Rc<Self>) {
        let now = self.now();
        if self.closed.get() || !self.failures.pause(now).is_zero() {
            self.fall_back();
            self.context.start_failed(&self.function);
            return;
        }
        let cold = Some(self.context.refills.cold_start());
        if !self.start(StandbyStart { asked: now, cold, room: None, idle: None }) {
            self.fall_back();
            self.context.start_failed(&self.function);
        }
    }

    /// Stops an instance that the scheduler has retired, and that has no execution.
    pub fn stop(self: &Rc<Self>, instance: InstanceKey) {
        let Some(waiting) = self.places.if_ready(occupant(instance)) else { return };
        let set = self.clone();
        tokio::task::spawn_local(async move {
            // One whose execution was quick is retired, too, and a gateway's word of that may come after this one.
            tokio::time::sleep(LAST_TAKE).await;
            set.stop_at(waiting);
        });
    }

    fn stop_at(&self, occupant: Occupant) {
        if let Some(order) = self.places.leave(occupant) {
            channel::answer(order, StandbyOrder::Stop);
        }
    }

    /// Brings the reserve to its size, as time has passed. Answers whether that may be needed again.
    pub fn keep(self: &Rc<Self>, now: Nanos) -> bool {
        let target = self.target();
        if self.counts().ready > target {
            let idle = SURPLUS_NS.min(u64::from(self.function.spec.idle_timeout_ms) * NANOS_PER_MS);
            self.context.reap(&self.function, target, now.saturating_sub(idle));
        }
        let age_max = self.source.age_max().map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        if let Some(idle_before) = age_max.and_then(|age| now.checked_sub(age))
            && self.places.oldest_ready().is_some_and(|since| since < idle_before)
        {
            // Half of them at once: the others serve meanwhile.
            self.context.reap(&self.function, self.counts().ready / 2, idle_before);
        }
        self.refill();
        target > 0 || !self.is_empty()
    }

    /// Time of the last call.
    pub(crate) fn last_call(&self) -> Option<Nanos> {
        self.reserve.borrow().last_call()
    }

    /// Whether an instance waits for an execution.
    pub(crate) fn has_ready(&self) -> bool {
        self.counts().ready > 0
    }

    /// Stops one that waits, as others need its place, and starts none for a while.
    pub(crate) fn release_one(&self) {
        let now = self.now();
        self.failures.hold(now + RELEASED_NS);
        tracing::info!(function = %self.function.spec.name, "a standby instance makes room, as a quota is met");
        self.context.reap(&self.function, self.counts().ready.saturating_sub(1), now);
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
        self.places.ready().into_iter().for_each(|occupant| self.stop_at(occupant));
        self.changed.notify();
    }

    // ---- starts ----

    /// Takes over instances that an earlier control plane made.
    fn adopt(self: &Rc<Self>) {
        for idle in self.source.idle() {
            let room = self.context.refills.room();
            self.start(StandbyStart { asked: self.now(), cold: None, room, idle: Some(idle) });
        }
    }

    /// Starts what the reserve lacks, when that takes nothing from a call that waits.
    fn refill(self: &Rc<Self>) {
        if !self.lacks_some() || self.is_refilling.replace(true) {
            return;
        }
        let set = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(set.failures.pause(set.now())).await;
                set.context.refills.quiet().await;
                if !set.lacks_some() {
                    break;
                }
                let room = set.context.refills.room();
                set.is_limited.set(room.is_none());
                if room.is_none() {
                    set.changed.notify();
                    break;
                }
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

    /// Begins a start, of which the scheduler is told where it has not asked for it. `false` where there is no place.
    fn start(self: &Rc<Self>, start: StandbyStart) -> bool {
        let is_wanted = start.cold.is_some();
        let free = if self.closed.get() { None } else { self.places.occupy(is_wanted) };
        let Some(occupant) = free else { return false };
        if !is_wanted {
            self.context.tell_of_start(&self.function);
        }
        self.context.populated.borrow_mut().insert(self.function.index);
        tokio::task::spawn_local(self.clone().live(occupant, start));
        true
    }

    /// The life of one instance.
    async fn live(self: Rc<Self>, occupant: Occupant, start: StandbyStart) {
        let StandbyStart { asked, cold, room, idle } = start;
        let began = self.now();
        let expected = self.announced.expect();
        let token = expected.token;
        let instance = self.key(occupant.place, occupant.generation);
        let closed = self.changed.until(|| self.closed.get());
        let was_idle = idle.is_some();
        let started = match idle {
            Some(idle) => self.source.adopt(idle).await,
            None => self.source.start(&self.function.spec, instance, expected, closed).await,
        };
        drop(cold);
        let ready = self.now();
        match started {
            // Its version was closed in this moment.
            Ok(single) if self.closed.get() => {
                single.stop().await;
                self.context.start_failed(&self.function);
            }
            Ok(single) => {
                if !was_idle {
                    self.reserve.borrow_mut().started(ready - began);
                }
                let start = InstanceStart { wanted: asked, began, ready, ..InstanceStart::default() };
                self.serve(occupant, single, &start, room).await;
            }
            Err(problem) if was_idle => {
                tracing::info!(function = %self.function.spec.name, "{problem}");
                self.fall_back();
                self.context.start_failed(&self.function);
            }
            Err(problem) => {
                if !self.closed.get() {
                    self.failed(problem, began);
                }
                self.context.start_failed(&self.function);
            }
        }
        self.announced.forget(token);
        self.places.set(occupant, SlotState::Free);
        self.changed.notify();
        self.refill();
    }

    /// From when an instance is ready until it is gone.
    async fn serve(
        &self,
        occupant: Occupant,
        single: StandbyInstance,
        start: &InstanceStart,
        room: Option<StandbyRoom>,
    ) {
        let Occupant { place, generation } = occupant;
        let (instance, start_began, ready) = (self.key(place, generation), start.began, start.ready);
        // One that a call waited for may be left over, and counts then.
        let room = room.or_else(|| self.context.refills.room());
        let address = single.address(generation, start);
        self.function.addresses[usize::from(place)].store(Some(Arc::new(address)));
        let (order, ordered) = oneshot::channel();
        self.places.set(occupant, SlotState::Ready { order, since: ready });
        self.recovered();
        self.context.commands.send(SchedulerCommand::Ready { instance, started: true });
        let ended = self.wait(single, ready, ordered, room).await;
        self.places.set(occupant, SlotState::Leaving);
        self.function.addresses[usize::from(place)].store(None);
        self.context.commands.send(SchedulerCommand::Down { instance });
        if let Some((single, how)) = ended {
            self.wasted(ready);
            self.failed(single.explain(how, &self.function.spec).await, start_began);
        }
    }

    /// Waits for the execution of an instance that was ready at this time, and for the end of it. Answers the instance
    /// that has ended without one, and how.
    async fn wait(
        &self,
        mut single: StandbyInstance,
        ready: Nanos,
        mut ordered: AnswerReceiver<StandbyOrder>,
        room: Option<StandbyRoom>,
    ) -> Option<(StandbyInstance, String)> {
        let order = tokio::select! {
            biased;
            order = &mut ordered => order.unwrap_or(StandbyOrder::Stop),
            how = single.ended() => match tokio::time::timeout(LAST_TAKE, &mut ordered).await {
                // It ended with the execution that it had just been given.
                Ok(Ok(StandbyOrder::Take(take))) => StandbyOrder::Take(take),
                Ok(Ok(StandbyOrder::Stop) | Err(_)) | Err(_) => return Some((single, how)),
            },
        };
        drop(room);
        match order {
            StandbyOrder::Take(take) => single.serve(*take).await,
            StandbyOrder::Stop => {
                self.wasted(ready);
                single.stop().await;
            }
        }
        None
    }

    /// An instance that was ready at this time was never used.
    fn wasted(&self, ready: Nanos) {
        self.function.metrics.of_control().standby_wasted_ns.add(self.now() - ready);
    }

    /// An instance could not be started, or ended before it was used: what waits is served otherwise.
    fn failed(&self, problem: InstanceProblem, began: Nanos) {
        let told = problem.to_string();
        let (failures, pause) = self.failures.add(problem, began, self.now());
        tracing::warn!(function = %self.function.spec.name, failures, ?pause, "a standby instance failed: {told}");
        self.has_started.set(true);
        self.fall_back();
        self.changed.notify();
    }

    fn recovered(&self) {
        self.failures.has_started();
        self.has_started.set(true);
        let (generation, is_ready) = self.fallback.get();
        if is_ready {
            self.fallback.set((generation, false));
            self.context.set_fallback(&self.function, generation, false);
        }
        self.changed.notify();
    }

    /// Has calls served by an instance that is started for each, until one can be started ahead.
    fn fall_back(&self) {
        let (generation, is_ready) = self.fallback.get();
        if !is_ready && !self.closed.get() {
            let generation = generation.wrapping_add(1);
            self.fallback.set((generation, true));
            self.context.set_fallback(&self.function, generation, true);
        }
    }

    // ---- places ----

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn key(&self, place: u16, generation: u32) -> InstanceKey {
        InstanceKey { version: self.function.index, place, generation }
    }
}

fn occupant(instance: InstanceKey) -> Occupant {
    Occupant { place: instance.place, generation: instance.generation }
}
