//! The watchdog in front of an HTTP server beside nginx in front of the same one.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::fixtures::RuntimeFixtures;
use super::load::{LoadMeasurement, Loaded, errors, measure, ratios, table};
use super::subject::{Address, RuntimeSubject};
use super::target::{Bound, RuntimeTarget};
use super::{Disturbance, RuntimeAnswer, RuntimesOptions};
use crate::bench::cpu::Snapshot;
use crate::bench::nginx;
use crate::bench::server::{free_port, wait_for_listener};
use crate::process::Process;

const CONNECTIONS: u32 = 32;

const WATCHDOG: &str = "watchdog http";
const NGINX: &str = "nginx";

pub(super) fn answer(fixtures: &RuntimeFixtures, options: &RuntimesOptions) -> Result<RuntimeAnswer> {
    let mut measurements = Vec::new();
    for round in 1..=options.rounds {
        if round % 2 == 1 {
            measurements.push(through_watchdog(fixtures, options, round)?);
            measurements.push(through_nginx(fixtures, options, round)?);
        } else {
            measurements.push(through_nginx(fixtures, options, round)?);
            measurements.push(through_watchdog(fixtures, options, round)?);
        }
    }
    let of = |figure| ratios(&measurements, CONNECTIONS, [WATCHDOG, NGINX], figure);
    let targets = vec![RuntimeTarget {
        what: "CPU per request at 32, watchdog http ÷ nginx",
        bound: Bound::AtMost(1.3),
        ratios: of(|measurement| measurement.cpu_us),
    }];
    let text = "A proxy in front of the Rust echo, over TCP on both sides. CPU is that of the proxy alone: of the \
                watchdog, which hands on the whole body (WATCHDOG_INPUT=envelope) and checks that the answer is \
                JSON, or of nginx with one worker.";
    Ok(RuntimeAnswer {
        name: "proxy",
        tables: format!("{text}\n\n{}", table(&[WATCHDOG, NGINX], &[CONNECTIONS], &measurements)),
        targets,
        disturbed: Disturbance::count(measurements.iter().map(|measurement| &measurement.disturbance)),
        errors: errors(&measurements),
        measurements: json!(measurements),
    })
}

fn through_watchdog(
    fixtures: &RuntimeFixtures,
    options: &RuntimesOptions,
    round: u32,
) -> Result<LoadMeasurement> {
    let port = free_port()?;
    let mut command = RuntimeSubject::Http.command(fixtures, Address::Port(port))?;
    let mut process = Process::start(WATCHDOG, &mut command)?;
    wait_for_listener(&mut process, port)?;
    let id = process.id();
    // The server is a child of the watchdog.
    let measured = move || Snapshot::of_process(id);
    let loaded = Loaded { name: WATCHDOG, port, measured: &measured, trees: &[id] };
    let measurement = measure(fixtures, &loaded, CONNECTIONS, round, options.seconds).context(WATCHDOG)?;
    process.check_alive()?;
    process.stop()?;
    Ok(measurement)
}

fn through_nginx(
    fixtures: &RuntimeFixtures,
    options: &RuntimesOptions,
    round: u32,
) -> Result<LoadMeasurement> {
    let upstream_port = free_port()?;
    let mut command = RuntimeSubject::Rust.command(fixtures, Address::Port(upstream_port))?;
    let mut upstream = Process::start("the server", &mut command)?;
    wait_for_listener(&mut upstream, upstream_port)?;
    let (mut front, port) =
        nginx::start(&fixtures.nginx_template, &fixtures.folder, &format!("127.0.0.1:{upstream_port}"))?;
    let id = front.id();
    let measured = move || Snapshot::of_tree(id);
    let loaded = Loaded { name: NGINX, port, measured: &measured, trees: &[id, upstream.id()] };
    let measurement = measure(fixtures, &loaded, CONNECTIONS, round, options.seconds).context(NGINX)?;
    front.check_alive()?;
    upstream.check_alive()?;
    front.stop()?;
    upstream.stop()?;
    Ok(measurement)
}
