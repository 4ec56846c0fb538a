//! The runtime from outside: real processes, real sockets, raw bytes.

mod deadline;
mod failures;
mod instance;
mod invoke;
mod job;
mod job_calls;
mod observe;
mod start;
mod stop;
mod web;

use picofaas_contract::{control_plane, wire};
