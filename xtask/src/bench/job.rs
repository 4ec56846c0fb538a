//! `cargo xtask bench job`: what a `JOB` invocation costs above what a fresh process costs anyway.
//!
//! Two subjects start the same program the same number of times side by side: `picofaas`, which is asked with
//! `:invoke` by clients on kept connections, and the baseline, which starts the program itself and answers its
//! two calls. Rounds are interleaved, each begins with the other one, and the figure is the ratio of each round.
//! With `--against` there is a third, a picofaas of an earlier commit. Each measurement of a picofaas is of a
//! process of its own, so that none runs beside another one and each round is new.
//!
//! Then calls come at an even pace to functions that have a fresh process ahead of each call (`standby`), and to warm
//! ones of the same programs, in turns. At last some come all at once, more than there are processes ahead.

mod baseline;
mod burst;
mod paced;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::{Value, json};

use self::baseline::Worker;
use self::burst::BurstMeasurement;
use self::paced::{PacedMeasurement, PacedProgram};
use super::cpu::{MachineCpu, Snapshot};
use super::machine::Machine;
use super::ratio::{self, Better, Figure, Ratio};
use super::report::{Spread, table};
use super::run::Run;
use super::server::{Server, log_file};
use super::tested::Tested;
use super::wire::Wire;
use super::{absolute, against, build, order};
use crate::repository::Repository;
use crate::wait::Stopwatch;

/// The p50 of picofaas ÷ that of the baseline, one call at a time: what is aimed at.
const RATIO_MAX: f64 = 1.6;

const FUNCTION: &str = "job";
const TIMEOUT_MS: u32 = 10_000;
/// In the input, so that an answer made without reading it is told apart.
const INPUT_TEXT: &str = "an answer that was really asked for";

/// Calls of each worker before a measurement.
const WARM_UP_CALLS: u32 = 5;

fn body() -> String {
    format!("{{\"input\":{{\"text\":\"{INPUT_TEXT}\"}}}}")
}

#[derive(clap::Args, Serialize)]
pub(super) struct JobOptions {
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured [with --against: 12]
    #[arg(long, value_name = "R", default_value_t = 5,
          default_value_if("against", ArgPredicate::IsPresent, against::ROUNDS),
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Callers at once, one number after the other
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,4,16",
          value_parser = clap::value_parser!(u32).range(1..=64))]
    callers: Vec<u32>,
    /// Where to write every measurement [default: bench-results/<time>-job.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
    /// Start this function instead of the runtime's example `echo`: a program that gives back its input
    #[arg(long, value_name = "FILE")]
    function_binary: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum JobSubject {
    Baseline,
    Picofaas,
    /// The picofaas of an earlier commit.
    Against,
}

impl JobSubject {
    fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Picofaas => "picofaas",
            Self::Against => against::NAME,
        }
    }
}

/// One subject in one round; times in microseconds.
#[derive(Debug, Serialize)]
struct JobMeasurement {
    subject: JobSubject,
    callers: u32,
    /// From 1.
    round: u32,
    calls: usize,
    calls_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// Until the process was waited for; the baseline alone knows.
    reaped_p50_us: Option<f64>,
    /// CPU time of the picofaas process per call, without that of the functions.
    picofaas_cpu_us: Option<f64>,
    /// Of one core, everything on this machine together.
    machine_cpu_percent: f64,
    steal_percent: f64,
}

/// Figures that are compared of two binaries.
const FIGURES: [Figure<JobMeasurement>; 4] = [
    Figure { name: "p50", better: Better::Less, step: 0.0, of: |m| Some(m.p50_us) },
    Figure { name: "p99", better: Better::Less, step: 0.0, of: |m| Some(m.p99_us) },
    Figure { name: "calls/s", better: Better::More, step: 0.0, of: |m| Some(m.calls_per_second) },
    Figure { name: "CPU/call", better: Better::Less, step: 0.0, of: |m| m.picofaas_cpu_us },
];

/// The programs and files of this bench.
struct JobSetup<'a> {
    options: &'a JobOptions,
    folder: PathBuf,
    function: PathBuf,
    log: File,
    picofaas: PathBuf,
    against: Option<PathBuf>,
}

pub(super) fn run(repository: &Repository, options: &JobOptions) -> Result<ExitCode> {
    let against = options.tested.old_binary(repository, "--callers", &options.callers)?;
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[])?;
    let folder = repository.target().join("xtask/bench-job");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let setup = JobSetup {
        options,
        log: log_file(&folder, "function")?,
        folder,
        function: match &options.function_binary {
            Some(file) => absolute(file)?,
            None => {
                build(repository, &["--package", "picofaas-runtime", "--example", "echo"], "examples/echo")?
            }
        },
        picofaas: options.tested.binary(repository)?,
        against,
    };
    let run = Run::begin(repository, machine)?;
    let binaries = options.tested.binaries(&setup.picofaas, setup.against.as_deref(), &run.commit)?;
    let measurements = setup.measure_all()?;
    let (paced, burst) = setup.measure_paced()?;

    let mut results = json!({ "measurements": measurements, "paced": paced, "burst": burst });
    let mut compared = String::new();
    if let Some(binaries) = &binaries {
        binaries.check_unchanged()?;
        let ratios = ratios(options, &measurements)?;
        results["against"] = binaries.record(&ratios);
        compared = format!("\n{}", ratio::report(&ratios));
    }
    run.save(options.json.as_deref(), "-job", options, &results)?;
    println!("\n{}{compared}", report(options, &measurements)?);
    println!("{}", paced::report(&paced));
    println!("{}", burst::report(&burst));
    println!("{}\ncommit: {}, scheduler: {}", run.machine, run.commit, options.tested.scheduler);
    if let Some(binaries) = &binaries {
        println!("{}", binaries.describe());
        println!("{}: picofaas serve {}", against::NAME, options.tested.old_arguments().join(" "));
    }
    Ok(ExitCode::SUCCESS)
}

impl JobSetup<'_> {
    fn measure_all(&self) -> Result<Vec<JobMeasurement>> {
        let mut subjects = vec![JobSubject::Baseline, JobSubject::Picofaas];
        subjects.extend(self.against.as_ref().map(|_| JobSubject::Against));
        let (is_new, is_old) = (|it| it == JobSubject::Picofaas, |it| it == JobSubject::Against);
        let mut measurements = Vec::new();
        for round in 1..=self.options.rounds {
            for &callers in &self.options.callers {
                for subject in order::of_round(&subjects, is_new, is_old, round - 1) {
                    let measurement = self
                        .measure(subject, callers, round)
                        .with_context(|| format!("{subject:?}, {callers} callers, round {round}"))?;
                    println!("{measurement}");
                    measurements.push(measurement);
                }
            }
        }
        Ok(measurements)
    }

    /// Calls at an even pace, and calls all at once.
    fn measure_paced(&self) -> Result<(Vec<PacedMeasurement>, Vec<BurstMeasurement>)> {
        let server = self.serve(&self.picofaas, self.options.tested.arguments(), "paced")?;
        let body = body();
        let programs =
            [PacedProgram::rust(&self.function, &body), PacedProgram::python(&self.folder, &body)?];
        let (rounds, seconds) = (self.options.rounds, self.options.seconds);
        let paced = paced::measure(&server, &programs, rounds, seconds)?;
        let burst = burst::measure(&server, &programs, rounds)?;
        server.stop()?;
        Ok((paced, burst))
    }

    fn measure(&self, subject: JobSubject, callers: u32, round: u32) -> Result<JobMeasurement> {
        let server = self.start(subject)?;
        let call = || -> Result<Caller<'_>> {
            Ok(match &server {
                None => Caller::Baseline(Worker::new(&self.function, &self.log)?),
                Some(server) => Caller::Picofaas(Wire::connect(server.port)?),
            })
        };
        let measurement = measure(subject, callers, round, self.options.seconds, server.as_ref(), call)?;
        server.map_or(Ok(()), Server::stop)?;
        Ok(measurement)
    }

    /// The picofaas of a subject that is one, with the function.
    fn start(&self, subject: JobSubject) -> Result<Option<Server>> {
        let tested = &self.options.tested;
        let server = match (subject, &self.against) {
            (JobSubject::Baseline, _) => return Ok(None),
            (JobSubject::Picofaas, _) => self.serve(&self.picofaas, tested.arguments(), "picofaas")?,
            (JobSubject::Against, Some(old)) => self
                .serve(old, tested.old_arguments(), against::NAME)
                .with_context(|| against::remedy(old))?,
            (JobSubject::Against, None) => bail!("there is no old picofaas"),
        };
        server.register(&json!({
            "name": FUNCTION,
            "executionMode": "JOB",
            "local": { "command": [self.function] },
            "concurrency": 64,
            "queueSize": 1024,
            "maxRetries": 0,
            "timeoutMs": TIMEOUT_MS,
        }))?;
        Ok(Some(server))
    }

    fn serve(&self, binary: &Path, mut arguments: Vec<String>, name: &str) -> Result<Server> {
        arguments.push("--allow-local-exec".to_owned());
        Server::start(binary, &arguments, &self.folder, name)
    }
}

/// New ÷ old.
fn ratios(options: &JobOptions, measurements: &[JobMeasurement]) -> Result<Vec<Ratio>> {
    let mut ratios = Vec::new();
    for &callers in &options.callers {
        let of = |subject: JobSubject| of(measurements, subject, callers);
        let (new, old) = (of(JobSubject::Picofaas), of(JobSubject::Against));
        ratios.extend(ratio::of_load(&format!("{callers} callers"), &FIGURES, |m| m.round, &new, &old)?);
    }
    Ok(ratios)
}

fn of(measurements: &[JobMeasurement], subject: JobSubject, callers: u32) -> Vec<&JobMeasurement> {
    measurements.iter().filter(|m| m.callers == callers && m.subject == subject).collect()
}

/// One that calls, over and over.
enum Caller<'a> {
    Baseline(Worker<'a>),
    Picofaas(Wire),
}

impl Caller<'_> {
    /// Until the result was there, and until the process had ended where that is known.
    fn call(&mut self) -> Result<(Duration, Option<Duration>)> {
        match self {
            Caller::Baseline(worker) => {
                let times = worker.call()?;
                Ok((times.completed, Some(times.reaped)))
            }
            Caller::Picofaas(wire) => {
                let watch = Stopwatch::start();
                let (status, answer) = wire.ask(&format!("POST /v1/functions/{FUNCTION}:invoke"), &body())?;
                let took = watch.elapsed();
                let json: Value = serde_json::from_slice(&answer).context("the answer is not JSON")?;
                ensure!(
                    status == 200 && json["output"]["text"] == INPUT_TEXT,
                    "not an answer: {status} {json}"
                );
                Ok((took, None))
            }
        }
    }
}

fn measure<'a>(
    subject: JobSubject,
    callers: u32,
    round: u32,
    seconds: u32,
    server: Option<&Server>,
    caller: impl Fn() -> Result<Caller<'a>>,
) -> Result<JobMeasurement> {
    let mut workers = Vec::new();
    for _ in 0..callers {
        let mut worker = caller()?;
        for _ in 0..WARM_UP_CALLS {
            worker.call()?;
        }
        workers.push(worker);
    }
    let length = Duration::from_secs(u64::from(seconds));
    let used = || server.map(|server| Snapshot::of_process(server.process.id())).transpose();
    let (machine_before, before) = (MachineCpu::read()?, used()?);
    let watch = Stopwatch::start();
    let calls = thread::scope(|scope| {
        let threads: Vec<_> =
            workers.iter_mut().map(|worker| scope.spawn(move || repeat(worker, watch, length))).collect();
        let mut calls = Vec::new();
        for thread in threads {
            calls.extend(thread.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        Ok::<_, anyhow::Error>(calls)
    })?;
    let elapsed_s = watch.elapsed().as_secs_f64();
    let machine = MachineCpu::read()?;
    let used_ns = used()?.zip(before).map(|(after, before)| after.since(&before).total_ns);
    if calls.is_empty() {
        bail!("not one call was answered");
    }
    let completed = sorted_us(calls.iter().map(|(completed, _)| *completed));
    let reaped = sorted_us(calls.iter().filter_map(|(_, reaped)| *reaped));
    let percent = |after: u64, before: u64| after.saturating_sub(before) as f64 / 1e7 / elapsed_s;
    Ok(JobMeasurement {
        subject,
        callers,
        round,
        calls: calls.len(),
        calls_per_second: calls.len() as f64 / elapsed_s,
        p50_us: quantile(&completed, 50),
        p99_us: quantile(&completed, 99),
        reaped_p50_us: (!reaped.is_empty()).then(|| quantile(&reaped, 50)),
        picofaas_cpu_us: used_ns.map(|ns| ns as f64 / 1e3 / calls.len() as f64),
        machine_cpu_percent: percent(machine.busy_ns, machine_before.busy_ns),
        steal_percent: percent(machine.steal_ns, machine_before.steal_ns),
    })
}

fn repeat(
    worker: &mut Caller<'_>,
    watch: Stopwatch,
    length: Duration,
) -> Result<Vec<(Duration, Option<Duration>)>> {
    let mut calls = Vec::new();
    while watch.elapsed() < length {
        calls.push(worker.call()?);
    }
    Ok(calls)
}

fn sorted_us(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut times: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e6).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Of at least one sorted value, the smallest that so many percent do not exceed.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn report(options: &JobOptions, measurements: &[JobMeasurement]) -> Result<String> {
    let mut figures = table(&["callers", "", "p50 µs", "p99 µs", "reaped p50 µs", "calls/s", "CPU µs/call"]);
    let mut ratios = table(&["callers", "p50, picofaas ÷ baseline", "calls/s, picofaas ÷ baseline"]);
    for &callers in &options.callers {
        let of = |subject: JobSubject| of(measurements, subject, callers);
        for subject in [JobSubject::Baseline, JobSubject::Picofaas, JobSubject::Against] {
            let rows = of(subject);
            if rows.is_empty() {
                continue;
            }
            let spread = |figure: &dyn Fn(&JobMeasurement) -> Option<f64>| {
                Spread::of(rows.iter().filter_map(|m| figure(m)).collect()).to_string()
            };
            figures.add_row([
                callers.to_string(),
                subject.name().to_owned(),
                spread(&|m| Some(m.p50_us)),
                spread(&|m| Some(m.p99_us)),
                spread(&|m| m.reaped_p50_us),
                spread(&|m| Some(m.calls_per_second)),
                spread(&|m| m.picofaas_cpu_us),
            ]);
        }
        // Both have one measurement per round, in the same order.
        let (baseline, picofaas) = (of(JobSubject::Baseline), of(JobSubject::Picofaas));
        ensure!(baseline.len() == picofaas.len(), "a round is missing");
        let ratio = |figure: fn(&JobMeasurement) -> f64| {
            let pairs = picofaas.iter().zip(&baseline);
            Spread::of(pairs.map(|(picofaas, baseline)| figure(picofaas) / figure(baseline)).collect())
        };
        ratios.add_row([
            callers.to_string(),
            format!("{:.2}", ratio(|m| m.p50_us)),
            format!("{:.2}", ratio(|m| m.calls_per_second)),
        ]);
    }
    Ok(format!(
        "median (min..max) over the rounds; CPU is that of picofaas alone\n{figures}\n\n\
         ratios of each round, median (min..max); aimed at: a p50 of at most {RATIO_MAX} with 1 caller\n{ratios}\n"
    ))
}

impl fmt::Display for JobMeasurement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, callers, round, p50_us, p99_us, calls_per_second, machine_cpu_percent, .. } =
            self;
        write!(
            out,
            "round {round}, {callers} callers, {subject:?}: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, \
             {calls_per_second:.0} calls/s, {machine_cpu_percent:.0} % of a core busy, {:.0} % stolen",
            self.steal_percent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        assert_eq!(quantile(&[7.0], 50), 7.0);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99)), (50.0, 99.0));
        assert_eq!(quantile(&[1.0, 2.0], 50), 1.0);
    }
}
