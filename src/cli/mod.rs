//! The commands, one file each, and what tells them to stop.

pub mod dev;
pub mod doctor;
pub mod flag_values;
pub mod log;
pub mod new;
pub mod serve;
mod stop;
pub mod watchdog;

use clap::{Parser, Subcommand};
use picofaas_client::{ClientCommand, VERSION_AND_PARTS};

/// A function-as-a-service control plane for the lowest possible latency
#[derive(Debug, Parser)]
#[command(name = "picofaas", version = VERSION_AND_PARTS, about, max_term_width = 110)]
pub struct Cli {
    /// Command to run
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, by what they are about.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commands that are about this machine.
    #[command(flatten)]
    Machine(MachineCommand),
    /// Turn any program into a function: what `local.command` begins with, see docs/watchdog.md
    Watchdog(Box<watchdog::WatchdogArgs>),
    /// Commands that talk to a server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// The commands that serve functions on this machine, and prepare for it.
#[derive(Debug, Subcommand)]
pub enum MachineCommand {
    /// Serve functions: the control plane
    Serve(Box<crate::config::ServeArgs>),
    /// Build and serve the functions below a folder, and each again when it changes: for writing them
    Dev(Box<dev::DevArgs>),
    /// Tell whether this machine, or this pod, is fit for low latency, and what to do
    Doctor(Box<doctor::DoctorArgs>),
    /// Make the folder of a new function: its code, test, manifest and Dockerfile
    New(Box<new::NewArgs>),
}
