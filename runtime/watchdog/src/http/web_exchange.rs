//! A web request as the server gets it, and its answer as the caller gets it.

use std::sync::Arc;

use hyper::body::Body as _;
use hyper::upgrade::OnUpgrade;
use picofaas_runtime::RequestBody;
use picofaas_runtime::http::header::{EXPECT, HeaderValue, TRANSFER_ENCODING};
use picofaas_runtime::http::request::Parts;
use picofaas_runtime::http::{HeaderMap, Method, Request, StatusCode, Version};

use super::hop_headers;
use super::sent_body::{Continued, SentBody, SentEnd};

/// A web request on its way to a server.
pub(crate) struct WebRequest {
    parts: Parts,
    body: RequestBody,
    /// The caller's stream, should the server change to the protocol that the caller asks for.
    upgrade: Option<OnUpgrade>,
    may_be_repeated: bool,
}

impl WebRequest {
    pub(crate) fn new(mut request: Request<RequestBody>) -> Self {
        let protocol = hop_headers::upgrade(request.headers());
        let upgrade = protocol.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        hop_headers::remove(&mut parts.headers);
        if let Some(protocol) = protocol {
            hop_headers::set_upgrade(&mut parts.headers, protocol);
        }
        // hyper takes a GET for one without a body unless its head says so.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        parts.version = Version::HTTP_11;
        let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let may_be_repeated = is_safe && body.is_end_stream() && upgrade.is_none();
        Self { parts, body, upgrade, may_be_repeated }
    }

    /// Whether a server may get it twice without harm: it asks for something and has no body.
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.may_be_repeated
    }

    /// The same request, where it may be repeated.
    pub(crate) fn copy(&self) -> (Request<SentBody>, SentEnd) {
        let (body, end) = SentBody::empty();
        (Request::from_parts(self.parts.clone(), body), end)
    }

    /// The request for the server, and the caller's stream where it asks for another protocol.
    pub(crate) fn into_request(self) -> (Request<SentBody>, SentEnd, Option<OnUpgrade>) {
        let Self { parts, body, upgrade, .. } = self;
        let waits = expects_continue(&parts.headers) && !body.is_end_stream();
        let continued = waits.then(Arc::<Continued>::default);
        let (body, end) = SentBody::new(body, continued.clone());
        let mut request = Request::from_parts(parts, body);
        if let Some(continued) = continued {
            hyper::ext::on_informational(&mut request, move |interim| {
                if interim.status() == StatusCode::CONTINUE {
                    continued.tell();
                }
            });
        }
        (request, end, upgrade)
    }
}

/// Whether a caller waits for a `100 Continue` before it sends the body.
fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
