//! `cargo xtask bench`: picofaas beside nginx and a direct call, in one run, under the same load.
//!
//! Per round, number of connections and subject: start the function and the subject, compare some
//! answers with what the function itself says, warm up, measure one wrk run and the CPU time spent in it,
//! compare again, stop both. Nothing else runs meanwhile. Rounds are interleaved and each begins with another
//! subject, so that a machine that warms up or slows down does so for all.
//!
//! wrk counts answers above 399 and broken connections itself; that and the comparison of answers before and
//! after stand in for looking at each one, which would cost wrk more CPU than some of what it measures.
//!
//! A part, as `cargo xtask bench functions`, answers one question with the same means.

mod against;
mod binary;
mod cluster;
pub(crate) mod cpu;
mod fake_control_plane;
mod functions;
pub(crate) mod instructions;
mod interval;
mod job;
mod keep;
pub(crate) mod machine;
mod measurement;
mod memory;
mod nginx;
mod order;
mod ratio;
mod report;
mod run;
mod runtimes;
pub(crate) mod server;
mod subject;
mod tested;
mod wire;
pub(crate) mod wrk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::json;

use self::machine::Machine;
use self::measurement::{Measurement, Setup};
use self::ratio::{Better, Figure, Ratio};
use self::run::Run;
use self::subject::Subject;
use self::tested::Tested;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

/// Of one core, spent by others during a measurement, from which on it is called disturbed.
pub(crate) const OTHERS_CPU_PERCENT_MAX: f64 = 10.0;

/// The row of the picofaas that is measured without a name.
const NEW: &str = "picofaas";

/// Alone it compares whole proxies; the parts answer a question each.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    part: Option<BenchPart>,
    #[command(flatten)]
    whole: BenchOptions,
}

#[derive(clap::Subcommand)]
enum BenchPart {
    /// Starts on a Kubernetes cluster beside bare Jobs and Deployments; load, memory and API calls there
    Cluster(cluster::ClusterBenchOptions),
    /// CPU per request of a busy function beside ten idle ones and beside ten thousand
    Functions(functions::FunctionsOptions),
    /// Instructions that the invoke path executes, counted by callgrind, beside those that are recorded
    Instructions(instructions::InstructionsOptions),
    /// Latency and throughput of JOB invocations beside a bare fresh process per call
    Job(job::JobOptions),
    /// Builds the picofaas of this commit and keeps it in target/kept, for --against of a later one
    Keep,
    /// Starts, memory, latency and throughput of functions in each runtime beside what people use without
    Runtimes(runtimes::RuntimesOptions),
}

pub(crate) fn run(repository: &Repository, arguments: &BenchArguments) -> Result<ExitCode> {
    match &arguments.part {
        None => compare(repository, &arguments.whole),
        Some(BenchPart::Cluster(options)) => cluster::run(repository, options),
        Some(BenchPart::Functions(options)) => functions::run(repository, options),
        Some(BenchPart::Instructions(options)) => instructions::run(repository, options),
        Some(BenchPart::Job(options)) => job::run(repository, options),
        Some(BenchPart::Keep) => keep::run(repository),
        Some(BenchPart::Runtimes(options)) => runtimes::run(repository, options),
    }
}

#[derive(clap::Args, Serialize)]
pub(crate) struct BenchOptions {
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured; the table shows the median, the smallest and the largest [with --against: 12]
    #[arg(long, value_name = "R", default_value_t = 3,
          default_value_if("against", ArgPredicate::IsPresent, against::ROUNDS),
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Connections of wrk, one after the other
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,32",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: Vec<u32>,
    /// Where to write every measurement [default: bench-results/<time>.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A further row of picofaas with further arguments; its own --scheduler replaces the common one
    #[arg(long = "variant", value_name = "NAME=ARGS")]
    variants: Vec<String>,
    /// Measure these rows alone: direct, nginx, picofaas, names of variants
    #[arg(long, value_name = "ROW,ROW", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
    /// Call this function instead of the runtime's example `echo`: a program that serves POST /invoke on $PORT
    #[arg(long, value_name = "FILE")]
    upstream_binary: Option<PathBuf>,
}

/// Figures that are compared of two binaries. wrk counts whole microseconds.
const FIGURES: [Figure<Measurement>; 4] = [
    Figure { name: "p50", better: Better::Less, step: 1.0, of: |m| Some(m.wrk.p50_us as f64) },
    Figure { name: "p99", better: Better::Less, step: 1.0, of: |m| Some(m.wrk.p99_us as f64) },
    Figure { name: "requests/s", better: Better::More, step: 0.0, of: |m| Some(m.requests_per_second) },
    Figure { name: "CPU/request", better: Better::Less, step: 0.0, of: |m| m.cpu_us },
];

fn compare(repository: &Repository, options: &BenchOptions) -> Result<ExitCode> {
    let subjects = subjects(options)?;
    let against = options.tested.old_binary(repository, "--connections", &options.connections)?;
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK, toolbox::NGINX]) {
        bail!("{why}");
    }
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[("wrk", "--version"), ("nginx", "-v")])?;
    let setup = Setup {
        folder: repository.target().join("xtask/bench"),
        script: repository.root().join("benches/wrk/invoke.lua"),
        nginx_template: repository.root().join("benches/nginx/reverse-proxy.conf"),
        upstream: match &options.upstream_binary {
            Some(file) => absolute(file)?,
            None => {
                build(repository, &["--package", "picofaas-runtime", "--example", "echo"], "examples/echo")?
            }
        },
        picofaas: if subjects.iter().any(Subject::is_picofaas) {
            options.tested.binary(repository)?
        } else {
            PathBuf::new()
        },
        against: against.clone().unwrap_or_default(),
        seconds: options.seconds,
    };
    fs::create_dir_all(&setup.folder).with_context(|| format!("cannot create {}", setup.folder.display()))?;

    let run = Run::begin(repository, machine)?;
    let binaries = options.tested.binaries(&setup.picofaas, against.as_deref(), &run.commit)?;
    let measurements = measure_all(&setup, &subjects, options)?;

    let mut results = json!({ "subjects": subjects, "measurements": measurements });
    let mut ratios = Vec::new();
    if let Some(binaries) = &binaries {
        binaries.check_unchanged()?;
        ratios = ratios_of(&options.connections, &measurements)?;
        results["against"] = binaries.record(&ratios);
    }
    run.save(options.json.as_deref(), "", options, &results)?;
    println!("\n{}", report::tables(&subjects, &options.connections, &measurements));
    if !ratios.is_empty() {
        println!("{}", ratio::report(&ratios));
    }
    println!("{}", run.machine);
    for subject in &subjects {
        println!("{}", subject.describe());
    }
    if let Some(binaries) = &binaries {
        println!("{}", binaries.describe());
    }
    Ok(verdict(&measurements))
}

/// New ÷ old; none where a request failed, as what fails fast looks fast.
fn ratios_of(connections: &[u32], measurements: &[Measurement]) -> Result<Vec<Ratio>> {
    let mut ratios = Vec::new();
    if errors(measurements) > 0 {
        return Ok(ratios);
    }
    for &connections in connections {
        let of = |name: &str| -> Vec<&Measurement> {
            measurements.iter().filter(|m| m.connections == connections && m.subject == name).collect()
        };
        let row = format!("{connections} connections");
        ratios.extend(ratio::of_load(&row, &FIGURES, |m| m.round, &of(NEW), &of(against::NAME))?);
    }
    Ok(ratios)
}

fn errors(measurements: &[Measurement]) -> u64 {
    measurements.iter().map(|measurement| measurement.wrk.errors.sum()).sum()
}

fn measure_all(setup: &Setup, subjects: &[Subject], options: &BenchOptions) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for round in 0..options.rounds {
        for &connections in &options.connections {
            let all: Vec<&Subject> = subjects.iter().collect();
            for subject in order::of_round(&all, |it| it.name == NEW, Subject::is_against, round) {
                let measurement =
                    measurement::measure(setup, subject, connections, round + 1).with_context(|| {
                        format!("{}, {connections} connections, round {}", subject.name, round + 1)
                    })?;
                println!("{measurement}");
                measurements.push(measurement);
            }
        }
    }
    Ok(measurements)
}

/// A run with one wrong answer is no result: what fails fast looks fast.
fn verdict(measurements: &[Measurement]) -> ExitCode {
    let disturbed = measurements.iter().filter(|m| m.others_cpu_percent > OTHERS_CPU_PERCENT_MAX).count();
    if disturbed > 0 {
        println!(
            "warning: others used more than {OTHERS_CPU_PERCENT_MAX} % of a core during {disturbed} of {} \
             measurements: repeat on an idle machine before believing a difference",
            measurements.len()
        );
    }
    let errors = errors(measurements);
    if errors > 0 {
        println!("FAILED: {errors} requests were not answered with success");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn subjects(options: &BenchOptions) -> Result<Vec<Subject>> {
    let mut all = vec![Subject::direct(), Subject::nginx()];
    let common: Vec<String> = options.tested.further();
    all.push(Subject::picofaas(NEW, &options.tested.scheduler, common.clone()));
    let against = &options.tested.against;
    if against.is_given() {
        all.push(Subject::against(&options.tested.scheduler, against.further(common.clone())));
    }
    for variant in &options.variants {
        let Some((name, arguments)) = variant.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--variant {variant}: write NAME=ARGS, for example --variant 'park=--scheduler park'");
        };
        if all.iter().any(|subject| subject.name == name) {
            bail!("--variant {variant}: there is a row {name} already");
        }
        let mut together = common.clone();
        together.extend(arguments.split_whitespace().map(str::to_owned));
        all.push(Subject::picofaas(name, &options.tested.scheduler, together));
    }
    if let Some(unknown) = options.only.iter().find(|name| !all.iter().any(|c| c.name == **name)) {
        let names: Vec<&str> = all.iter().map(|subject| subject.name.as_str()).collect();
        bail!("--only {unknown}: no such row, there are {}", names.join(", "));
    }
    all.retain(|subject| options.only.is_empty() || options.only.contains(&subject.name));
    if against.is_given() && [NEW, against::NAME].iter().any(|name| !all.iter().any(|it| it.name == *name)) {
        bail!(
            "--only {}: --against compares the rows {NEW} and {}, name both",
            options.only.join(","),
            against::NAME
        );
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::subject::SubjectKind;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: BenchOptions,
    }

    fn parse(line: &[&str]) -> Result<Vec<Subject>> {
        subjects(&Line::try_parse_from([&["bench"], line].concat())?.options)
    }

    fn names(subjects: &[Subject]) -> Vec<&str> {
        subjects.iter().map(|subject| subject.name.as_str()).collect()
    }

    #[test]
    fn a_plain_bench_compares_direct_nginx_and_picofaas() {
        assert_eq!(names(&parse(&[]).unwrap()), ["direct", "nginx", "picofaas"]);
    }

    #[test]
    fn a_variant_is_a_row_with_the_common_arguments_and_its_own() {
        let line =
            ["--picofaas-args", "--gateways 2", "--variant", "park=--scheduler park", "--only", "park"];
        let rows = parse(&line).unwrap();
        assert_eq!(names(&rows), ["park"]);
        let SubjectKind::Picofaas { arguments } = &rows[0].kind else { panic!("not a row of picofaas") };
        assert_eq!(arguments, &["--gateways", "2", "--scheduler", "park"]);
    }

    #[test]
    fn what_names_no_row_or_one_twice_is_refused() {
        assert!(parse(&["--only", "ngnix"]).is_err());
        assert!(parse(&["--variant", "park"]).is_err());
        assert!(parse(&["--variant", "nginx=--x"]).is_err());
        assert!(parse(&["--against", "old", "--variant", "picofaas-against=--x"]).is_err());
    }

    #[test]
    fn an_old_binary_is_a_row_of_its_own_with_the_common_arguments_or_its_own() {
        let line = ["--picofaas-args", "--gateways 2", "--against", "old"];
        let rows = parse(&line).unwrap();
        assert_eq!(names(&rows), ["direct", "nginx", "picofaas", "picofaas-against"]);
        let arguments = |rows: &[Subject], at: usize| match &rows[at].kind {
            SubjectKind::Picofaas { arguments } | SubjectKind::Against { arguments } => arguments.join(" "),
            SubjectKind::Direct | SubjectKind::Nginx => panic!("not a row of picofaas"),
        };
        assert_eq!(arguments(&rows, 3), "--gateways 2 --scheduler adaptive");
        let rows = parse(&[&line[..], &["--against-args", "--scheduler park"]].concat()).unwrap();
        assert_eq!(arguments(&rows, 2), "--gateways 2 --scheduler adaptive");
        assert_eq!(arguments(&rows, 3), "--scheduler park");
        assert!(parse(&["--against-args", "--scheduler park"]).is_err());
    }

    #[test]
    fn an_old_binary_without_the_new_one_beside_it_is_refused() {
        let error = parse(&["--against", "old", "--only", "nginx,picofaas-against"]).unwrap_err().to_string();
        assert!(error.contains("name both"), "{error}");
        assert!(parse(&["--only", "picofaas-against"]).is_err());
        let both = parse(&["--against", "old", "--only", "picofaas-against,picofaas"]).unwrap();
        assert_eq!(names(&both), ["picofaas", "picofaas-against"]);
    }

    #[test]
    fn rounds_are_more_where_two_binaries_are_compared_unless_their_number_is_given() {
        let rounds =
            |line: &[&str]| Line::try_parse_from([&["bench"], line].concat()).unwrap().options.rounds;
        assert_eq!(rounds(&[]), 3);
        assert_eq!(rounds(&["--against", "old"]), 12);
        assert_eq!(rounds(&["--against", "old", "--rounds", "7"]), 7);
    }
}
