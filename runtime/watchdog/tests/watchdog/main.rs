//! The watchdog from outside: real processes, real sockets, raw bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod instance;
mod job;
mod left_behind;
mod start;
mod stdio;
mod stopped;

use picofaas_contract::{control_plane, wire};
