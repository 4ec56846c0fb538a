//! A request for a function that answers HTTP as it is.

use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, Version};

use super::super::Gateway;
use super::super::admit::{Checked, lost};
use super::super::waiting::Waiting;
use super::{ArrivedRequest, WebCall};
use crate::api::call_headers::CallHeaders;
use crate::api::response::{Body, web};
use crate::api::web::fields;
use crate::channel::oneshot;
use crate::error::{ApiError, ErrorCode};
use crate::metrics::RejectReason;
use crate::store::execution::Invocation;
use crate::store::function_entry::FunctionEntry;
use crate::ticket::Ticket;
use crate::web_exchange::{ReplyBody, RequestBody, UpgradePlace, WebExchange, WebRequest};

/// Bytes of the largest body of a request that is kept, so that the request may be repeated.
const KEPT_BYTES_MAX: u64 = 64 * 1024;

/// The client of a web request. Dropped before it is answered, it has gone, and its execution is cancelled: nobody else
/// would ever have the answer.
struct WebClient {
    gateway: Rc<Gateway>,
    ticket: Ticket,
    is_answered: bool,
}

impl Drop for WebClient {
    fn drop(&mut self) {
        if !self.is_answered {
            self.gateway.cancel(self.ticket, "the client went away before it was answered");
        }
    }
}

impl Gateway {
    /// A request with any method and path.
    pub(super) async fn web_call(
        self: &Rc<Self>,
        call: &WebCall<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        let admitted = self.clock.now();
        let kind = kind_of(parts, &body, self.settings.flags.max_body);
        let upgrade = upgrade_of(parts, &body);
        let (payload, upload) = match kind {
            RequestBody::None => (Bytes::new(), None),
            RequestBody::Whole => (self.read_web_body(call, body, self.settings.flags.max_body).await?, None),
            RequestBody::Known(_) | RequestBody::Chunked => (Bytes::new(), Some(body)),
        };
        let headers = CallHeaders::read(&parts.headers);
        let ArrivedRequest { entry, timeout_ms } = self.arrive(call, &headers).map_err(ApiError::closing)?;
        let refused = |refused| call.refuse(refused).closing();
        let place = upgrade.as_ref().map(|_| self.take_upgrade_place(&entry)).transpose().map_err(refused)?;
        let (reply, replied) = oneshot::channel();
        let request = WebRequest { upgrade, ..self.web_request(call, parts, &parts.headers, kind) };
        let mut web = WebExchange::new(request, upload, place, reply);
        web.request_bytes = payload.len() as u64;
        let web = Some(Box::new(web));
        let checked = Checked { payload, timeout_ms, key_header: None, web };
        let ticket = self
            .create_execution(&entry, &headers, checked, None, Invocation::Sync, admitted)
            .map_err(refused)?;
        drop(entry);
        let mut waiting = Waiting::of_client(self.clone(), ticket);
        let mut client = WebClient { gateway: self.clone(), ticket, is_answered: false };
        self.enqueue(ticket);
        let reply = tokio::select! {
            biased;
            Ok(reply) = replied => Some(reply),
            () = &mut waiting => None,
        };
        client.is_answered = true;
        let has_host = call.address.has_host;
        let Some(reply) = reply else {
            let mut failure = waiting.reply_with(web::failure).await.unwrap_or_else(lost);
            if matches!(kind, RequestBody::Known(_) | RequestBody::Chunked) {
                // The rest of its body is not read.
                failure.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            return Ok(failure);
        };
        let answer = match &reply.body {
            // Its execution has ended.
            ReplyBody::Whole(_) | ReplyBody::Upgraded(_) => {
                waiting.reply_with(|id, execution| web::answer(id, execution, reply, has_host)).await
            }
            ReplyBody::Pieces(_) => {
                self.executions.with(ticket, |id, execution| web::answer(id, execution, reply, has_host))
            }
        };
        Ok(answer.unwrap_or_else(lost))
    }
}

impl Gateway {
    /// The request as its instance gets it, with these of the client's headers.
    pub(super) fn web_request(
        &self,
        call: &WebCall<'_>,
        parts: &Parts,
        headers: &HeaderMap,
        body: RequestBody,
    ) -> WebRequest {
        let trusted = &self.settings.flags.trust_forwarded;
        WebRequest {
            method: parts.method.clone(),
            target: call.address.target(parts.uri.query()),
            lines: fields::of_request(headers, &call.address, call.peer, trusted),
            upgrade: None,
            body,
            body_limit: call.body_limit,
            takes_trailers: parts.version == Version::HTTP_11 && fields::takes_trailers(headers),
        }
    }

    /// A place for one more connection whose protocol changes.
    fn take_upgrade_place(&self, entry: &FunctionEntry) -> Result<UpgradePlace, (RejectReason, ApiError)> {
        let spec = &entry.function.spec;
        let most = spec.web.as_ref().map_or(0, |web| web.connections_max);
        let taken = self.upgrade_places.borrow_mut().entry(spec.name.to_string()).or_default().clone();
        UpgradePlace::take(&taken, most).ok_or_else(|| {
            let text =
                format!("{most} upgraded connections of this function are open already (web.maxConnections)");
            (RejectReason::QueueFull, ApiError::new(ErrorCode::QueueFull, text))
        })
    }
}

/// The protocol that a request changes to. One with a body goes on as it is without it (RFC 9110, 7.8), and HTTP/2 is not
/// there.
pub(super) fn upgrade_of(parts: &Parts, body: &Incoming) -> Option<HeaderValue> {
    let has_body = !matches!(body.size_hint().exact(), Some(0));
    let upgrade = fields::wanted_upgrade(&parts.headers);
    upgrade.filter(|to| !has_body && !to.as_bytes().eq_ignore_ascii_case(b"h2c")).cloned()
}

/// The way in which the body of a request comes.
fn kind_of(parts: &Parts, body: &Incoming, body_max: usize) -> RequestBody {
    let kept_max = KEPT_BYTES_MAX.min(body_max as u64);
    match body.size_hint().exact() {
        Some(0) if !parts.headers.contains_key(CONTENT_LENGTH) => RequestBody::None,
        Some(bytes) if bytes <= kept_max => RequestBody::Whole,
        Some(bytes) => RequestBody::Known(bytes),
        None => RequestBody::Chunked,
    }
}
