//! The parts that tests of runtimes share: a runtime as a process, the wire to it byte by byte, and the
//! control plane that a JOB calls, played over bare sockets.
//!
//! The program of this crate uses it to hold every runtime to one contract; the tests of the
//! Rust runtime and of the watchdog use it, too.
//!
//! | file | has |
//! |---|---|
//! | `process` | a runtime as a process: its stderr, signals, its end |
//! | `instance` | one that listens on a Unix socket |
//! | `wire` | requests and answers, byte by byte |
//! | `invocation` | an invocation, for HTTP/1.1 and for frames |
//! | `frame_wire` | frames, byte by byte |
//! | `frames_client` | a gateway's end of frames that blocks |
//! | `web_bridge` | web requests of HTTP/1.1 that go in frames |
//! | `control_plane` | the control plane that a JOB calls |
//! | `built` | programs of this workspace, built by cargo |
//! | `patience` | waiting with a limit |
//!
//! All of it panics where something is not as it should be: a test that cannot go on fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

pub mod built;
pub mod control_plane;
pub mod frame_wire;
pub mod frames_client;
pub mod instance;
pub mod invocation;
pub mod patience;
pub mod process;
pub mod web_bridge;
pub mod wire;
