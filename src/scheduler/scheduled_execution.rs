//! The scheduler's half of an execution, and the lists in which executions wait.

use crate::clock::Nanos;
use crate::instance::VersionIndex;
use crate::ticket::Ticket;

/// No execution: the end of a list.
pub(crate) const NONE: u32 = u32::MAX;

/// State of an execution, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionState {
    /// The scheduler holds nothing of the slot.
    Free,
    /// In its version's wait list. Holds a queue credit until its first grant.
    Queued,
    /// An attempt is in flight: holds a permit.
    Running,
    /// The attempt was told to stop because its own time is over: holds a permit.
    Aborting,
    /// The execution is terminal, its attempt not yet closed: holds a permit, has no timer.
    Ending,
    /// Waits for its next attempt: on the wheel and on no list.
    BackingOff,
}

/// The scheduler's half of an execution: one entry of its table; `Copy`, preallocated, never shared.
#[derive(Clone, Copy, Debug)]
pub struct ScheduledExecution {
    /// The ticket it stands for; meaningless while `Free`.
    pub ticket: Ticket,
    /// Its state.
    pub state: ExecutionState,
    /// Attempts begun.
    pub attempt: u8,
    /// Whether the queue of `version` is owed a credit.
    pub holds_credit: bool,
    /// The version it waits in, or that its attempt runs in.
    pub version: VersionIndex,
    /// Place and generation of the instance its attempt runs on.
    pub place: u16,
    /// See `place`. In a heap, where there is no attempt, the execution on its right below it.
    pub instance_generation: u32,
    /// Since when the time until its deadline runs.
    pub since: Nanos,
    /// By when it must have ended.
    pub deadline: Nanos,
    /// When its attempt was granted; 0 where that is to count for no estimate.
    pub granted: Nanos,
    /// Time to run from the first grant on, which sets the deadline anew; 0: the deadline stays.
    pub run_budget: Nanos,
    /// Neighbours in the wait list; in a heap the execution on its left below it, and the one above it.
    next: u32,
    prev: u32,
    /// Length of the way down along the right in a heap; 0: it is in none.
    heap_rank: u8,
}

/// Links of an execution that is in a heap.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeapLinks {
    pub left: u32,
    pub right: u32,
    pub parent: u32,
    /// See `ScheduledExecution::heap_rank`.
    pub rank: u8,
}

impl HeapLinks {
    /// Links of one that is in no heap.
    pub(super) fn none() -> Self {
        Self { left: NONE, right: NONE, parent: NONE, rank: 0 }
    }
}

impl ScheduledExecution {
    /// The execution before it in line.
    #[must_use]
    pub fn before(&self) -> Option<u32> {
        (self.prev != NONE).then_some(self.prev)
    }

    /// By when it has to have ended (ns), as its place in a line by deadline counts it. One whose time to run begins
    /// with its first attempt stands as if it had begun when it came: where one stands that was invoked then.
    #[must_use]
    pub fn due(&self) -> Nanos {
        match self.run_budget {
            0 => self.deadline,
            run_budget => self.deadline.min(self.since.saturating_add(run_budget)),
        }
    }

    /// Whether it is in a heap.
    #[must_use]
    pub(super) fn is_in_heap(&self) -> bool {
        self.heap_rank > 0
    }

    /// Its links, while it is in a heap.
    pub(super) fn heap_links(&self) -> HeapLinks {
        let Self { next: left, prev: parent, instance_generation: right, heap_rank: rank, .. } = *self;
        HeapLinks { left, right, parent, rank }
    }

    /// Sets its links, while it waits.
    pub(super) fn set_heap_links(&mut self, links: HeapLinks) {
        let HeapLinks { left, right, parent, rank } = links;
        (self.next, self.prev, self.instance_generation, self.heap_rank) = (left, parent, right, rank);
    }

    /// A slot that nothing uses.
    #[must_use]
    pub fn free() -> Self {
        Self {
            ticket: Ticket::new(0, 0, 0),
            state: ExecutionState::Free,
            attempt: 0,
            holds_credit: false,
            version: NONE,
            place: 0,
            instance_generation: 0,
            since: 0,
            deadline: 0,
            granted: 0,
            run_budget: 0,
            next: NONE,
            prev: NONE,
            heap_rank: 0,
        }
    }

    /// One that has just come off the ring of `version`, with its queue credit.
    #[must_use]
    pub fn accepted(
        ticket: Ticket,
        version: VersionIndex,
        deadline: Nanos,
        run_budget: Nanos,
        now: Nanos,
    ) -> Self {
        let state = ExecutionState::Queued;
        Self { ticket, state, holds_credit: true, version, since: now, deadline, run_budget, ..Self::free() }
    }
}

/// A wait list through the scheduler's table: O(1) at both ends and for removal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitList {
    head: u32,
    tail: u32,
    len: u32,
}

impl WaitList {
    /// A list of nobody.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }

    /// How many wait.
    #[must_use]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first in line.
    #[must_use]
    pub(crate) fn first(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    /// The last in line.
    #[must_use]
    pub(crate) fn last(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// Adds the last in line.
    pub(crate) fn push_back(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        let tail = self.tail;
        let execution = &mut executions[index as usize];
        execution.prev = tail;
        execution.next = NONE;
        match tail {
            NONE => self.head = index,
            _ => executions[tail as usize].next = index,
        }
        self.tail = index;
        self.len += 1;
    }

    /// Adds one before the first: a retry was admitted before all that wait.
    pub(crate) fn push_front(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        let head = self.head;
        let execution = &mut executions[index as usize];
        execution.prev = NONE;
        execution.next = head;
        match head {
            NONE => self.tail = index,
            _ => executions[head as usize].prev = index,
        }
        self.head = index;
        self.len += 1;
    }

    /// Adds one behind another.
    pub(crate) fn insert_after(&mut self, executions: &mut [ScheduledExecution], before: u32, index: u32) {
        let next = executions[before as usize].next;
        if next == NONE {
            return self.push_back(executions, index);
        }
        let execution = &mut executions[index as usize];
        (execution.prev, execution.next) = (before, next);
        executions[before as usize].next = index;
        executions[next as usize].prev = index;
        self.len += 1;
    }

    /// Takes one out, wherever it stands.
    pub(crate) fn remove(&mut self, executions: &mut [ScheduledExecution], index: u32) {
        let ScheduledExecution { next, prev, .. } = executions[index as usize];
        match prev {
            NONE => self.head = next,
            _ => executions[prev as usize].next = next,
        }
        match next {
            NONE => self.tail = prev,
            _ => executions[next as usize].prev = prev,
        }
        self.len -= 1;
    }
}

impl Default for WaitList {
    fn default() -> Self {
        Self::new()
    }
}
