//! Why a worker's time is over.

use picofaas_runtime::HandlerError;
use thiserror::Error;

use crate::last_line::LastLine;
use crate::limits::STOP_GRACE;

/// The end of a worker. Its text is for the log; what a request that it held is answered has nothing of
/// other requests.
#[derive(Clone, Debug, Error)]
pub(crate) enum End {
    #[error("the worker cannot be started: {0}")]
    Unstartable(String),
    /// Its first frame was an error.
    #[error("{0}")]
    Unready(String),
    #[error("the worker {0}")]
    Exited(String),
    #[error("the worker was killed, for it does not keep to the protocol: {0}")]
    Garbage(String),
    /// What a reply is not.
    #[error(
        "the worker was killed, for it does not keep to the protocol: its reply to request {sequence} is none: {fault}"
    )]
    NoReply { sequence: u32, fault: String },
    #[error("the worker was killed, for an output is longer than {max} bytes (MAX_OUTPUT)")]
    TooLarge { sequence: u32, max: usize },
    #[error("the worker was stopped at the deadline of its request")]
    Deadline { sequence: u32 },
    #[error("the worker was stopped, for the caller of its request went away")]
    CallerGone { sequence: u32 },
    #[error("the worker was killed, for it did not stop a request within {} s", STOP_GRACE.as_secs())]
    Stuck,
    #[error("the watchdog is stopping")]
    Closing,
}

/// What restarts are counted by.
pub(crate) const REASONS: [&str; 8] =
    ["not_started", "not_ready", "exited", "garbage", "output_too_large", "deadline", "caller_gone", "stuck"];

impl End {
    /// The place in [`REASONS`]; none where nothing follows.
    pub(crate) fn reason(&self) -> Option<usize> {
        match self {
            Self::Unstartable(_) => Some(0),
            Self::Unready(_) => Some(1),
            Self::Exited(_) => Some(2),
            Self::Garbage(_) | Self::NoReply { .. } => Some(3),
            Self::TooLarge { .. } => Some(4),
            Self::Deadline { .. } => Some(5),
            Self::CallerGone { .. } => Some(6),
            Self::Stuck => Some(7),
            Self::Closing => None,
        }
    }

    /// The request that nobody waits for any more, where that is why.
    pub(crate) fn given_up(&self) -> Option<u32> {
        match self {
            Self::Deadline { sequence } | Self::CallerGone { sequence } => Some(*sequence),
            Self::Unstartable(_)
            | Self::Unready(_)
            | Self::Exited(_)
            | Self::Garbage(_)
            | Self::NoReply { .. }
            | Self::TooLarge { .. }
            | Self::Stuck
            | Self::Closing => None,
        }
    }

    /// Whether it came from the worker itself and may come again from the next.
    pub(crate) fn is_its_own(&self) -> bool {
        match self {
            Self::Unstartable(_)
            | Self::Unready(_)
            | Self::Exited(_)
            | Self::Garbage(_)
            | Self::NoReply { .. } => true,
            Self::TooLarge { .. }
            | Self::Deadline { .. }
            | Self::CallerGone { .. }
            | Self::Stuck
            | Self::Closing => false,
        }
    }

    /// Whether a request that was sent ahead was certainly not begun. Of one that does not keep
    /// to the protocol nothing is certain.
    pub(crate) fn spares_what_was_ahead(&self) -> bool {
        !matches!(self, Self::Garbage(_) | Self::NoReply { .. })
    }

    /// Whether a request that was not even read goes to another. One that is stuck might have
    /// had all of them read at any moment.
    pub(crate) fn spares_what_was_unread(&self) -> bool {
        !matches!(self, Self::Stuck)
    }

    /// How the worker ended, as anybody may be told.
    pub(crate) fn for_anybody(&self) -> String {
        match self {
            // The fault may quote the reply, which is the caller's of its request.
            Self::NoReply { .. } => {
                "the worker was killed, for it does not keep to the protocol: a reply is none".to_owned()
            }
            Self::Unstartable(_)
            | Self::Unready(_)
            | Self::Exited(_)
            | Self::Garbage(_)
            | Self::TooLarge { .. }
            | Self::Deadline { .. }
            | Self::CallerGone { .. }
            | Self::Stuck
            | Self::Closing => self.to_string(),
        }
    }

    /// What a request that was held is answered, with what it may be told of the worker's last lines.
    pub(crate) fn error(&self, sequence: u32, last_line: &LastLine) -> HandlerError {
        match self {
            Self::Exited(_) => HandlerError::internal(format!("{self}{last_line}")),
            // The fault may quote the reply.
            Self::NoReply { sequence: its, .. } if *its != sequence => HandlerError::internal(
                "the worker was killed, for it does not keep to the protocol: its reply to another request is none",
            ),
            Self::TooLarge { sequence: its, max } if *its == sequence => {
                let message = format!("the output is longer than {max} bytes (MAX_OUTPUT)");
                HandlerError::new(500, "OUTPUT_TOO_LARGE", message)
            }
            end => HandlerError::internal(end),
        }
    }
}
