//! The whole process on a real cluster, which `KUBECONFIG` names; without it each test says that it was
//! skipped. `cargo xtask cluster run cargo test --test cluster` brings one.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

#[expect(dead_code, reason = "these tests need a part of what those of the process do")]
#[path = "../system/support/mod.rs"]
mod support;

mod namespace;
mod registry;
