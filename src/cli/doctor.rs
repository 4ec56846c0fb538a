//! `picofaas doctor`: whether this machine is fit for low latency.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, Args, ValueEnum};
use tokio::runtime::LocalOptions;

use crate::config::{ServeArgs, between};
use crate::dev::terminal::say;
use crate::doctor::examine;
use crate::doctor::finding::Verdict;

const HELP: &str = "\
Run it where `serve` is to run: on the same machine, as the same user, in the same cgroup or
pod (kubectl exec deploy/picofaas -- /picofaas doctor), with the flags of `serve`. It takes all
of them, and those that change what it finds are listed here. It leaves everything as it was.
One CPU is busy for --spin-ms; a `serve` that spins on the same one and doctor disturb each
other.

A finding is ok, unknown (it could not be looked at), a warning (it costs latency, or will
under load) or a problem (low latency is impossible, or `serve` would not start).

Exit status: 0 without a problem, 1 with one, 2 for a command line that is not understood.";

/// The flags of `serve` that change a finding, by their fields; and the own ones.
const SHOWN: [&str; 14] = [
    "spin_ms",
    "config",
    "output",
    "gateway_threads",
    "scheduler",
    "scheduler_core",
    "gateway_ticks",
    "poll_spin_us",
    "max_connections",
    "local_limits",
    "local_pids_max",
    "backend",
    "kubeconfig",
    "namespace",
];

/// The form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table for people
    Table,
    /// One JSON object, described in docs/doctor.md
    Json,
}

/// The flags of `doctor`: its own, and those of `serve`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = HELP,
    mut_args(|argument: Arg| {
        let hidden = !SHOWN.contains(&argument.get_id().as_str());
        argument.hide(hidden)
    }),
)]
pub struct DoctorArgs {
    /// How long a thread spins to find interruptions, and another is woken after it, each 0 … 60000 ms; 0 leaves both out
    #[arg(long, default_value = "1000", value_parser = between::<u64>(0, 60_000), value_name = "MILLIS")]
    pub spin_ms: u64,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORM")]
    pub output: Output,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Looks at everything and says what it found.
///
/// # Errors
/// The runtime for calls to a cluster cannot be made.
pub fn run(arguments: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context("a runtime could not be made")?;
    let report = runtime.block_on(examine(&arguments.serve, Duration::from_millis(arguments.spin_ms)));
    say(&match arguments.output {
        Output::Table => report.table(takes_colours()),
        Output::Json => format!("{:#}", report.json()),
    });
    Ok(match report.verdict() {
        Verdict::Problem => ExitCode::FAILURE,
        Verdict::Ok | Verdict::Unknown | Verdict::Warning => ExitCode::SUCCESS,
    })
}

/// Whether standard output is a terminal whose user wants colours.
fn takes_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
