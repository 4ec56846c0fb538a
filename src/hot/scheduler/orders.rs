//! What control orders: lanes opened, handed over and closed, instances coming and going.

use super::{Scheduler, TICKETS_PER_QUEUE};
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::hot::lane::{Lane, Standing};
use crate::hot::message::{InstanceKey, LaneIndex, Notice, Order};
use crate::hot::scheduled_execution::{NONE, State};

impl Scheduler {
    pub(super) fn obey(&mut self, order: Order, now: Nanos) {
        match order {
            Order::Open { lane } => self.open(lane),
            Order::Succeed { old, new } => self.succeed(old, new),
            Order::Close { lane } => self.close(lane, now),
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

    pub(super) fn open(&mut self, lane: Box<Lane>) {
        let index = lane.index;
        debug_assert!(self.lanes[index as usize].is_none(), "lane {index} is open already");
        self.lanes[index as usize] = Some(lane);
        self.activate(index);
        // A gateway may have announced the lane before this order was reached.
        self.drain(index, TICKETS_PER_QUEUE);
    }

    pub(super) fn succeed(&mut self, old: LaneIndex, new: LaneIndex) {
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

    /// Everyone who waits in `old` keeps the place in line in `new`, and the credit is gone for good: until
    /// they are told of `new`, gateways push to `old`, whose queue is to admit nobody in the place of
    /// someone who still waits.
    pub(super) fn hand_over(&mut self, old: LaneIndex, new: LaneIndex) {
        while let Some(slot) = self.lane(old).and_then(|lane| lane.waiting.first()) {
            self.leave_line(slot);
            self.leave_credit_behind(slot);
            self.enqueue(slot, new, false);
        }
        self.count_in(new);
    }

    /// Whoever waits for a first attempt and came from the version before takes a credit of this one, the last
    /// in line first: while more wait than the queue may hold, nobody else is admitted.
    fn count_in(&mut self, index: LaneIndex) {
        let Some(lane) = self.lanes[index as usize].as_ref() else { return };
        let mut next = lane.waiting.last();
        while let Some(slot) = next {
            let execution = &mut self.executions[slot as usize];
            if execution.attempt == 0 && !execution.holds_credit {
                if !lane.queue.take_credit() {
                    return;
                }
                execution.holds_credit = true;
            }
            next = execution.before();
        }
    }

    pub(super) fn close(&mut self, index: LaneIndex, now: Nanos) {
        // No gateway pushes to the queue any more, so this empties it for good.
        self.drain(index, usize::MAX);
        let Some(lane) = self.lane(index) else { return };
        lane.closed = true;
        // With a successor nothing waits here; without one, each waiting one ends now.
        lane.stranded = true;
        if lane.successor.is_none() {
            self.end_pauses(index, now);
        }
        let Some(lane) = self.lane(index) else { return };
        let places = lane.instances.len();
        for place in 0..u16::try_from(places).unwrap_or(u16::MAX) {
            let Some(lane) = self.lane(index) else { return };
            let generation = lane.instances[usize::from(place)].generation;
            self.retire(InstanceKey { lane: index, place, generation });
        }
        self.activate(index);
    }

    /// The function is gone: who pauses before its next attempt has nothing to wait for. Its timer
    /// fires in this very tick and finds the lane closed. A look at every execution, once per deletion
    /// of a function that has such executions.
    fn end_pauses(&mut self, index: LaneIndex, now: Nanos) {
        let mut slot = 0;
        while slot < self.executions.len() {
            let execution = self.executions[slot];
            if execution.state == State::BackingOff && self.standing_in_for(execution.lane) == index {
                self.wheel.set(u32::try_from(slot).unwrap_or(NONE), now / NANOS_PER_MS);
            }
            slot += 1;
        }
    }

    pub(super) fn instance_ready(&mut self, key: InstanceKey, started: bool, now: Nanos) {
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

    pub(super) fn retire(&mut self, key: InstanceKey) {
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
    /// keeps its standing, to be found by the next `ReapIdle`. One that became idle while retiring
    /// stays out of use until its lane is closed or control sends `Retire` again.
    pub(super) fn retired(&mut self, key: InstanceKey) -> bool {
        let told = self.rings.notices.push(Notice::Retired { instance: key }).is_ok();
        self.notified |= told;
        told
    }

    pub(super) fn reap_idle(&mut self, index: LaneIndex, keep: u16, idle_before: Nanos) {
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
