//! The input of an attempt, as its process fetches it: body and headers as `POST /invoke` brings them.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use picofaas_trace_context::{TRACEPARENT, TRACESTATE};

use crate::api::response;
use crate::api::response::Body;
use crate::clock::Nanos;
use crate::id::ExecutionId;
use crate::store::execution::Execution;

const X_EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const X_ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");
const X_DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Answers the input of the running attempt.
pub(crate) fn input(id: ExecutionId, execution: &Execution, now: Nanos) -> Response<Body> {
    let mut response = response::json(200, execution.payload.clone());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut put = |name, value: &[u8]| {
        // Each came as a header, or is made of digits.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    };
    put(X_EXECUTION_ID, &id.text());
    let mut text = Vec::with_capacity(64);
    execution.trace.write_id(&mut text);
    put(X_TRACE_ID, &text);
    text.clear();
    execution.trace.write_parent(&mut text);
    put(TRACEPARENT, &text);
    if let Some(state) = execution.trace.state() {
        put(TRACESTATE, state.as_bytes());
    }
    put(X_ATTEMPT, execution.attempt.to_string().as_bytes());
    put(X_DEADLINE_MS, execution.time_left_ms(now).to_string().as_bytes());
    if let Some(key) = &execution.idempotency_key {
        put(IDEMPOTENCY_KEY, &key.key);
    }
    response
}
