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

/// Pause before another process is started where one after the other comes to nothing; it
/// doubles up to [`RESTART_PAUSE_MAX`].
pub(crate) const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Longest pause before another process is started: what waits waits for it.
pub(crate) const RESTART_PAUSE_MAX: Duration = Duration::from_secs(1);

/// A process that ends within this time of being ready has not worked.
pub(crate) const STEADY: Duration = Duration::from_millis(500);

/// First pause between two looks whether a server is ready; it grows by a quarter each time up
/// to [`LOOK_PAUSE_MAX`].
pub(crate) const LOOK_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Longest pause between two looks whether a server is ready.
pub(crate) const LOOK_PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long a server may take to answer when it is asked whether it is alive, or ready.
pub(crate) const ASK_MAX: Duration = Duration::from_secs(2);

/// How long the end of a process may be noticed after the end of its connections.
pub(crate) const END_WAIT: Duration = Duration::from_millis(100);

/// Connections to a server that are kept for later; each is a file descriptor on both sides.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 1024;

/// Bytes of a path of a server.
pub(crate) const PATH_BYTES_MAX: usize = 2048;

/// Bytes of a server's error that become the message, where it is not an error object.
pub(crate) const ERROR_TEXT_BYTES_MAX: usize = 200;
