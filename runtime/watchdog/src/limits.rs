//! Every limit of the watchdog, with its unit last.

use std::time::Duration;

/// Time from SIGTERM to SIGKILL: enough to tidy up, too short to be worked in.
pub(crate) const TERM_GRACE: Duration = Duration::from_secs(1);

/// Bytes of a line that a child writes for the log; a longer one is cut into pieces.
pub(crate) const LINE_BYTES_MAX: usize = 8192;

/// Bytes of ids before a line, besides those of the line, where a child writes them itself.
pub(crate) const IDS_BYTES_MAX: usize = 1024;

/// Bytes of a child's log that are read once its answer is there. More than a pipe holds, so only a
/// child that writes without an end is cut short.
pub(crate) const LOG_DRAIN_BYTES_MAX: usize = 1 << 18;

/// Bytes that are searched for the mark in the environment of a process.
pub(crate) const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;

/// First pause between two probes whether a server is ready; it grows by a quarter each time up
/// to [`PROBE_PAUSE_MAX`].
pub(crate) const PROBE_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Longest pause between two probes whether a server is ready.
pub(crate) const PROBE_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Time for a server to answer the probe whether it is alive, or ready.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between the end of a server's connections and the moment at which its own end is seen.
pub(crate) const EXIT_WAIT: Duration = Duration::from_millis(100);

/// Time for which a kill for the limit of memory, once it was seen, is the reason of an end, and from one look for
/// kills to the next.
pub(crate) const KILL_KEPT: Duration = Duration::from_secs(1);

/// Connections to a server that are kept for later; each is a file descriptor on both sides.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 1024;

/// Time for which the body of a request with `Expect: 100-continue` waits for the server's `100`: some never send it.
pub(crate) const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// Time that was left of a web request's deadline when its caller went away and the server is probed all the same: the
/// gateway's clock for the same deadline may be ahead.
pub(crate) const DEADLINE_SLACK: Duration = Duration::from_millis(500);

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

/// Bytes that are reserved at once for the rest of a frame, by the length that it says: more than it takes with an
/// output of 1 MiB. The room for a longer one grows with what has come.
pub(crate) const FRAME_BYTES_RESERVED_MAX: usize = 1 << 21;

/// Bytes that each pipe to and from a worker is asked to hold, so that most requests and
/// replies go through in one piece. It is the most that the kernel gives to everybody.
pub(crate) const PIPE_BYTES: usize = 1 << 20;

/// Time for a worker to reply to a request that was stopped, and to end by itself when there is
/// nothing more for it.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(1);

/// Time after which a warning says that a worker or a server is still not ready.
pub(crate) const READY_WARNING_AFTER: Duration = Duration::from_secs(10);

/// A process that ends sooner after it was ready is taken for one that cannot work.
pub(crate) const UPTIME_MIN: Duration = Duration::from_millis(500);

/// Delay before another start, from the second process in a row on that could not work; it doubles up
/// to [`RESTART_DELAY_MAX`].
pub(crate) const RESTART_DELAY_MIN: Duration = Duration::from_millis(200);

/// Longest delay before another start.
pub(crate) const RESTART_DELAY_MAX: Duration = Duration::from_secs(1);

/// Where there are several workers, a busy one is only sent a request ahead when its last took less
/// than this and the present one has not taken longer: else another may be free before.
pub(crate) const AHEAD_MAX: Duration = Duration::from_millis(1);

/// Requests that a worker with `"frames":2` has at most besides the one that it works on, where it is the only one
/// and quick. They are begun one after the other, so they wait no longer than in line.
pub(crate) const AHEAD_REQUESTS_MAX: usize = 16;

/// Time after a line without an id in which a worker is sent nothing ahead: the next such line
/// could be of either of two requests.
pub(crate) const AHEAD_AFTER_LINE: Duration = Duration::from_secs(1);

/// Bytes of a worker's replies that are read at once.
pub(crate) const READ_BYTES: usize = 1 << 16;

/// Bytes of an output that is copied: less work than the memory of a read that it would keep.
pub(crate) const OUTPUT_BYTES_COPIED_MAX: usize = 1 << 12;

/// Bytes of memory that are kept for frames to a worker, once all of them are written.
pub(crate) const OUT_BYTES_KEPT: usize = 1 << 18;
