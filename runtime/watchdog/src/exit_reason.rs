//! The reason for which a process of ours ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use picofaas_runtime::HandlerError;

use crate::last_line::LastLine;
use crate::memory::{Memory, OverLimit};

const HANDLER_ERROR: &str = "HANDLER_ERROR";
/// The code of the control plane for an instance that was killed for its limit of memory.
const OUT_OF_MEMORY: &str = "OUT_OF_MEMORY";
/// SIGKILL, with which the kernel ends a process for want of memory.
const KILL: i32 = 9;
/// The status with which a shell tells of a child that was ended by it.
const KILLED_BELOW_A_SHELL: i32 = 128 + KILL;

/// A reason in words, which follow the name of the process, and the code of an error that has it.
#[derive(Clone, Debug)]
pub(crate) struct ExitReason {
    text: String,
    code: &'static str,
}

impl ExitReason {
    /// A reason that is a failure of the function.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: HANDLER_ERROR }
    }

    /// The reason of a status. One that tells of a kill is the limit's where that was met.
    pub(crate) fn of(status: ExitStatus, memory: &Memory) -> Self {
        let (code, signal) = (status.code(), status.signal());
        let may_be_a_kill = signal == Some(KILL) || code == Some(KILLED_BELOW_A_SHELL);
        if may_be_a_kill && let Some(over_limit) = memory.take_kill() {
            return Self::over_limit("was killed", over_limit);
        }
        Self::new(match (code, signal) {
            (Some(code), _) => format!("ended with exit status {code}"),
            (None, Some(KILL)) if memory.is_visible() => "was killed by SIGKILL".to_owned(),
            (None, Some(KILL)) => "was killed by SIGKILL, probably out of memory".to_owned(),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        })
    }

    /// The reason of a kill for the limit of memory.
    pub(crate) fn over_limit(event: &str, OverLimit { limit }: OverLimit) -> Self {
        let limit = limit.map_or_else(String::new, |limit| format!(" of {limit}"));
        Self { text: format!("{event}: it went over its memory limit{limit}"), code: OUT_OF_MEMORY }
    }

    /// The same with more words.
    pub(crate) fn with(self, more: impl fmt::Display) -> Self {
        Self { text: format!("{self}{more}"), code: self.code }
    }

    /// The same with the name of the process.
    pub(crate) fn named(self, process: &str) -> Self {
        Self { text: format!("{process} {self}"), code: self.code }
    }

    /// The error for a caller, with the last line that it may read.
    pub(crate) fn error(&self, last_line: &LastLine) -> HandlerError {
        HandlerError::new(500, self.code, format!("{self}{last_line}"))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
