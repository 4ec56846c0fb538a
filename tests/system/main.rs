//! The whole process, from outside: the real binary, real functions, bare sockets.
//!
//! Each test starts servers of its own and ends them; nothing is shared but the machine.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod support;

mod announcements;
mod answers;
mod cancel;
mod chaos;
mod client_commands;
mod cold_phases;
mod contests;
mod crowd;
mod deadlines;
mod description;
mod doctor;
mod drain;
mod environment;
mod executions;
mod exposure;
mod extremes;
mod faults;
mod finality;
mod flag_values;
mod frame_bodies;
mod frames;
mod framing;
mod gateways;
mod health;
mod idempotency;
mod jobs;
mod listing;
mod logs;
mod logs_followed;
mod many;
mod memory;
mod metrics;
mod overload;
mod pages;
mod parameters;
#[cfg(not(feature = "cluster"))]
mod parts;
mod passing;
mod pools;
mod preconditions;
mod queue;
mod races;
mod reach;
mod refusals;
mod registry;
mod resources;
mod rollout;
mod scaling;
mod slow_readers;
mod slowest;
mod standby;
mod start;
mod traces;
mod vanished;
mod watchdog;
mod watched;
mod web;
mod web_async;
mod web_frames;
mod web_limits;
mod web_origins;
mod web_streams;
mod wire;
