//! `WARM` from zero: from the request to the handler, beside a bare Deployment that is scaled from 0 to 1 and
//! whose process says that it listens; and many requests at once.

use std::thread;

use anyhow::{Context as _, Result, anyhow};
use serde::Serialize;
use serde_json::json;

use super::bare::Deployment;
use super::rest::Rest;
use super::stage::{Stage, function, invoke, ms, of_function, try_invoke, was_ready};
use super::target::ClusterTarget;
use super::{ClusterAnswer, ClusterSubject};
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wire::Wire;

const FUNCTION: &str = "from-zero";
/// After which a pod goes: longer than it takes to be ready.
const IDLE_TIMEOUT_MS: u32 = 2_000;
/// Requests at once.
const CROWD: u32 = 50;

#[derive(Debug, Serialize)]
struct FromZeroRun {
    /// From 1.
    pair: u32,
    subject: ClusterSubject,
    to_start_ms: f64,
    /// Nothing where the pod was idle for too long before it was.
    to_ready_ms: Option<f64>,
    rest: Rest,
}

/// Many requests at once to a function without a pod.
#[derive(Debug, Serialize)]
struct Crowd {
    failed: u32,
    first_started_ms: f64,
    last_answered_ms: f64,
    rest: Rest,
}

pub(super) fn answer(stage: &Stage<'_>, pairs: u32, crowds: u32) -> Result<ClusterAnswer> {
    let different = json!({
        "replicas": { "min": 0, "max": 1 },
        "concurrency": CROWD,
        "instanceConcurrency": CROWD,
        "idleTimeoutMs": IDLE_TIMEOUT_MS,
    });
    stage.server.register(&function(FUNCTION, "WARM", "times", &different))?;
    let mut wire = Wire::connect(stage.server.port)?;
    let label = of_function(FUNCTION);
    invoke(&mut wire, FUNCTION)?;
    let bare = Deployment::like(stage, FUNCTION)?;
    bare.scale(1)?.answer()?;
    bare.control_plane.serve_announcement()?;
    bare.shrink(0)?;
    let mut runs = Vec::new();
    for pair in 1..=pairs {
        for subject in ClusterSubject::order(pair) {
            stage.until_left(&label, 0)?;
            let rest = Rest::wait()?;
            let run = match subject {
                ClusterSubject::Picofaas => timed(stage, &label, || {
                    let times = invoke(&mut wire, FUNCTION)?;
                    Ok((times.sent_ns, times.started_ns))
                }),
                ClusterSubject::Bare => timed(stage, &bare.label, || {
                    let sent = bare.scale(1)?;
                    let sent_ns = sent.at_ns;
                    sent.answer()?;
                    Ok((sent_ns, bare.control_plane.serve_announcement()?))
                }),
            };
            let (to_start_ms, to_ready_ms) = run?;
            runs.push(FromZeroRun { pair, subject, to_start_ms, to_ready_ms, rest });
            if subject == ClusterSubject::Bare {
                bare.shrink(0)?;
            }
        }
        if let [.., one, other] = runs.as_slice() {
            println!("WARM from zero, pair {pair}: {one}, {other}");
        }
    }
    let mut all = Vec::new();
    for number in 1..=crowds {
        stage.until_left(&label, 0)?;
        let crowd = crowd(stage)?;
        println!(
            "WARM from zero, {CROWD} at once, {number}: {} failed, the first began after {:.1} ms, the last was answered after {:.1} ms",
            crowd.failed, crowd.first_started_ms, crowd.last_answered_ms
        );
        all.push(crowd);
    }
    stage.until_left(&label, 0)?;
    Ok(answered(&runs, &all))
}

/// From when something was sent until a pod of a label has begun and until it is ready, in milliseconds.
fn timed(
    stage: &Stage<'_>,
    label: &str,
    start: impl FnOnce() -> Result<(i64, i64)>,
) -> Result<(f64, Option<f64>)> {
    let mut watch = stage.watch_pods(label)?;
    thread::scope(|scope| {
        let ready = scope.spawn(move || watch.find(was_ready));
        let (sent_ns, started_ns) = start()?;
        let (ready_ns, was_ready) = ready.join().map_err(|_| anyhow!("the watch panicked"))??;
        Ok((ms(started_ns - sent_ns), was_ready.then(|| ms(ready_ns - sent_ns))))
    })
}

fn crowd(stage: &Stage<'_>) -> Result<Crowd> {
    let mut wires = Vec::new();
    for _ in 0..CROWD {
        wires.push(Wire::connect(stage.server.port)?);
    }
    let rest = Rest::wait()?;
    let answers = thread::scope(|scope| {
        let threads: Vec<_> =
            wires.iter_mut().map(|wire| scope.spawn(move || try_invoke(wire, FUNCTION, 0))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| anyhow!("a caller panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    let times: Vec<_> = answers.into_iter().flatten().collect();
    let sent_ns = times.iter().map(|times| times.sent_ns).min().context("all failed")?;
    let first_started_ns = times.iter().map(|times| times.started_ns).min().unwrap_or_default();
    let last_answered_ns = times.iter().map(|times| times.answered_ns).max().unwrap_or_default();
    Ok(Crowd {
        failed: u32::try_from(failed)?,
        first_started_ms: ms(first_started_ns - sent_ns),
        last_answered_ms: ms(last_answered_ns - sent_ns),
        rest,
    })
}

impl std::fmt::Display for FromZeroRun {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { subject, to_start_ms, to_ready_ms, .. } = self;
        write!(out, "{} {to_start_ms:.1} ms", subject.name())?;
        match to_ready_ms {
            Some(to_ready_ms) => write!(out, " (ready {to_ready_ms:.0} ms)"),
            None => write!(out, " (gone before it was ready)"),
        }
    }
}

fn answered(runs: &[FromZeroRun], crowds: &[Crowd]) -> ClusterAnswer {
    let of = |subject: ClusterSubject, figure: fn(&FromZeroRun) -> Option<f64>| -> Vec<f64> {
        runs.iter().filter(|run| run.subject == subject).filter_map(figure).collect()
    };
    let mut table = markdown_table(&["", "request → handler start, ms", "request → pod ready, ms"]);
    for subject in [ClusterSubject::Picofaas, ClusterSubject::Bare] {
        table.add_row([
            subject.name().to_owned(),
            format!("{:.1}", Spread::of(of(subject, |run| Some(run.to_start_ms)))),
            format!("{:.1}", Spread::of(of(subject, |run| run.to_ready_ms))),
        ]);
    }
    let spread = |figure: fn(&Crowd) -> f64| Spread::of(crowds.iter().map(figure).collect());
    let to_start = of(ClusterSubject::Picofaas, |run| Some(run.to_start_ms));
    let bare = of(ClusterSubject::Bare, |run| Some(run.to_start_ms));
    let ready = |run: &&FromZeroRun| run.subject == ClusterSubject::Picofaas && run.to_ready_ms.is_some();
    let ready: Vec<&FromZeroRun> = runs.iter().filter(ready).collect();
    let to_ready: Vec<f64> = ready.iter().filter_map(|run| run.to_ready_ms).collect();
    let of_ready: Vec<f64> = ready.iter().map(|run| run.to_start_ms).collect();
    let rests = runs.iter().map(|run| run.rest).chain(crowds.iter().map(|crowd| crowd.rest));
    ClusterAnswer {
        name: "WARM from zero",
        tables: format!(
            "picofaas: from just before the request is written to the handler's start in a pod that was not there. \
             bare: from just before the scale of a Deployment of the same pod template is written, 0 → 1, until the announcement of its process was read by a listener of ours. \
             A pod is ready when a watch of the API server says so.\n\n{table}\n\n\
             {CROWD} requests at once from zero, {} times: the first handler began after {:.1} ms, the last answer was read after {:.1} ms.",
            crowds.len(),
            spread(|crowd| crowd.first_started_ms),
            spread(|crowd| crowd.last_answered_ms),
        ),
        targets: vec![
            ClusterTarget::difference(
                "WARM from zero: request → handler start, above a bare Deployment's",
                60.0,
                &to_start,
                &bare,
            ),
            ClusterTarget::ratio(
                "WARM from zero: request → handler start ÷ request → pod ready",
                0.5,
                &of_ready,
                &to_ready,
            ),
            ClusterTarget::none(
                "WARM from zero: failed of 50 at once",
                crowds.iter().map(|crowd| f64::from(crowd.failed)).collect(),
            ),
        ],
        rests: rests.collect(),
        errors: crowds.iter().map(|crowd| u64::from(crowd.failed)).sum(),
        measurements: json!({ "runs": runs, "crowds": crowds }),
    }
}
