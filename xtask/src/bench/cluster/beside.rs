//! A `WARM` function that is called at an even pace, alone and while another one's reserve is used up and filled again;
//! and beside the same calls without a reserve, which start as many pods.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use serde::Serialize;
use serde_json::json;

use super::rest::Rest;
use super::stage::{Stage, function, input, try_invoke};
use super::standby::{percentile, until_filled};
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wire::Wire;
use crate::wait::{Stopwatch, let_pass};

const WARM: &str = "beside-warm";
const PLAIN: &str = "beside-plain";
const RESERVE: &str = "beside-reserve";
/// Times that each is measured.
const ROUNDS: u32 = 5;
/// Calls of the warm function in one measurement, and the time between two.
const CALLS: u32 = 2000;
const PACE: Duration = Duration::from_millis(5);
/// Time between two calls of the other one, which is about that of a start.
const OTHER_PACE: Duration = Duration::from_millis(300);

/// Calls of another function beside those of the warm one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Company {
    None,
    Plain,
    Reserve,
}

const COMPANIES: [Company; 3] = [Company::None, Company::Plain, Company::Reserve];

/// One measurement; times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct BesideRun {
    /// From 1.
    round: u32,
    company: Company,
    p50_us: f64,
    p99_us: f64,
    /// Calls of the other function.
    others: u32,
    /// Of these.
    pub failed: u32,
    pub rest: Rest,
}

pub(super) fn measure(stage: &Stage<'_>) -> Result<Vec<BesideRun>> {
    let one = json!({ "replicas": { "min": 1, "max": 1 } });
    stage.server.register(&function(WARM, "WARM", "echo", &one))?;
    stage.server.until_ready(WARM, 1)?;
    stage.server.register(&function(PLAIN, "JOB", "times", &json!({ "concurrency": 8 })))?;
    let standby = json!({ "concurrency": 8, "standby": { "min": 2, "max": 2 } });
    stage.server.register(&function(RESERVE, "JOB", "times", &standby))?;
    let mut runs = Vec::new();
    for round in 1..=ROUNDS {
        let mut order = COMPANIES;
        order.rotate_left(round as usize % COMPANIES.len());
        for company in order {
            until_filled(stage, RESERVE)?;
            let run = measure_one(stage, round, company)?;
            println!(
                "a warm function, round {round}, {}: p50 {:.0} µs, p99 {:.0} µs, {} calls of the other",
                company.text(),
                run.p50_us,
                run.p99_us,
                run.others
            );
            runs.push(run);
        }
    }
    Ok(runs)
}

fn measure_one(stage: &Stage<'_>, round: u32, company: Company) -> Result<BesideRun> {
    let rest = Rest::wait()?;
    let (over, port) = (AtomicBool::new(false), stage.server.port);
    let (times, (others, failed)) = thread::scope(|scope| {
        let beside = company.function().map(|name| {
            let over = &over;
            scope.spawn(move || call_until(port, name, over))
        });
        let called = call(port);
        over.store(true, Ordering::Relaxed);
        let of_others = match beside {
            Some(thread) => thread.join().map_err(|_| anyhow!("a caller panicked"))??,
            None => (0, 0),
        };
        Ok::<_, anyhow::Error>((called?, of_others))
    })?;
    let (p50_us, p99_us) = (percentile(&times, 50), percentile(&times, 99));
    Ok(BesideRun { round, company, p50_us, p99_us, others, failed, rest })
}

/// The times of the calls of the warm function.
fn call(port: u16) -> Result<Vec<f64>> {
    let mut wire = Wire::connect(port)?;
    let request = format!("POST /v1/functions/{WARM}:invoke");
    let body = input(0);
    let mut times = Vec::new();
    let watch = Stopwatch::start();
    for nth in 0..CALLS {
        let_pass((PACE * nth).saturating_sub(watch.elapsed()));
        let call = Stopwatch::start();
        let (status, answer) = wire.ask(&request, &body)?;
        times.push(call.elapsed().as_secs_f64() * 1e6);
        ensure!(status == 200, "{WARM}: {status} {}", String::from_utf8_lossy(&answer));
    }
    Ok(times)
}

/// Calls another function until it is enough; how often, and how many calls failed.
fn call_until(port: u16, name: &str, over: &AtomicBool) -> Result<(u32, u32)> {
    let mut wire = Wire::connect(port)?;
    let (mut calls, mut failed) = (0, 0);
    let watch = Stopwatch::start();
    while !over.load(Ordering::Relaxed) {
        let_pass((OTHER_PACE * calls).saturating_sub(watch.elapsed()));
        failed += u32::from(try_invoke(&mut wire, name, 0)?.is_err());
        calls += 1;
    }
    Ok((calls, failed))
}

/// Medians over the rounds, and the ratios of each round.
pub(super) fn report(runs: &[BesideRun]) -> String {
    let of = |company: Company, figure: fn(&BesideRun) -> f64| -> Vec<f64> {
        runs.iter().filter(|run| run.company == company).map(figure).collect()
    };
    let mut table = markdown_table(&["a warm function", "p50 µs", "p99 µs", "p99 ÷ alone", "calls beside"]);
    for company in COMPANIES {
        let p99 = of(company, |run| run.p99_us);
        let ratios = p99.iter().zip(of(Company::None, |run| run.p99_us)).map(|(one, alone)| one / alone);
        table.add_row([
            company.text().to_owned(),
            format!("{:.0}", Spread::of(of(company, |run| run.p50_us))),
            format!("{:.0}", Spread::of(p99.clone())),
            format!("{:.2}", Spread::of(ratios.collect())),
            format!("{:.0}", Spread::of(of(company, |run| f64::from(run.others)))),
        ]);
    }
    table.to_string()
}

impl Company {
    fn function(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Plain => Some(PLAIN),
            Self::Reserve => Some(RESERVE),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::None => "alone",
            Self::Plain => "beside a JOB without standby",
            Self::Reserve => "beside a reserve of 2 that is used up and filled",
        }
    }
}
