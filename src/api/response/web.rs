//! Answers at `/fn/{name}`: those of functions that answer HTTP as it is, and those of functions that take JSON.

use bytes::{Bytes, BytesMut};
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRAILER, VARY};

use super::body::Body;
use super::receipt::{X_ATTEMPTS, X_EXECUTION_ID, attempts, insert_text, push_cold_phases, push_timing};
use super::{JSON, X_COLD_START, X_ERROR_SOURCE, default_retry_after, push_output, retry_after, status_code};
use crate::api::web::preference::{PREFERENCE_APPLIED, RESPOND_ASYNC};
use crate::clock::Nanos;
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::store::timestamps::Timestamps;
use crate::web_exchange::{ReplyBody, WebReply};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Lets a script of a page have the requests of paths beside its own, which under one host are other functions'.
const SERVICE_WORKER_ALLOWED: &str = "service-worker-allowed";

/// The answer of a function, with what says which execution it was.
pub(crate) fn answer(
    id: ExecutionId,
    execution: &Execution,
    reply: WebReply,
    has_host: bool,
) -> Response<Body> {
    let WebReply { status, mut headers, body } = reply;
    if !has_host {
        headers.remove(SERVICE_WORKER_ALLOWED);
    }
    let mut response = Response::new(match body {
        ReplyBody::Whole(bytes) => Body::from(bytes),
        ReplyBody::Pieces(pieces) => Body::Streamed(pieces),
        ReplyBody::Upgraded(client) => Body::Upgrade(Some(client)),
    });
    *response.status_mut() = status;
    push_receipt(&mut headers, id, execution);
    *response.headers_mut() = headers;
    response
}

/// The header that announces the trailers of a body in chunks.
pub(crate) fn announce_timing(headers: &mut HeaderMap) {
    headers.insert(TRAILER, HeaderValue::from_static("Server-Timing"));
}

/// The trailers of an answer whose last byte came at `now`: how long its stages took.
#[must_use]
pub(crate) fn timing_trailers(execution: &Execution, now: Nanos) -> HeaderMap {
    let mut timing = BytesMut::with_capacity(128);
    push_timing(&mut timing, &Timestamps { answered: now, ended: now, ..execution.timestamps });
    let mut trailers = HeaderMap::with_capacity(1);
    insert_text(&mut trailers, SERVER_TIMING, timing.freeze());
    trailers
}

/// The answer to a request whose client does not wait for that of its function.
pub(crate) fn accepted(id: ExecutionId, execution: &Execution) -> Response<Body> {
    let mut response = super::accepted(id, execution);
    let headers = response.headers_mut();
    insert_text(headers, X_EXECUTION_ID, Bytes::copy_from_slice(&id.text()));
    headers.insert(PREFERENCE_APPLIED, RESPOND_ASYNC);
    headers.insert(VARY, HeaderValue::from_static("Prefer"));
    response
}

/// The answer where the function gave none: what went wrong.
pub(crate) fn failure(id: ExecutionId, execution: &Execution) -> Response<Body> {
    let (status, text) = match &execution.error {
        Some(error) => {
            (error.http, serde_json::json!({ "error": { "code": error.code, "message": error.message } }))
        }
        None => {
            (502, serde_json::json!({ "error": { "code": "INTERNAL", "message": "there is no answer" } }))
        }
    };
    let mut response = Response::new(Body::from(Bytes::from(text.to_string())));
    *response.status_mut() = status_code(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    if let Some(error) = &execution.error {
        headers.insert(X_ERROR_SOURCE, HeaderValue::from_static(error.source.as_str()));
    }
    let seconds = match &execution.error {
        Some(error) => retry_after(execution, error),
        None => default_retry_after(status),
    };
    if let Some(seconds) = seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    push_receipt(headers, id, execution);
    response
}

/// The answer of a function that takes JSON: its output and nothing around it, or its error.
pub(crate) fn bare_output(id: ExecutionId, execution: &Execution) -> Response<Body> {
    if execution.error.is_some() {
        return failure(id, execution);
    }
    let mut body = BytesMut::with_capacity(execution.output.len().max(4));
    push_output(&mut body, &execution.output);
    let mut response = Response::new(Body::from(body.freeze()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    push_receipt(response.headers_mut(), id, execution);
    response
}

/// Writes the headers that say which execution it was, and how long its stages have taken so far.
fn push_receipt(headers: &mut HeaderMap, id: ExecutionId, execution: &Execution) {
    insert_text(headers, X_EXECUTION_ID, Bytes::copy_from_slice(&id.text()));
    headers.insert(X_ATTEMPTS, attempts(execution.attempt));
    let mut timing = BytesMut::with_capacity(128);
    let mut timestamps = execution.timestamps;
    if timestamps.answered == 0 {
        // The rest of the answer is still to come.
        timestamps.answered = timestamps.first_byte;
        timestamps.ended = timestamps.first_byte;
    }
    push_timing(&mut timing, &timestamps);
    if let Some(cold) = execution.cold_phases() {
        push_cold_phases(&mut timing, cold);
    }
    insert_text(headers, SERVER_TIMING, timing.freeze());
    if execution.cold_start {
        headers.insert(X_COLD_START, HeaderValue::from_static("true"));
    }
}
