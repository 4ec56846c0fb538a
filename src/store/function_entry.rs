//! A version of a function, as the executions of one gateway refer to it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::drain_rate::DrainRate;
use crate::function_version::FunctionVersion;

/// A version of a function with the counts of one gateway.
#[derive(Debug)]
pub struct FunctionEntry {
    /// The version as all threads share it.
    pub function: Arc<FunctionVersion>,
    /// Bytes of payloads and outputs that its executions hold on this gateway, and those of the other
    /// versions of its function.
    pub bytes: Rc<Cell<usize>>,
    /// The rate at which its executions end.
    pub drain: DrainRate,
}

impl FunctionEntry {
    /// An entry without executions. `bytes` is shared by the versions of a function.
    #[must_use]
    pub fn new(function: Arc<FunctionVersion>, bytes: Rc<Cell<usize>>) -> Self {
        Self { function, bytes, drain: DrainRate::default() }
    }
}
