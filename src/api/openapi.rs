//! The description of the API, which is part of the binary.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::response::Body;

/// OpenAPI 3.1, in YAML.
pub(crate) const DOCUMENT: &str = include_str!("../../openapi.yaml");

/// The answer to `GET /openapi.yaml`. The bytes are the binary's own: nothing is copied.
#[must_use]
pub(crate) fn answer() -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from_static(DOCUMENT.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    response
}

#[cfg(test)]
mod runtime_codes;
#[cfg(test)]
mod tests;
