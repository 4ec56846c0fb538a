//! The payload of a request to a worker, in both forms.

use std::collections::BTreeMap;
use std::time::Duration;

use picofaas_runtime::Context;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::value::RawValue;

/// Bytes of a head before its fields.
const HEAD_BYTES: usize = 20;

/// A request as an object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestObject<'a> {
    execution_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<&'a str>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    input: &'a RawValue,
}

/// The time that is left now, in milliseconds.
struct DeadlineMs {
    /// At least 1.
    left: u64,
    /// On the clock that all processes of the machine share. A request that is sent ahead may
    /// wait in the pipe for long, and then the time left when it was sent is no longer true.
    at: u64,
}

impl DeadlineMs {
    fn of(context: &Context) -> Option<Self> {
        let left = ms(context.time_left()?);
        Some(Self { left: left.max(1), at: ms(monotonic()).saturating_add(left) })
    }
}

/// Appends a request as an object.
pub(crate) fn write_object(
    out: &mut Vec<u8>,
    input: &RawValue,
    metadata: &BTreeMap<String, String>,
    context: &Context,
) {
    let deadline = DeadlineMs::of(context);
    let request = RequestObject {
        execution_id: context.execution_id(),
        trace_id: context.trace_id(),
        traceparent: context.traceparent(),
        tracestate: context.tracestate(),
        attempt: context.attempt(),
        deadline_ms: deadline.as_ref().map(|deadline| deadline.left),
        deadline_at_ms: deadline.as_ref().map(|deadline| deadline.at),
        idempotency_key: context.idempotency_key(),
        metadata,
        input,
    };
    serde_json::to_writer(out, &request).expect("texts, numbers and JSON are always JSON");
}

/// Appends a request as a head and its body.
pub(crate) fn write_head_and_body(out: &mut Vec<u8>, context: &Context, body: &[u8]) {
    let start = out.len();
    let deadline = DeadlineMs::of(context);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&context.attempt().to_be_bytes());
    let left = deadline.as_ref().map_or(0, |deadline| u32::try_from(deadline.left).unwrap_or(u32::MAX));
    out.extend_from_slice(&left.to_be_bytes());
    out.extend_from_slice(&deadline.map_or(0, |deadline| deadline.at).to_be_bytes());
    debug_assert_eq!(out.len() - start, HEAD_BYTES);
    for (number, value) in [
        (1, Some(context.execution_id())),
        (2, context.trace_id()),
        (3, context.traceparent()),
        (4, context.tracestate()),
        (5, context.idempotency_key()),
    ] {
        let Some(value) = value else { continue };
        out.push(number);
        out.extend_from_slice(&four_bytes(value.len()));
        out.extend_from_slice(value.as_bytes());
    }
    let length = four_bytes(out.len() - start);
    out[start..start + length.len()].copy_from_slice(&length);
    out.extend_from_slice(body);
}

fn four_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("the head of an HTTP request is shorter than 4 GiB").to_be_bytes()
}

/// The time of `CLOCK_MONOTONIC`.
fn monotonic() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().expect("the clock begins at 0")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
