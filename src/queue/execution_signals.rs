//! The atomic words of an execution that its gateway and the scheduler share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::Nanos;

/// The shared words of one slot, and so of one execution at a time.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `deadline`, `run_budget` | gateway at admit | scheduler at accept | the push of the ticket on its ring |
/// | `cancelled` | gateway before it sends `GatewayEvent::Cancelled` | scheduler at accept | `SeqCst` store and load |
/// | `released` | scheduler when it lets go of the execution | gateway before it uses the slot again | `Release` store, `Acquire` load |
#[derive(Debug, Default)]
pub struct ExecutionSignals {
    deadline: AtomicU64,
    run_budget: AtomicU64,
    cancelled: AtomicU32,
    released: AtomicU32,
}

impl ExecutionSignals {
    /// Gateway: sets the time by which the execution must have been answered (sync) or first
    /// dispatched (async), and how long an async one may then run (0: the deadline stays).
    pub fn write(&self, deadline: Nanos, run_budget: Nanos) {
        self.deadline.store(deadline, Ordering::Relaxed);
        self.run_budget.store(run_budget, Ordering::Relaxed);
    }

    /// Scheduler: deadline and run budget, after the ticket was popped.
    #[must_use]
    pub fn read(&self) -> (Nanos, Nanos) {
        (self.deadline.load(Ordering::Relaxed), self.run_budget.load(Ordering::Relaxed))
    }

    /// Gateway: the execution of this generation must not be accepted any more. The event that
    /// follows may overtake the ticket, because events are drained first.
    pub fn cancel(&self, generation: u32) {
        self.cancelled.store(generation, Ordering::SeqCst);
    }

    /// Scheduler: whether the gateway has cancelled this generation.
    #[must_use]
    pub fn is_cancelled(&self, generation: u32) -> bool {
        self.cancelled.load(Ordering::SeqCst) == generation
    }

    /// Scheduler: it holds nothing of this generation any more.
    pub fn release(&self, generation: u32) {
        self.released.store(generation, Ordering::Release);
    }

    /// Gateway: whether the scheduler has let go of this generation.
    #[must_use]
    pub fn is_released(&self, generation: u32) -> bool {
        self.released.load(Ordering::Acquire) == generation
    }
}
