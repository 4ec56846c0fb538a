//! The control plane with a real Kubernetes: its own binary here, its functions in pods there.
//!
//! Each test has a namespace of its own. They are ignored unless they are asked for, because they need a
//! cluster: `cargo xtask test --only cluster` brings one, or takes the one of `KUBECONFIG`.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod crew;
mod jobs;
mod pressure;
mod stage;
#[path = "../system/support/mod.rs"]
#[expect(dead_code, reason = "what a test of the whole process needs is not all needed here")]
mod support;
mod warm;
mod warm_faults;
