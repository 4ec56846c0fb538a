//! Every limit of the runtime, with its unit last.

use std::time::Duration;

/// Bytes in a request body: the gateway's default of 1 MiB, and room for what a
/// gateway may be told to add to it.
pub const BODY_BYTES_MAX: usize = 1_048_576 + 65_536;

/// Bytes in an output, as JSON: 1 MiB, the gateway's default.
pub const OUTPUT_BYTES_MAX: usize = 1_048_576;

/// What `MAX_BODY` and `MAX_OUTPUT` may be raised to, in bytes.
pub(crate) const SETTING_BYTES_MAX: usize = 1 << 30;

/// Bytes of a message in an answer or a log line. Messages about bad input quote the
/// input, which may be as long as a body.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2048;

/// Bytes of an execution id.
pub(crate) const EXECUTION_ID_BYTES_MAX: usize = 256;

/// Milliseconds a deadline may lie ahead: one day, the longest time-out of a function.
pub(crate) const DEADLINE_MS_MAX: u64 = 86_400_000;

/// How long a body may take from the request's head to its last byte. A gateway has the
/// whole body before it dispatches, so only a broken peer takes longer.
pub(crate) const BODY_READ_MAX: Duration = Duration::from_secs(30);

/// Connections open at once; more wait in the kernel's backlog. It is above the
/// largest `instanceConcurrency` a function can have.
pub(crate) const CONNECTIONS_MAX: usize = 10_240;

/// Connections that wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
/// Beyond it a Unix socket refuses, and TCP loses a second until the client repeats.
pub(crate) const BACKLOG_CONNECTIONS_MAX: u32 = 4096;

/// Pause after a failed `accept`, which almost always means: no file descriptor left.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
