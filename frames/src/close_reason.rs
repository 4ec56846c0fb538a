//! Causes of the end of a connection.

use std::fmt;

use crate::violation::Violation;

/// Why a connection is over. Its caller writes what is still queued, if it can, and closes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The other end broke the protocol, and is told so.
    Violation(Violation),
    /// The other end gave no sign of life in time.
    Silent,
    /// The rest of a frame, or a `HELLO`, did not come in time.
    HalfFrame,
    /// The caller saw the end of the stream, or an error on it.
    Disconnected,
    /// The caller closed it.
    Closed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Violation(violation) => violation.text(),
            Self::Silent => "the other end gave no sign of life",
            Self::HalfFrame => "the rest of a frame did not come",
            Self::Disconnected => "the connection broke or was closed by the other end",
            Self::Closed => "the connection was closed by this end",
        })
    }
}
