//! Responses: of executions and of errors; that to `:invoke` is in `receipt`.

pub(crate) mod body;
pub(crate) mod output;
pub(crate) mod receipt;
pub(crate) mod slow_execution;
pub(crate) mod summary;
pub(crate) mod web;

use bytes::{BufMut, Bytes};
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

pub(crate) use body::Body;
use summary::push_summary;

use crate::clock::Clock;
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::store::summary::Summary;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const X_COLD_START: HeaderName = HeaderName::from_static("x-cold-start");
pub(crate) const X_ERROR_SOURCE: HeaderName = HeaderName::from_static("x-error-source");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The answer to `:enqueue`.
pub(crate) fn accepted(id: ExecutionId, execution: &Execution) -> Response<Body> {
    let status = execution.stage().as_str();
    let mut response = json(202, format!("{{\"executionId\":\"{id}\",\"status\":\"{status}\"}}"));
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/executions/{id}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// An answer about an execution that an earlier request with the same `Idempotency-Key` began.
pub(crate) fn replayed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The answer to `GET /v1/executions/{id}`.
pub(crate) fn execution(id: ExecutionId, execution: &Execution, clock: &Clock) -> Response<Body> {
    let mut body = Vec::with_capacity(512 + execution.output.len());
    push_summary(&mut body, &Summary::of(id, execution), clock, Some(execution.json_output()));
    json(200, body)
}

/// The answer to a request that was refused.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    error_response(error).map(|body| Body::from(Bytes::from(body)))
}

/// The bytes of such an answer, for where there is no request to answer. `date` is a line of its head.
#[must_use]
pub(crate) fn error_text(error: &ApiError, date: &str) -> Vec<u8> {
    let (head, body) = error_response(error).into_parts();
    let (status, length) = (head.status, body.len());
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{date}").into_bytes();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body.as_bytes());
    text
}

fn error_response(error: &ApiError) -> Response<String> {
    let mut members = serde_json::json!({ "code": error.code.as_str(), "message": error.message });
    if !error.details.is_empty() {
        members["details"] = serde_json::json!(error.details);
    }
    let mut response = Response::new(serde_json::json!({ "error": members }).to_string());
    *response.status_mut() = status_code(error.code.status());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(error.code.source().as_str()));
    let status = error.code.status();
    if status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = error.retry_after_s.or(default_retry_after(status)) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = error.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if error.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Time after which to come back from a 429 or 503 that says nothing better, in seconds.
fn default_retry_after(status: u16) -> Option<u32> {
    matches!(status, 429 | 503).then_some(1)
}

/// Time after which to come back from an execution that has ended so, in seconds: 1 … 60. One that was not begun because
/// of its deadline may be when those have left the line that wait now.
fn retry_after(execution: &Execution, error: &ExecutionError) -> Option<u32> {
    const S: u64 = 1_000_000_000;
    let least = default_retry_after(error.http)?;
    if error.code != ErrorCode::DeadlineUnreachable.as_str() {
        return Some(least);
    }
    let wait = execution.entry.function.queue.wait().div_ceil(S);
    Some(u32::try_from(wait).unwrap_or(60).clamp(least, 60))
}

/// The 204: it was done, and there is nothing to say.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The 304: the client has it already.
pub(crate) fn not_modified() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

/// Drops the body of an answer to `HEAD`.
#[must_use]
pub(crate) fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::default())
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status_code(status);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Writes an output as a JSON value.
fn push_output(body: &mut impl BufMut, output: &[u8]) {
    // Proved to be one JSON value when it came; empty where there is none.
    body.put_slice(if output.is_empty() { b"null" } else { output });
}

/// Writes an error as a JSON value.
fn push_error(body: &mut impl BufMut, error: Option<&ExecutionError>) {
    match error {
        None => body.put_slice(b"null"),
        Some(error) => {
            let text = serde_json::json!({ "code": error.code, "message": error.message }).to_string();
            body.put_slice(text.as_bytes());
        }
    }
}
