//! A request whose client does not wait for the answer of the function, which is kept with the execution.

use std::rc::Rc;

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::http::request::Parts;

use super::super::Gateway;
use super::super::admit::{Checked, lost};
use super::{ArrivedRequest, WebCall};
use crate::api::call_headers::CallHeaders;
use crate::api::response::{Body, web};
use crate::api::web::preference::PREFER;
use crate::error::{ApiError, ErrorCode};
use crate::store::execution::Invocation;
use crate::ticket::Ticket;
use crate::web_exchange::{BodyLimit, RequestBody, WebExchange};

impl Gateway {
    /// A request with any method and path that is enqueued.
    pub(super) async fn kept_call(
        self: &Rc<Self>,
        call: &WebCall<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        let admitted = self.clock.now();
        let has_none = body.size_hint().exact() == Some(0) && !parts.headers.contains_key(CONTENT_LENGTH);
        let kind = if has_none { RequestBody::None } else { RequestBody::Whole };
        let payload = self.read_kept(call, body).await?;
        let call_headers = CallHeaders::read(&parts.headers);
        let ArrivedRequest { entry, timeout_ms } = self.arrive(call, &call_headers)?;
        // The wish is granted, and no business of the function.
        let mut headers = parts.headers.clone();
        headers.remove(PREFER);
        let request = self.web_request(call, parts, &headers, kind);
        let web = Some(Box::new(WebExchange::kept(request, payload.len() as u64)));
        let checked = Checked { payload, timeout_ms, key_header: None, web };
        let ticket = self
            .create_execution(&entry, &call_headers, checked, None, Invocation::Async, admitted)
            .map_err(|refused| call.refuse(refused))?;
        Ok(self.enqueue_kept(ticket))
    }

    /// Enqueues an execution whose client does not wait, and tells it where the answer will be.
    pub(super) fn enqueue_kept(self: &Rc<Self>, ticket: Ticket) -> Response<Body> {
        let accepted = self.executions.with(ticket, web::accepted);
        self.enqueue(ticket);
        accepted.unwrap_or_else(lost)
    }

    /// The whole body, which is held until the execution has ended.
    async fn read_kept(&self, call: &WebCall<'_>, body: Incoming) -> Result<Bytes, ApiError> {
        let most = self.settings.flags.max_body;
        let own = call.body_limit.filter(|limit| limit.bytes < most as u64);
        let bytes_max = own.and_then(|limit| usize::try_from(limit.bytes).ok()).unwrap_or(most);
        self.read_web_body(call, body, bytes_max).await.map_err(|error| {
            if error.code != ErrorCode::BodyTooLarge {
                return error;
            }
            let text = own.map_or_else(
                || {
                    format!(
                        "the body is larger than {most} bytes (--max-body), which is the most of a request with `Prefer: respond-async`; send it without"
                    )
                },
                BodyLimit::message,
            );
            ApiError::new(ErrorCode::BodyTooLarge, text).closing()
        })
    }
}
