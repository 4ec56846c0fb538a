//! `cargo xtask bench scaling`: how long calls wait while a load rises, with instances that are started ahead.
//!
//! A `WARM` function takes one call of 100 ms at a time, and its instances load for a while before they listen, as a
//! program does that opens a data base or loads a model. Calls come at random (Poisson), at the same times for each
//! subject of a round, whatever becomes of those before, and each is timed from when it was to be sent.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::machine::Machine;
use super::report::{Spread, table};
use super::run::Run;
use super::server::Server;
use super::tested::Tested;
use super::{absolute, build};
use crate::http;
use crate::repository::Repository;
use crate::wait::{Stopwatch, let_pass};

/// Time that a call takes (ms).
const SERVICE_MS: u32 = 100;
/// Calls in a second at first.
const LOW: f64 = 20.0;
/// Calls in a second before anything is counted, until the number of instances is that of an even load.
const WARM_UP_S: f64 = 6.0;
/// Period at which the number of instances is read.
const SAMPLE: Duration = Duration::from_millis(50);
const CALL_STACK_BYTES: usize = 128 * 1024;

#[derive(clap::Args, Serialize)]
pub(super) struct ScalingOptions {
    /// Courses of the load
    #[arg(long, value_name = "COURSE,…", value_delimiter = ',', default_value = "ramp,step")]
    only: Vec<LoadCourse>,
    /// Time that an instance loads before it listens
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    start_ms: u32,
    /// Times each subject is measured
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Where to write every measurement [default: bench-results/<time>-scaling.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
    /// Start this function instead of building the runtime's example `faulty`
    #[arg(long, value_name = "FILE")]
    function_binary: Option<PathBuf>,
}

/// Course of the load after an even one of 20 calls in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
enum LoadCourse {
    /// To 100 calls in a second within 10 s, which go on for 5 s; with and without `scaleAhead`
    Ramp,
    /// 40 calls in a second from one moment on, for 6 s; with a headroom of 0, 1 and 2
    Step,
}

impl LoadCourse {
    /// Subjects that are compared: a name, and a field with its value. The first is what the others are divided by.
    fn subjects(self) -> Vec<(&'static str, &'static str, Value)> {
        match self {
            Self::Ramp => vec![
                ("scaleAhead: false", "scaleAhead", json!(false)),
                ("scaleAhead: true", "scaleAhead", json!(true)),
            ],
            Self::Step => vec![
                ("headroom: 0", "headroom", json!(0)),
                ("headroom: 1", "headroom", json!(1)),
                ("headroom: 2", "headroom", json!(2)),
            ],
        }
    }

    /// Seconds until the last call.
    fn length_s(self) -> f64 {
        WARM_UP_S
            + match self {
                Self::Ramp => 15.0,
                Self::Step => 6.0,
            }
    }

    /// Calls in a second at a time (s), at most [`LoadCourse::RATE_MAX`].
    fn rate(self, at: f64) -> f64 {
        let since = at - WARM_UP_S;
        match self {
            _ if since < 0.0 => LOW,
            Self::Ramp => LOW + 8.0 * since.min(10.0),
            Self::Step => 2.0 * LOW,
        }
    }

    const RATE_MAX: f64 = 100.0;

    /// When calls are to be sent, the same at each time for one seed.
    fn calls(self, seed: u64) -> Vec<Duration> {
        let mut state = seed | 1;
        // xorshift64* (S. Vigna, 2016); in (0, 1].
        let mut unit = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            ((state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) + 1) as f64 / (1_u64 << 53) as f64
        };
        let (mut calls, mut at) = (Vec::new(), 0.0);
        loop {
            at -= unit().ln() / Self::RATE_MAX;
            if at >= self.length_s() {
                return calls;
            }
            if unit() * Self::RATE_MAX <= self.rate(at) {
                calls.push(Duration::from_secs_f64(at));
            }
        }
    }
}

/// Figures of one subject in one round, without the warm-up.
#[derive(Clone, Copy, Debug, Serialize)]
struct ScalingFigures {
    course: LoadCourse,
    subject: &'static str,
    /// From 1.
    round: u32,
    calls: usize,
    /// From when a call was to be sent to its answer.
    p50_ms: f64,
    p99_ms: f64,
    /// Seconds that instances started or ran.
    instance_s: f64,
}

pub(super) fn run(repository: &Repository, options: &ScalingOptions) -> Result<ExitCode> {
    let machine = Machine::read(&[])?;
    let folder = repository.target().join("xtask/bench-scaling");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let binary = options.tested.binary(repository)?;
    let function = match &options.function_binary {
        Some(file) => absolute(file)?,
        None => {
            build(repository, &["--package", "picofaas-runtime", "--example", "faulty"], "examples/faulty")?
        }
    };
    let run = Run::begin(repository, machine)?;
    let server = Server::start(&binary, &options.tested.arguments(), &folder, "picofaas")?;
    let mut figures = Vec::new();
    for round in 1..=options.rounds {
        for course in &options.only {
            let mut subjects = course.subjects();
            // In turns, so that neither has the better half of the time.
            let turn = round as usize % subjects.len();
            subjects.rotate_left(turn);
            for (subject, field, value) in subjects {
                let mut spec = json!({
                    "name": "f",
                    "executionMode": "WARM",
                    "local": { "command": [function] },
                    "env": [
                        { "name": "HANDLER", "value": "sleep" },
                        { "name": "CONTRACT_LOAD_MS", "value": options.start_ms.to_string() },
                    ],
                    "replicas": { "min": 1, "max": 30 },
                    "instanceConcurrency": 1,
                    "concurrency": 100,
                    "queueSize": 4096,
                });
                spec[field] = value;
                server.register(&spec)?;
                server.until_ready("f", 1)?;
                let one = measure(&server, *course, subject, round)?;
                println!("{one:?}");
                figures.push(one);
                let deleted = http::request(server.management_port, "DELETE", "/v1/functions/f", &[], "")?;
                ensure!(deleted.status == 204, "DELETE: {}", deleted.status);
            }
        }
    }
    server.stop()?;
    run.save(options.json.as_deref(), "-scaling", options, &json!({ "figures": figures }))?;
    println!("\n{}", report(&options.only, &figures));
    println!("{}\ncommit: {}, scheduler: {}", run.machine, run.commit, options.tested.scheduler);
    Ok(ExitCode::SUCCESS)
}

fn measure(server: &Server, course: LoadCourse, subject: &'static str, round: u32) -> Result<ScalingFigures> {
    let calls = course.calls(u64::from(round) * 0x9E37_79B9_7F4A_7C15);
    let is_over = AtomicBool::new(false);
    let watch = Stopwatch::start();
    let (instance_s, mut took) = thread::scope(|scope| {
        let sampler = scope.spawn(|| instance_seconds(server, watch, &is_over));
        let callers: Vec<_> = calls
            .iter()
            .map(|at| {
                let_pass(at.saturating_sub(watch.elapsed()));
                let call = move || call(server.port).map(|()| watch.elapsed().saturating_sub(*at));
                thread::Builder::new().stack_size(CALL_STACK_BYTES).spawn_scoped(scope, call)
            })
            .collect();
        let mut took = Vec::with_capacity(calls.len());
        for (at, caller) in calls.iter().zip(callers) {
            let one = caller
                .context("no thread for a call")
                .and_then(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))?);
            if at.as_secs_f64() >= WARM_UP_S || one.is_err() {
                took.push(one);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let seconds = sampler.join().map_err(|_| anyhow!("the sampler panicked"))??;
        Ok::<_, anyhow::Error>((seconds, took.into_iter().collect::<Result<Vec<Duration>>>()?))
    })?;
    took.sort_unstable();
    // The nearest rank, from 1.
    let percentile = |share: usize| {
        took.get((took.len() * share).div_ceil(100).saturating_sub(1))
            .map_or(0.0, |one| one.as_secs_f64() * 1e3)
    };
    Ok(ScalingFigures {
        course,
        subject,
        round,
        calls: took.len(),
        p50_ms: percentile(50),
        p99_ms: percentile(99),
        instance_s,
    })
}

fn call(port: u16) -> Result<()> {
    let body = format!("{{\"input\":{{\"ms\":{SERVICE_MS}}}}}");
    let headers = [("Content-Type", "application/json")];
    let answer = http::request(port, "POST", "/v1/functions/f:invoke", &headers, &body)?;
    ensure!(answer.status == 200, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// Instances × seconds from the end of the warm-up on.
fn instance_seconds(server: &Server, watch: Stopwatch, is_over: &AtomicBool) -> Result<f64> {
    let (mut sum, mut last) = (0.0, WARM_UP_S);
    while !is_over.load(Ordering::Relaxed) {
        let_pass(SAMPLE);
        let answer = http::request(server.port, "GET", "/v1/functions/f", &[], "")?;
        let function: Value = serde_json::from_slice(&answer.body).context("not JSON")?;
        let count = function.pointer("/status/replicas").and_then(Value::as_u64).context("no replicas")?;
        let now = watch.elapsed().as_secs_f64();
        sum += count as f64 * (now - last).max(0.0);
        last = now.max(last);
    }
    Ok(sum)
}

fn report(courses: &[LoadCourse], figures: &[ScalingFigures]) -> String {
    let mut lines = table(&["load, function", "p50 ms", "p99 ms", "÷ first", "instance-seconds", "÷ first"]);
    for course in courses {
        let subjects = course.subjects();
        let of = |subject: &'static str| {
            figures.iter().filter(move |one| one.course == *course && one.subject == subject)
        };
        for (subject, ..) in &subjects {
            let first = |one: &ScalingFigures| of(subjects[0].0).find(|other| other.round == one.round);
            let spread = |value: &dyn Fn(&ScalingFigures) -> Option<f64>| {
                Spread::of(of(subject).filter_map(value).collect())
            };
            lines.add_row([
                format!("{course:?}, {subject}"),
                spread(&|one| Some(one.p50_ms)).to_string(),
                spread(&|one| Some(one.p99_ms)).to_string(),
                format!("{:.2}", spread(&|one| Some(one.p99_ms / first(one)?.p99_ms))),
                spread(&|one| Some(one.instance_s)).to_string(),
                format!("{:.2}", spread(&|one| Some(one.instance_s / first(one)?.instance_s))),
            ]);
        }
    }
    format!("median (min..max) over the rounds\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_round_are_the_same_for_each_subject_and_rise_as_they_should() {
        let calls = LoadCourse::Ramp.calls(7);
        assert_eq!(calls, LoadCourse::Ramp.calls(7));
        let between = |from: f64, to: f64| {
            calls.iter().filter(|at| (from..to).contains(&at.as_secs_f64())).count() as f64
        };
        let low = between(0.0, WARM_UP_S) / WARM_UP_S;
        let high = between(WARM_UP_S + 10.0, WARM_UP_S + 15.0) / 5.0;
        assert!((10.0..30.0).contains(&low) && (80.0..120.0).contains(&high), "{low} {high}");
    }
}
