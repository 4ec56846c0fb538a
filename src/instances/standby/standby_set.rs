//! The single-use instances of one version of a function: started up to the reserve and on demand, given away once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::announced::{AnnouncedInstances, ExpectedAnnouncement};
use super::context::StandbyContext;
use super::per_attempt::PerAttempt;
use super::reserve::Reserve;
use super::standby_instance::StandbySource;
use super::standby_life::{StandbyLife, StandbyStart};
use super::standby_places::{Occupant, StandbyPlaces};
use super::standby_slot::{SlotState, StandbyCounts, StandbyOrder};
use super::standby_state::{StandbyProblem, StandbyState};
use super::start_failures::StartFailures;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::channel::AnswerSender;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::id::Token;
use crate::instance::{InstanceKey, InstanceProblem};
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};
use crate::spec::Standby;

/// Time in which it is told that an instance had an execution which is retired, or has ended.
pub(super) const LAST_TAKE: Duration = Duration::from_millis(100);
/// Time for which none is started ahead after one made room for others (ns).
const RELEASED_NS: Nanos = 10_000_000_000;
/// Time for which an instance stays that is one too many, as the reserve may soon be larger again (ns).
const SURPLUS_NS: Nanos = 30_000_000_000;

/// The single-use instances of one version.
#[derive(Debug)]
pub struct StandbySet {
    pub(super) context: StandbyContext,
    pub(super) source: StandbySource,
    pub(super) function: Arc<FunctionVersion>,
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
        let no_room =
            || if ready < target { self.source.no_room().map(StandbyProblem::NoRoom) } else { None };
        let problem = failed.or_else(|| is_limited.then(limited)).or_else(no_room);
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

    /// Gives up those that wait for room which others need, and starts none for a while where there were any.
    pub(crate) fn give_way(&self) {
        if self.source.give_way() {
            self.failures.hold(self.now() + RELEASED_NS);
        }
    }

    /// Stops one that waits, as others need its place, and starts none for a while.
    pub(crate) fn release_one(&self) {
        let now = self.now();
        self.failures.hold(now + RELEASED_NS);
        tracing::info!(function = %self.function.spec.name, "a standby instance makes room for a call of another function");
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
        if !self.lacks_some() || self.is_refilling.get() {
            return;
        }
        // There may be ten thousand that have none, each of which looks once a second.
        if !self.context.refills.has_room() {
            self.limited();
            return;
        }
        self.is_refilling.set(true);
        let set = self.clone();
        tokio::task::spawn_local(async move {
            loop {
                set.source.refill_turn(&set.context.refills).await;
                let pause = set.failures.pause(set.now());
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                    // It may have become longer meanwhile.
                    continue;
                }
                if !set.lacks_some() {
                    break;
                }
                let room = set.source.refill_room(&set.context.refills);
                if room.is_none() {
                    set.limited();
                    break;
                }
                set.is_limited.set(false);
                if !set.start(StandbyStart { asked: set.now(), cold: None, room, idle: None }) {
                    break;
                }
            }
            set.is_refilling.set(false);
        });
    }

    /// There is no place for one more among the instances ahead of all functions.
    fn limited(&self) {
        if !self.is_limited.replace(true) {
            self.changed.notify();
        }
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
        tokio::task::spawn_local(StandbyLife::new(self.clone(), occupant).run(start));
        true
    }

    // ---- what the life of an instance tells ----

    /// Expects the announcement of an instance that is started, or of one that has this token already.
    pub(super) fn expect(&self, token: Option<Token>) -> ExpectedAnnouncement {
        self.announced.expect(token.unwrap_or_else(Token::random))
    }

    /// Whether nothing is to be started any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Returns when nothing is to be started any more.
    pub(super) async fn until_closed(&self) {
        self.changed.until(|| self.is_closed()).await;
    }

    /// A start took this long (ns).
    pub(super) fn started_within(&self, took: Nanos) {
        self.reserve.borrow_mut().started(took);
    }

    /// An instance waits for its execution.
    pub(super) fn is_ready(&self, occupant: Occupant, order: AnswerSender<StandbyOrder>, since: Nanos) {
        self.places.set(occupant, SlotState::Ready { order, since });
        self.recovered();
    }

    /// An instance has its execution, or ends.
    pub(super) fn leaves(&self, occupant: Occupant) {
        self.places.set(occupant, SlotState::Leaving);
    }

    /// An instance is gone, with its token.
    pub(super) fn is_gone(self: &Rc<Self>, occupant: Occupant, token: Token) {
        self.announced.forget(token);
        self.places.set(occupant, SlotState::Free);
        self.changed.notify();
        self.refill();
    }

    /// An instance that was ready at this time was never used.
    pub(super) fn wasted(&self, ready: Nanos) {
        self.function.metrics.of_control().standby_wasted_ns.add(self.now() - ready);
    }

    /// An instance could not be started, or ended before it was used: what waits is served otherwise.
    pub(super) fn failed(&self, problem: InstanceProblem, began: Nanos) {
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
    pub(super) fn fall_back(&self) {
        let (generation, is_ready) = self.fallback.get();
        if !is_ready && !self.closed.get() {
            let generation = generation.wrapping_add(1);
            self.fallback.set((generation, true));
            self.context.set_fallback(&self.function, generation, true);
        }
    }

    // ---- places ----

    pub(super) fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    pub(super) fn key(&self, place: u16, generation: u32) -> InstanceKey {
        InstanceKey { version: self.function.index, place, generation }
    }
}

fn occupant(instance: InstanceKey) -> Occupant {
    Occupant { place: instance.place, generation: instance.generation }
}
