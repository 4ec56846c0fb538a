//! The frames on a worker's pipes: 8 bytes of header, the payload's length and a sequence
//! number, both big-endian, then the payload in JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use picofaas_runtime::{Context, HandlerError};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::error_object::ErrorDetail;
use crate::excerpt::excerpt;
use crate::limits::CONCURRENCY_MAX;

pub(crate) const HEADER_BYTES: usize = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestFrame<'a> {
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
    /// On the clock that all processes of the machine share. A request that is sent ahead may
    /// wait in the pipe for long, and then the time left when it was sent is no longer true.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    input: &'a RawValue,
}

/// The first frame of a worker.
#[derive(Deserialize)]
struct ReadyFrame {
    #[serde(default)]
    ready: bool,
    concurrency: Option<usize>,
    error: Option<ErrorDetail>,
}

/// The reply of a worker to a request.
#[derive(Deserialize)]
struct ReplyFrame {
    /// `null` is an output, too.
    #[serde(default, deserialize_with = "present")]
    output: Option<Box<RawValue>>,
    error: Option<ErrorDetail>,
}

/// The fault of a reply.
#[derive(Clone, Debug)]
pub(crate) struct ReplyFault {
    pub(crate) text: String,
    /// It is an object with something in it that is not JSON, such as `NaN`: an output, mostly.
    pub(crate) is_of_output: bool,
}

impl ReplyFault {
    fn of_shape(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_of_output: false }
    }
}

/// Appends a request, with the time that is left now.
pub(crate) fn write_request(out: &mut Vec<u8>, sequence: u32, input: &RawValue, context: &Context) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    let left = context.time_left();
    let request = RequestFrame {
        execution_id: context.execution_id(),
        trace_id: context.trace_id(),
        traceparent: context.traceparent(),
        tracestate: context.tracestate(),
        attempt: context.attempt(),
        deadline_ms: left.map(|left| ms(left).max(1)),
        deadline_at_ms: left.map(|left| ms(monotonic()).saturating_add(ms(left))),
        idempotency_key: context.idempotency_key(),
        metadata: context.metadata(),
        input,
    };
    serde_json::to_writer(&mut *out, &request).expect("texts, numbers and JSON are always JSON");
    let length = out.len() - start - HEADER_BYTES;
    out[start..start + HEADER_BYTES].copy_from_slice(&header(length, sequence));
}

/// The time of `CLOCK_MONOTONIC`.
fn monotonic() -> Duration {
    clock_gettime(ClockId::Monotonic).try_into().expect("the clock begins at 0")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Appends the frame that stops a request: nothing, under its sequence number.
pub(crate) fn write_stop(out: &mut Vec<u8>, sequence: u32) {
    out.extend_from_slice(&header(0, sequence));
}

fn header(length: usize, sequence: u32) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(length).expect("a request is a body of at most 1 GiB and some headers");
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&sequence.to_be_bytes());
    header
}

/// The length and the sequence number of the frame that begins in `buffer`.
pub(crate) fn read_header(buffer: &[u8]) -> Option<(usize, u32)> {
    let (header, _) = buffer.split_first_chunk::<HEADER_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    Some((u32::from_be_bytes([a, b, c, d]) as usize, u32::from_be_bytes([e, f, g, h])))
}

/// Takes the payload of `length` bytes that follows a header, where all of it is there.
pub(crate) fn take_payload(buffer: &mut BytesMut, length: usize) -> Option<BytesMut> {
    if buffer.len() < HEADER_BYTES + length {
        return None;
    }
    buffer.advance(HEADER_BYTES);
    Some(buffer.split_to(length))
}

/// Reads the first frame: how many requests the worker takes at a time, or why it takes none.
///
/// # Errors
/// The fault of the frame.
pub(crate) fn read_ready(payload: &[u8]) -> Result<Result<usize, String>, String> {
    let ReadyFrame { ready, concurrency, error } = read_object(payload).map_err(|fault| fault.text)?;
    match (error, concurrency.unwrap_or(1)) {
        (Some(error), _) => Ok(Err(error.message)),
        (None, concurrency @ 1..=CONCURRENCY_MAX) if ready => Ok(Ok(concurrency)),
        (None, concurrency) if ready => {
            Err(format!("its `concurrency` is {concurrency}: it must be 1 to {CONCURRENCY_MAX}"))
        }
        (None, _) => Err("it has neither `\"ready\":true` nor an `error`".to_owned()),
    }
}

/// Reads a reply: the output as the worker wrote it, or the failure.
///
/// # Errors
/// The fault of the frame.
pub(crate) fn read_reply(payload: &[u8]) -> Result<Result<Box<RawValue>, HandlerError>, ReplyFault> {
    match read_object(payload)? {
        ReplyFrame { output: Some(output), error: None } => Ok(Ok(output)),
        ReplyFrame { output: None, error: Some(error) } => Ok(Err(error.into_error(500))),
        ReplyFrame { output: Some(_), error: Some(_) } => {
            Err(ReplyFault::of_shape("it has both an `output` and an `error`"))
        }
        ReplyFrame { output: None, error: None } => {
            Err(ReplyFault::of_shape("it has neither an `output` nor an `error`"))
        }
    }
}

fn read_object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, ReplyFault> {
    // serde would take an array for the fields in their order.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(ReplyFault::of_shape(format!("it is not an object in JSON but {}", excerpt(payload))));
    }
    serde_json::from_slice(payload).map_err(|fault| ReplyFault {
        text: format!("{} is not what it should be: {fault}", excerpt(payload)),
        is_of_output: fault.is_syntax() || fault.is_eof(),
    })
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(value).map(Some)
}
