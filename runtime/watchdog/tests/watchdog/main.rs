//! The watchdog from outside: real processes, real sockets, raw bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod http;
mod http_life;
mod http_server;
mod http_wire;
mod instance;
mod job;
mod last_lines;
mod left_behind;
mod memory;
mod python;
mod standby;
mod start;
mod stdio;
mod stopped;
mod web;
mod worker;
mod worker_faults;
mod worker_frames;
mod worker_program;
mod worker_start;
mod worker_stopped;

use picofaas_contract::{control_plane, wire};
