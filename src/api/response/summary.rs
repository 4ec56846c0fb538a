//! An execution as JSON, as it is read and listed.

use std::fmt::Write as _;

use super::{push_error, push_output};
use crate::clock::{Clock, Nanos};
use crate::store::execution::Stage;
use crate::store::summary::Summary;
use crate::store::timestamps::STAGES;

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
        "coldStart": summary.cold_start,
        "standby": summary.standby,
    })
    .to_string();
    head.pop();
    body.extend_from_slice(head.as_bytes());
    if let Some(output) = output {
        body.extend_from_slice(b",\"output\":");
        push_output(body, output);
    }
    body.extend_from_slice(b",\"error\":");
    push_error(body, summary.error.as_deref());
    body.extend_from_slice(b",\"timings\":");
    if matches!(summary.stage, Stage::Ended(_)) {
        push_durations(body, &STAGES, &summary.timestamps.durations());
    } else {
        body.extend_from_slice(b"null");
    }
    body.push(b'}');
}

/// Writes durations (ns) as a JSON object, in their order.
pub(super) fn push_durations(body: &mut Vec<u8>, names: &[&str], durations: &[Nanos]) {
    let mut text = String::with_capacity(128);
    for (name, ns) in names.iter().zip(durations) {
        let _ = write!(text, "{}\"{name}\":{ns}", if text.is_empty() { '{' } else { ',' });
    }
    text.push('}');
    body.extend_from_slice(text.as_bytes());
}
