//! The runtime from outside: real processes, real sockets, raw bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod control_plane;
mod deadline;
mod failures;
mod instance;
mod invoke;
mod job;
mod job_calls;
mod observe;
mod start;
mod stop;
mod wire;
