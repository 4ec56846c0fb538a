//! Requests per second and CPU time under wrk: the Python runtime beside its peers.

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::fixtures::RuntimeFixtures;
use super::subject::{Address, RuntimeSubject};
use super::target::{Bound, RuntimeTarget};
use super::{Disturbance, RuntimeAnswer, RuntimesOptions};
use crate::bench::cpu::{MachineCpu, Snapshot};
use crate::bench::report::{Spread, markdown_table};
use crate::bench::server::{free_port, wait_for_listener};
use crate::bench::wrk::{Load, WrkResult};
use crate::http;
use crate::process::Process;
use crate::wait::Stopwatch;

/// Connections at which requests per second are compared.
const MANY: u32 = 16;
/// Connections at which the latency is.
const ONE: u32 = 1;

const WARM_UP_SECONDS: u32 = 1;

/// Answers looked at before and after each measurement.
const VERIFIED_ANSWERS: u32 = 8;

/// One wrk run.
#[derive(Debug, Serialize)]
pub(super) struct LoadMeasurement {
    pub name: &'static str,
    pub connections: u32,
    /// From 1.
    pub round: u32,
    pub wrk: WrkResult,
    pub requests_per_second: f64,
    /// Of what is measured, in microseconds per answered request.
    pub cpu_us: f64,
    pub disturbance: Disturbance,
}

/// A server under load.
pub(super) struct Loaded<'a> {
    pub name: &'static str,
    pub port: u16,
    /// Reads the CPU time that is the result.
    pub measured: &'a dyn Fn() -> Result<Snapshot>,
    /// The processes whose CPU time is not that of others, with their children.
    pub trees: &'a [u32],
}

/// Verifies, warms up, measures, verifies.
pub(super) fn measure(
    fixtures: &RuntimeFixtures,
    loaded: &Loaded<'_>,
    connections: u32,
    round: u32,
    seconds: u32,
) -> Result<LoadMeasurement> {
    verify(loaded.port).context("before the measurement")?;
    let url = format!("http://127.0.0.1:{}/invoke", loaded.port);
    let load = Load { script: &fixtures.load_script, url: &url, connections };
    load.run(WARM_UP_SECONDS).context("warming up")?;
    let trees =
        || -> Result<Vec<Snapshot>> { loaded.trees.iter().map(|id| Snapshot::of_tree(*id)).collect() };
    let (machine_before, trees_before) = (MachineCpu::read()?, trees()?);
    let before = (loaded.measured)()?;
    let watch = Stopwatch::start();
    let (wrk, wrk_ns) = load.run(seconds)?;
    let elapsed = watch.elapsed();
    let used_ns = (loaded.measured)()?.since(&before).total_ns;
    let trees_ns: u64 =
        trees()?.iter().zip(&trees_before).map(|(after, before)| after.since(before).total_ns).sum();
    let disturbance = Disturbance::of(machine_before, wrk_ns + trees_ns, elapsed)?;
    verify(loaded.port).context("after the measurement")?;
    let measurement = LoadMeasurement {
        name: loaded.name,
        connections,
        round,
        requests_per_second: wrk.requests_per_second(),
        cpu_us: used_ns as f64 / 1e3 / wrk.requests as f64,
        wrk,
        disturbance,
    };
    println!(
        "round {round}, {connections} connections, {}: {:.0} requests/s, p50 {} µs, {:.1} µs of CPU, {} errors, others {:.0} %",
        measurement.name,
        measurement.requests_per_second,
        measurement.wrk.p50_us,
        measurement.cpu_us,
        measurement.wrk.errors.sum(),
        measurement.disturbance.others_cpu_percent
    );
    Ok(measurement)
}

pub(super) fn answer(fixtures: &RuntimeFixtures, options: &RuntimesOptions) -> Result<RuntimeAnswer> {
    let subjects =
        fixtures.available(&[RuntimeSubject::Python, RuntimeSubject::Flask, RuntimeSubject::Uvicorn]);
    let mut measurements = Vec::new();
    for round in 1..=options.rounds {
        for connections in [ONE, MANY] {
            let mut order = subjects.clone();
            order.rotate_left((round as usize - 1) % subjects.len());
            for subject in order {
                let port = free_port()?;
                let mut command = subject.command(fixtures, Address::Port(port))?;
                let mut process = Process::start(subject.name(), &mut command)?;
                wait_for_listener(&mut process, port)?;
                let id = process.id();
                let measured = move || Snapshot::of_tree(id);
                let loaded = Loaded { name: subject.name(), port, measured: &measured, trees: &[id] };
                let measurement = measure(fixtures, &loaded, connections, round, options.seconds);
                measurements.push(measurement.with_context(|| subject.name())?);
                process.check_alive()?;
                process.stop()?;
            }
        }
    }
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name()).collect();
    let against =
        |what, connections, peer: RuntimeSubject, figure: fn(&LoadMeasurement) -> f64, bound| RuntimeTarget {
            what,
            bound,
            ratios: ratios(&measurements, connections, [RuntimeSubject::Python.name(), peer.name()], figure),
        };
    let targets = vec![
        against(
            "requests/s at 16, python ÷ flask",
            MANY,
            RuntimeSubject::Flask,
            |m| m.requests_per_second,
            Bound::AtLeast(5.0),
        ),
        against(
            "requests/s at 16, python ÷ uvicorn",
            MANY,
            RuntimeSubject::Uvicorn,
            |m| m.requests_per_second,
            Bound::AtLeast(1.0),
        ),
        against(
            "p50 at 1, python ÷ flask",
            ONE,
            RuntimeSubject::Flask,
            |m| m.wrk.p50_us as f64,
            Bound::AtMost(0.6),
        ),
    ];
    let text = "A Python function that returns its input, over TCP: each parses the JSON body and writes the \
                input as JSON. CPU is that of all processes of the function.";
    Ok(RuntimeAnswer {
        name: "python",
        tables: format!("{text}\n\n{}", table(&names, &[ONE, MANY], &measurements)),
        targets,
        disturbed: Disturbance::count(measurements.iter().map(|measurement| &measurement.disturbance)),
        errors: errors(&measurements),
        measurements: json!(measurements),
    })
}

pub(super) fn errors(measurements: &[LoadMeasurement]) -> u64 {
    measurements.iter().map(|measurement| measurement.wrk.errors.sum()).sum()
}

/// The figure of the first ÷ that of the second in each round that has both.
pub(super) fn ratios(
    measurements: &[LoadMeasurement],
    connections: u32,
    [of, to]: [&str; 2],
    figure: fn(&LoadMeasurement) -> f64,
) -> Vec<f64> {
    let find = |name: &str, round: u32| {
        measurements.iter().find(|m| m.name == name && m.round == round && m.connections == connections)
    };
    let rounds = measurements.iter().filter(|m| m.name == of && m.connections == connections);
    rounds.filter_map(|m| Some(figure(m) / figure(find(to, m.round)?))).collect()
}

pub(super) fn table(names: &[&str], connections: &[u32], measurements: &[LoadMeasurement]) -> String {
    let mut table = markdown_table(&["connections", "", "requests/s", "p50 µs", "p99 µs", "CPU µs/request"]);
    for &connections in connections {
        for name in names {
            let spread = |figure: fn(&LoadMeasurement) -> f64| {
                let of = measurements.iter().filter(|m| m.name == *name && m.connections == connections);
                Spread::of(of.map(figure).collect()).to_string()
            };
            table.add_row([
                connections.to_string(),
                (*name).to_owned(),
                spread(|m| m.requests_per_second),
                spread(|m| m.wrk.p50_us as f64),
                spread(|m| m.wrk.p99_us as f64),
                spread(|m| m.cpu_us),
            ]);
        }
    }
    table.to_string()
}

/// Some answers must be 200 and the input.
fn verify(port: u16) -> Result<()> {
    let input = json!({"text": "an answer that was really asked for", "numbers": [1, 2.5, null]});
    let body = json!({ "input": input }).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Execution-Id", "verify")];
    for _ in 0..VERIFIED_ANSWERS {
        let answer = http::request(port, "POST", "/invoke", &headers, &body)?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 200, "status {}: {text}", answer.status);
        let output: Value = serde_json::from_str(&text).with_context(|| format!("not JSON: {text:?}"))?;
        ensure!(output == input, "{output} is not the input");
    }
    Ok(())
}
