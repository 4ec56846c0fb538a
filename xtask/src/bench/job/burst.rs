//! Calls that come all at once, more of them than there are instances ahead, beside the same calls to the same function
//! without any ahead.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use serde_json::json;

use super::paced::PacedProgram;
use super::{quantile, sorted_us};
use crate::bench::report::{Spread, table};
use crate::bench::server::Server;
use crate::bench::wire::Wire;
use crate::wait::Stopwatch;

/// Calls at once.
const CALLS: usize = 20;
/// Instances ahead of them.
const AHEAD: u64 = 5;
/// The end of the last call with instances ahead ÷ without: what is aimed at.
const RATIO_MAX: f64 = 1.0;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum BurstSubject {
    /// An instance is started for each call.
    PerCall,
    /// Some are there, the others are started.
    Reserve,
}

impl BurstSubject {
    fn function(self, program: &str) -> String {
        match self {
            Self::PerCall => format!("{program}-per-call"),
            Self::Reserve => format!("{program}-reserve"),
        }
    }
}

/// One burst; times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct BurstMeasurement {
    program: &'static str,
    subject: BurstSubject,
    /// From 1.
    round: u32,
    p50_us: f64,
    /// Until the last call was answered.
    last_us: f64,
}

/// One burst of each function of each program in each round.
pub(super) fn measure(
    server: &Server,
    programs: &[PacedProgram<'_>],
    rounds: u32,
) -> Result<Vec<BurstMeasurement>> {
    for program in programs {
        for subject in [BurstSubject::PerCall, BurstSubject::Reserve] {
            let mut function = json!({
                "name": subject.function(program.name), "executionMode": "JOB", "local": program.local,
                "env": program.env, "concurrency": 64, "maxRetries": 0,
            });
            if subject == BurstSubject::Reserve {
                function["standby"] = json!({ "min": AHEAD, "max": AHEAD });
            }
            server.register(&function)?;
        }
    }
    let mut measurements = Vec::new();
    for round in 1..=rounds {
        for program in programs {
            let mut subjects = [BurstSubject::PerCall, BurstSubject::Reserve];
            if round % 2 == 0 {
                subjects.reverse();
            }
            for subject in subjects {
                let one = measure_one(server, program, subject, round)?;
                println!(
                    "round {round}, {CALLS} calls at once, {}: p50 {:.0} µs, last {:.0} µs",
                    subject.function(program.name),
                    one.p50_us,
                    one.last_us
                );
                measurements.push(one);
            }
        }
    }
    Ok(measurements)
}

fn measure_one(
    server: &Server,
    program: &PacedProgram<'_>,
    subject: BurstSubject,
    round: u32,
) -> Result<BurstMeasurement> {
    let function = subject.function(program.name);
    // The reserves of this one and of the one before it: nothing starts beside what is measured.
    server.until_ahead(&BurstSubject::Reserve.function(program.name), AHEAD)?;
    let request = format!("POST /v1/functions/{function}:invoke");
    let mut wires = (0..CALLS).map(|_| Wire::connect(server.port)).collect::<Result<Vec<_>>>()?;
    let watch = Stopwatch::start();
    let times = thread::scope(|scope| {
        let calls: Vec<_> = wires
            .iter_mut()
            .map(|wire| {
                scope.spawn(|| -> Result<Duration> {
                    let (status, answer) = wire.ask(&request, program.body)?;
                    let ended = watch.elapsed();
                    ensure!(status == 200, "{function}: {status} {}", String::from_utf8_lossy(&answer));
                    Ok(ended)
                })
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().map_err(|_| anyhow!("a caller panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    let sorted = sorted_us(times.into_iter());
    let last_us = *sorted.last().context("nobody called")?;
    Ok(BurstMeasurement { program: program.name, subject, round, p50_us: quantile(&sorted, 50), last_us })
}

/// Tables of the figures and of their ratios.
pub(super) fn report(measurements: &[BurstMeasurement]) -> String {
    let mut figures = table(&["function", "p50 µs", "last µs"]);
    let mut ratios = table(&["", "p50, reserve ÷ per call", "last, reserve ÷ per call"]);
    let mut programs: Vec<&str> = measurements.iter().map(|m| m.program).collect();
    programs.sort_unstable();
    programs.dedup();
    for program in programs {
        let of = |subject: BurstSubject| -> Vec<&BurstMeasurement> {
            measurements.iter().filter(|m| m.program == program && m.subject == subject).collect()
        };
        for subject in [BurstSubject::PerCall, BurstSubject::Reserve] {
            let rows = of(subject);
            let spread = |figure: fn(&BurstMeasurement) -> f64| {
                format!("{:.0}", Spread::of(rows.iter().map(|m| figure(m)).collect()))
            };
            figures.add_row([subject.function(program), spread(|m| m.p50_us), spread(|m| m.last_us)]);
        }
        let (without, with) = (of(BurstSubject::PerCall), of(BurstSubject::Reserve));
        let ratio = |figure: fn(&BurstMeasurement) -> f64| {
            let pairs = with.iter().zip(&without);
            format!("{:.2}", Spread::of(pairs.map(|(one, other)| figure(one) / figure(other)).collect()))
        };
        ratios.add_row([program.to_owned(), ratio(|m| m.p50_us), ratio(|m| m.last_us)]);
    }
    format!(
        "{CALLS} calls at once, {AHEAD} instances ahead or none; median (min..max) over the rounds\n{figures}\n\n\
         ratios of each round; aimed at: the last at most {RATIO_MAX}\n{ratios}\n"
    )
}
