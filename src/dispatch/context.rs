//! The parts of a gateway that its attempts need.

use std::cell::RefCell;

use crate::clock::Clock;
use crate::id::ExecutionId;
use crate::store::execution_store::ExecutionStore;
use crate::ticket::Ticket;

/// The parts of a gateway that its attempts need. An attempt settles nothing: its result is the gateway's to apply.
#[derive(Clone, Copy, Debug)]
pub struct AttemptContext<'a> {
    /// The executions of the gateway; borrowed for a few lines at a time and never across an `await`.
    pub store: &'a RefCell<ExecutionStore>,
    /// The incarnation of the process, part of every id.
    pub incarnation: u32,
    /// Time.
    pub clock: Clock,
    /// Largest output of a function, in bytes.
    pub output_max: usize,
}

impl AttemptContext<'_> {
    /// The public name of a ticket's execution.
    pub(super) fn id(&self, ticket: Ticket, nonce: u64) -> ExecutionId {
        ExecutionId { incarnation: self.incarnation, ticket, nonce }
    }
}
