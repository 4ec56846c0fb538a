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

/// Workers that there can be: each is a process with memory of its own.
pub(crate) const WORKERS_MAX: usize = 64;

/// Requests that a worker can take at a time.
pub(crate) const CONCURRENCY_MAX: usize = 1024;

/// Bytes that a worker's frame may have besides an output: the object around it, and the
/// message of a failure.
pub(crate) const FRAME_BYTES_BESIDES: usize = 1 << 16;

/// Bytes that each pipe to and from a worker is asked to hold, so that most requests and
/// replies go through in one piece. It is the most that the kernel gives to everybody.
pub(crate) const PIPE_BYTES: usize = 1 << 20;

/// How long a worker has to reply to a request that was stopped, and to end by itself when
/// there is nothing more for it.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(1);

/// When it is said that a worker or a server is still not ready.
pub(crate) const READY_SILENCE_MAX: Duration = Duration::from_secs(10);

/// A process that ends sooner after it was ready is taken for one that cannot work.
pub(crate) const SERVICE_MIN: Duration = Duration::from_millis(500);

/// Pause before a process follows on one that could not work, and the second time that this
/// happens; it doubles up to [`RESTART_PAUSE_MAX`].
pub(crate) const RESTART_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Longest pause between two of them.
pub(crate) const RESTART_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where there are several workers, one that is busy is only sent a request ahead when its
/// last took less than this, and so will this one: else another may be free before.
pub(crate) const AHEAD_MAX: Duration = Duration::from_millis(1);

/// How long a worker is sent nothing ahead after it has written a line without an id: the
/// next such line could then be of either of two requests.
pub(crate) const AHEAD_AFTER_LINE: Duration = Duration::from_secs(1);

/// Bytes that are read at once of what a worker says.
pub(crate) const READ_BYTES: usize = 1 << 16;

/// Bytes of memory that are kept for what is written to a worker, once all of it is written.
pub(crate) const OUT_BYTES_KEPT: usize = 1 << 18;
