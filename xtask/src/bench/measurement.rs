//! One measurement: one subject, one number of connections, one wrk run.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::cpu::{MachineCpu, Snapshot};
use super::subject::{Running, Subject};
use super::wrk::{Load, WrkResult};
use crate::http;

const WARM_UP_SECONDS: u32 = 1;

/// Answers looked at before and after each measurement.
const VERIFIED_ANSWERS: u32 = 8;

/// In the body, so that an answer made without reading it is told apart.
const VERIFIED_TEXT: &str = "an answer that was really asked for";

/// The programs and files of a bench.
pub(super) struct Setup {
    /// For generated files and logs.
    pub folder: PathBuf,
    pub script: PathBuf,
    pub nginx_template: PathBuf,
    pub upstream: PathBuf,
    /// Empty when no row is of picofaas.
    pub picofaas: PathBuf,
    /// The picofaas of an earlier commit; empty where none was given.
    pub against: PathBuf,
    pub seconds: u32,
}

/// CPU times are microseconds per answered request.
#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub subject: String,
    pub connections: u32,
    /// From 1.
    pub round: u32,
    pub wrk: WrkResult,
    pub requests_per_second: f64,
    /// Of what is in front of the function, all threads; `None` for a direct call.
    pub cpu_us: Option<f64>,
    pub cpu_us_by_thread: BTreeMap<String, f64>,
    /// Threads that ended meanwhile and whose time is therefore missing above.
    pub threads_lost: usize,
    pub upstream_cpu_us: f64,
    pub wrk_cpu_us: f64,
    /// CPU that everything but the subject, the function and wrk used meanwhile, in percent of one core.
    pub others_cpu_percent: f64,
    /// CPU that the hypervisor took meanwhile, in percent of one core.
    pub steal_percent: f64,
}

pub(super) fn measure(setup: &Setup, subject: &Subject, connections: u32, round: u32) -> Result<Measurement> {
    let mut running = subject.start(setup)?;
    verify(&running, subject).context("before the measurement")?;
    let url = format!("http://127.0.0.1:{}{}", running.front_port, running.path);
    let load = Load { script: &setup.script, url: &url, connections };
    load.run(WARM_UP_SECONDS).context("warming up")?;

    let machine_before = MachineCpu::read()?;
    let upstream_before = Snapshot::of_tree(running.upstream.id())?;
    let front_before = front_snapshot(&running)?;
    let (wrk, wrk_ns) = load.run(setup.seconds)?;
    let front = front_snapshot(&running)?.zip(front_before).map(|(after, before)| after.since(&before));
    let upstream = Snapshot::of_tree(running.upstream.id())?.since(&upstream_before);
    let machine = MachineCpu::read()?;

    verify(&running, subject).context("after the measurement")?;
    running.upstream.check_alive()?;
    running.stop()?;

    let per_request_us = |ns: u64| ns as f64 / 1e3 / wrk.requests as f64;
    let percent = |ns: u64| ns as f64 / 10.0 / wrk.duration_us as f64;
    let ours_ns = wrk_ns + upstream.total_ns + front.as_ref().map_or(0, |front| front.total_ns);
    let busy_ns = machine.busy_ns.saturating_sub(machine_before.busy_ns);
    let by_thread = front.iter().flat_map(|front| &front.by_thread_name_ns);
    Ok(Measurement {
        subject: subject.name.clone(),
        connections,
        round,
        requests_per_second: wrk.requests_per_second(),
        cpu_us: front.as_ref().map(|front| per_request_us(front.total_ns)),
        cpu_us_by_thread: by_thread.map(|(name, ns)| (name.clone(), per_request_us(*ns))).collect(),
        threads_lost: front.as_ref().map_or(0, |front| front.threads_lost),
        upstream_cpu_us: per_request_us(upstream.total_ns),
        wrk_cpu_us: per_request_us(wrk_ns),
        others_cpu_percent: percent(busy_ns.saturating_sub(ours_ns)),
        steal_percent: percent(machine.steal_ns.saturating_sub(machine_before.steal_ns)),
        wrk,
    })
}

fn front_snapshot(running: &Running) -> Result<Option<Snapshot>> {
    running.front.as_ref().map(|front| Snapshot::of_tree(front.id())).transpose()
}

/// Some answers must be 200 and hold what the function itself answers.
fn verify(running: &Running, subject: &Subject) -> Result<()> {
    let expected = ask(running.upstream_port, "/invoke").context("the function itself")?;
    if !expected.to_string().contains(VERIFIED_TEXT) {
        bail!("the function does not give back what it was sent, but {expected}");
    }
    for _ in 0..VERIFIED_ANSWERS {
        let mut answer = ask(running.front_port, &running.path)?;
        if subject.is_picofaas() {
            if answer["status"] != "success" {
                bail!("not a success: {answer}");
            }
            answer = answer["output"].take();
        }
        if answer != expected {
            bail!("{answer} is not the function's answer, which is {expected}");
        }
    }
    Ok(())
}

fn ask(port: u16, path: &str) -> Result<Value> {
    let body = format!("{{\"input\":{{\"text\":\"{VERIFIED_TEXT}\"}}}}");
    let headers = [("Content-Type", "application/json"), ("X-Execution-Id", "verify")];
    let answer = http::request(port, "POST", path, &headers, &body)?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 {
        bail!("status {}: {text}", answer.status);
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("not JSON: {text:?}"))
}

impl fmt::Display for Measurement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, connections, round, wrk, .. } = self;
        write!(out, "round {round}, {connections} connections, {subject}: ")?;
        write!(
            out,
            "p50 {} µs, p99 {} µs, {:.0} requests/s",
            wrk.p50_us, wrk.p99_us, self.requests_per_second
        )?;
        if let Some(cpu_us) = self.cpu_us {
            write!(out, ", {cpu_us:.1} µs of CPU")?;
        }
        write!(out, ", others {:.0} %", self.others_cpu_percent)?;
        if self.threads_lost > 0 {
            write!(out, ", {} threads ended and are not counted", self.threads_lost)?;
        }
        match wrk.errors.sum() {
            0 => Ok(()),
            _ => write!(out, ", ERRORS {:?}", wrk.errors),
        }
    }
}
