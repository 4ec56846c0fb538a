//! Exit codes of the client commands.

use std::process::ExitCode;

/// How a command ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It did what was asked for.
    Success,
    /// The function failed.
    FunctionFailed,
    /// The command line, a file or an input is wrong: the same again fails again.
    Usage,
    /// The server refused, or is not there: the same may succeed later, or elsewhere.
    Unavailable,
    /// There is no such function, execution or context.
    NotFound,
    /// A time was over before the end came.
    TimedOut,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::FunctionFailed => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::NotFound => 4,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
