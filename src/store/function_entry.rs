//! A version of a function, as the executions of one gateway refer to it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::drain_rate::DrainRate;
use super::slow_execution::SlowExecution;
use super::web_connections::WebConnections;
use crate::clock::Nanos;
use crate::function_version::FunctionVersion;
use crate::metrics::FunctionMetrics;
use crate::slowest::Slowest;

/// A version of a function with the counts of one gateway.
#[derive(Debug)]
pub struct FunctionEntry {
    /// The version as all threads share it.
    pub function: Arc<FunctionVersion>,
    gateway: usize,
    /// Bytes of payloads and outputs that its executions hold, and those of the function's other versions.
    held: Rc<Cell<usize>>,
    /// The slowest of its executions, and of those of the function's other versions.
    pub(super) slowest: Arc<Slowest<SlowExecution>>,
    /// The rate at which its executions end.
    drain: DrainRate,
    /// See [`WebConnections`].
    pub(crate) web_connections: Rc<WebConnections>,
}

impl FunctionEntry {
    /// An entry without executions. `held` and `slowest` are shared by the versions of a function.
    #[must_use]
    pub fn new(
        function: Arc<FunctionVersion>,
        gateway: usize,
        held: Rc<Cell<usize>>,
        slowest: Arc<Slowest<SlowExecution>>,
    ) -> Self {
        Self { function, gateway, held, slowest, drain: DrainRate::default(), web_connections: Rc::default() }
    }

    /// Its metrics of this gateway.
    #[must_use]
    pub fn metrics(&self) -> &FunctionMetrics {
        &self.function.metrics.0[self.gateway]
    }

    /// In how many seconds (1 … 60) `depth` of its executions will have ended.
    #[must_use]
    pub fn drains_in_s(&self, depth: usize) -> u32 {
        self.drain.seconds_for(depth)
    }

    /// Counts an execution that has ended.
    pub(super) fn count_end(&self, now: Nanos) {
        self.drain.count(now);
    }

    /// Bytes that the executions of its function hold.
    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// Counts bytes that an execution holds from now on.
    pub(super) fn hold(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
    }

    /// Counts bytes that an execution does not hold any more.
    pub(super) fn let_go(&self, bytes: usize) {
        debug_assert!(bytes <= self.held.get(), "more bytes are let go than were held");
        self.held.set(self.held.get() - bytes);
    }
}
