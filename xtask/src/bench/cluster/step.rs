//! From one instance to five when ten times as many call, beside a bare Deployment that is scaled from 1 to 5.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use serde_json::json;

use super::bare::Deployment;
use super::rest::Rest;
use super::stage::{Stage, Times, function, ms, of_function, try_invoke};
use super::target::ClusterTarget;
use super::{ClusterAnswer, ClusterSubject};
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wire::Wire;
use crate::wait::let_pass;

const FUNCTION: &str = "step";
const INSTANCES: u32 = 5;
/// Each waits for its answer before it calls again.
const CALLERS: u32 = 10;
/// How long a handler takes.
const HANDLER_MS: u32 = 100;
/// How long one caller calls before the others do.
const BEFORE: Duration = Duration::from_millis(500);
/// How long all of them call on when all instances are ready.
const AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct StepRun {
    /// From 1.
    pair: u32,
    subject: ClusterSubject,
    /// Until a process that was not there had begun with its first.
    to_first_ms: f64,
    /// Until all had; of picofaas nothing where not all did while it was under load.
    to_last_ms: Option<f64>,
    answers: usize,
    failed: usize,
    rest: Rest,
}

pub(super) fn answer(stage: &Stage<'_>, pairs: u32) -> Result<ClusterAnswer> {
    let different = json!({
        "replicas": { "min": 1, "max": INSTANCES },
        "concurrency": CALLERS,
        "instanceConcurrency": CALLERS / INSTANCES,
        "idleTimeoutMs": 1000,
    });
    stage.server.register(&function(FUNCTION, "WARM", "times", &different))?;
    stage.server.until_ready(FUNCTION, 1)?;
    let bare = Deployment::like(stage, FUNCTION)?;
    bare.scale(1)?.answer()?;
    bare.control_plane.serve_announcement()?;
    let label = of_function(FUNCTION);
    let mut runs = Vec::new();
    for pair in 1..=pairs {
        for subject in ClusterSubject::order(pair) {
            stage.until_left(&label, 1)?;
            let rest = Rest::wait()?;
            let run = match subject {
                ClusterSubject::Picofaas => under_load(stage, pair, rest)?,
                ClusterSubject::Bare => scaled(&bare, pair, rest)?,
            };
            println!(
                "step, pair {pair}: {} {:.1} ms, all {:.1} ms, {} answers, {} failed",
                subject.name(),
                run.to_first_ms,
                run.to_last_ms.unwrap_or(f64::NAN),
                run.answers,
                run.failed
            );
            runs.push(run);
        }
    }
    bare.shrink(0)?;
    Ok(answered(&runs))
}

/// One calls, and then nine more.
fn under_load(stage: &Stage<'_>, pair: u32, rest: Rest) -> Result<StepRun> {
    let mut wires = Vec::new();
    for _ in 0..CALLERS {
        wires.push(Wire::connect(stage.server.port)?);
    }
    let over = AtomicBool::new(false);
    let (first, others) = wires.split_first_mut().context("there are callers")?;
    let (before, after) = thread::scope(|scope| {
        let over = &over;
        let first = scope.spawn(move || call(first, over));
        let_pass(BEFORE);
        let others: Vec<_> = others.iter_mut().map(|wire| scope.spawn(move || call(wire, over))).collect();
        let grown = stage.server.until_ready(FUNCTION, INSTANCES.into());
        let_pass(AFTER);
        over.store(true, Ordering::Release);
        grown?;
        let panicked = |_| anyhow!("a caller panicked");
        let before = first.join().map_err(panicked)??;
        let mut after = Vec::new();
        for other in others {
            after.extend(other.join().map_err(panicked)??);
        }
        Ok::<_, anyhow::Error>((before, after))
    })?;
    let failed = before.iter().chain(&after).filter(|answer| answer.is_err()).count();
    let answers = before.len() + after.len();
    let (before, after): (Vec<_>, Vec<_>) =
        (before.into_iter().flatten().collect(), after.into_iter().flatten().collect());
    let old = before.first().map(|times| times.instance.clone()).context("the first caller got no answer")?;
    let step_ns = after.iter().map(|times| times.sent_ns).min().context("the others got no answer")?;
    let mut began: Vec<&Times> = before.iter().chain(&after).filter(|times| times.instance != old).collect();
    began.sort_by_key(|times| times.started_ns);
    let mut seen = BTreeSet::new();
    began.retain(|times| seen.insert(&times.instance));
    let to_ms = |times: &&Times| ms(times.started_ns - step_ns);
    Ok(StepRun {
        pair,
        subject: ClusterSubject::Picofaas,
        to_first_ms: began.first().map(to_ms).context("no new instance served while there was load")?,
        to_last_ms: began.get(INSTANCES as usize - 2).map(to_ms),
        answers,
        failed,
        rest,
    })
}

fn call(wire: &mut Wire, over: &AtomicBool) -> Result<Vec<Result<Times, u16>>> {
    let mut answers = Vec::new();
    while !over.load(Ordering::Acquire) {
        answers.push(try_invoke(wire, FUNCTION, HANDLER_MS)?);
    }
    Ok(answers)
}

/// A bare Deployment with more pods, and with one again.
fn scaled(bare: &Deployment<'_>, pair: u32, rest: Rest) -> Result<StepRun> {
    let sent = bare.scale(INSTANCES)?;
    let sent_ns = sent.at_ns;
    sent.answer()?;
    let mut began = Vec::new();
    for _ in 1..INSTANCES {
        began.push(ms(bare.control_plane.serve_announcement()? - sent_ns));
    }
    ensure!(began.len() > 1, "there are several new instances");
    let run = StepRun {
        pair,
        subject: ClusterSubject::Bare,
        to_first_ms: began[0],
        to_last_ms: began.last().copied(),
        answers: 0,
        failed: 0,
        rest,
    };
    bare.shrink(1)?;
    Ok(run)
}

fn answered(runs: &[StepRun]) -> ClusterAnswer {
    let of = |subject: ClusterSubject, figure: fn(&StepRun) -> Option<f64>| -> Vec<f64> {
        runs.iter().filter(|run| run.subject == subject).filter_map(figure).collect()
    };
    let mut table =
        markdown_table(&["", "step → first new instance, ms", "step → all four new, ms", "answers"]);
    for subject in [ClusterSubject::Picofaas, ClusterSubject::Bare] {
        let answers: usize = runs.iter().filter(|run| run.subject == subject).map(|run| run.answers).sum();
        table.add_row([
            subject.name().to_owned(),
            format!("{:.1}", Spread::of(of(subject, |run| Some(run.to_first_ms)))),
            format!("{:.1}", Spread::of(of(subject, |run| run.to_last_ms))),
            answers.to_string(),
        ]);
    }
    let to_first = |subject| of(subject, |run| Some(run.to_first_ms));
    ClusterAnswer {
        name: "step from 1 to 5 instances",
        tables: format!(
            "picofaas: one caller of a handler that takes {HANDLER_MS} ms, on the one instance there is, and then {CALLERS}, until all instances are ready and {} s more; an instance takes {} at a time. \
             From just before the first of the nine others writes its request to the start of the first handler in a pod that was not there, and in the last of four. \
             bare: from just before the scale of a Deployment of the same pod template is written, 1 → {INSTANCES}, until the announcements of the new processes were read; without load.\n\n{table}",
            AFTER.as_secs(),
            CALLERS / INSTANCES,
        ),
        targets: vec![
            ClusterTarget::difference(
                "step from 1 to 5 at 10 × load: → first new instance serves, above bare",
                150.0,
                &to_first(ClusterSubject::Picofaas),
                &to_first(ClusterSubject::Bare),
            ),
            ClusterTarget::none(
                "step from 1 to 5 at 10 × load: answers other than 200",
                runs.iter()
                    .filter(|run| run.subject == ClusterSubject::Picofaas)
                    .map(|run| run.failed as f64)
                    .collect(),
            ),
        ],
        rests: runs.iter().map(|run| run.rest).collect(),
        errors: runs.iter().map(|run| run.failed as u64).sum(),
        measurements: json!({ "runs": runs }),
    }
}
