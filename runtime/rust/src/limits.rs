//! Every limit of the runtime, with its unit last.

use std::time::Duration;

/// Bytes in a request body: the gateway's default of 1 MiB, and room for the
/// parts that a gateway may be told to add to it.
pub const BODY_BYTES_MAX: usize = 1_048_576 + 65_536;

/// Bytes in an output, as JSON: 1 MiB, the gateway's default.
pub const OUTPUT_BYTES_MAX: usize = 1_048_576;

/// Largest value of `MAX_BODY` and `MAX_OUTPUT`, in bytes.
pub(crate) const SETTING_BYTES_MAX: usize = 1 << 30;

/// Bytes of a message in an answer or a log line. Messages about bad input quote the
/// input, which may be as long as a body.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2048;

/// Bytes of an execution id.
pub(crate) const EXECUTION_ID_BYTES_MAX: usize = 256;

/// Milliseconds a deadline may lie ahead: one day, the longest time-out of a function.
pub(crate) const DEADLINE_MS_MAX: u64 = 86_400_000;

/// Time for a body, from the request's head to its last byte. A gateway has the
/// whole body before it dispatches, so only a broken peer takes longer.
pub(crate) const BODY_READ_MAX: Duration = Duration::from_secs(30);

/// Connections open at once; more wait in the kernel's backlog. It is above the
/// largest `instanceConcurrency` a function can have.
pub(crate) const CONNECTIONS_MAX: usize = 10_240;

/// Invocations at once on one connection that carries many; above the largest `instanceConcurrency`.
pub(crate) const FRAMED_INVOCATIONS_MAX: u32 = 10_240;

/// Bytes that are read at once at least from such a connection: a batch of small inputs.
pub(crate) const FRAMES_READ_BYTES_MIN: usize = 32 * 1024;

/// Bytes of a body that the gateway may send on such a connection before it was allowed more: as many as a body has by
/// default, so that it takes no round trips. It bounds no memory: what is read is added to the body at once, which has its
/// own limit.
pub(crate) const FRAMES_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of the body of a web request on such a connection: a gateway sends larger ones over HTTP/1.1.
pub(crate) const FRAMED_WEB_BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads from such a connection before others have their turn.
pub(crate) const FRAMES_READS_PER_TURN: usize = 4;

/// Places for invocations that such a connection keeps for its next ones: as many as end with their first turn in a
/// batch. Each has the size of a handler's work, some kilobytes.
pub(crate) const FRAMES_PLACES_SPARE_MAX: usize = 32;

/// Period in which such a connection is looked after by another thread, which sends a sign of life where its own has
/// not come to it meanwhile. A gateway takes one for dead after 3 s of silence.
pub(crate) const PULSE_PERIOD: Duration = Duration::from_millis(500);

/// Bytes of the stack of that thread.
pub(crate) const PULSE_STACK_BYTES: usize = 64 * 1024;

/// Connections that wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
/// Beyond it a Unix socket refuses, and TCP loses a second until the client repeats.
pub(crate) const BACKLOG_CONNECTIONS_MAX: u32 = 4096;

/// Pause after a failed `accept`, which almost always means: no file descriptor left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time in which a JOB tries to get its input. The control plane is there before it starts the
/// process, so only a network that is late or a control plane that is gone takes longer.
pub(crate) const INPUT_WAIT_MAX: Duration = Duration::from_secs(30);

/// Time after its deadline, or after the end of a handler without one, in which a JOB goes on
/// posting its result. Long enough for a control plane that is busy, too short to
/// outlive one that is gone.
pub(crate) const COMPLETE_GRACE: Duration = Duration::from_secs(10);

/// Time for one try of a request to the control plane, connecting included.
pub(crate) const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// Time for connecting, the look-up of a name included.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Pause after the first failed try of a request; it doubles up to [`RETRY_PAUSE_MAX`].
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two tries of a request.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Time for one try of an announcement, the look-up of a name included. A control plane that is there
/// answers at once.
pub(crate) const ANNOUNCE_MAX: Duration = Duration::from_secs(5);

/// Pause after the first try of an announcement; it doubles up to [`ANNOUNCE_PAUSE_MAX`].
pub(crate) const ANNOUNCE_PAUSE_MIN: Duration = Duration::from_millis(50);

/// Longest pause between two tries of an announcement, which go on as long as the instance lives.
pub(crate) const ANNOUNCE_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Time from one line about announcements that are not taken to the next.
pub(crate) const ANNOUNCE_SILENCE: Duration = Duration::from_secs(60);

/// Time from the end of a standby's one invocation until the process ends, where its connection stays open: long enough
/// for a busy reader of the answer, too short for a control plane that is gone to matter.
pub(crate) const STANDBY_LINGER: Duration = Duration::from_secs(1);
/// Time that a standby's way through an invocation of nobody may take.
pub(crate) const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// Pause between two looks whether an instance that listens is healthy. Nearly all are at once.
pub(crate) const HEALTH_PAUSE: Duration = Duration::from_millis(10);

/// Time between the end of a connection and the reset that gives the reason: both are on one machine or
/// in one network, where it is microseconds.
pub(crate) const RESET_WAIT: Duration = Duration::from_millis(20);

/// Headers of an answer that the runtime reads.
pub(crate) const ANSWER_HEADERS_MAX: usize = 64;

/// Bytes in the head of an answer that the runtime reads, in a chunk's, and in its trailers.
pub(crate) const ANSWER_HEAD_BYTES_MAX: usize = 16_384;

/// Bytes of an answer that is not the input.
pub(crate) const REFUSAL_BYTES_MAX: usize = 16_384;

/// Bytes of a handler's log line, ids excluded. The control plane cuts lines over 16 KiB,
/// and the second half would have no ids.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 8192;
