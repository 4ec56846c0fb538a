//! The picofaas binary.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use picofaas::cli::{self, Cli, Command};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    start_log(match &command {
        Command::Serve(_) => "info",
        Command::Dev(_) => cli::dev::LOG,
    });
    abort_on_panic();
    let done = match command {
        Command::Serve(flags) => cli::serve::run(*flags),
        Command::Dev(flags) => cli::dev::run(*flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed or full, the exit code is all that can be said.
            let _ = writeln!(std::io::stderr(), "picofaas: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A panic is a bug of ours, and whatever it left half done would leave clients waiting. The
/// runtime would catch it where it happens in a task; a restart is better.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// To standard error; `RUST_LOG` chooses what, the command where it is not set.
fn start_log(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // A line that cannot be written is lost. It would be told on standard error, where that fails,
        // too, as a panic: whoever reads the log would decide over the life of what runs.
        .log_internal_errors(false)
        .init();
}
