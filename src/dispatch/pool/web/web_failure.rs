//! The reason why there is no answer to a web request, or not all of it, and what that makes of its attempt.

use super::super::attempt::lost;
use super::super::connection::{ExchangeError, RESPONSE_HEAD_BYTES_MAX};
use super::super::instance_pools::InstancePools;
use crate::dispatch::context::AttemptContext;
use crate::error::{ErrorCode, ErrorSource};
use crate::instance::InstanceKey;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::ticket::Ticket;
use crate::web_exchange::BodyLimit;

/// The reason why there is no answer, or not all of it.
#[derive(Debug)]
pub(crate) enum WebFailure {
    /// The instance could not be reached, went away, or answered what is no answer.
    Exchange(ExchangeError),
    /// The client left, or broke off its body.
    Client,
    /// The answer was to be kept, and cannot be.
    NotKept(ExecutionError),
    /// Nothing came and nothing went for too long.
    Idle,
    /// The answer takes too long from its head on.
    Endless,
    /// The body of the request is larger than it may be.
    BodyTooLarge(BodyLimit),
    /// The head of the answer did not come in time behind the body of the request.
    Late,
}

impl From<ExchangeError> for WebFailure {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}

impl WebFailure {
    /// A connection that ended before the answer did.
    pub(super) fn ended_early() -> Self {
        ExchangeError::Lost(std::io::ErrorKind::UnexpectedEof.into()).into()
    }

    /// A head that is larger than it may be.
    pub(super) fn head_too_large() -> Self {
        ExchangeError::Garbage(format!("its head is larger than {RESPONSE_HEAD_BYTES_MAX} bytes")).into()
    }

    /// The result of the attempt.
    pub(crate) async fn result(
        self,
        context: AttemptContext<'_>,
        pools: &InstancePools,
        ticket: Ticket,
        instance: InstanceKey,
    ) -> AttemptResult {
        let outcome = match self {
            Self::Client => Outcome::Abandoned,
            Self::NotKept(error) => Outcome::Refused(error),
            Self::Idle => {
                let text = "nothing came and nothing went of a body for as long as web.streamIdleMs allows";
                Outcome::Refused(ExecutionError::new(ErrorCode::Timeout, text))
            }
            Self::Endless => {
                let text =
                    "the answer was not through in the time from its head on that web.maxStreamMs allows";
                Outcome::Refused(ExecutionError::new(ErrorCode::Timeout, text))
            }
            Self::BodyTooLarge(limit) => {
                Outcome::Refused(ExecutionError::new(ErrorCode::BodyTooLarge, limit.message()))
            }
            Self::Late => {
                let timeout = context.executions.with(ticket, |_, execution| execution.timeout()).flatten();
                let text = "the head of the answer did not come in time (timeoutMs)";
                Outcome::Refused(timeout.unwrap_or_else(|| ExecutionError::new(ErrorCode::Timeout, text)))
            }
            Self::Exchange(error) => {
                let outcome = lost(pools, instance, &error).await.outcome;
                let may_follow = context.executions.with(ticket, |_, execution| may_follow(execution));
                by_gateway(outcome, may_follow.unwrap_or(false))
            }
        };
        AttemptResult::without_answer(outcome)
    }
}

/// The error of an answer that is larger than it may be to be kept.
#[cold]
pub(super) fn too_large(most: usize) -> ExecutionError {
    let text = format!(
        "the answer is larger than {most} bytes, which is the most that is kept; answer less, raise --max-output, or ask without `Prefer: respond-async`"
    );
    ExecutionError::new(ErrorCode::OutputTooLarge, text)
}

/// Whether another attempt may follow one that was lost: its client has no beginning of an answer, and the request has
/// the effect of one however often it is sent.
fn may_follow(execution: &Execution) -> bool {
    execution.web.as_ref().is_some_and(|web| web.status == 0 && web.may_be_repeated())
}

/// The outcome of an attempt without an answer, as a gateway says it: 502.
fn by_gateway(outcome: Outcome, may_follow: bool) -> Outcome {
    let of_gateway = |error: ExecutionError| match error.source {
        ErrorSource::Function => ExecutionError { http: 502, ..error },
        ErrorSource::Gateway => error,
    };
    match outcome {
        Outcome::Failed(error) if may_follow => Outcome::Failed(of_gateway(error)),
        Outcome::Failed(error) | Outcome::Refused(error) => Outcome::Refused(of_gateway(error)),
        Outcome::Output(_) | Outcome::Answered(_) | Outcome::Abandoned | Outcome::Unsent(_) => outcome,
    }
}
