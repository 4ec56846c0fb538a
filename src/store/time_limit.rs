//! The limits of an execution's time, and the errors of an execution that met one: one code per limit, with its value
//! and its field, whoever noticed first.
//!
//! A runtime stops its handler when the time is over that `X-Deadline-Ms` told it, in whole milliseconds; the
//! scheduler's timer goes off in the next millisecond. Without a rule it would be chance that decides by which of the
//! two an execution ends.

use std::fmt;
use std::num::NonZeroU32;

use super::attempt_result::Outcome;
use super::execution::{Execution, Invocation};
use super::execution_error::ExecutionError;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::{ErrorCode, ErrorSource};
use crate::queue::overload::Shortage;

/// Longest that a client can wait for an answer, whatever the function allows.
const WAITED_FOR_MS_MAX: u32 = 300_000;

/// Part of an attempt's time by which the clock of another machine may be ahead at its end.
const CLOCK_DRIFT_PART: Nanos = 1000;

/// The setter of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitSource {
    /// `timeoutMs` of the function.
    Function,
    /// `X-Timeout-Ms` of the request.
    Request,
    /// [`WAITED_FOR_MS_MAX`].
    Waiting,
}

/// Longest time that an execution may take, and its setter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit {
    ms: u32,
    source: LimitSource,
}

impl TimeLimit {
    /// The smaller of the function's limit and the caller's, in ms.
    #[must_use]
    pub(crate) fn new(function_ms: u32, requested_ms: Option<u64>) -> Self {
        match requested_ms.and_then(|ms| u32::try_from(ms).ok()) {
            Some(ms) if ms < function_ms => Self { ms, source: LimitSource::Request },
            Some(_) | None => Self { ms: function_ms, source: LimitSource::Function },
        }
    }

    /// The same where a client waits for the answer.
    #[must_use]
    pub(crate) fn of_waiting(self) -> Self {
        if self.ms > WAITED_FOR_MS_MAX {
            return Self { ms: WAITED_FOR_MS_MAX, source: LimitSource::Waiting };
        }
        self
    }

    /// In nanoseconds.
    #[must_use]
    pub(crate) fn ns(self) -> Nanos {
        Nanos::from(self.ms) * NANOS_PER_MS
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = match self.source {
            LimitSource::Function => "timeoutMs",
            LimitSource::Request => "X-Timeout-Ms",
            LimitSource::Waiting => "the longest that :invoke waits; use :enqueue",
        };
        write!(out, "{} ms ({field})", self.ms)
    }
}

impl Execution {
    /// The error of an attempt that met `attemptTimeoutMs`.
    #[must_use]
    pub(crate) fn attempt_timeout(&self) -> ExecutionError {
        let ms = self.entry.function.spec.attempt_timeout_ms;
        let text = format!("the attempt took longer than {ms} ms (attemptTimeoutMs)");
        ExecutionError::new(ErrorCode::HandlerTimeout, text)
    }

    /// The error of an execution that met its own limit; `None` where that of its last attempt says more: its
    /// attempts met theirs, and there was no time for a whole one any more.
    #[must_use]
    pub(crate) fn timeout(&self) -> Option<ExecutionError> {
        let limit = self.time_limit;
        let (code, text) = match (self.invocation, self.attempt) {
            (Invocation::Async, _) if self.first_granted == 0 => {
                let ms = self.deadline.saturating_sub(self.timestamps.admitted) / NANOS_PER_MS;
                (ErrorCode::QueueTimeout, format!("it waited {ms} ms for its first dispatch (maxQueueMs)"))
            }
            (_, 0) => (ErrorCode::Timeout, format!("no instance took it within {limit}")),
            _ if self.error.as_deref() == Some(&self.attempt_timeout()) => return None,
            _ => (ErrorCode::Timeout, format!("it did not end within {limit}")),
        };
        Some(ExecutionError::new(code, text))
    }

    /// The error of an execution that was not begun, because of its time too little was left. 99 of 100 attempts end
    /// within `needed_ms`; `None` where none has lately ended within the whole time.
    #[must_use]
    pub(crate) fn unreachable(&self, needed_ms: Option<NonZeroU32>, now: Nanos) -> ExecutionError {
        let limit = self.time_limit;
        let left = self.deadline.saturating_sub(now) / NANOS_PER_MS;
        let why = match needed_ms {
            Some(needed) => format!(
                "{left} ms of its {limit} were left when its turn came, and the function takes up to {needed} ms"
            ),
            None => format!("no call of the function has lately ended within {limit}"),
        };
        let text = format!("{why}; nothing was begun, so it may be sent again");
        ExecutionError::new(ErrorCode::DeadlineUnreachable, text)
    }

    /// The same for the condition of its function.
    #[must_use]
    pub(crate) fn shortage(&self, needed_ms: Option<NonZeroU32>, now: Nanos) -> Shortage {
        match needed_ms {
            Some(needed) => Shortage::TooLate {
                left_ms: self.deadline.saturating_sub(now) / NANOS_PER_MS,
                needed_ms: needed.get().into(),
            },
            None => Shortage::TooShort { limit_ms: self.time_limit.ns() / NANOS_PER_MS },
        }
    }

    /// The outcome of a failed attempt that was answered at `answered`. A function that says that its time is over
    /// when that is so says nothing of its own: the limit that was met is told.
    #[must_use]
    pub(super) fn outcome_of_failure(&self, error: ExecutionError, answered: Nanos) -> Outcome {
        if !is_handler_timeout(&error) {
            return Outcome::Failed(error);
        }
        let granted = self.timestamps.granted;
        let attempt_ms = Nanos::from(self.entry.function.spec.attempt_timeout_ms);
        let attempt_end = granted.saturating_add(attempt_ms * NANOS_PER_MS);
        let end = self.deadline.min(attempt_end);
        let early = NANOS_PER_MS + end.saturating_sub(granted) / CLOCK_DRIFT_PART;
        match () {
            () if answered.saturating_add(early) < end => Outcome::Failed(error),
            () if self.deadline > attempt_end => Outcome::Failed(self.attempt_timeout()),
            () => match (self.timeout(), &self.error) {
                (Some(error), _) => Outcome::Refused(error),
                (None, Some(last)) => Outcome::Refused(ExecutionError::clone(last)),
                (None, None) => Outcome::Refused(error),
            },
        }
    }
}

/// Whether a function's attempt took too long, by its own word or ours.
pub(super) fn is_handler_timeout(error: &ExecutionError) -> bool {
    error.http == ErrorCode::HandlerTimeout.status()
        && error.source == ErrorSource::Function
        && error.code == ErrorCode::HandlerTimeout.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_is_told_with_the_field_that_sets_it() {
        for (function_ms, requested_ms, waiting, any) in [
            (5000, None, "5000 ms (timeoutMs)", "5000 ms (timeoutMs)"),
            (5000, Some(5000), "5000 ms (timeoutMs)", "5000 ms (timeoutMs)"),
            (5000, Some(u64::MAX), "5000 ms (timeoutMs)", "5000 ms (timeoutMs)"),
            (5000, Some(7), "7 ms (X-Timeout-Ms)", "7 ms (X-Timeout-Ms)"),
            (
                86_400_000,
                None,
                "300000 ms (the longest that :invoke waits; use :enqueue)",
                "86400000 ms (timeoutMs)",
            ),
            (
                86_400_000,
                Some(400_000),
                "300000 ms (the longest that :invoke waits; use :enqueue)",
                "400000 ms (X-Timeout-Ms)",
            ),
        ] {
            let limit = TimeLimit::new(function_ms, requested_ms);
            assert_eq!((limit.of_waiting().to_string().as_str(), limit.to_string().as_str()), (waiting, any));
        }
    }
}
