//! Who runs next and where, who waits, retries, times out or is cancelled.
//!
//! [`Scheduler::tick`] is one bounded pass with no clock and no I/O of its own but one
//! doorbell per gateway. Its cost depends on the lanes that have something to do. It
//! allocates nothing, takes no lock and writes no log line.

#[cfg(test)]
mod audit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::course::{Course, NONE, State};
use super::lane::{Lane, Standing};
use super::message::{End, Ended, Event, Grant, InstanceKey, LaneIndex, Notice, Order};
use super::switchboard::Switchboard;
use super::ticket::Ticket;
use super::wheel::Wheel;
use crate::clock::{NANOS_PER_MS, Nanos};

/// Orders handled in one tick.
pub(super) const ORDERS_PER_TICK: usize = 64;
/// Events handled in one tick.
pub(super) const EVENTS_PER_TICK: usize = 512;
/// Announced functions whose rings are drained in one tick.
pub(super) const DOORWAYS_PER_TICK: usize = 128;
/// Tickets taken from one function before the next has its turn.
pub(super) const TICKETS_PER_DOORWAY: usize = 64;
/// Timer nodes moved in one tick.
pub(super) const TIMERS_PER_TICK: u32 = 512;
/// Lanes served in one tick.
pub(super) const LANES_PER_TICK: usize = 128;
/// Grants and endings for one lane before the next has its turn.
pub(super) const GRANTS_PER_LANE: usize = 64;

/// What a tick did and when the next is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Messages, timers and grants handled.
    pub work: usize,
    /// The pass stopped at a bound: tick again at once.
    pub more: bool,
    /// When a timer may be due (ns); `u64::MAX` where there is none.
    pub next_wake: Nanos,
}

/// The scheduler's whole world. One thread owns it at a time: whoever holds the baton.
pub struct Scheduler {
    board: Arc<Switchboard>,
    courses: Box<[Course]>,
    wheel: Wheel,
    lanes: Box<[Option<Box<Lane>>]>,
    /// Lanes with something to do, each once; never longer than it was allocated.
    active: VecDeque<LaneIndex>,
    /// Gateways that were sent a grant in this tick.
    touched: Box<[bool]>,
    notified: bool,
    /// State of a xorshift generator, for jitter.
    jitter: u64,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Allocates everything it will ever need. `seed` is for the jitter of back-offs.
    #[must_use]
    pub fn new(board: Arc<Switchboard>, seed: u64) -> Self {
        let extent = board.extent;
        let records = extent.gateways * extent.slots;
        Self {
            courses: vec![Course::free(); records].into_boxed_slice(),
            wheel: Wheel::new(records),
            lanes: (0..extent.lanes).map(|_| None).collect(),
            active: VecDeque::with_capacity(extent.lanes),
            touched: vec![false; extent.gateways].into_boxed_slice(),
            notified: false,
            jitter: seed | 1,
            board,
        }
    }

    /// One bounded pass at the time `now`, which must not go back between calls.
    pub fn tick(&mut self, now: Nanos) -> Pass {
        let work = self.take_orders(now)
            + self.take_events(now)
            + self.take_tickets()
            + self.fire_timers(now)
            + self.serve_lanes(now);
        self.ring_out();
        self.board.ticks.fetch_add(1, Ordering::Relaxed);
        let next_wake = self.wheel.next().map_or(u64::MAX, |ms| ms * NANOS_PER_MS);
        let more = !self.active.is_empty() || self.board.has_work() || next_wake <= now;
        Pass { work, more, next_wake }
    }

    // ---- what comes in ----

    fn take_orders(&mut self, now: Nanos) -> usize {
        for taken in 0..ORDERS_PER_TICK {
            let Some(order) = self.board.orders.pop() else { return taken };
            self.obey(order, now);
        }
        ORDERS_PER_TICK
    }

    fn take_events(&mut self, now: Nanos) -> usize {
        for taken in 0..EVENTS_PER_TICK {
            let Some(event) = self.board.events.pop() else { return taken };
            match event {
                Event::Ended { ticket, how } => self.attempt_ended(ticket, how, now),
                Event::Cancel { ticket } => self.cancel(ticket),
            }
        }
        EVENTS_PER_TICK
    }

    fn take_tickets(&mut self) -> usize {
        let mut taken = 0;
        for _ in 0..DOORWAYS_PER_TICK {
            let Some(index) = self.board.ready.pop() else { break };
            // A lane that is not there was closed, or its order is still on the ring: `open`
            // then drains what was announced too early.
            taken += self.drain(index, TICKETS_PER_DOORWAY);
        }
        taken
    }

    /// Takes up to `most` tickets from a lane's doorway into the wait list.
    fn drain(&mut self, index: LaneIndex, most: usize) -> usize {
        let Some(doorway) = self.lanes[index as usize].as_ref().map(|lane| lane.doorway.clone()) else {
            return 0;
        };
        doorway.disarm();
        for taken in 0..most {
            let Some(ticket) = doorway.pop() else {
                return taken;
            };
            self.accept(ticket, index);
        }
        if doorway.on_ring() > 0 && doorway.rearm() {
            // The ring has a place for every lane twice.
            let announced = self.board.ready.push(index);
            debug_assert!(announced.is_ok(), "the ready ring is full");
        }
        most
    }

    fn accept(&mut self, ticket: Ticket, from: LaneIndex) {
        let slot = self.slot(ticket);
        let waybill = self.board.waybill(ticket);
        let (deadline, run_budget) = waybill.read();
        let course = &mut self.courses[slot as usize];
        debug_assert_eq!(course.state, State::Free, "{ticket:?} came while its slot was in use");
        *course = Course::accepted(ticket, from, deadline, run_budget);
        if waybill.is_cancelled(ticket.generation()) {
            self.let_go(slot);
            return;
        }
        let lane = self.standing_in_for(from);
        if lane != from {
            self.return_credit(slot);
        }
        if self.lane(lane).is_some_and(|l| l.closed) {
            self.end(slot, End::FunctionRemoved);
            self.let_go(slot);
            return;
        }
        self.wheel.set(slot, timer_ms(deadline));
        self.enqueue(slot, lane, false);
    }

    fn cancel(&mut self, ticket: Ticket) {
        let slot = self.slot(ticket);
        let course = self.courses[slot as usize];
        if course.ticket != ticket {
            return;
        }
        match course.state {
            State::Queued => {
                self.leave_line(slot);
                self.let_go(slot);
            }
            State::BackingOff => {
                self.leave_backoff(slot);
                self.let_go(slot);
            }
            // The attempt's end is on its way, and lets go.
            State::Running | State::Aborting => {
                self.wheel.clear(slot);
                self.courses[slot as usize].state = State::Ending;
            }
            State::Free | State::Ending => {}
        }
    }

    fn attempt_ended(&mut self, ticket: Ticket, how: Ended, now: Nanos) {
        let slot = self.slot(ticket);
        let course = self.courses[slot as usize];
        let in_flight = matches!(course.state, State::Running | State::Aborting | State::Ending);
        debug_assert!(in_flight && course.ticket == ticket, "{ticket:?} ended an attempt it did not have");
        if course.ticket != ticket || !in_flight {
            return;
        }
        self.release_permit(&course, now);
        match (course.state, how) {
            (State::Ending, _) | (_, Ended::Done) => self.let_go(slot),
            (_, Ended::Failed) => self.retry(slot, End::Exhausted, now),
            (_, Ended::Unsent) => self.unsent(slot, now),
        }
    }

    fn fire_timers(&mut self, now: Nanos) -> usize {
        let mut steps = TIMERS_PER_TICK;
        while let Some(slot) = self.wheel.pop(now / NANOS_PER_MS, &mut steps) {
            let course = self.courses[slot as usize];
            if !self.grant_ring_has_room(course.ticket) {
                self.wheel.set(slot, now / NANOS_PER_MS + 1);
                continue;
            }
            let over = now >= course.deadline;
            match course.state {
                State::Queued => {
                    self.leave_line(slot);
                    self.end(slot, End::Timeout);
                    self.let_go(slot);
                }
                State::BackingOff if over => {
                    self.leave_backoff(slot);
                    self.end(slot, End::Timeout);
                    self.let_go(slot);
                }
                State::BackingOff => {
                    self.leave_backoff(slot);
                    self.requeue(slot);
                }
                State::Running if !over => {
                    self.courses[slot as usize].state = State::Aborting;
                    self.wheel.set(slot, timer_ms(course.deadline));
                    self.send(course.ticket, Grant::Abort { ticket: course.ticket });
                }
                State::Running | State::Aborting => {
                    self.courses[slot as usize].state = State::Ending;
                    self.end(slot, End::Timeout);
                }
                State::Free | State::Ending => debug_assert!(false, "a timer of a {:?} course", course.state),
            }
        }
        (TIMERS_PER_TICK - steps) as usize
    }

    // ---- lanes ----

    fn serve_lanes(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for _ in 0..LANES_PER_TICK.min(self.active.len()) {
            let Some(index) = self.active.pop_front() else { break };
            let Some(mut lane) = self.lanes[index as usize].take() else { continue };
            lane.active = false;
            let (done, again) = self.serve(&mut lane, now);
            work += done;
            lane.publish();
            if lane.is_finished() {
                if let Some(lane) = self.give_back(lane) {
                    self.lanes[index as usize] = Some(lane);
                    self.activate(index);
                }
                continue;
            }
            self.lanes[index as usize] = Some(lane);
            if again {
                self.activate(index);
            }
        }
        work
    }

    /// Grants what can be granted. Answers how many grants and endings there were, and whether
    /// there is more to do at once.
    fn serve(&mut self, lane: &mut Lane, now: Nanos) -> (usize, bool) {
        for done in 0..GRANTS_PER_LANE {
            let Some(slot) = lane.waiting.first() else {
                lane.stranded = lane.stranded && !lane.limits.can_start;
                return (done, false);
            };
            if !self.grant_ring_has_room(self.courses[slot as usize].ticket) {
                return (done, true);
            }
            if lane.stranded {
                lane.waiting.remove(&mut self.courses, slot);
                self.retry_from(lane, slot, now);
                continue;
            }
            if !lane.has_permit() {
                return (done, false);
            }
            let Some(place) = lane.pick() else {
                return (done, self.ask_for_instances(lane));
            };
            self.grant(lane, slot, place, now);
        }
        (GRANTS_PER_LANE, true)
    }

    fn grant(&mut self, lane: &mut Lane, slot: u32, place: u16, now: Nanos) {
        lane.waiting.remove(&mut self.courses, slot);
        lane.in_flight += 1;
        let instance = &mut lane.instances[usize::from(place)];
        instance.in_flight += 1;
        instance.last_used = now;
        let key = InstanceKey { lane: lane.index, place, generation: instance.generation };
        let course = &mut self.courses[slot as usize];
        if course.holds_credit {
            course.holds_credit = false;
            lane.doorway.return_credit();
        }
        if course.run_budget > 0 {
            course.deadline = now + course.run_budget;
            course.run_budget = 0;
        }
        course.state = State::Running;
        course.attempt += 1;
        course.lane = lane.index;
        course.place = place;
        course.instance_generation = key.generation;
        let course = *course;
        let until = course.deadline.min(now.saturating_add(lane.limits.attempt_timeout_ns));
        self.wheel.set(slot, timer_ms(until));
        self.send(
            course.ticket,
            Grant::Run { ticket: course.ticket, instance: key, attempt: course.attempt },
        );
    }

    /// Asks control for instances while work waits for one. Answers whether the question must
    /// be put again, because the notice ring is full.
    fn ask_for_instances(&mut self, lane: &mut Lane) -> bool {
        while lane.wants_instance() {
            if self.board.notices.push(Notice::Start { lane: lane.index }).is_err() {
                return true;
            }
            self.notified = true;
            lane.starting += 1;
        }
        if lane.ready == 0 && lane.starting == 0 && !lane.limits.can_start && lane.in_flight == 0 {
            lane.stranded = true;
            return true;
        }
        false
    }

    fn activate(&mut self, index: LaneIndex) {
        if let Some(lane) = self.lanes[index as usize].as_mut()
            && !lane.active
        {
            lane.active = true;
            self.active.push_back(index);
        }
    }

    fn lane(&mut self, index: LaneIndex) -> Option<&mut Lane> {
        self.lanes.get_mut(index as usize)?.as_deref_mut()
    }

    /// The lane that serves what was sent to `index`: itself, or its latest successor.
    fn standing_in_for(&mut self, mut index: LaneIndex) -> LaneIndex {
        while let Some(next) = self.lane(index).and_then(|lane| lane.successor) {
            index = next;
        }
        index
    }

    /// Hands a finished lane's memory to control; it comes back where the ring is full.
    fn give_back(&mut self, lane: Box<Lane>) -> Option<Box<Lane>> {
        let successor = lane.successor;
        match self.board.notices.push(Notice::Closed { lane }) {
            Ok(()) => {
                self.notified = true;
                if let Some(index) = successor
                    && let Some(heir) = self.lane(index)
                {
                    heir.is_heir = false;
                    self.activate(index);
                }
                None
            }
            Err(Notice::Closed { lane }) => Some(lane),
            Err(Notice::Start { .. } | Notice::Suspect { .. } | Notice::Retired { .. }) => None,
        }
    }

    // ---- executions ----

    fn enqueue(&mut self, slot: u32, index: LaneIndex, in_front: bool) {
        self.courses[slot as usize].state = State::Queued;
        self.courses[slot as usize].lane = index;
        let Some(lane) = self.lanes[index as usize].as_mut() else {
            debug_assert!(false, "enqueued on a lane that is not open");
            return;
        };
        if in_front {
            lane.waiting.push_front(&mut self.courses, slot);
        } else {
            lane.waiting.push_back(&mut self.courses, slot);
        }
        self.activate(index);
    }

    /// Back to wait for its next attempt, before those that were admitted later.
    fn requeue(&mut self, slot: u32) {
        let course = self.courses[slot as usize];
        let index = self.standing_in_for(course.lane);
        if self.lane(index).is_none_or(|lane| lane.closed) {
            self.end(slot, End::FunctionRemoved);
            self.let_go(slot);
            return;
        }
        self.wheel.set(slot, timer_ms(course.deadline));
        self.enqueue(slot, index, true);
    }

    fn leave_line(&mut self, slot: u32) {
        let index = self.courses[slot as usize].lane;
        if let Some(lane) = self.lanes[index as usize].as_mut() {
            lane.waiting.remove(&mut self.courses, slot);
        }
        self.activate(index);
    }

    /// After a failed attempt: another one after its back-off, or the end.
    fn retry(&mut self, slot: u32, why: End, now: Nanos) {
        let index = self.standing_in_for(self.courses[slot as usize].lane);
        let Some(lane) = self.lane(index) else {
            self.end(slot, End::FunctionRemoved);
            self.let_go(slot);
            return;
        };
        let (limits, closed) = (lane.limits, lane.closed);
        let course = self.courses[slot as usize];
        let resume = now.saturating_add(self.backoff(
            course.attempt,
            limits.retry_backoff_ns,
            limits.retry_max_backoff_ns,
        ));
        if closed || course.attempt > limits.max_retries || resume >= course.deadline {
            self.end(slot, if closed { End::FunctionRemoved } else { why });
            self.let_go(slot);
            return;
        }
        self.courses[slot as usize].state = State::BackingOff;
        self.courses[slot as usize].lane = index;
        self.wheel.set(slot, timer_ms(resume));
        if let Some(lane) = self.lane(index) {
            lane.backing_off += 1;
        }
    }

    fn leave_backoff(&mut self, slot: u32) {
        let index = self.courses[slot as usize].lane;
        if let Some(lane) = self.lane(index) {
            lane.backing_off -= 1;
        }
        self.activate(index);
    }

    /// An execution that found no instance uses up an attempt. The lane is out of the table.
    fn retry_from(&mut self, lane: &mut Lane, slot: u32, now: Nanos) {
        let course = &mut self.courses[slot as usize];
        course.attempt += 1;
        if course.holds_credit {
            course.holds_credit = false;
            lane.doorway.return_credit();
        }
        if course.run_budget > 0 {
            course.deadline = now + course.run_budget;
            course.run_budget = 0;
        }
        let course = *course;
        let resume = now.saturating_add(self.backoff(
            course.attempt,
            lane.limits.retry_backoff_ns,
            lane.limits.retry_max_backoff_ns,
        ));
        if lane.closed || course.attempt > lane.limits.max_retries || resume >= course.deadline {
            self.end(slot, if lane.closed { End::FunctionRemoved } else { End::NoInstance });
            self.let_go(slot);
            return;
        }
        self.courses[slot as usize].state = State::BackingOff;
        self.wheel.set(slot, timer_ms(resume));
        lane.backing_off += 1;
    }

    /// The instance could not be reached, and nothing was sent: it leaves the set, and the
    /// execution goes to another one at no cost, where there is another or one can be started.
    fn unsent(&mut self, slot: u32, now: Nanos) {
        let course = self.courses[slot as usize];
        let key =
            InstanceKey { lane: course.lane, place: course.place, generation: course.instance_generation };
        let (mut other, mut can_start) = (false, false);
        if let Some(lane) = self.lane(course.lane) {
            can_start = lane.limits.can_start;
            let was_ready =
                lane.instance_mut(key).is_some_and(|instance| instance.standing == Standing::Ready);
            if was_ready {
                lane.set_standing(key, Standing::Suspect);
            }
            other = lane.ready > 0;
            if was_ready && self.board.notices.push(Notice::Suspect { instance: key }).is_ok() {
                self.notified = true;
            } else if was_ready && let Some(lane) = self.lane(course.lane) {
                // Nobody would look after it: it stays in the set.
                lane.set_standing(key, Standing::Ready);
            }
        }
        if other {
            self.courses[slot as usize].attempt -= 1;
            self.requeue(slot);
        } else {
            // An instance that has just crashed is met by those it was granted to before anybody
            // knows. They wait for its replacement, after a back-off lest a sick one that is
            // found healthy each time is tried without a pause.
            self.courses[slot as usize].attempt -= u8::from(can_start);
            self.retry(slot, End::NoInstance, now);
        }
    }

    fn release_permit(&mut self, course: &Course, now: Nanos) {
        let key =
            InstanceKey { lane: course.lane, place: course.place, generation: course.instance_generation };
        let Some(lane) = self.lane(course.lane) else {
            debug_assert!(false, "an attempt outlived its lane");
            return;
        };
        lane.in_flight -= 1;
        let mut idle = false;
        // One that is down counts on, because it may be found to be there after all.
        if let Some(instance) = lane.place_mut(key) {
            instance.in_flight -= 1;
            instance.last_used = now;
            idle = instance.standing == Standing::Retiring && instance.in_flight == 0;
        }
        let mut heir = lane.successor;
        while let Some(index) = heir {
            self.activate(index);
            heir = self.lane(index).and_then(|lane| {
                lane.inherited = lane.inherited.saturating_sub(1);
                lane.successor
            });
        }
        if idle {
            self.retired(key);
        }
        self.activate(course.lane);
    }

    /// Full jitter: anything between nothing and the exponential bound, after "Exponential
    /// Backoff And Jitter" (AWS Architecture Blog, 2015).
    fn backoff(&mut self, attempt: u8, base: Nanos, most: Nanos) -> Nanos {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let bound = base.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(most);
        if bound == 0 { 0 } else { self.jitter % bound }
    }

    fn return_credit(&mut self, slot: u32) {
        let course = &mut self.courses[slot as usize];
        if std::mem::take(&mut course.holds_credit)
            && let Some(lane) = &self.lanes[course.lane as usize]
        {
            lane.doorway.return_credit();
        }
    }

    /// The scheduler holds nothing of the slot any more; its gateway may use it again.
    fn let_go(&mut self, slot: u32) {
        self.return_credit(slot);
        self.wheel.clear(slot);
        let course = &mut self.courses[slot as usize];
        course.state = State::Free;
        let ticket = course.ticket;
        self.board.waybill(ticket).release(ticket.generation());
    }

    // ---- what goes out ----

    fn grant_ring_has_room(&self, ticket: Ticket) -> bool {
        !self.board.gateways[ticket.gateway()].grants.is_full()
    }

    fn end(&mut self, slot: u32, why: End) {
        let ticket = self.courses[slot as usize].ticket;
        self.send(ticket, Grant::End { ticket, why });
    }

    fn send(&mut self, ticket: Ticket, grant: Grant) {
        let sent = self.board.gateways[ticket.gateway()].grants.push(grant);
        debug_assert!(sent.is_ok(), "the grant ring is full");
        self.touched[ticket.gateway()] = true;
    }

    fn ring_out(&mut self) {
        for (gateway, touched) in self.board.gateways.iter().zip(self.touched.iter_mut()) {
            if std::mem::take(touched) && gateway.doorbell.must_wake() {
                gateway.eventfd.wake();
            }
        }
        if std::mem::take(&mut self.notified) && self.board.control_doorbell.must_wake() {
            self.board.control_eventfd.wake();
        }
    }

    fn slot(&self, ticket: Ticket) -> u32 {
        u32::try_from(ticket.gateway() * self.board.extent.slots + ticket.slot()).unwrap_or(NONE)
    }

    // ---- orders ----

    fn obey(&mut self, order: Order, now: Nanos) {
        match order {
            Order::Open { lane } => self.open(lane),
            Order::Succeed { old, new } => self.succeed(old, new),
            Order::Close { lane } => self.close(lane),
            Order::Ready { instance, started } => self.instance_ready(instance, started, now),
            Order::Down { instance } => {
                if let Some(lane) = self.lane(instance.lane) {
                    lane.set_standing(instance, Standing::Absent);
                }
                self.activate(instance.lane);
            }
            Order::StartFailed { lane: index } => {
                if let Some(lane) = self.lane(index) {
                    lane.starting = lane.starting.saturating_sub(1);
                    lane.stranded = lane.ready == 0 && lane.starting == 0 && !lane.waiting.is_empty();
                }
                self.activate(index);
            }
            Order::Retire { instance } => self.retire(instance),
            Order::ReapIdle { lane, keep, idle_before } => self.reap_idle(lane, keep, idle_before),
            Order::Starting { lane, count } => {
                if let Some(lane) = self.lane(lane) {
                    lane.starting += count;
                }
            }
        }
    }

    fn open(&mut self, lane: Box<Lane>) {
        let index = lane.index;
        debug_assert!(self.lanes[index as usize].is_none(), "lane {index} is open already");
        self.lanes[index as usize] = Some(lane);
        self.activate(index);
        // A gateway may have announced the lane before this order was reached.
        self.drain(index, TICKETS_PER_DOORWAY);
    }

    fn succeed(&mut self, old: LaneIndex, new: LaneIndex) {
        let Some(predecessor) = self.lane(old) else { return };
        predecessor.successor = Some(new);
        let inherited = predecessor.in_flight + predecessor.inherited;
        if let Some(lane) = self.lane(new) {
            lane.inherited += inherited;
            lane.is_heir = true;
        }
        self.hand_over(old, new);
        self.activate(new);
    }

    /// Everyone who waits in `old` keeps the place in line in `new`.
    fn hand_over(&mut self, old: LaneIndex, new: LaneIndex) {
        while let Some(slot) = self.lane(old).and_then(|lane| lane.waiting.first()) {
            self.leave_line(slot);
            self.return_credit(slot);
            self.enqueue(slot, new, false);
        }
    }

    fn close(&mut self, index: LaneIndex) {
        // Every gateway has stopped to use the doorway, so this empties it for good.
        self.drain(index, usize::MAX);
        let Some(lane) = self.lane(index) else { return };
        lane.closed = true;
        // With a successor nothing waits here; without one, each waiting one ends now.
        lane.stranded = true;
        let places = lane.instances.len();
        for place in 0..u16::try_from(places).unwrap_or(u16::MAX) {
            let Some(lane) = self.lane(index) else { return };
            let generation = lane.instances[usize::from(place)].generation;
            self.retire(InstanceKey { lane: index, place, generation });
        }
        self.activate(index);
    }

    fn instance_ready(&mut self, key: InstanceKey, started: bool, now: Nanos) {
        let Some(lane) = self.lane(key.lane) else { return };
        if started {
            lane.starting = lane.starting.saturating_sub(1);
        }
        let Some(instance) = lane.instances.get_mut(usize::from(key.place)) else { return };
        if instance.generation != key.generation || instance.standing == Standing::Absent {
            debug_assert_ne!(instance.standing, Standing::Ready, "two instances in one place");
            if instance.generation != key.generation {
                instance.generation = key.generation;
                instance.in_flight = 0;
            }
            instance.standing = Standing::Suspect;
            instance.last_used = now;
        }
        if instance.standing == Standing::Suspect {
            lane.set_standing(key, Standing::Ready);
        }
        lane.stranded = lane.closed;
        let retire = lane.closed;
        self.activate(key.lane);
        if retire {
            self.retire(key);
        }
    }

    fn retire(&mut self, key: InstanceKey) {
        let Some(lane) = self.lane(key.lane) else { return };
        let Some(instance) = lane.instance_mut(key) else { return };
        let (was, idle) = (instance.standing, instance.in_flight == 0);
        lane.set_standing(key, Standing::Retiring);
        if idle
            && !self.retired(key)
            && let Some(lane) = self.lane(key.lane)
        {
            lane.set_standing(key, was);
        }
        self.activate(key.lane);
    }

    /// Tells control that the instance is idle; false where the ring is full. Then an idle one
    /// keeps its standing and one that became idle stays out of use, and both wait for the next
    /// `Retire` or `ReapIdle`.
    fn retired(&mut self, key: InstanceKey) -> bool {
        let told = self.board.notices.push(Notice::Retired { instance: key }).is_ok();
        self.notified |= told;
        told
    }

    fn reap_idle(&mut self, index: LaneIndex, keep: u16, idle_before: Nanos) {
        let Some(lane) = self.lane(index) else { return };
        let places = u16::try_from(lane.instances.len()).unwrap_or(u16::MAX);
        for place in 0..places {
            let Some(lane) = self.lane(index) else { return };
            if lane.ready <= keep || !lane.waiting.is_empty() {
                return;
            }
            let instance = lane.instances[usize::from(place)];
            if instance.standing == Standing::Ready
                && instance.in_flight == 0
                && instance.last_used < idle_before
            {
                self.retire(InstanceKey { lane: index, place, generation: instance.generation });
            }
        }
    }
}

/// The wheel's time at which a deadline has surely passed.
fn timer_ms(at: Nanos) -> u64 {
    at.div_ceil(NANOS_PER_MS)
}
