//! The answer to `:invoke`: an output in its envelope, with the headers of the receipt.

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::{Body, Chunk, WrappedOutput};
use super::{JSON, X_COLD_START, X_ERROR_SOURCE, push_error, push_output, retry_after, status_code};
use crate::clock::Nanos;
use crate::cold_phases::ColdPhases;
use crate::error::ErrorCode;
use crate::id::{ExecutionId, ID_LEN};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::store::time_limit::TimeLimit;
use crate::store::timestamps::Timestamps;

pub(super) const X_EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
pub(super) const X_ATTEMPTS: HeaderName = HeaderName::from_static("x-attempts");
const X_STANDBY: HeaderName = HeaderName::from_static("x-standby");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The beginning of a body, up to the id.
const BEFORE_ID: &[u8] = b"{\"executionId\":\"";
/// Texts before the duration of each stage in `Server-Timing` (W3C), see
/// [`STAGES`](crate::store::timestamps::STAGES).
const BEFORE_DURATIONS: [&[u8]; 5] =
    [b"admit;dur=", b", queue;dur=", b", dispatch;dur=", b", function;dur=", b", reply;dur="];
/// Texts before the duration of each phase of a cold start, see [`COLD_PHASES`](crate::cold_phases::COLD_PHASES).
const BEFORE_COLD_PHASES: [&[u8]; 7] = [
    b", cold-asked;dur=",
    b", cold-created;dur=",
    b", cold-scheduled;dur=",
    b", cold-container;dur=",
    b", cold-runtime;dur=",
    b", cold-handler;dur=",
    b", cold-announced;dur=",
];
/// Numbers of attempts as text: as many as nearly all executions have.
const ATTEMPTS: [&str; 4] = ["0", "1", "2", "3"];

/// Bytes that are allocated at once for the texts of answers: those of about forty small ones.
const TEXT_BYTES: usize = 16 * 1024;
/// Bytes of an answer's texts beside its output, where it is a success.
const RECEIPT_BYTES_MAX: usize = 384;
/// Bytes of the phases of a cold start.
const COLD_BYTES_MAX: usize = 288;
/// Bytes of the largest output that is copied into the text of its answer. A larger one is sent from where it was read.
const COPIED_BYTES_MAX: usize = 1024;

/// Memory for a gateway's answers to `:invoke`, used again and again.
///
/// Their texts are written one behind the other into one buffer, of which body and headers are slices. When it is full,
/// it is begun anew if all answers in it were sent, or else left to those that were not, and another one is allocated.
/// So an answer that a client is slow to take holds [`TEXT_BYTES`] at the most.
#[derive(Debug, Default)]
pub struct ReplyMemory {
    text: BytesMut,
    headers: HeaderMap,
}

impl ReplyMemory {
    /// Takes the map of a request's headers, for those of the next answer.
    pub(crate) fn reuse(&mut self, mut headers: HeaderMap) {
        headers.clear();
        self.headers = headers;
    }
}

/// The answer to `:invoke` of a terminal execution.
pub fn invocation(memory: &mut ReplyMemory, id: ExecutionId, execution: &Execution) -> Response<Body> {
    invocation_with(memory, id, execution, execution.error.as_deref())
}

/// The answer to an `:invoke` that joined an execution and has no more time to wait for its end.
pub(crate) fn unfinished(
    memory: &mut ReplyMemory,
    id: ExecutionId,
    execution: &Execution,
    limit: TimeLimit,
) -> Response<Body> {
    let message = format!(
        "the execution that the Idempotency-Key stands for has not ended within {limit} of this request; it goes on"
    );
    let error = ExecutionError::new(ErrorCode::Timeout, message);
    invocation_with(memory, id, execution, Some(&error))
}

fn invocation_with(
    memory: &mut ReplyMemory,
    id: ExecutionId,
    execution: &Execution,
    error: Option<&ExecutionError>,
) -> Response<Body> {
    let ReplyMemory { text, headers } = memory;
    let is_copied = execution.output.len() <= COPIED_BYTES_MAX;
    let cold = execution.cold_phases();
    let cold_bytes = cold.map_or(0, |_| COLD_BYTES_MAX);
    if text.capacity() < RECEIPT_BYTES_MAX + COPIED_BYTES_MAX + cold_bytes {
        text.reserve(TEXT_BYTES);
    }
    text.put_slice(BEFORE_ID);
    text.put_slice(&id.text());
    text.put_slice(b"\",\"status\":\"");
    text.put_slice(execution.stage().as_str().as_bytes());
    text.put_slice(b"\",\"output\":");
    let output_at = text.len();
    if is_copied {
        push_output(text, &execution.output);
    }
    text.put_slice(b",\"error\":");
    push_error(text, error);
    text.put_slice(b"}");
    let body_end = text.len();
    push_timing(text, &execution.timestamps);
    if let Some(cold) = cold {
        push_cold_phases(text, cold);
    }

    let mut text = text.split().freeze();
    let timing = text.split_off(body_end);
    let id = text.slice(BEFORE_ID.len()..BEFORE_ID.len() + ID_LEN);
    let body = if is_copied {
        Body::from(text)
    } else {
        let behind = text.split_off(output_at);
        Body::from(Chunk::Wrapped(Box::new(WrappedOutput::new([text, execution.output.clone(), behind]))))
    };
    let mut response = Response::new(body);
    *response.status_mut() = error.map_or(StatusCode::OK, |error| status_code(error.http));
    let mut headers = std::mem::take(headers);
    headers.reserve(6);
    headers.insert(CONTENT_TYPE, JSON);
    insert_text(&mut headers, X_EXECUTION_ID, id);
    headers.insert(X_ATTEMPTS, attempts(execution.attempt));
    insert_text(&mut headers, SERVER_TIMING, timing);
    if execution.cold_start {
        headers.insert(X_COLD_START, HeaderValue::from_static("true"));
    }
    if execution.standby {
        headers.insert(X_STANDBY, HeaderValue::from_static("true"));
    }
    if let Some(error) = error {
        headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(error.source.as_str()));
        if let Some(seconds) = retry_after(execution, error) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    *response.headers_mut() = headers;
    response
}

pub(super) fn attempts(count: u8) -> HeaderValue {
    match ATTEMPTS.get(usize::from(count)) {
        Some(text) => HeaderValue::from_static(text),
        None => HeaderValue::from(u16::from(count)),
    }
}

pub(super) fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(text) {
        headers.insert(name, value);
    }
}

/// Writes `admit;dur=0.012, queue;dur=…`.
pub(super) fn push_timing(text: &mut impl BufMut, timestamps: &Timestamps) {
    for (before, ns) in BEFORE_DURATIONS.into_iter().zip(timestamps.durations()) {
        text.put_slice(before);
        push_milliseconds(text, ns);
    }
}

/// Writes `, cold-asked;dur=0.012, cold-created;dur=…`, as far as they are known.
#[cold]
pub(super) fn push_cold_phases(text: &mut impl BufMut, phases: ColdPhases) {
    for (at, ns) in phases.known() {
        text.put_slice(BEFORE_COLD_PHASES[at]);
        push_milliseconds(text, ns);
    }
}

/// Writes a duration in milliseconds with the digits of microseconds.
fn push_milliseconds(text: &mut impl BufMut, ns: Nanos) {
    let mut digits = [b'0'; 24];
    let mut at = digits.len();
    let mut micros = ns / 1000;
    // At least one digit is before the point.
    while micros > 0 || at > digits.len() - 5 {
        at -= 1;
        if at == digits.len() - 4 {
            digits[at] = b'.';
            continue;
        }
        digits[at] = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    text.put_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold_phases::COLD_PHASES;
    use crate::store::timestamps::STAGES;

    fn milliseconds(ns: Nanos) -> String {
        let mut text = Vec::new();
        push_milliseconds(&mut text, ns);
        String::from_utf8(text).expect("digits")
    }

    #[test]
    fn a_stage_is_told_in_milliseconds_with_the_digits_of_microseconds() {
        let timestamps = Timestamps {
            admitted: 10,
            enqueued: 15,
            granted: 20,
            written: 30,
            answered: 1_234_030,
            ended: 1_234_072,
            replied: 1_234_080,
            ..Timestamps::default()
        };
        let mut text = Vec::new();
        push_timing(&mut text, &timestamps);
        assert_eq!(
            String::from_utf8(text).expect("text"),
            "admit;dur=0.000, queue;dur=0.000, dispatch;dur=0.000, function;dur=1.234, reply;dur=0.000"
        );
        for (before, name) in BEFORE_DURATIONS.into_iter().zip(STAGES) {
            assert!(before.ends_with(format!("{name};dur=").as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_phases_of_a_cold_start_follow_the_stages_and_have_room() {
        let mut text = Vec::new();
        let over = [2_000, 0, 0, 0, 0, 15_000_000, 20_000_000];
        push_cold_phases(&mut text, ColdPhases::of(over, 1_000, 21_000_000).expect("it waited"));
        let told = ", cold-asked;dur=0.001, cold-handler;dur=14.998, cold-announced;dur=5.000";
        assert_eq!(String::from_utf8(text).expect("text"), told);
        for (before, name) in BEFORE_COLD_PHASES.into_iter().zip(COLD_PHASES) {
            assert_eq!(before, format!(", cold-{name};dur=").as_bytes());
        }
        let longest = milliseconds(u64::MAX).len() * BEFORE_COLD_PHASES.len();
        let texts: usize = BEFORE_COLD_PHASES.iter().map(|before| before.len()).sum();
        assert!(longest + texts <= COLD_BYTES_MAX, "{}", longest + texts);
    }

    #[test]
    fn every_duration_has_three_digits_behind_its_point_and_no_zero_too_many_before_it() {
        for ns in [0, 999, 1000, 9_999_999, 10_000_000, 86_400_000_000_000, u64::MAX] {
            let micros = ns / 1000;
            assert_eq!(milliseconds(ns), format!("{}.{:03}", micros / 1000, micros % 1000), "{ns}");
        }
    }
}
