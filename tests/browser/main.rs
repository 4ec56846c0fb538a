//! Web pages in a real browser: what those of others cannot do to a control plane and to functions on the same
//! machine, and what those that were named, and its own, can.
//!
//! `cargo xtask test --only browser` brings the browser.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod allowed;
mod foreign;
mod functions;
mod own;
mod pages;
#[path = "../system/support/mod.rs"]
#[expect(dead_code, reason = "what a test of the whole process needs is not all needed here")]
mod support;
