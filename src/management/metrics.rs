//! `GET /metrics`.

use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::api::response;
use crate::api::response::Body;
use crate::metrics::exposition;
use crate::metrics::snapshot::MetricsSnapshot;

/// The numbers in Prometheus' text format.
#[must_use]
pub(crate) fn metrics(snapshot: &MetricsSnapshot<'_>) -> Response<Body> {
    let mut response = response::json(200, exposition::render(snapshot));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
