//! An execution as JSON, as it is read and listed.

use std::fmt::Write as _;

use super::{push_error, push_output};
use crate::clock::{Clock, Nanos};
use crate::cold_phases::COLD_PHASES;
use crate::store::execution::Stage;
use crate::store::summary::Summary;
use crate::store::timestamps::STAGES;
use crate::store::web::WebRecord;

/// Writes a summary as a JSON object; with an output, which is empty where there is none, or without
/// the field.
pub(crate) fn push_summary(body: &mut Vec<u8>, summary: &Summary, clock: &Clock, output: Option<&[u8]>) {
    let time = |at: Nanos| if at == 0 { serde_json::Value::Null } else { clock.rfc3339(at).into() };
    let mut head = serde_json::json!({
        "executionId": summary.id.to_string(),
        "function": summary.function.as_str(),
        "status": summary.stage.as_str(),
        "attempt": summary.attempt,
        "createdAt": time(summary.timestamps.admitted),
        "startedAt": time(summary.first_granted),
        "finishedAt": time(summary.timestamps.ended),
    })
    .to_string();
    head.pop();
    body.extend_from_slice(head.as_bytes());
    // As text: a member of a value is built, sorted, written and dropped.
    for (name, is_so) in
        [(&b",\"coldStart\":"[..], summary.cold_start), (&b",\"standby\":"[..], summary.standby)]
    {
        body.extend_from_slice(name);
        body.extend_from_slice(if is_so { b"true" } else { b"false" });
    }
    if let Some(output) = output {
        body.extend_from_slice(b",\"output\":");
        push_output(body, output);
    }
    body.extend_from_slice(b",\"error\":");
    push_error(body, summary.error.as_deref());
    if let Some(WebRecord { status, request_bytes, answer_bytes, is_kept }) = summary.web {
        let status = (status > 0).then_some(status);
        let web = serde_json::json!({
            "status": status, "requestBytes": request_bytes, "answerBytes": answer_bytes, "kept": is_kept,
        });
        body.extend_from_slice(b",\"web\":");
        body.extend_from_slice(web.to_string().as_bytes());
    }
    body.extend_from_slice(b",\"timings\":");
    let has_ended = matches!(summary.stage, Stage::Ended(_));
    if has_ended {
        push_durations(body, STAGES.into_iter().zip(summary.timestamps.durations()));
    } else {
        body.extend_from_slice(b"null");
    }
    body.extend_from_slice(b",\"cold\":");
    match summary.cold_phases().filter(|_| has_ended) {
        Some(phases) => push_durations(body, phases.known().map(|(at, ns)| (COLD_PHASES[at], ns))),
        None => body.extend_from_slice(b"null"),
    }
    body.push(b'}');
}

/// Writes durations (ns) as a JSON object, in their order.
pub(super) fn push_durations<'a>(body: &mut Vec<u8>, durations: impl IntoIterator<Item = (&'a str, Nanos)>) {
    let mut text = String::with_capacity(128);
    for (name, ns) in durations {
        let _ = write!(text, "{}\"{name}\":{ns}", if text.is_empty() { '{' } else { ',' });
    }
    text.push('}');
    body.extend_from_slice(text.as_bytes());
}
