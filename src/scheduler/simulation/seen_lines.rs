//! A model of lines: in which order executions came, when each is due, and so which one is next.

use std::collections::{BTreeMap, BTreeSet};

use super::control::ModelControl;
use crate::clock::Nanos;
use crate::instance::VersionIndex;
use crate::queue_order::QueueOrder;
use crate::scheduler::tick::audit::LineStep;
use crate::ticket::Ticket;

/// One that waits.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    ticket: Ticket,
    /// Since when its time runs.
    since: Nanos,
    /// By when it is to end.
    due: Nanos,
    /// Its time to run has not begun.
    is_unbegun: bool,
}

/// The line of each version, in the order of coming.
#[derive(Default)]
pub(super) struct SeenLines {
    lines: BTreeMap<VersionIndex, Vec<Waiter>>,
    /// Taken in a row that were not the first.
    from_end: BTreeMap<VersionIndex, u32>,
    /// Executions that were taken while nothing else of their function waited or ran.
    alone: BTreeSet<u64>,
}

impl SeenLines {
    /// Another version has the index from now on.
    pub(super) fn forget(&mut self, version: VersionIndex) {
        let left = self.lines.remove(&version);
        assert!(left.is_none_or(|line| line.is_empty()), "some wait in version {version}, which is closed");
        self.from_end.remove(&version);
    }

    /// A line has changed.
    pub(super) fn step(&mut self, step: LineStep, control: &ModelControl, now: Nanos) {
        match step {
            LineStep::Joined { version, execution, is_again } => {
                let is_unbegun = execution.run_budget > 0;
                let due = match is_unbegun {
                    true => execution.deadline.min(execution.since + execution.run_budget),
                    false => execution.deadline,
                };
                self.alone.remove(&execution.ticket.to_bits());
                let waiter = Waiter { ticket: execution.ticket, since: execution.since, due, is_unbegun };
                let line = self.lines.entry(version).or_default();
                line.insert(if is_again { 0 } else { line.len() }, waiter);
            }
            LineStep::Left { version, ticket } => {
                self.take_out(version, ticket);
            }
            LineStep::Taken { version, ticket, in_flight } => {
                if in_flight == 0 && self.lines[&version].len() == 1 {
                    self.alone.insert(ticket.to_bits());
                }
                let order = control.versions[&version].limits.queue_order;
                self.check(version, ticket, order, now);
                let place = self.take_out(version, ticket);
                let from_end = self.from_end.entry(version).or_default();
                *from_end = if place == 0 { 0 } else { *from_end + 1 };
            }
        }
    }

    /// An execution is dropped.
    pub(super) fn check_drop(&self, ticket: Ticket) {
        assert!(!self.alone.contains(&ticket.to_bits()), "{ticket:?} was dropped though it was alone");
    }

    fn take_out(&mut self, version: VersionIndex, ticket: Ticket) -> usize {
        let line = self.lines.get_mut(&version).expect("a line");
        let place = line.iter().position(|waiter| waiter.ticket == ticket).expect("it waits");
        line.remove(place);
        place
    }

    fn check(&self, version: VersionIndex, ticket: Ticket, order: QueueOrder, now: Nanos) {
        let line = &self.lines[&version];
        let (first, last) = (line[0], line[line.len() - 1]);
        match order {
            QueueOrder::Fifo => assert_eq!(first.ticket, ticket, "not the first of version {version}"),
            QueueOrder::Deadline => {
                let taken = line.iter().find(|waiter| waiter.ticket == ticket).expect("it waits");
                let soonest = line.iter().map(|waiter| waiter.due).min();
                assert_eq!(Some(taken.due), soonest, "not the most urgent of version {version}");
            }
            QueueOrder::Lifo => {
                let from_end = self.from_end.get(&version).copied().unwrap_or(0);
                let has_waited = now.saturating_sub(first.since) > first.due.saturating_sub(first.since) / 4;
                let of_end = has_waited && !(first.is_unbegun && from_end >= 7);
                let wanted = if of_end { last } else { first };
                assert_eq!(wanted.ticket, ticket, "not the one of version {version} whose turn it is");
            }
        }
    }
}
