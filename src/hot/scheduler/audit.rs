//! What must hold of the scheduler's tables between two ticks, looked up in the tables.

use std::collections::BTreeMap;

use super::{LaneIndex, Nanos, ScheduledExecution, Scheduler, State, Ticket};
use crate::hot::lane::Standing;

impl Scheduler {
    /// Panics where two tables disagree. `queue_size` is the size of a lane's queue.
    #[expect(clippy::too_many_lines, reason = "every table is compared with every other")]
    pub(in crate::hot) fn audit(&self, queue_size: impl Fn(LaneIndex) -> u32) {
        let mut holders = BTreeMap::<LaneIndex, u32>::new();
        let mut in_flight = BTreeMap::<LaneIndex, u32>::new();
        let mut on_instance = BTreeMap::<(LaneIndex, u16, u32), u32>::new();
        let mut backing_off = BTreeMap::<LaneIndex, u32>::new();
        let mut queued = 0;
        for (slot, execution) in (0_u32..).zip(self.executions.iter()) {
            let ScheduledExecution { ticket, state, lane, .. } = *execution;
            let timed = matches!(state, State::Queued | State::Running | State::Aborting | State::BackingOff);
            assert_eq!(self.wheel.is_set(slot), timed, "the timer of {ticket:?}, {state:?}");
            let released = self.rings.signals(ticket).is_released(ticket.generation());
            assert_eq!(state == State::Free, released || ticket.generation() == 0, "{ticket:?} is {state:?}");
            assert!(state != State::Free || !execution.holds_credit, "{ticket:?} kept a credit");
            *holders.entry(lane).or_default() += u32::from(execution.holds_credit);
            match state {
                State::Free => {}
                State::Queued => queued += 1,
                State::BackingOff => *backing_off.entry(lane).or_default() += 1,
                State::Running | State::Aborting | State::Ending => {
                    *in_flight.entry(lane).or_default() += 1;
                    *on_instance
                        .entry((lane, execution.place, execution.instance_generation))
                        .or_default() += 1;
                }
            }
        }
        let mut active = vec![0; self.lanes.len()];
        self.active.iter().for_each(|index| active[*index as usize] += 1);
        for (index, lane) in (0_u32..).zip(self.lanes.iter()) {
            let Some(lane) = lane.as_ref() else { continue };
            assert_eq!(lane.index, index);
            assert_eq!(active[index as usize], u32::from(lane.active), "how often lane {index} is active");
            let on_ring = u32::try_from(lane.queue.on_ring()).unwrap();
            let holding = holders.remove(&index).unwrap_or(0);
            assert_eq!(
                lane.queue.credits() + on_ring + holding + lane.left_behind,
                queue_size(index),
                "the credits of lane {index}: {} left, {on_ring} on the ring, {holding} in the tables, {} left behind",
                lane.queue.credits(),
                lane.left_behind,
            );
            assert_eq!(lane.in_flight, in_flight.remove(&index).unwrap_or(0), "in flight of lane {index}");
            assert_eq!(
                lane.backing_off,
                backing_off.remove(&index).unwrap_or(0),
                "backing off in lane {index}"
            );
            queued -= self.walk(index);
            let before: u32 = self
                .lanes
                .iter()
                .flatten()
                .filter(|old| self.is_followed_by(old.index, index))
                .map(|old| old.in_flight)
                .sum();
            assert_eq!(lane.inherited, before, "in flight on what lane {index} replaced");
            let mut ready = 0;
            for (place, instance) in (0_u16..).zip(lane.instances.iter()) {
                ready += u16::from(instance.standing == Standing::Ready);
                let flying = on_instance.get(&(index, place, instance.generation)).copied().unwrap_or(0);
                assert_eq!(instance.in_flight, flying, "in flight on {place} of lane {index}");
            }
            assert_eq!(lane.ready, ready, "ready in lane {index}");
            if !lane.active && !lane.waiting.is_empty() {
                assert!(!lane.has_permit() || lane.pick().is_none(), "lane {index} sleeps on work it can do");
                assert!(
                    !lane.has_permit() || !lane.wants_instance(),
                    "lane {index} sleeps short of instances"
                );
                assert!(!lane.stranded, "lane {index} sleeps on work that nobody can do");
            }
        }
        assert_eq!(queued, 0, "queued on no list");
        assert!(holders.values().all(|n| *n == 0), "credits of lanes that are gone: {holders:?}");
        assert!(in_flight.is_empty() && backing_off.is_empty(), "executions of lanes that are gone");
    }

    /// Walks a wait list both ways and answers its length.
    fn walk(&self, index: LaneIndex) -> u32 {
        let Some(lane) = &self.lanes[index as usize] else { return 0 };
        let mut list = lane.waiting;
        if list.is_empty() {
            return 0;
        }
        let mut executions = self.executions.clone();
        let mut seen = 0;
        while let Some(slot) = list.first() {
            let execution = executions[slot as usize];
            assert_eq!((execution.state, execution.lane), (State::Queued, index), "on the list of {index}");
            list.remove(&mut executions, slot);
            seen += 1;
            assert!(seen <= lane.waiting.len(), "the list of lane {index} is longer than it says");
        }
        assert_eq!(seen, lane.waiting.len());
        seen
    }

    fn is_followed_by(&self, old: LaneIndex, new: LaneIndex) -> bool {
        let mut at = old;
        while let Some(next) = self.lanes[at as usize].as_ref().and_then(|lane| lane.successor) {
            if next == new {
                return true;
            }
            at = next;
        }
        false
    }

    /// Deadline and run budget as they are now, while the execution is in the tables.
    pub(in crate::hot) fn terms_of(&self, ticket: Ticket) -> Option<(Nanos, Nanos)> {
        let execution = self.executions[self.slot(ticket) as usize];
        (execution.ticket == ticket && execution.state != State::Free)
            .then_some((execution.deadline, execution.run_budget))
    }

    /// Whether nothing at all is left in the tables.
    pub(in crate::hot) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Option::is_none)
            && self.executions.iter().all(|execution| execution.state == State::Free)
            && self.active.is_empty()
            && self.wheel.next().is_none()
    }
}
