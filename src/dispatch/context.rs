//! The parts of a gateway that its attempts need.

use crate::clock::Clock;
use crate::store::executions::Executions;

/// The parts of a gateway that its attempts need. An attempt settles nothing: its result is the gateway's to apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptContext<'a> {
    /// The executions of the gateway.
    pub executions: &'a Executions,
    /// Time.
    pub clock: Clock,
    /// Largest output of a function, in bytes.
    pub output_max: usize,
}
