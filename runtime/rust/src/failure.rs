//! The failures of an invocation.

use hyper::StatusCode;
use thiserror::Error;

use crate::handler_error::{BAD_INPUT, HANDLER_ERROR, HandlerError};
use crate::metrics::Outcome;
use crate::panics::Panic;

/// The failure of an invocation. Its text is the client's.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("the header X-Execution-Id is missing: a gateway gives one, a direct call may make one up")]
    MissingExecutionId,
    #[error("the header {name} must be {rule}")]
    BadHeader { name: &'static str, rule: &'static str },
    #[error("the body is longer than {max} bytes (MAX_BODY)")]
    BodyTooLarge { max: usize },
    #[error("the body did not arrive in {seconds} s")]
    BodyLate { seconds: u64 },
    #[error("the body could not be read: {0}")]
    BodyBroken(hyper::Error),
    #[error(
        "this instance is a standby (PICOFAAS_STANDBY), and its one invocation has begun: have another started"
    )]
    AlreadyUsed,
    #[error("{}", .0.message)]
    Handler(HandlerError),
    #[error("{}", .0.message)]
    Panicked(Panic),
    #[error("the handler was stopped at its deadline, after {ms} ms (X-Deadline-Ms)")]
    DeadlinePassed { ms: u128 },
}

impl Failure {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::MissingExecutionId | Self::BadHeader { .. } | Self::BodyBroken(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLate { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::AlreadyUsed => StatusCode::SERVICE_UNAVAILABLE,
            // `HandlerError::new` has checked the range.
            Self::Handler(error) => {
                StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Panicked(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::DeadlinePassed { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(crate) fn code(&self) -> &str {
        match self {
            Self::MissingExecutionId => "MISSING_EXECUTION_ID",
            Self::BadHeader { .. } => "BAD_HEADER",
            Self::BodyTooLarge { .. } => "BODY_TOO_LARGE",
            Self::BodyLate { .. } => "BODY_TIMEOUT",
            Self::BodyBroken(_) => BAD_INPUT,
            Self::AlreadyUsed => "ALREADY_USED",
            Self::Handler(error) => &error.code,
            Self::Panicked(_) => HANDLER_ERROR,
            Self::DeadlinePassed { .. } => "HANDLER_TIMEOUT",
        }
    }

    /// Whether another attempt would end in the same way, whatever the status says.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Handler(error) => error.is_final,
            Self::MissingExecutionId
            | Self::BadHeader { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyLate { .. }
            | Self::BodyBroken(_)
            | Self::AlreadyUsed
            | Self::Panicked(_)
            | Self::DeadlinePassed { .. } => false,
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::MissingExecutionId
            | Self::BadHeader { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyLate { .. }
            | Self::BodyBroken(_)
            | Self::AlreadyUsed => Outcome::Rejected,
            Self::Handler(error) if error.is_rejection => Outcome::Rejected,
            Self::Handler(_) | Self::Panicked(_) => Outcome::Error,
            Self::DeadlinePassed { .. } => Outcome::Timeout,
        }
    }

    /// The causes of the failure, for the log.
    pub(crate) fn causes(&self) -> Option<&str> {
        if let Self::Handler(error) = self
            && !error.causes.is_empty()
        {
            Some(&error.causes)
        } else {
            None
        }
    }

    /// The stack of a panic, for the log.
    pub(crate) fn stack(&self) -> Option<&str> {
        if let Self::Panicked(panic) = self { Some(&panic.stack) } else { None }
    }
}
