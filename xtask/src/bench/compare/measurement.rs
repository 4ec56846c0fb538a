//! One measurement: one subject under one load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::calls::{self, CallCount};
use super::load_point::{LoadPoint, Pace, Verb};
use super::open_loop::{OpenLoad, OpenResult};
use super::payload::Payload;
use super::setup::Setup;
use super::subject::{Running, Subject};
use crate::bench::cpu::{MachineCpu, Snapshot, Used};
use crate::bench::wrk::{Load, WrkResult};
use crate::wait::Stopwatch;

const WARM_UP_SECONDS: u32 = 1;

/// Answers looked at before and after each measurement.
const VERIFIED_ANSWERS: u64 = 8;

/// For an execution of `:enqueue` that is verified.
const READ_PATIENCE_S: u32 = 30;

/// CPU times are microseconds per answered request.
#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub subject: String,
    #[serde(serialize_with = "by_name")]
    pub point: LoadPoint,
    /// From 1.
    pub round: u32,
    pub p50_us: f64,
    pub p99_us: f64,
    pub requests_per_second: f64,
    /// In an open loop, the share of the asked rate that was sent and answered in time, at most 1.
    pub rate_reached: Option<f64>,
    pub errors: u64,
    /// Of what is in front of the function, all threads; `None` for a direct call.
    pub cpu_us: Option<f64>,
    pub cpu_us_by_thread: BTreeMap<String, f64>,
    /// Threads that ended meanwhile and whose time is therefore missing above.
    pub threads_lost: usize,
    pub function_cpu_us: f64,
    pub load_cpu_us: f64,
    /// `None` for a function that does not count.
    pub calls: Option<CallCount>,
    /// CPU that everything but the subject, the function and the load used meanwhile, in percent of one core.
    pub others_cpu_percent: f64,
    /// CPU that the hypervisor took meanwhile, in percent of one core.
    pub steal_percent: f64,
    pub tool: ToolResult,
}

/// Output of the load tool.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ToolResult {
    Wrk(WrkResult),
    Vegeta(OpenResult),
}

/// A load that has been applied and, for an open loop, not been read yet.
enum Applied {
    Wrk(WrkResult, u64),
    Vegeta(OpenLoad),
}

/// CPU time and the machine's, at one moment.
struct Meters {
    machine: MachineCpu,
    function: Snapshot,
    front: Option<Snapshot>,
}

fn by_name<S: serde::Serializer>(point: &LoadPoint, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(point)
}

pub(super) fn measure(
    setup: &Setup,
    subject: &Subject,
    point: &LoadPoint,
    round: u32,
) -> Result<Measurement> {
    let mut running = subject.start(setup, point)?;
    let payload = setup.payload(point)?;
    let asked = verify(&running, subject, point, payload).context("before the measurement")?;
    let warm_up = apply(setup, &running, point, payload, WARM_UP_SECONDS).context("warming up")?;
    let warm_up = warm_up.read(setup)?.0;
    let before = counted(&running, 0, asked + warm_up.succeeded(), under_way_max(point))?;

    let meters = Meters::read(&running)?;
    let watch = Stopwatch::start();
    let applied = apply(setup, &running, point, payload, setup.seconds)?;
    // Executions that were accepted and have not ended belong to the load.
    calls::settled(&running.function_address, 0)?;
    let elapsed = watch.elapsed();
    let after = Meters::read(&running)?;

    let (tool, load_ns) = applied.read(setup)?;
    let calls = match before {
        Some(before) => {
            // Calls of the warm-up that were under way and have not come to the function yet may come now.
            let late = under_way_max(point).saturating_sub(before.surplus());
            counted(&running, before.counted, tool.succeeded(), under_way_max(point) + late)?
        }
        None => None,
    };
    verify(&running, subject, point, payload).context("after the measurement")?;
    running.check_alive()?;
    running.stop()?;
    Ok(Measurement::of(subject, point, round, &meters, &after, elapsed, load_ns, tool, calls))
}

/// Calls that a load tool may leave under way when it stops: vegeta waits for all.
fn under_way_max(point: &LoadPoint) -> u64 {
    match point.pace {
        Pace::Closed => u64::from(point.connections),
        Pace::Open { .. } => 0,
    }
}

/// Calls since the function had counted `earlier`; none where it does not count.
fn counted(running: &Running, earlier: u64, answered: u64, under_way_max: u64) -> Result<Option<CallCount>> {
    let now = calls::settled(&running.function_address, earlier + answered)?;
    now.map(|now| CallCount { answered, counted: now - earlier }.check(under_way_max)).transpose()
}

fn apply(
    setup: &Setup,
    running: &Running,
    point: &LoadPoint,
    payload: &Payload,
    seconds: u32,
) -> Result<Applied> {
    match point.pace {
        Pace::Closed => {
            let url = running.url()?;
            let load = Load { script: &payload.script, url: &url, connections: point.connections };
            let (wrk, cpu_ns) = load.run(seconds)?;
            Ok(Applied::Wrk(wrk, cpu_ns))
        }
        Pace::Open { percent } => {
            let rate = setup.peak()?.rate(percent);
            Ok(Applied::Vegeta(setup.vegeta()?.attack(running, payload, Some(rate), seconds)?))
        }
    }
}

impl Applied {
    /// Output of the tool and the CPU time that it used, in nanoseconds.
    fn read(self, setup: &Setup) -> Result<(ToolResult, u64)> {
        match self {
            Self::Wrk(wrk, cpu_ns) => Ok((ToolResult::Wrk(wrk), cpu_ns)),
            Self::Vegeta(load) => Ok((ToolResult::Vegeta(setup.vegeta()?.read(&load)?), load.cpu_ns)),
        }
    }
}

impl ToolResult {
    fn succeeded(&self) -> u64 {
        match self {
            Self::Wrk(wrk) => wrk.requests - wrk.errors.status,
            Self::Vegeta(open) => open.succeeded,
        }
    }

    fn requests(&self) -> u64 {
        match self {
            Self::Wrk(wrk) => wrk.requests,
            Self::Vegeta(open) => open.requests,
        }
    }

    fn errors(&self) -> u64 {
        match self {
            Self::Wrk(wrk) => wrk.errors.sum(),
            Self::Vegeta(open) => open.requests - open.succeeded,
        }
    }
}

impl Meters {
    fn read(running: &Running) -> Result<Self> {
        Ok(Self {
            machine: MachineCpu::read()?,
            function: running.function_cpu()?,
            front: running.front_cpu()?,
        })
    }

    /// CPU time of the function, and of what is in front of it.
    fn since(&self, before: &Self) -> (Used, Option<Used>) {
        let front = self.front.as_ref().zip(before.front.as_ref());
        (self.function.since(&before.function), front.map(|(after, before)| after.since(before)))
    }
}

impl Measurement {
    #[expect(clippy::too_many_arguments, reason = "it brings together all that one measurement has read")]
    fn of(
        subject: &Subject,
        point: &LoadPoint,
        round: u32,
        before: &Meters,
        after: &Meters,
        elapsed: Duration,
        load_ns: u64,
        tool: ToolResult,
        calls: Option<CallCount>,
    ) -> Self {
        let (function, front) = after.since(before);
        let per_request_us = |ns: u64| ns as f64 / 1e3 / tool.requests() as f64;
        let percent = |ns: u64| ns as f64 / 1e7 / elapsed.as_secs_f64();
        let ours_ns = load_ns + function.total_ns + front.as_ref().map_or(0, |front| front.total_ns);
        let busy_ns = after.machine.busy_ns.saturating_sub(before.machine.busy_ns);
        let by_thread = front.iter().flat_map(|front| &front.by_thread_name_ns);
        let (p50_us, p99_us, requests_per_second, rate_reached) = match &tool {
            ToolResult::Wrk(wrk) => (wrk.p50_us as f64, wrk.p99_us as f64, wrk.requests_per_second(), None),
            ToolResult::Vegeta(open) => {
                (open.p50_us, open.p99_us, open.requests_per_second, open.rate_reached)
            }
        };
        Self {
            subject: subject.name.clone(),
            point: *point,
            round,
            p50_us,
            p99_us,
            requests_per_second,
            rate_reached,
            errors: tool.errors(),
            cpu_us: front.as_ref().map(|front| per_request_us(front.total_ns)),
            cpu_us_by_thread: by_thread.map(|(name, ns)| (name.clone(), per_request_us(*ns))).collect(),
            threads_lost: front.as_ref().map_or(0, |front| front.threads_lost),
            function_cpu_us: per_request_us(function.total_ns),
            load_cpu_us: per_request_us(load_ns),
            calls,
            others_cpu_percent: percent(busy_ns.saturating_sub(ours_ns)),
            steal_percent: percent(after.machine.steal_ns.saturating_sub(before.machine.steal_ns)),
            tool,
        }
    }
}

/// Some answers must be those of the function itself, which must be its input. Gives how often it was called.
fn verify(running: &Running, subject: &Subject, point: &LoadPoint, payload: &Payload) -> Result<u64> {
    let body = &payload.body;
    let itself = running.function_address.ask_json("POST /invoke", body, 200);
    let itself = itself.context("the function itself")?;
    ensure!(itself == *payload.input(), "the function does not give back its input, but {itself}");
    for _ in 0..VERIFIED_ANSWERS {
        let request = format!("POST {}", running.path);
        let output = match (subject.is_picofaas(), point.verb) {
            (false, Verb::Invoke | Verb::Enqueue) => running.target.ask_json(&request, body, 200)?,
            (true, Verb::Invoke) => output(running.target.ask_json(&request, body, 200)?)?,
            (true, Verb::Enqueue) => {
                let accepted = running.target.ask_json(&request, body, 202)?;
                let id = accepted["executionId"].as_str().context("a 202 without an executionId")?;
                let read = format!("GET /v1/executions/{id}?wait={READ_PATIENCE_S}");
                output(running.target.ask_json(&read, "", 200)?)?
            }
        };
        ensure!(output == itself, "{output} is not the function's answer, which is {itself}");
    }
    Ok(VERIFIED_ANSWERS + 1)
}

fn output(mut execution: Value) -> Result<Value> {
    ensure!(execution["status"] == "success", "not a success: {execution}");
    Ok(execution["output"].take())
}

impl fmt::Display for Measurement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, point, round, p50_us, p99_us, requests_per_second, .. } = self;
        write!(
            out,
            "round {round}, {point}, {subject}: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, \
             {requests_per_second:.0} requests/s"
        )?;
        if let Some(reached) = self.rate_reached {
            write!(out, " ({:.1} % of those asked for)", reached * 100.0)?;
        }
        if let Some(cpu_us) = self.cpu_us {
            write!(out, ", {cpu_us:.1} µs of CPU")?;
        }
        write!(out, ", others {:.0} %", self.others_cpu_percent)?;
        match self.calls {
            Some(CallCount { answered, counted }) => {
                write!(out, ", {counted} calls counted for {answered} answers")?;
            }
            None => write!(out, ", calls not counted: the function has no metrics")?,
        }
        if self.threads_lost > 0 {
            write!(out, ", {} threads ended and are not counted", self.threads_lost)?;
        }
        match self.errors {
            0 => Ok(()),
            _ => write!(out, ", ERRORS {:?}", self.tool),
        }
    }
}
