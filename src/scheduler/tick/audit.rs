//! Invariants of the scheduler's tables between two ticks, looked up in the tables.

use std::collections::BTreeMap;

use super::{ExecutionState, Nanos, ScheduledExecution, Scheduler, Ticket, VersionIndex};
use crate::scheduler::scheduled_version::{InstanceState, ScheduledVersion};

/// A change of a line.
#[derive(Clone, Copy)]
pub(crate) enum LineStep {
    /// One has come, or come back.
    Joined { version: VersionIndex, execution: ScheduledExecution, is_again: bool },
    /// One has left it before its turn.
    Left { version: VersionIndex, ticket: Ticket },
    /// One was taken as the next, while so many attempts of its function were in flight.
    Taken { version: VersionIndex, ticket: Ticket, in_flight: u32 },
}

/// Numbers that the tables keep, counted anew from the scheduled executions.
#[derive(Default)]
struct Recount {
    /// Credits held, by version.
    holders: BTreeMap<VersionIndex, u32>,
    /// Attempts in flight, by version.
    in_flight: BTreeMap<VersionIndex, u32>,
    /// Attempts in flight, by version, place and generation of their instance.
    on_instance: BTreeMap<(VersionIndex, u16, u32), u32>,
    /// Executions that pause between attempts, by version.
    backing_off: BTreeMap<VersionIndex, u32>,
    /// Executions in line, which each list takes its own off.
    queued: u32,
}

impl Scheduler {
    /// Panics where two tables disagree. `queue_size` is the size of a version's queue.
    pub(crate) fn audit(&self, queue_size: impl Fn(VersionIndex) -> u32) {
        let mut recount = self.recount();
        let mut active = vec![0; self.versions.len()];
        self.active.iter().for_each(|index| active[*index as usize] += 1);
        for (index, version) in (0_u32..).zip(self.versions.iter()) {
            let Some(version) = version.as_ref() else { continue };
            assert_eq!(version.index, index);
            assert_eq!(
                active[index as usize],
                u32::from(version.active),
                "how often version {index} is active"
            );
            audit_numbers(version, queue_size(index), &mut recount);
            recount.queued -= self.walk(index);
            let before: u32 = self
                .versions
                .iter()
                .flatten()
                .filter(|old| self.is_followed_by(old.index, index))
                .map(|old| old.in_flight)
                .sum();
            assert_eq!(version.predecessor_in_flight, before, "in flight on what version {index} replaced");
            audit_instances(version, &recount);
            audit_sleep(version);
        }
        let Recount { holders, in_flight, backing_off, queued, .. } = recount;
        assert_eq!(queued, 0, "queued on no list");
        assert!(holders.values().all(|n| *n == 0), "credits of versions that are gone: {holders:?}");
        assert!(in_flight.is_empty() && backing_off.is_empty(), "executions of versions that are gone");
    }

    /// Counts the scheduled executions, and audits the timer and the release of each.
    fn recount(&self) -> Recount {
        let mut recount = Recount::default();
        for (slot, execution) in (0_u32..).zip(self.executions.iter()) {
            let ScheduledExecution { ticket, state, version, .. } = *execution;
            let timed = matches!(
                state,
                ExecutionState::Queued
                    | ExecutionState::Running
                    | ExecutionState::Aborting
                    | ExecutionState::BackingOff
            );
            assert_eq!(self.wheel.is_set(slot), timed, "the timer of {ticket:?}, {state:?}");
            let released = self.rings.signals(ticket).is_released(ticket.generation());
            assert_eq!(
                state == ExecutionState::Free,
                released || ticket.generation() == 0,
                "{ticket:?} is {state:?}"
            );
            assert!(state != ExecutionState::Free || !execution.holds_credit, "{ticket:?} kept a credit");
            *recount.holders.entry(version).or_default() += u32::from(execution.holds_credit);
            match state {
                ExecutionState::Free => {}
                ExecutionState::Queued => recount.queued += 1,
                ExecutionState::BackingOff => *recount.backing_off.entry(version).or_default() += 1,
                ExecutionState::Running | ExecutionState::Aborting | ExecutionState::Ending => {
                    *recount.in_flight.entry(version).or_default() += 1;
                    *recount
                        .on_instance
                        .entry((version, execution.place, execution.instance_generation))
                        .or_default() += 1;
                }
            }
        }
        recount
    }

    /// Walks a wait list both ways and answers its length.
    fn walk(&self, index: VersionIndex) -> u32 {
        let Some(version) = &self.versions[index as usize] else { return 0 };
        let mut list = version.waiting;
        if list.is_empty() {
            return 0;
        }
        list.audit(&self.executions);
        let mut executions = self.executions.clone();
        let mut seen = 0;
        while let Some(slot) = list.first(&executions) {
            let execution = executions[slot as usize];
            assert_eq!(
                (execution.state, execution.version),
                (ExecutionState::Queued, index),
                "on the list of {index}"
            );
            list.remove(&mut executions, slot);
            seen += 1;
            assert!(seen <= version.waiting.len(), "the list of version {index} is longer than it says");
        }
        assert_eq!(seen, version.waiting.len());
        seen
    }

    fn is_followed_by(&self, old: VersionIndex, new: VersionIndex) -> bool {
        let mut at = old;
        while let Some(next) = self.versions[at as usize].as_ref().and_then(|version| version.successor) {
            if next == new {
                return true;
            }
            at = next;
        }
        false
    }

    /// Deadline and run budget as they are now, while the execution is in the tables.
    pub(crate) fn terms_of(&self, ticket: Ticket) -> Option<(Nanos, Nanos)> {
        let execution = self.executions[self.slot(ticket) as usize];
        (execution.ticket == ticket && execution.state != ExecutionState::Free)
            .then_some((execution.deadline, execution.run_budget))
    }

    /// Whether nothing at all is left in the tables.
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.iter().all(Option::is_none)
            && self.executions.iter().all(|execution| execution.state == ExecutionState::Free)
            && self.active.is_empty()
            && self.wheel.next().is_none()
    }
}

/// Audits the credits of a version, and its numbers of attempts and pauses.
fn audit_numbers(version: &ScheduledVersion, queue_size: u32, recount: &mut Recount) {
    let index = version.index;
    let on_ring = u32::try_from(version.queue.on_ring()).unwrap();
    let holding = recount.holders.remove(&index).unwrap_or(0);
    assert_eq!(
        version.queue.credits() + on_ring + holding + version.forfeited_credits,
        queue_size,
        "the credits of version {index}: {} left, {on_ring} on the ring, {holding} in the tables, {} forfeited",
        version.queue.credits(),
        version.forfeited_credits,
    );
    let in_flight = recount.in_flight.remove(&index).unwrap_or(0);
    assert_eq!(version.in_flight, in_flight, "in flight of version {index}");
    let backing_off = recount.backing_off.remove(&index).unwrap_or(0);
    assert_eq!(version.backing_off, backing_off, "backing off in version {index}");
}

/// Audits the instances of a version: those that are ready, and what is in flight on each.
fn audit_instances(version: &ScheduledVersion, recount: &Recount) {
    let index = version.index;
    let mut ready = 0;
    for (place, instance) in (0_u16..).zip(version.instances.iter()) {
        ready += u16::from(instance.state == InstanceState::Ready);
        let flying = recount.on_instance.get(&(index, place, instance.generation)).copied().unwrap_or(0);
        assert_eq!(instance.in_flight, flying, "in flight on {place} of version {index}");
    }
    assert_eq!(version.ready, ready, "ready in version {index}");
}

/// Audits that a version which is not active has nothing to do.
fn audit_sleep(version: &ScheduledVersion) {
    let index = version.index;
    if version.active || version.waiting.is_empty() {
        return;
    }
    assert!(!version.has_permit() || version.pick().is_none(), "version {index} sleeps on work it can do");
    assert!(!version.has_permit() || !version.wants_instance(), "version {index} sleeps short of instances");
    assert!(!version.unschedulable, "version {index} sleeps on work that nobody can do");
}
