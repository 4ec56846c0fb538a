//! `JOB`: from the request to the handler, and from its end to the answer, beside a bare Job whose process
//! makes the same two calls; and what is asked of the API server for an invocation.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::bare;
use super::calls::ApiCalls;
use super::rest::Rest;
use super::stage::{Stage, Times, function, invoke};
use super::target::ClusterTarget;
use super::{ClusterAnswer, ClusterSubject};
use crate::bench::report::{Spread, markdown_table};
use crate::bench::wire::Wire;
use crate::wait::let_pass;

const FUNCTION: &str = "job";
/// Invocations and bare Jobs before the first that counts.
const WARM_UPS: u32 = 2;
/// For what is asked of the API server after an invocation: lines of the pod, the function's status.
const AFTERMATH: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct JobRun {
    /// From 1.
    pair: u32,
    subject: ClusterSubject,
    to_start_ms: f64,
    to_answer_ms: f64,
    rest: Rest,
}

pub(super) fn answer(stage: &Stage<'_>, pairs: u32) -> Result<ClusterAnswer> {
    stage.server.register(&function(FUNCTION, "JOB", "times", &json!({})))?;
    let mut wire = Wire::connect(stage.server.port)?;
    invoke(&mut wire, FUNCTION)?;
    let mut bare = bare::Jobs::like_the_first(stage)?;
    for _ in 1..WARM_UPS {
        invoke(&mut wire, FUNCTION)?;
    }
    for _ in 0..WARM_UPS {
        bare.run()?;
    }
    let_pass(AFTERMATH);
    let before = ApiCalls::of(stage)?;
    let mut runs = Vec::new();
    for pair in 1..=pairs {
        for subject in ClusterSubject::order(pair) {
            let rest = Rest::wait()?;
            let times = match subject {
                ClusterSubject::Picofaas => invoke(&mut wire, FUNCTION)?,
                ClusterSubject::Bare => bare.run()?,
            };
            runs.push(JobRun::of(pair, subject, &times, rest));
        }
        if let [.., one, other] = runs.as_slice() {
            println!("JOB, pair {pair}: {one}, {other}");
        }
    }
    let_pass(AFTERMATH);
    let calls = ApiCalls::of(stage)?.since(&before).per(pairs);
    Ok(answered(&runs, &calls))
}

impl JobRun {
    fn of(pair: u32, subject: ClusterSubject, times: &Times, rest: Rest) -> Self {
        Self { pair, subject, to_start_ms: times.to_start_ms(), to_answer_ms: times.to_answer_ms(), rest }
    }
}

impl std::fmt::Display for JobRun {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {:.1} + {:.1} ms", self.subject.name(), self.to_start_ms, self.to_answer_ms)
    }
}

fn answered(runs: &[JobRun], calls: &ApiCalls) -> ClusterAnswer {
    // Each has one run in each pair, in the order of the pairs.
    let of = |subject: ClusterSubject, figure: fn(&JobRun) -> f64| -> Vec<f64> {
        runs.iter().filter(|run| run.subject == subject).map(figure).collect()
    };
    let mut table = markdown_table(&["", "request → handler start, ms", "handler end → answer, ms"]);
    for subject in [ClusterSubject::Picofaas, ClusterSubject::Bare] {
        table.add_row([
            subject.name().to_owned(),
            format!("{:.1}", Spread::of(of(subject, |run| run.to_start_ms))),
            format!("{:.1}", Spread::of(of(subject, |run| run.to_answer_ms))),
        ]);
    }
    let mut counts = markdown_table(&["call to the API server", "per invocation"]);
    for (call, count) in calls.by_name() {
        counts.add_row([call.clone(), format!("{count:.2}")]);
    }
    let to_start = |subject| of(subject, |run| run.to_start_ms);
    ClusterAnswer {
        name: "JOB",
        tables: format!(
            "Each is a Job of one pod of the same template and the same image, whose handler says when it began and ended on the clock that all processes of this machine share. \
             picofaas: from just before the request of `:invoke` is written on a kept connection to the handler's start, and from its end until the answer was read. \
             bare: from just before the creation of the Job is written, and until the post of the result was read by a listener of ours.\n\n{table}\n\n{counts}\n\n\
             Leases, versions and watches are asked for by the clock, whatever is invoked."
        ),
        targets: vec![
            ClusterTarget::difference(
                "JOB: request → handler start, above a bare Job's",
                40.0,
                &to_start(ClusterSubject::Picofaas),
                &to_start(ClusterSubject::Bare),
            ),
            ClusterTarget::median(
                "JOB: handler end → answer",
                20.0,
                "ms",
                of(ClusterSubject::Picofaas, |run| run.to_answer_ms),
            ),
        ],
        rests: runs.iter().map(|run| run.rest).collect(),
        errors: 0,
        measurements: json!({ "runs": runs, "callsPerInvocation": calls }),
    }
}
