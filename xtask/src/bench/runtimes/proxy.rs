//! The watchdog in front of an HTTP server beside nginx in front of the same one.

use anyhow::{Context as _, Result};
use serde_json::json;

use super::kit::Kit;
use super::load::{Loaded, Measurement, errors, measure, ratios, table};
use super::subject::{Address, Subject};
use super::target::{Bound, Target};
use super::{Answered, Disturbance, Options};
use crate::bench::cpu::Snapshot;
use crate::bench::nginx;
use crate::bench::server::{free_port, wait_for_listener};
use crate::process::Process;

const CONNECTIONS: u32 = 32;

const WATCHDOG: &str = "watchdog http";
const NGINX: &str = "nginx";

pub fn answer(kit: &Kit, options: &Options) -> Result<Answered> {
    let mut measurements = Vec::new();
    for round in 1..=options.rounds {
        if round % 2 == 1 {
            measurements.push(through_watchdog(kit, options, round)?);
            measurements.push(through_nginx(kit, options, round)?);
        } else {
            measurements.push(through_nginx(kit, options, round)?);
            measurements.push(through_watchdog(kit, options, round)?);
        }
    }
    let of = |figure| ratios(&measurements, CONNECTIONS, [WATCHDOG, NGINX], figure);
    let targets = vec![Target {
        what: "CPU per request at 32, watchdog http ÷ nginx",
        bound: Bound::AtMost(1.3),
        ratios: of(|measurement| measurement.cpu_us),
    }];
    let text = "A proxy in front of the Rust echo, over TCP on both sides. CPU is that of the proxy alone: of the \
                watchdog, which hands on the whole body (WATCHDOG_INPUT=envelope) and checks that the answer is \
                JSON, or of nginx with one worker.";
    Ok(Answered {
        name: "proxy",
        tables: format!("{text}\n\n{}", table(&[WATCHDOG, NGINX], &[CONNECTIONS], &measurements)),
        targets,
        disturbed: Disturbance::count(measurements.iter().map(|measurement| &measurement.disturbance)),
        errors: errors(&measurements),
        measurements: json!(measurements),
    })
}

fn through_watchdog(kit: &Kit, options: &Options, round: u32) -> Result<Measurement> {
    let port = free_port()?;
    let mut command = Subject::Http.command(kit, Address::Port(port))?;
    let mut process = Process::start(WATCHDOG, &mut command)?;
    wait_for_listener(&mut process, port)?;
    let id = process.id();
    // The server is a child of the watchdog.
    let measured = move || Snapshot::of_process(id);
    let loaded = Loaded { name: WATCHDOG, port, measured: &measured, trees: &[id] };
    let measurement = measure(kit, &loaded, CONNECTIONS, round, options.seconds).context(WATCHDOG)?;
    process.check_alive()?;
    process.stop()?;
    Ok(measurement)
}

fn through_nginx(kit: &Kit, options: &Options, round: u32) -> Result<Measurement> {
    let upstream_port = free_port()?;
    let mut command = Subject::Rust.command(kit, Address::Port(upstream_port))?;
    let mut upstream = Process::start("the server", &mut command)?;
    wait_for_listener(&mut upstream, upstream_port)?;
    let (mut front, port) =
        nginx::start(&kit.nginx_template, &kit.folder, &format!("127.0.0.1:{upstream_port}"))?;
    let id = front.id();
    let measured = move || Snapshot::of_tree(id);
    let loaded = Loaded { name: NGINX, port, measured: &measured, trees: &[id, upstream.id()] };
    let measurement = measure(kit, &loaded, CONNECTIONS, round, options.seconds).context(NGINX)?;
    front.check_alive()?;
    upstream.check_alive()?;
    front.stop()?;
    upstream.stop()?;
    Ok(measurement)
}
