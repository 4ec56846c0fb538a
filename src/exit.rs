//! The end of a process.

use std::process::ExitStatus;

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
            format!("it went over its memory limit of {} (resources.limits.memory)", bytes(limit))
        }
    }
}

/// In the largest binary unit that is exact.
fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| count > 0 && count.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_the_unit_it_was_meant_in() {
        for (limit, text) in [
            (64 << 20, "64 MiB"),
            (3 << 30, "3 GiB"),
            (1536 << 10, "1536 KiB"),
            (64_000_001, "64000001 bytes"),
        ] {
            assert!(describe(Exit::OutOfMemory { limit }).contains(&format!("limit of {text} (")), "{text}");
        }
    }
}
