//! `cargo xtask bench`: picofaas beside nginx and a direct call, in one run, under the same load.
//!
//! A part, as `cargo xtask bench functions`, answers one question with the same means.

mod against;
mod binary;
mod cluster;
mod compare;
pub(crate) mod cpu;
mod fake_control_plane;
mod first_steps;
mod functions;
pub(crate) mod instructions;
mod interval;
mod job;
mod keep;
pub(crate) mod machine;
mod memory;
mod nginx;
mod order;
mod overload;
mod ratio;
mod report;
mod run;
mod runtimes;
mod scaling;
pub(crate) mod server;
mod tested;
mod web;
mod wire;
pub(crate) mod wrk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::repository::Repository;

/// Of one core, spent by others during a measurement, from which on it is called disturbed.
pub(crate) const OTHERS_CPU_PERCENT_MAX: f64 = 10.0;

/// Alone it compares whole proxies; the parts answer a question each.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    part: Option<BenchPart>,
    #[command(flatten)]
    whole: compare::BenchOptions,
}

#[derive(clap::Subcommand)]
enum BenchPart {
    /// Starts on a Kubernetes cluster beside bare Jobs and Deployments; load, memory and API calls there
    Cluster(cluster::ClusterBenchOptions),
    /// Waits of a newcomer: from a fresh clone to an answer, to one of an own function, and after an edit
    FirstSteps(first_steps::FirstStepsOptions),
    /// CPU per request of a busy function beside ten idle ones and beside ten thousand
    Functions(functions::FunctionsOptions),
    /// Instructions that the invoke path executes, counted by callgrind, beside those that are recorded
    Instructions(instructions::InstructionsOptions),
    /// Latency and throughput of JOB invocations beside a bare fresh process per call
    Job(job::JobOptions),
    /// Builds the picofaas of this commit and keeps it in target/kept, for --against of a later one
    Keep,
    /// More calls than a function can do: how many are answered in time, and what a function beside it feels
    Overload(overload::OverloadOptions),
    /// Starts, memory, latency and throughput of functions in each runtime beside what people use without
    Runtimes(runtimes::RuntimesOptions),
    /// Waits while a load rises, with instances that are started ahead and without, and what these cost
    Scaling(scaling::ScalingOptions),
    /// Functions that answer HTTP as it is, beside nginx: small requests, bodies of a gigabyte, tokens, idle WebSockets
    Web(web::WebOptions),
}

pub(crate) fn run(repository: &Repository, arguments: &BenchArguments) -> Result<ExitCode> {
    match &arguments.part {
        None => compare::run(repository, &arguments.whole),
        Some(BenchPart::Cluster(options)) => cluster::run(repository, options),
        Some(BenchPart::FirstSteps(options)) => first_steps::run(repository, options),
        Some(BenchPart::Functions(options)) => functions::run(repository, options),
        Some(BenchPart::Instructions(options)) => instructions::run(repository, options),
        Some(BenchPart::Job(options)) => job::run(repository, options),
        Some(BenchPart::Keep) => keep::run(repository),
        Some(BenchPart::Overload(options)) => overload::run(repository, options),
        Some(BenchPart::Runtimes(options)) => runtimes::run(repository, options),
        Some(BenchPart::Scaling(options)) => scaling::run(repository, options),
        Some(BenchPart::Web(options)) => web::run(repository, options),
    }
}

/// Builds a release binary and gives its path.
pub(crate) fn build(repository: &Repository, what: &[&str], binary: &str) -> Result<PathBuf> {
    println!("cargo build --release {}", what.join(" "));
    let mut command = repository.cargo(&["build", "--release"]);
    let status = command.args(what).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo build --release {} failed: {status}", what.join(" "));
    }
    Ok(repository.target().join("release").join(binary))
}

fn absolute(file: &Path) -> Result<PathBuf> {
    file.canonicalize().with_context(|| format!("there is no {}", file.display()))
}
