//! The HTTP responses of a runtime.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::ages::{ACKNOWLEDGES, Ages};
use crate::failure::Failure;
use crate::invocation::InvocationAnswer;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::response_body::ResponseBody;

const COLD_START: HeaderName = HeaderName::from_static("x-cold-start");
const INIT_DURATION_MS: HeaderName = HeaderName::from_static("x-init-duration-ms");

pub(crate) type HttpResponse = Response<ResponseBody>;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetail<'a>,
}

/// The failure as a client reads it.
#[derive(Serialize)]
pub(crate) struct ErrorDetail<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    /// Absent, the status decides whether there is another attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retryable: Option<bool>,
}

/// 200 with a JSON body.
pub(crate) fn json(body: Bytes) -> HttpResponse {
    with_type(body, HeaderValue::from_static("application/json"))
}

/// 200 that says that the instance can take an invocation, and how old it is.
pub(crate) fn health(ages: &Ages) -> HttpResponse {
    let mut response = json(Bytes::from_static(b"{\"status\":\"ok\"}"));
    let headers = response.headers_mut();
    let (name, value) = ACKNOWLEDGES;
    headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    for (name, ms) in ages.headers() {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(ms));
    }
    response
}

/// 200 with metrics in Prometheus' text format.
pub(crate) fn metrics(body: String) -> HttpResponse {
    with_type(body.into(), HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))
}

/// An error: `{"error":{"code","message"}}`.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    with_status(status, detail_body(ErrorDetail { code, message: &shortened(message), retryable: None }))
}

/// A failure with its own status and code, and its text.
pub(crate) fn failure(failure: &Failure, message: &str) -> HttpResponse {
    with_status(failure.status(), failure_body(failure, message))
}

/// The body that tells a failure.
pub(crate) fn failure_body(failure: &Failure, message: &str) -> Bytes {
    detail_body(ErrorDetail::of(failure, &shortened(message)))
}

/// The answer to an invocation.
pub(crate) fn invocation(answer: InvocationAnswer) -> HttpResponse {
    let InvocationAnswer { status, body, cold_start_ms } = answer;
    let mut response = with_status(status, body);
    if let Some(init_ms) = cold_start_ms {
        response.headers_mut().insert(COLD_START, HeaderValue::from_static("true"));
        response.headers_mut().insert(INIT_DURATION_MS, HeaderValue::from(init_ms));
    }
    response
}

/// 101, after which both ends speak frames.
pub(crate) fn switching_to_frames() -> HttpResponse {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(picofaas_frames::UPGRADE));
    response
}

fn with_status(status: StatusCode, body: Bytes) -> HttpResponse {
    let mut response = json(body);
    *response.status_mut() = status;
    response
}

fn detail_body(error: ErrorDetail<'_>) -> Bytes {
    serde_json::to_vec(&ErrorBody { error }).expect("strings and a boolean are always JSON").into()
}

impl<'a> ErrorDetail<'a> {
    /// The failure with its text, which is not too long.
    pub(crate) fn of(failure: &'a Failure, message: &'a str) -> Self {
        Self { code: failure.code(), message, retryable: failure.is_final().then_some(false) }
    }
}

/// 400, to a request that is none. Its body is not read, so the connection ends.
pub(crate) fn bad_request(fault: &str) -> HttpResponse {
    let mut response = error(StatusCode::BAD_REQUEST, "BAD_REQUEST", fault);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 403, to a web page. Its body is not read, so the connection ends.
pub(crate) fn foreign_origin() -> HttpResponse {
    forbidden("a web page asks (Origin or Sec-Fetch-Site), and an instance answers none")
}

/// 403, to a web request that picofaas did not send. Its body is not read, so the connection ends.
pub(crate) fn foreign_web() -> HttpResponse {
    forbidden("a web request has an X-Execution-Id, which a gateway gives and a direct call may make up")
}

fn forbidden(message: &str) -> HttpResponse {
    let mut response = error(StatusCode::FORBIDDEN, "FOREIGN_ORIGIN", message);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// 404, naming the routes there are.
pub(crate) fn not_found(path: &str) -> HttpResponse {
    let message =
        format!("nothing is at `{path}`: there are POST /invoke, GET /health, GET /metrics and /web/…");
    error(StatusCode::NOT_FOUND, "NOT_FOUND", &message)
}

/// 405, naming the method.
pub(crate) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let message = format!("use {allowed} here");
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A message within its limit, marked where it was cut.
pub(crate) fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE_BYTES_MAX {
        return Cow::Borrowed(message);
    }
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    Cow::Owned(format!("{}… ({} bytes in all)", &message[..end], message.len()))
}

fn with_type(body: Bytes, content_type: HeaderValue) -> HttpResponse {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = "é".repeat(MESSAGE_BYTES_MAX);
        let cut = shortened(&message);
        assert!(cut.len() < MESSAGE_BYTES_MAX + 40 && cut.ends_with("… (4096 bytes in all)"), "{cut}");
        assert_eq!(shortened("as it is"), "as it is");
    }
}
