//! `standby`: a `JOB` whose pods are made ahead. From the request to the handler and from its end to the answer; a
//! burst beyond the reserve beside that of a `JOB` without; arrivals at half the rate at which it is refilled.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use serde_json::{Value, json};

use super::ClusterAnswer;
use super::beside::{self, BesideRun};
use super::calls::ApiCalls;
use super::rest::Rest;
use super::stage::{Stage, Times, function, invoke, ms, try_invoke};
use super::target::ClusterTarget;
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wire::Wire;
use crate::http;
use crate::wait::{Stopwatch, let_pass, until};

const PACED: &str = "standby-paced";
const BURST: &str = "standby-burst";
const PLAIN: &str = "plain-burst";
const ARRIVALS: &str = "standby-arrivals";
/// Time between two calls of which each finds an instance.
const PACE: Duration = Duration::from_secs(1);
/// Instances ahead of a burst, and calls of it.
const BURST_AHEAD: u32 = 5;
const BURST_CALLS: usize = 20;
/// Bursts of each function.
const BURSTS: u32 = 3;
/// Time in which a reserve is filled.
const FILL_PATIENCE: Duration = Duration::from_secs(60);
/// Length of each measurement of arrivals.
const ARRIVALS_S: f64 = 60.0;
/// For what is asked of the API server after a call.
const AFTERMATH: Duration = Duration::from_secs(2);

/// One burst.
#[derive(Debug, Serialize)]
struct Burst {
    function: &'static str,
    /// From the first request to the last answer.
    whole_ms: f64,
    /// The middle one of its calls.
    median_ms: f64,
    failed: usize,
}

/// Calls that came by chance or by the clock.
#[derive(Debug, Serialize)]
struct Arrivals {
    kind: &'static str,
    per_second: f64,
    calls: u64,
    found_ready: u64,
    failed: u64,
}

pub(super) fn answer(stage: &Stage<'_>, calls: u32) -> Result<ClusterAnswer> {
    let paced = paced(stage, calls)?;
    let bursts = bursts(stage)?;
    let start_ms = Spread::of(paced.refills_ms.clone()).median().context("no refill was seen")?;
    let per_second = 500.0 / start_ms;
    let arrivals = [arrive(stage, "constant", per_second)?, arrive(stage, "Poisson", per_second)?];
    let beside = beside::measure(stage)?;
    Ok(answered(&paced, &bursts, &arrivals, &beside, start_ms))
}

/// Calls that came one by one, each after the reserve had been filled.
struct Paced {
    to_start_ms: Vec<f64>,
    to_answer_ms: Vec<f64>,
    /// From an answer until the reserve was full again.
    refills_ms: Vec<f64>,
    found_ready: u64,
    per_call: ApiCalls,
    rest: Rest,
}

fn paced(stage: &Stage<'_>, calls: u32) -> Result<Paced> {
    let standby = json!({ "standby": { "min": 2, "max": 4 } });
    stage.server.register(&function(PACED, "JOB", "times", &standby))?;
    until_filled(stage, PACED)?;
    let mut wire = Wire::connect(stage.server.port)?;
    invoke(&mut wire, PACED)?;
    until_filled(stage, PACED)?;
    let rest = Rest::wait()?;
    let (calls_before, taken_before) = (ApiCalls::of(stage)?, taken(stage, PACED)?);
    let mut times: Vec<Times> = Vec::new();
    let mut refills_ms = Vec::new();
    let watch = Stopwatch::start();
    for nth in 0..calls {
        let_pass((PACE * nth).saturating_sub(watch.elapsed()));
        times.push(invoke(&mut wire, PACED)?);
        // Seldom, so that it is seen and disturbs little.
        if nth % 10 == 0 {
            let refill = Stopwatch::start();
            until_filled(stage, PACED)?;
            refills_ms.push(refill.elapsed().as_secs_f64() * 1e3);
        }
    }
    let found_ready = taken(stage, PACED)? - taken_before;
    let_pass(AFTERMATH);
    Ok(Paced {
        to_start_ms: times.iter().map(Times::to_start_ms).collect(),
        to_answer_ms: times.iter().map(Times::to_answer_ms).collect(),
        refills_ms,
        found_ready,
        per_call: ApiCalls::of(stage)?.since(&calls_before).per(calls),
        rest,
    })
}

fn bursts(stage: &Stage<'_>) -> Result<Vec<Burst>> {
    let wide = json!({ "concurrency": BURST_CALLS });
    stage.server.register(&function(PLAIN, "JOB", "times", &wide))?;
    let ahead = json!({ "concurrency": BURST_CALLS, "standby": { "min": BURST_AHEAD, "max": BURST_AHEAD } });
    stage.server.register(&function(BURST, "JOB", "times", &ahead))?;
    let mut bursts = Vec::new();
    for nth in 0..BURSTS {
        let mut pair = [PLAIN, BURST];
        if nth % 2 == 1 {
            pair.reverse();
        }
        for name in pair {
            until_filled(stage, BURST)?;
            let burst = burst(stage, name)?;
            println!("burst of {BURST_CALLS}, {name}: {:.0} ms, {} failed", burst.whole_ms, burst.failed);
            bursts.push(burst);
        }
    }
    Ok(bursts)
}

fn burst(stage: &Stage<'_>, name: &'static str) -> Result<Burst> {
    let mut wires = Vec::new();
    for _ in 0..BURST_CALLS {
        wires.push(Wire::connect(stage.server.port)?);
    }
    let watch = Stopwatch::start();
    let answers = thread::scope(|scope| {
        let threads: Vec<_> =
            wires.iter_mut().map(|wire| scope.spawn(move || try_invoke(wire, name, 0))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow!("a caller panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let whole_ms = watch.elapsed().as_secs_f64() * 1e3;
    let took = answers.iter().flatten().map(|times| ms(times.answered_ns - times.sent_ns)).collect();
    let median_ms = Spread::of(took).median().unwrap_or(f64::NAN);
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    Ok(Burst { function: name, whole_ms, median_ms, failed })
}

/// Calls at a rate, each on a connection of its own, so that none waits for another.
fn arrive(stage: &Stage<'_>, kind: &'static str, per_second: f64) -> Result<Arrivals> {
    let name = format!("{ARRIVALS}-{}", kind.to_lowercase());
    let standby = json!({ "concurrency": 32, "standby": { "min": 1, "max": 20 } });
    stage.server.register(&function(&name, "JOB", "times", &standby))?;
    until_filled(stage, &name)?;
    let (port, mut dice) = (stage.server.port, Dice(0x9E37_79B9_7F4A_7C15));
    let failed = thread::scope(|scope| {
        let watch = Stopwatch::start();
        let (mut at, mut threads) = (0.0, Vec::new());
        while at < ARRIVALS_S {
            let_pass(Duration::from_secs_f64(at).saturating_sub(watch.elapsed()));
            let name = &name;
            threads.push(scope.spawn(move || try_invoke(&mut Wire::connect(port)?, name, 0)));
            at += match kind {
                "Poisson" => -dice.share().ln() / per_second,
                _ => 1.0 / per_second,
            };
        }
        let mut failed = 0;
        for thread in threads {
            failed += u64::from(thread.join().map_err(|_| anyhow!("a caller panicked"))??.is_err());
        }
        Ok::<_, anyhow::Error>(failed)
    })?;
    let found_ready = taken(stage, &name)?;
    let calls = found_ready + metric(stage, "missed_total", &name)?;
    println!("{kind} arrivals, {per_second:.2}/s: {found_ready} of {calls} found an instance ready");
    Ok(Arrivals { kind, per_second, calls, found_ready, failed })
}

/// Numbers that look random and are the same in each run: xorshift64, by G. Marsaglia (2003).
struct Dice(u64);

impl Dice {
    /// More than 0 and at most 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

pub(super) fn until_filled(stage: &Stage<'_>, name: &str) -> Result<()> {
    let path = format!("/v1/functions/{name}");
    let filled = until(FILL_PATIENCE, || {
        let answer = http::request(stage.server.port, "GET", &path, &[], "")?;
        let function: Value = serde_json::from_slice(&answer.body).context("no function")?;
        let standby = &function["status"]["standby"];
        Ok((standby["ready"].as_u64() >= standby["target"].as_u64()).then_some(()))
    })?;
    filled.with_context(|| format!("the reserve of {name} is not full after {FILL_PATIENCE:?}"))
}

/// Calls that found an instance ready.
fn taken(stage: &Stage<'_>, name: &str) -> Result<u64> {
    metric(stage, "taken_total", name)
}

fn metric(stage: &Stage<'_>, what: &str, name: &str) -> Result<u64> {
    let answer = http::request(stage.server.management_port, "GET", "/metrics", &[], "")?;
    let text = String::from_utf8(answer.body).context("the metrics are not text")?;
    let series = format!("picofaas_function_standby_{what}{{function=\"{name}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.with_context(|| format!("no {series}"))?.parse().context("a count is no number")
}

pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn answered(
    paced: &Paced,
    bursts: &[Burst],
    arrivals: &[Arrivals],
    beside: &[BesideRun],
    start_ms: f64,
) -> ClusterAnswer {
    let mut table = markdown_table(&["", "p50", "p99", "max"]);
    for (name, values) in [
        ("request → handler start, ms", &paced.to_start_ms),
        ("handler end → answer, ms", &paced.to_answer_ms),
    ] {
        table.add_row([name.to_owned(), at(values, 50), at(values, 99), at(values, 100)]);
    }
    let of = |name: &str, figure: fn(&Burst) -> f64| -> Vec<f64> {
        bursts.iter().filter(|burst| burst.function == name).map(figure).collect()
    };
    let mut crowd = markdown_table(&["burst of 20", "all answered, ms", "middle call, ms", "failed"]);
    for (name, text) in [(PLAIN, "without standby"), (BURST, "over a reserve of 5")] {
        crowd.add_row([
            text.to_owned(),
            format!("{:.0}", Spread::of(of(name, |burst| burst.whole_ms))),
            format!("{:.0}", Spread::of(of(name, |burst| burst.median_ms))),
            format!("{:.0}", of(name, |burst| burst.failed as f64).iter().sum::<f64>()),
        ]);
    }
    let mut met = markdown_table(&["arrivals", "per second", "calls", "found one ready"]);
    let share = |one: &Arrivals| 100.0 * one.found_ready as f64 / one.calls.max(1) as f64;
    for one in arrivals {
        let rate = format!("{:.2}", one.per_second);
        met.add_row([one.kind.to_owned(), rate, one.calls.to_string(), format!("{:.1} %", share(one))]);
    }
    let mut counts = markdown_table(&["call to the API server", "per invocation"]);
    for (call, count) in paced.per_call.by_name() {
        counts.add_row([call.clone(), format!("{count:.2}")]);
    }
    let calls = paced.to_start_ms.len();
    let p99 = percentile(&paced.to_start_ms, 99);
    ClusterAnswer {
        name: "standby",
        tables: format!(
            "{calls} calls a second apart, of which {} found an instance ready; the reserve of 2 was full again {start_ms:.0} ms after a call (median).\n\n{table}\n\n{crowd}\n\n\
             Arrivals come at half the rate at which one instance after the other is started.\n\n{met}\n\n{counts}\n\n{}",
            paced.found_ready,
            beside::report(beside)
        ),
        targets: vec![
            ClusterTarget::median("standby: request → handler start", 3.0, "ms", paced.to_start_ms.clone()),
            ClusterTarget::median("standby: request → handler start, p99", 15.0, "ms", vec![p99]),
            ClusterTarget::median("standby: handler end → answer", 1.0, "ms", paced.to_answer_ms.clone()),
            ClusterTarget::ratio(
                "burst of 20 over a reserve of 5 ÷ without standby",
                1.0,
                &of(BURST, |burst| burst.whole_ms),
                &of(PLAIN, |burst| burst.whole_ms),
            ),
            ClusterTarget::median(
                "arrivals that found no instance ready",
                5.0,
                "%",
                arrivals.iter().map(|one| 100.0 - share(one)).collect(),
            ),
        ],
        rests: [paced.rest].into_iter().chain(beside.iter().map(|run| run.rest)).collect(),
        errors: arrivals.iter().map(|one| one.failed).sum::<u64>()
            + bursts.iter().map(|burst| burst.failed as u64).sum::<u64>()
            + beside.iter().map(|run| u64::from(run.failed)).sum::<u64>(),
        measurements: json!({
            "toStartMs": paced.to_start_ms, "toAnswerMs": paced.to_answer_ms, "refillsMs": paced.refills_ms,
            "foundReady": paced.found_ready, "bursts": bursts, "arrivals": arrivals,
            "callsPerInvocation": paced.per_call, "beside": beside,
        }),
    }
}

fn at(values: &[f64], percent: usize) -> String {
    format!("{:.2}", percentile(values, percent))
}
