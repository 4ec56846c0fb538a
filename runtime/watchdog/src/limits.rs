//! Every limit of the watchdog, with its unit last.

use std::time::Duration;

/// From SIGTERM to SIGKILL: enough to tidy up, too short to be worked in.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(1);

/// Bytes of a line that a child writes for the log; a longer one is cut into pieces.
pub(crate) const LINE_BYTES_MAX: usize = 8192;

/// Bytes that are read of what a child wrote for the log once its answer is there. More than
/// a pipe holds, so only a child that writes without an end is cut short.
pub(crate) const LAST_WORDS_BYTES_MAX: usize = 1 << 18;

/// Bytes that are looked through for the mark in the environment of a process.
pub(crate) const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;
