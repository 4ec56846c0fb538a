//! A `WARM` instance under load: picofaas beside nginx in front of the same pod, and a direct call to it.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::ClusterAnswer;
use super::rest::Rest;
use super::stage::{Stage, function, of_function};
use crate::bench::nginx;
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wrk::{Load, WrkResult};

const FUNCTION: &str = "hot";
/// Before each measurement.
const WARM_UP_SECONDS: u32 = 1;
/// Connections of wrk.
const CONNECTIONS: [u32; 2] = [1, 32];

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum CallPath {
    Direct,
    Nginx,
    Picofaas,
}

const WAYS: [CallPath; 3] = [CallPath::Direct, CallPath::Nginx, CallPath::Picofaas];

#[derive(Debug, Serialize)]
struct HotRun {
    /// From 1.
    round: u32,
    connections: u32,
    way: CallPath,
    wrk: WrkResult,
    rest: Rest,
}

pub(super) fn answer(stage: &Stage<'_>, root: &Path, rounds: u32, seconds: u32) -> Result<ClusterAnswer> {
    let different = json!({
        "replicas": { "min": 1, "max": 1 }, "concurrency": 256, "instanceConcurrency": 256, "queueSize": 1024,
    });
    stage.server.register(&function(FUNCTION, "WARM", "echo", &different))?;
    stage.server.until_ready(FUNCTION, 1)?;
    let upstream = format!("{}:8080", stage.address_of_pod(&of_function(FUNCTION))?);
    let template = root.join("benches/nginx/reverse-proxy.conf");
    let (nginx, nginx_port) = nginx::start(&template, &stage.fixtures.folder, &upstream)?;
    let script = root.join("benches/wrk/invoke.lua");
    let url = |way| match way {
        CallPath::Direct => format!("http://{upstream}/invoke"),
        CallPath::Nginx => format!("http://127.0.0.1:{nginx_port}/invoke"),
        CallPath::Picofaas => {
            format!("http://127.0.0.1:{}/v1/functions/{FUNCTION}:invoke", stage.server.port)
        }
    };
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for connections in CONNECTIONS {
            let mut order = WAYS;
            order.rotate_left(round as usize % WAYS.len());
            for way in order {
                let url = url(way);
                let rest = Rest::wait()?;
                let load = Load { script: &script, url: &url, connections };
                load.run(WARM_UP_SECONDS).context("warming up")?;
                let (wrk, _) = load.run(seconds)?;
                println!(
                    "WARM hot, round {round}, {connections} connections, {}: p50 {} µs, p99 {} µs, {:.0} requests/s{}",
                    way.name(),
                    wrk.p50_us,
                    wrk.p99_us,
                    wrk.requests_per_second(),
                    if wrk.errors.sum() == 0 { String::new() } else { format!(", ERRORS {:?}", wrk.errors) }
                );
                runs.push(HotRun { round, connections, way, wrk, rest });
            }
        }
    }
    nginx.stop()?;
    Ok(answered(&runs))
}

impl CallPath {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct to the pod",
            Self::Nginx => "nginx",
            Self::Picofaas => "picofaas",
        }
    }
}

fn answered(runs: &[HotRun]) -> ClusterAnswer {
    let mut table = markdown_table(&["connections", "", "p50 µs", "p99 µs", "requests/s", "errors"]);
    let mut ratios = markdown_table(&["connections", "picofaas ÷ nginx: p50", "p99", "requests/s"]);
    for connections in CONNECTIONS {
        // Each has one run in each round, in the order of the rounds.
        let of = |way: CallPath, figure: fn(&WrkResult) -> f64| -> Vec<f64> {
            let runs = runs.iter().filter(|run| run.connections == connections && run.way == way);
            runs.map(|run| figure(&run.wrk)).collect()
        };
        let figures: [fn(&WrkResult) -> f64; 3] =
            [|wrk| wrk.p50_us as f64, |wrk| wrk.p99_us as f64, WrkResult::requests_per_second];
        for way in WAYS {
            let mut row = vec![connections.to_string(), way.name().to_owned()];
            row.extend(figures.map(|figure| format!("{:.0}", Spread::of(of(way, figure)))));
            row.push(of(way, |wrk| wrk.errors.sum() as f64).iter().sum::<f64>().to_string());
            table.add_row(row);
        }
        let mut row = vec![connections.to_string()];
        row.extend(figures.map(|figure| {
            let (picofaas, nginx) = (of(CallPath::Picofaas, figure), of(CallPath::Nginx, figure));
            let each = picofaas.iter().zip(&nginx).map(|(picofaas, nginx)| picofaas / nginx);
            format!("{:.2}", Spread::of(each.collect()))
        }));
        ratios.add_row(row);
    }
    let errors = runs.iter().map(|run| run.wrk.errors.sum()).sum();
    ClusterAnswer {
        name: "WARM hot",
        tables: format!(
            "wrk on this machine, one thread; nginx and picofaas beside it, and the pod on it, too. nginx is a reverse proxy with one worker in front of the pod's address; picofaas calls the same address.\n\n{table}\n\n{ratios}"
        ),
        targets: Vec::new(),
        rests: runs.iter().map(|run| run.rest).collect(),
        errors,
        measurements: json!({ "runs": runs }),
    }
}
