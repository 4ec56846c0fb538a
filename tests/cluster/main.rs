//! The control plane with a real Kubernetes: its own binary here, its functions in pods there.
//!
//! Each test has a namespace of its own. `cargo xtask verify cluster` brings a cluster and the image of the
//! function that they run.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod alone;
mod calls;
mod columns;
mod crowds;
#[expect(clippy::disallowed_types, reason = "a test has threads of its own")]
mod detour;
mod inside;
mod job_faults;
mod jobs;
mod kustomize;
mod lease;
mod logs;
mod namespace;
#[path = "../browser/pages/mod.rs"]
mod pages;
mod pods;
mod pressure;
mod prometheus;
mod quotas;
mod registry;
mod sidecars;
mod stage;
mod standby;
mod standby_faults;
#[path = "../system/support/mod.rs"]
#[expect(dead_code, reason = "what a test of the whole process needs is not all needed here")]
mod support;
mod unbound;
mod warm;
mod warm_faults;
mod web;
