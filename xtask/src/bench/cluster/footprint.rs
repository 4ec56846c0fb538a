//! The memory of a control plane with many functions.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::ClusterAnswer;
use super::calls::ApiCalls;
use super::stage::{ClusterFixtures, Stage, function};
use super::target::ClusterTarget;
use crate::bench::memory::Resident;
use crate::bench::report::markdown_table;
use crate::bench::wire::Wire;
use crate::wait::{Stopwatch, let_pass};

/// How long nothing may be asked of the API server until a control plane counts as done.
const SILENCE: Duration = Duration::from_secs(2);
/// Until it must be.
const PATIENCE: Duration = Duration::from_secs(300);
const MEBIBYTE_KIB: f64 = 1024.0;
const MEBIBYTES_MAX: f64 = 40.0;

#[derive(Debug, Serialize)]
struct Footprint {
    when: &'static str,
    functions: u32,
    resident: Resident,
    /// Since the state before.
    took_s: f64,
}

pub(super) fn answer(fixtures: &ClusterFixtures<'_>, functions: u32) -> Result<ClusterAnswer> {
    let stage = Stage::new(fixtures, "many")?;
    let mut footprints = Vec::new();
    let mut note = |stage: &Stage<'_>, when, functions, watch: Stopwatch| {
        until_done(stage)?;
        let resident = Resident::of(stage.server.process.id())?;
        let took_s = watch.elapsed().as_secs_f64();
        println!("memory, {when}: {resident}, after {took_s:.1} s");
        footprints.push(Footprint { when, functions, resident, took_s });
        Ok::<_, anyhow::Error>(())
    };
    note(&stage, "without a function", 0, Stopwatch::start())?;
    let watch = Stopwatch::start();
    let mut wire = Wire::connect(stage.server.management_port)?;
    for number in 0..functions {
        let name = format!("idle-{number:05}");
        let spec = function(&name, "WARM", "echo", &json!({ "replicas": { "min": 0 } }));
        let (status, body) = wire.ask("POST /v1/functions", &spec.to_string())?;
        ensure!(status == 201, "{name}: {status} {}", String::from_utf8_lossy(&body));
    }
    note(&stage, "registered over HTTP", functions, watch)?;
    let deployments =
        stage.fixtures.api.get(&format!("{}?limit=1", stage.path("/apis/apps/v1", "deployments")))?;
    let more = deployments["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
    ensure!(more + 1 >= u64::from(functions), "there are {} Deployments of {functions}", more + 1);
    let watch = Stopwatch::start();
    let stage = stage.restart()?;
    note(&stage, "after a restart", functions, watch)?;

    let mut table =
        markdown_table(&["", "functions", "resident MiB", "of it anonymous", "of it files", "done after s"]);
    for one in &footprints {
        let mebibytes = |kib: u64| format!("{:.1}", kib as f64 / MEBIBYTE_KIB);
        table.add_row([
            one.when.to_owned(),
            one.functions.to_string(),
            mebibytes(one.resident.whole_kib),
            mebibytes(one.resident.anonymous_kib),
            mebibytes(one.resident.files_kib),
            format!("{:.1}", one.took_s),
        ]);
    }
    let full: Vec<f64> = footprints
        .iter()
        .filter(|one| one.functions > 0)
        .map(|one| one.resident.whole_kib as f64 / MEBIBYTE_KIB)
        .collect();
    let most = full.iter().copied().max_by(f64::total_cmp).context("nothing was measured")?;
    Ok(ClusterAnswer {
        name: "memory",
        tables: format!(
            "`VmRSS`, `RssAnon` and `RssFile` of a control plane of its own, whose functions are `WARM` with `replicas.min: 0`, when it has asked nothing of the API server for {} s.\n\n{table}",
            SILENCE.as_secs()
        ),
        targets: vec![ClusterTarget {
            what: format!("memory with {functions} functions, the larger of both"),
            at_most: MEBIBYTES_MAX,
            unit: "MiB",
            figure: Some(most),
            each: full,
        }],
        rests: Vec::new(),
        errors: 0,
        measurements: json!(footprints),
    })
}

/// Waits until a control plane has nothing to ask of the API server any more.
fn until_done(stage: &Stage<'_>) -> Result<()> {
    let whole = Stopwatch::start();
    let mut calls = ApiCalls::of(stage)?.for_a_reason();
    loop {
        let_pass(SILENCE);
        let now = ApiCalls::of(stage)?.for_a_reason();
        if now <= calls {
            return Ok(());
        }
        calls = now;
        ensure!(whole.elapsed() < PATIENCE, "the control plane is still busy after {} s", PATIENCE.as_secs());
    }
}
