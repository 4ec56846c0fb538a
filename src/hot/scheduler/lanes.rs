//! Serving the lanes that have something to do: permits, instances, grants.

use super::{GRANTS_PER_LANE, LANES_PER_TICK, Scheduler, timer_ms};
use crate::clock::Nanos;
use crate::hot::lane::Lane;
use crate::hot::message::{Grant, InstanceKey, LaneIndex, Notice};
use crate::hot::scheduled_execution::State;

impl Scheduler {
    pub(super) fn serve_lanes(&mut self, now: Nanos) -> usize {
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
    pub(super) fn serve(&mut self, lane: &mut Lane, now: Nanos) -> (usize, bool) {
        for done in 0..GRANTS_PER_LANE {
            let Some(slot) = lane.waiting.first() else {
                lane.stranded = lane.stranded && !lane.limits.can_start;
                return (done, false);
            };
            if !self.grant_ring_has_room(self.executions[slot as usize].ticket) {
                return (done, true);
            }
            if lane.stranded {
                lane.waiting.remove(&mut self.executions, slot);
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

    pub(super) fn grant(&mut self, lane: &mut Lane, slot: u32, place: u16, now: Nanos) {
        lane.waiting.remove(&mut self.executions, slot);
        lane.in_flight += 1;
        let instance = &mut lane.instances[usize::from(place)];
        instance.in_flight += 1;
        instance.last_used = now;
        let key = InstanceKey { lane: lane.index, place, generation: instance.generation };
        self.begin_attempt(lane, slot, now);
        let execution = &mut self.executions[slot as usize];
        execution.state = State::Running;
        execution.lane = lane.index;
        execution.place = place;
        execution.instance_generation = key.generation;
        let execution = *execution;
        let until = execution.deadline.min(now.saturating_add(lane.limits.attempt_timeout_ns));
        self.wheel.set(slot, timer_ms(until));
        self.send(
            execution.ticket,
            Grant::Run { ticket: execution.ticket, instance: key, attempt: execution.attempt },
        );
    }

    /// One more attempt of an execution. Its first one ends its wait in the queue: the credit goes
    /// back, and an async execution's time to run begins.
    pub(super) fn begin_attempt(&mut self, lane: &Lane, slot: u32, now: Nanos) {
        let execution = &mut self.executions[slot as usize];
        execution.attempt += 1;
        if std::mem::take(&mut execution.holds_credit) {
            lane.queue.return_credit();
        }
        if execution.run_budget > 0 {
            execution.deadline = now.saturating_add(execution.run_budget);
            execution.run_budget = 0;
        }
    }

    /// Asks control for instances while work waits for one. Answers whether the question must
    /// be put again, because the notice ring is full.
    pub(super) fn ask_for_instances(&mut self, lane: &mut Lane) -> bool {
        while lane.wants_instance() {
            if self.rings.notices.push(Notice::Start { lane: lane.index }).is_err() {
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

    pub(super) fn activate(&mut self, index: LaneIndex) {
        if let Some(lane) = self.lanes[index as usize].as_mut()
            && !lane.active
        {
            lane.active = true;
            self.active.push_back(index);
        }
    }

    pub(super) fn lane(&mut self, index: LaneIndex) -> Option<&mut Lane> {
        self.lanes.get_mut(index as usize)?.as_deref_mut()
    }

    /// The lane that serves what was sent to `index`: itself, or its latest successor.
    pub(super) fn standing_in_for(&mut self, mut index: LaneIndex) -> LaneIndex {
        while let Some(next) = self.lane(index).and_then(|lane| lane.successor) {
            index = next;
        }
        index
    }

    /// Hands a finished lane's memory to control; it comes back where the ring is full.
    pub(super) fn give_back(&mut self, lane: Box<Lane>) -> Option<Box<Lane>> {
        let successor = lane.successor;
        match self.rings.notices.push(Notice::Closed { lane }) {
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
}
