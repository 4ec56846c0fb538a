//! Tests that take away what the others live on, or that need the one namespace of `k8s/`. `cargo xtask verify
//! cluster` runs them one after the other, on a cluster of its own making only.

mod callers;
mod client_commands;
mod deployed;
mod installation;
mod installed;
mod outage;
mod overlays;
mod pages;

use std::process::Command;

/// The program that takes daemons of the cluster away and brings them back; `None`, with the reason printed, where
/// the cluster is not one to do that to.
fn xtask() -> Option<Command> {
    let xtask = std::env::var_os("PICOFAAS_XTASK").map(Command::new);
    if xtask.is_none() {
        println!(
            "skipped: PICOFAAS_XTASK is not set: `cargo xtask verify cluster` sets it where the cluster is ours"
        );
    }
    xtask
}
