//! CORS, after the WHATWG's Fetch: lets a page of another origin read answers.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::response;
use super::response::Body;

/// The methods of the calls that a page may make.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
/// The request headers that those calls look at.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, idempotency-key, traceparent, tracestate, x-timeout-ms, x-trace-id",
);
/// The headers of answers that say something.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "allow, etag, idempotency-replayed, location, retry-after, server-timing, x-attempts, x-cold-start, x-error-source, x-execution-id, x-standby",
);
/// Time that a browser may remember a preflight, in seconds: the most that Chromium does.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("7200");

/// Whether a browser asks beforehand what a page may send.
#[must_use]
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that, the same for every path.
#[must_use]
pub(crate) fn preflight() -> Response<Body> {
    let mut response = response::no_content();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    response
}

/// Lets pages of an origin read an answer. Without one, it only says that others might be let.
pub(crate) fn open(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from(ORIGIN));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
}
