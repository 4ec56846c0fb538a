//! The result of an attempt, which ends its execution or lets it wait for the next attempt.

use bytes::Bytes;

use super::execution_error::ExecutionError;
use crate::clock::Nanos;

/// The outcome of an attempt, which says whether another attempt may help.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The function's output.
    Output(Bytes),
    /// The function answered a web request with this status.
    Answered(u16),
    /// The client left while the answer came.
    Abandoned,
    /// The function's answer is an error that another attempt would not mend.
    Refused(ExecutionError),
    /// It failed; another attempt may help.
    Failed(ExecutionError),
    /// Nothing was sent.
    Unsent(ExecutionError),
}

/// The result of an attempt: its outcome and measurements.
#[derive(Debug)]
pub(crate) struct AttemptResult {
    /// See [`Outcome`].
    pub outcome: Outcome,
    /// The answer was the first of its instance, which the execution may have waited for.
    pub cold_start: bool,
    /// Its instance had been started ahead, and was ready before the execution came.
    pub standby: bool,
    /// Duration of the instance's start (ns), as the instance said.
    pub init_ns: Option<Nanos>,
    /// Time at which the beginning of the answer had been read, and the rest was waited for; 0: it was not.
    pub first_byte: Nanos,
    /// Time at which the answer was complete; 0: never.
    pub answered: Nanos,
}

impl AttemptResult {
    /// The result of an attempt that ended without an answer.
    #[must_use]
    pub(crate) fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, cold_start: false, standby: false, init_ns: None, first_byte: 0, answered: 0 }
    }
}
