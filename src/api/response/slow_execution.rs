//! A slow execution as JSON: as it is listed, and why it was slow.

use super::summary::{push_durations, push_summary};
use crate::clock::{Clock, Nanos};
use crate::store::slow_execution::{SLOW_STAGES, SlowExecution};
use crate::store::summary::Summary;

/// Writes a slow execution, of which this is the summary, as a JSON object. `shows_values` is whether its reader is
/// shown the values of variables, and so the tag of the version with them.
pub(crate) fn push_slow_execution(
    body: &mut Vec<u8>,
    slow: &SlowExecution,
    summary: &Summary,
    clock: &Clock,
    shows_values: bool,
) {
    push_summary(body, summary, clock, None);
    let time = |at: Nanos| (at > 0).then(|| clock.rfc3339(at));
    let start = slow.instance_start.as_deref();
    let instance = slow.instance.map(|instance| {
        serde_json::json!({
            "name": start.map(|start| &start.name),
            "place": instance.place,
            "generation": instance.generation,
            "wantedAt": start.and_then(|start| time(start.wanted)),
            "startedAt": start.and_then(|start| time(start.began)),
            "readyAt": start.and_then(|start| time(start.ready)),
        })
    });
    let mut more = serde_json::json!({
        "version": slow.version.tag(shows_values),
        "executionMode": slow.mode.as_str(),
        "traceId": slow.trace_id,
        "dispatched": slow.dispatched,
        "initMs": slow.init_ms,
        "instance": instance,
    })
    .to_string();
    // Both are objects with members: the first goes on with those of the second.
    body.pop();
    body.push(b',');
    more.pop();
    body.extend_from_slice(&more.as_bytes()[1..]);
    body.extend_from_slice(b",\"stages\":");
    push_durations(body, SLOW_STAGES.into_iter().zip(slow.stages()));
    body.push(b'}');
}
