//! The picofaas binary.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use picofaas::cli::flag_values::understand;
use picofaas::cli::{self, Cli, Command, MachineCommand};
use picofaas_client::PluginCli;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let program = called_as();
    if picofaas_client::is_plugin(&program) {
        picofaas_client::answer_shell(PluginCli::command);
        return picofaas_client::run(&PluginCli::parse().command, &program).into();
    }
    if let Some(code) = cli::watchdog::run_early(&program, std::env::args_os().skip(1)) {
        return code;
    }
    picofaas_client::answer_shell(Cli::command);
    let words: Vec<OsString> = std::env::args_os().collect();
    let understood = match understand(&words, std::env::vars_os()) {
        Ok(understood) => understood,
        Err(error) => error.exit(),
    };
    let command = match understood.cli.command {
        Command::Machine(command) => command,
        Command::Watchdog(args) => return cli::watchdog::run(*args, &program),
        Command::Client(command) => return picofaas_client::run(&command, &program).into(),
    };
    let shown = cli::log::filter(match &command {
        // Its line for each call to an API server that is away is told once, in words of ours.
        MachineCommand::Serve(_) => "info,kube_client::client::builder=off",
        MachineCommand::Dev(_) => cli::dev::LOG,
        // The failure of a call to an API server is in the report.
        MachineCommand::Doctor(_) => "warn,kube_client::client::builder=off",
        // It has nothing to log: what it does, it says.
        MachineCommand::New(_) => "warn",
    });
    match shown
        .map_err(anyhow::Error::msg)
        .and_then(|shown| run(command, shown, &understood.warnings, &program))
    {
        Ok(code) => code,
        Err(error) => {
            // Where standard error is closed or full, the exit code is all that can be said.
            let _ = writeln!(std::io::stderr(), "picofaas: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    command: MachineCommand,
    shown: EnvFilter,
    warnings: &[String],
    program: &str,
) -> anyhow::Result<ExitCode> {
    start_log(shown);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    abort_on_panic();
    match command {
        MachineCommand::Serve(flags) => cli::serve::run(*flags)?,
        MachineCommand::Dev(flags) => cli::dev::run(*flags)?,
        MachineCommand::Doctor(flags) => return cli::doctor::run(&flags),
        MachineCommand::New(flags) => cli::new::run(&flags, program)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// As what a person called this program, so that they can do so again.
fn called_as() -> String {
    std::env::args_os()
        .next()
        .map_or_else(|| "picofaas".to_owned(), |name| name.to_string_lossy().into_owned())
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

/// To standard error.
fn start_log(shown: EnvFilter) {
    tracing_subscriber::fmt()
        .with_env_filter(shown)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        // A line that cannot be written is lost. It would be told on standard error, where that fails,
        // too, as a panic: whoever reads the log would decide over the life of what runs.
        .log_internal_errors(false)
        .init();
}
