//! The line of a version: executions that wait for an attempt, and which of them is next.
//!
//! | `queueOrder` | next is | kept in |
//! |---|---|---|
//! | `DEADLINE` | the one that is due first, see [`ScheduledExecution::due`] | a list in the order of their deadlines, and a heap for those that would have to walk far in it |
//! | `FIFO` | the first that came; a retry stands before those | a list |
//! | `LIFO` | the last that came while the first has waited for a quarter of its time, else the first | a list |
//!
//! Where all calls have one time-out each comes with the latest deadline, and is put at the end of the list at once. A
//! line never walks more than [`STEPS_MAX`] places, and the heap bounds the rest.

use super::deadline_heap::DeadlineHeap;
use super::scheduled_execution::{ScheduledExecution, WaitList};
use crate::clock::Nanos;
use crate::queue_order::QueueOrder;

/// Places from the end of the list at which one that is put in may come to stand.
const STEPS_MAX: u32 = 4;
/// Part of its time that the first in line may have waited before the last is taken: a quarter.
const PATIENT_PART: Nanos = 4;
/// Of so many that are taken from the end, one is taken from the front, where the first has no deadline yet that would
/// take it out of the line.
const TURNS: u8 = 8;

/// The line of a version.
#[derive(Clone, Copy, Debug)]
pub struct WaitLine {
    order: QueueOrder,
    list: WaitList,
    /// By deadline: those that are not in the list.
    heap: DeadlineHeap,
    /// Last in, first out: taken from the end since the first was.
    from_end: u8,
}

impl WaitLine {
    /// A line of nobody.
    #[must_use]
    pub fn new(order: QueueOrder) -> Self {
        Self { order, list: WaitList::new(), heap: DeadlineHeap::new(), from_end: 0 }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.list.len() + self.heap.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.heap.len() == 0
    }

    /// The first in line: the one that came first, or is due first.
    #[must_use]
    pub fn first(&self, executions: &[ScheduledExecution]) -> Option<u32> {
        let Some(of_heap) = self.heap.first() else { return self.list.first() };
        let Some(of_list) = self.list.first() else { return Some(of_heap) };
        let is_due_first = executions[of_heap as usize].due() < executions[of_list as usize].due();
        Some(if is_due_first { of_heap } else { of_list })
    }

    /// The one that is to be begun next.
    #[must_use]
    pub fn next(&self, executions: &[ScheduledExecution], now: Nanos) -> Option<u32> {
        match self.order {
            QueueOrder::Deadline => self.first(executions),
            QueueOrder::Fifo => self.list.first(),
            QueueOrder::Lifo => {
                let first = &executions[self.list.first()? as usize];
                let time = first.due().saturating_sub(first.since);
                let is_patient = now.saturating_sub(first.since) <= time / PATIENT_PART;
                let has_turn = first.run_budget > 0 && self.from_end + 1 >= TURNS;
                if is_patient || has_turn { self.list.first() } else { self.list.last() }
            }
        }
    }

    /// Puts in one that has just come.
    pub fn push(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        match self.order {
            QueueOrder::Deadline => self.push_by_deadline(executions, index),
            QueueOrder::Fifo | QueueOrder::Lifo => self.list.push_back(executions, index),
        }
    }

    /// Puts in one that comes back: it was admitted before all that wait.
    pub fn push_again(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        match self.order {
            QueueOrder::Deadline => self.push_by_deadline(executions, index),
            QueueOrder::Fifo | QueueOrder::Lifo => self.list.push_front(executions, index),
        }
    }

    fn push_by_deadline(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        let due = executions[index as usize].due();
        let mut place = self.list.last();
        for _ in 0..=STEPS_MAX {
            match place {
                None => return self.list.push_front(executions, index),
                Some(before) if executions[before as usize].due() <= due => {
                    return self.list.insert_after(executions, before, index);
                }
                Some(behind) => place = executions[behind as usize].before(),
            }
        }
        if self.list.first().is_some_and(|first| due < executions[first as usize].due()) {
            self.list.push_front(executions, index);
        } else {
            self.heap.insert(executions, index);
        }
    }

    /// Takes out the one that is next: it is begun, or ended in its turn.
    pub fn take(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        if self.order == QueueOrder::Lifo {
            let is_first = self.list.first() == Some(index);
            self.from_end = if is_first { 0 } else { self.from_end.saturating_add(1) };
        }
        self.remove(executions, index);
    }

    /// Takes one out, wherever it stands.
    pub fn remove(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        if executions[index as usize].is_in_heap() {
            self.heap.remove(executions, index);
        } else {
            self.list.remove(executions, index);
        }
    }

    /// When the last in line is due (ns): one that is due later comes to stand behind all. 0 where the line has another
    /// order.
    #[must_use]
    pub fn last_due(&self, executions: &[ScheduledExecution]) -> Nanos {
        let last = self.list.last().filter(|_| self.order == QueueOrder::Deadline);
        last.map_or(0, |last| executions[last as usize].due())
    }

    /// The one before `index`, or the last one where that is `None`. In a line by deadline those come first that are
    /// not in the list.
    #[must_use]
    pub fn before(&self, executions: &[ScheduledExecution], index: Option<u32>) -> Option<u32> {
        match index {
            Some(index) if !executions[index as usize].is_in_heap() => executions[index as usize].before(),
            index => self.heap.after(executions, index).or(self.list.last()),
        }
    }

    /// Panics where it is not sound.
    #[cfg(test)]
    pub(super) fn audit(&self, executions: &[ScheduledExecution]) {
        self.heap.audit(executions);
        let mut behind = None;
        let mut at = self.list.last().filter(|_| self.order == QueueOrder::Deadline);
        while let Some(index) = at {
            let due = executions[index as usize].due();
            assert!(behind.is_none_or(|behind| due <= behind), "{index} is due after one behind it");
            behind = Some(due);
            at = executions[index as usize].before();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NANOS_PER_MS as MS;
    use crate::scheduler::scheduled_execution::ExecutionState;
    use crate::ticket::Ticket;

    /// Enqueued executions that come first, with 1 s to run and an hour to wait.
    const ENQUEUED: u32 = 400;

    /// Beside these a call that has 100 ms comes each millisecond, and one is taken every other; those whose time is over
    /// leave. When the first enqueued one is taken, and from then on whether each that is taken is one.
    fn taken_beside_enqueued_ones(order: QueueOrder) -> (Nanos, Vec<bool>) {
        let mut executions = vec![ScheduledExecution::free(); 4400];
        let mut line = WaitLine::new(order);
        let (mut began, mut taken) = (None, Vec::new());
        for index in 0..4400_u32 {
            let now = Nanos::from(index.saturating_sub(ENQUEUED)) * MS;
            let (deadline, run_budget) =
                if index < ENQUEUED { (3_600_000 * MS, 1000 * MS) } else { (now + 100 * MS, 0) };
            let ticket = Ticket::new(0, index, 1);
            executions[index as usize] = ScheduledExecution::accepted(ticket, 0, deadline, run_budget, now);
            line.push(&mut executions, index);
            if index < ENQUEUED {
                continue;
            }
            if let Some(gone) = index.checked_sub(100).filter(|gone| *gone >= ENQUEUED)
                && executions[gone as usize].state == ExecutionState::Queued
            {
                executions[gone as usize].state = ExecutionState::Free;
                line.remove(&mut executions, gone);
            }
            if index % 2 == 0 {
                let next = line.next(&executions, now).unwrap();
                line.take(&mut executions, next);
                executions[next as usize].state = ExecutionState::Free;
                if next < ENQUEUED {
                    began.get_or_insert(now);
                }
                if began.is_some() {
                    taken.push(next < ENQUEUED);
                }
            }
        }
        line.audit(&executions);
        (began.expect("an enqueued one was taken"), taken)
    }

    #[test]
    fn an_enqueued_execution_neither_starves_nor_starves_others() {
        let count = |taken: &[bool]| taken.iter().filter(|is_enqueued| **is_enqueued).count();
        // It stands where a call stands that came with it and has 1 s.
        let (began, taken) = taken_beside_enqueued_ones(QueueOrder::Deadline);
        assert!((890 * MS..=1000 * MS).contains(&began), "{began}");
        assert_eq!((count(&taken[..400]), count(&taken[400..])), (400, 0));
        let (began, taken) = taken_beside_enqueued_ones(QueueOrder::Fifo);
        assert_eq!((began, count(&taken[..400]), count(&taken[400..])), (0, 400, 0));
        // Where the last are taken, it has one turn in eight.
        let (began, taken) = taken_beside_enqueued_ones(QueueOrder::Lifo);
        assert_eq!((began, count(&taken[..125])), (0, 125), "its first quarter of a second");
        assert_eq!(count(&taken[160..560]), 50);
    }

    #[test]
    fn a_line_by_deadline_takes_what_is_due_first_wherever_it_was_put() {
        let mut executions = vec![ScheduledExecution::free(); 64];
        let mut line = WaitLine::new(QueueOrder::Deadline);
        for index in 0..64_u32 {
            let deadline = Nanos::from(index * 37 % 64 / 2);
            let ticket = Ticket::new(0, index, 1);
            executions[index as usize] = ScheduledExecution::accepted(ticket, 0, deadline, 0, 0);
            line.push(&mut executions, index);
            line.audit(&executions);
        }
        assert!(line.heap.len() > 0 && !line.list.is_empty(), "one of the two was not used");
        let mut at = None;
        let all = std::iter::from_fn(|| {
            at = line.before(&executions, at);
            at
        });
        assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 64, "each is there once");
        let mut due = Vec::new();
        while let Some(next) = line.next(&executions, 0) {
            due.push(executions[next as usize].deadline);
            line.take(&mut executions, next);
            line.audit(&executions);
        }
        assert!(due.is_sorted() && due.len() == 64 && line.is_empty(), "{due:?}");
    }
}
