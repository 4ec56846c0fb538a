//! The end of a process.

use std::process::ExitStatus;

use picofaas_child::cgroup::MemoryLimit;

/// The end of a local process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The kernel ended it, because it and what it had started used more memory than this.
    OutOfMemory {
        /// Bytes, as `resources.limits.memory` says.
        limit: u64,
    },
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            // A process that was waited for has ended in one of the two ways.
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        }
    }
}

impl Exit {
    /// Whether it may have been killed: by the signal itself, or as a shell tells of its child.
    #[must_use]
    pub fn may_be_a_kill(self) -> bool {
        const KILL: i32 = 9;
        const KILLED_BELOW_A_SHELL: i32 = 128 + KILL;
        matches!(self, Exit::Signal(KILL) | Exit::Code(KILLED_BELOW_A_SHELL))
    }
}

/// Describes the end of a process to people.
#[must_use]
pub(crate) fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it exited with status {code}"),
        Exit::Signal(signal) => format!("signal {signal} ended it"),
        Exit::OutOfMemory { limit } => {
            format!("it went over its memory limit of {}", MemoryLimit(limit))
        }
    }
}
