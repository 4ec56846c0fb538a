//! The reasons for which a worker ends.

use picofaas_runtime::HandlerError;
use thiserror::Error;

use crate::exit_reason::ExitReason;
use crate::format::BAD_OUTPUT;
use crate::last_line::{LastLine, TextReaders};
use crate::limits::STOP_GRACE;
use crate::reply_frame::ReplyFault;

/// The reason for which a worker ended. Its text is for the log; the answer to a request that it had,
/// [`Self::error`], has nothing of other requests.
#[derive(Clone, Debug, Error)]
pub(crate) enum WorkerExit {
    #[error("the worker cannot be started: {0}")]
    NotStarted(String),
    /// Its first frame was an error.
    #[error("{0}")]
    NotReady(String),
    #[error("{0}")]
    Exited(ExitReason),
    #[error("the worker was killed, for it does not keep to the protocol: {0}")]
    ProtocolViolation(String),
    /// Text where a frame should begin.
    #[error("{}", printed(text))]
    Printed { text: String, readers: TextReaders },
    /// A reply that is none.
    #[error(
        "the worker was killed, for it does not keep to the protocol: its reply to request {sequence} is none: {}", fault.text
    )]
    InvalidReply { sequence: u32, fault: ReplyFault },
    #[error("the worker was killed, for an output is longer than {max} bytes (MAX_OUTPUT)")]
    OutputTooLarge { sequence: u32, max: usize },
    #[error("the worker was stopped at the deadline of its request")]
    DeadlineExceeded { sequence: u32 },
    #[error("the worker was stopped, for the caller of its request went away")]
    CallerGone { sequence: u32 },
    #[error("the worker was killed, for it did not stop a request within {} s", STOP_GRACE.as_secs())]
    Unresponsive,
    #[error("the watchdog is stopping")]
    Shutdown,
}

/// The values of the label `reason` of restarts.
pub(crate) const REASONS: [&str; 8] =
    ["not_started", "not_ready", "exited", "garbage", "output_too_large", "deadline", "caller_gone", "stuck"];

impl WorkerExit {
    /// The index in [`REASONS`]; none where no other worker follows.
    pub(crate) fn reason(&self) -> Option<usize> {
        match self {
            Self::NotStarted(_) => Some(0),
            Self::NotReady(_) => Some(1),
            Self::Exited(_) => Some(2),
            Self::ProtocolViolation(_) | Self::Printed { .. } | Self::InvalidReply { .. } => Some(3),
            Self::OutputTooLarge { .. } => Some(4),
            Self::DeadlineExceeded { .. } => Some(5),
            Self::CallerGone { .. } => Some(6),
            Self::Unresponsive => Some(7),
            Self::Shutdown => None,
        }
    }

    /// The request whose cancellation is the reason.
    pub(crate) fn cancelled_request(&self) -> Option<u32> {
        match self {
            Self::DeadlineExceeded { sequence } | Self::CallerGone { sequence } => Some(*sequence),
            Self::NotStarted(_)
            | Self::NotReady(_)
            | Self::Exited(_)
            | Self::ProtocolViolation(_)
            | Self::Printed { .. }
            | Self::InvalidReply { .. }
            | Self::OutputTooLarge { .. }
            | Self::Unresponsive
            | Self::Shutdown => None,
        }
    }

    /// Whether the worker itself is the cause, and the next may end in the same way.
    pub(crate) fn is_workers_fault(&self) -> bool {
        match self {
            Self::NotStarted(_)
            | Self::NotReady(_)
            | Self::Exited(_)
            | Self::ProtocolViolation(_)
            | Self::Printed { .. }
            | Self::InvalidReply { .. } => true,
            Self::OutputTooLarge { .. }
            | Self::DeadlineExceeded { .. }
            | Self::CallerGone { .. }
            | Self::Unresponsive
            | Self::Shutdown => false,
        }
    }

    /// Whether a request that was sent ahead was certainly not begun. Of one that does not keep
    /// to the protocol nothing is certain.
    pub(crate) fn spares_requests_ahead(&self) -> bool {
        !matches!(self, Self::ProtocolViolation(_) | Self::Printed { .. } | Self::InvalidReply { .. })
    }

    /// Whether a request that was not even read goes to another. One that is stuck might have
    /// had all of them read at any moment.
    pub(crate) fn spares_unread_requests(&self) -> bool {
        !matches!(self, Self::Unresponsive)
    }

    /// The reason without anything of a request, for any caller.
    pub(crate) fn public_message(&self) -> String {
        match self {
            // The fault may quote the reply, which is for the caller of its request alone.
            Self::InvalidReply { .. } => {
                "the worker was killed, for it does not keep to the protocol: a reply is none".to_owned()
            }
            Self::Printed { readers: TextReaders::ItsCallers | TextReaders::Operators, .. } => {
                printed(UNSHOWN)
            }
            Self::Printed { readers: TextReaders::Everybody, .. }
            | Self::NotStarted(_)
            | Self::NotReady(_)
            | Self::Exited(_)
            | Self::ProtocolViolation(_)
            | Self::OutputTooLarge { .. }
            | Self::DeadlineExceeded { .. }
            | Self::CallerGone { .. }
            | Self::Unresponsive
            | Self::Shutdown => self.to_string(),
        }
    }

    /// The error for a request that the worker had, with the last line that its caller may read.
    pub(crate) fn error(&self, sequence: u32, last_line: &LastLine) -> HandlerError {
        match self {
            Self::Exited(reason) => reason.error(last_line),
            // The fault may quote the reply.
            Self::InvalidReply { sequence: its, .. } if *its != sequence => HandlerError::internal(
                "the worker was killed, for it does not keep to the protocol: its reply to another request is none",
            ),
            Self::InvalidReply { fault, .. } if fault.is_of_output => {
                HandlerError::new(500, BAD_OUTPUT, self.to_string()).not_retryable()
            }
            Self::Printed { readers: TextReaders::Operators, .. } => HandlerError::internal(printed(UNSHOWN)),
            Self::OutputTooLarge { sequence: its, max } if *its == sequence => {
                let message = format!("the output is longer than {max} bytes (MAX_OUTPUT)");
                HandlerError::new(500, "OUTPUT_TOO_LARGE", message).not_retryable()
            }
            // It would print, or reply, the same again.
            Self::Printed { readers: TextReaders::ItsCallers, .. } | Self::InvalidReply { .. } => {
                HandlerError::internal(self).not_retryable()
            }
            Self::NotStarted(_)
            | Self::NotReady(_)
            | Self::ProtocolViolation(_)
            | Self::Printed { .. }
            | Self::OutputTooLarge { .. }
            | Self::DeadlineExceeded { .. }
            | Self::CallerGone { .. }
            | Self::Unresponsive
            | Self::Shutdown => HandlerError::internal(self),
        }
    }
}

/// The words for a text that is not shown.
const UNSHOWN: &str = "text (the log shows it)";

/// The message about a text where a frame should begin.
fn printed(text: &str) -> String {
    format!(
        "the worker was killed, for it does not keep to the protocol: it wrote {text} where a frame should begin. Does it print to standard output, as print() and console.log() do? That is for frames; print to standard error"
    )
}
