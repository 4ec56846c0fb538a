//! The watchdog from outside: real processes, real sockets, raw bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../rust/tests/runtime/control_plane.rs"]
#[expect(dead_code, reason = "shared with the tests of the Rust runtime, which need all of it")]
mod control_plane;
mod instance;
mod job;
mod left_behind;
mod start;
mod stdio;
mod stopped;
#[path = "../../../rust/tests/runtime/wire.rs"]
#[expect(dead_code, reason = "shared with the tests of the Rust runtime, which need all of it")]
mod wire;
mod worker;
mod worker_faults;
mod worker_program;
mod worker_start;
mod worker_stopped;
