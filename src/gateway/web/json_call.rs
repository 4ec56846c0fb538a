//! A request for a function that takes JSON, without an envelope: the body is the input, the answer is the output.

use std::rc::Rc;

use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Response};

use super::super::Gateway;
use super::super::admit::{Admitted, lost};
use super::super::body::BodySource;
use super::super::waiting::Waiting;
use super::WebCall;
use crate::api::json;
use crate::api::response::{Body, web};
use crate::api::web::preference;
use crate::error::{ApiError, ErrorCode};
use crate::metrics::RejectReason;
use crate::store::execution::Invocation;

impl Gateway {
    /// `POST /fn/{name}`.
    pub(super) async fn json_call(
        self: &Rc<Self>,
        call: &WebCall<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Body>, ApiError> {
        let name = call.address.name;
        if !matches!(call.address.path, "" | "/") {
            let text = format!(
                "the function {name} takes JSON and has no paths; POST its input to /fn/{name}, or give it the field web if it answers HTTP itself"
            );
            return Err(ApiError::new(ErrorCode::NotFound, text).closing());
        }
        if parts.method != Method::POST {
            let text = format!(
                "{} is not allowed: the function {name} takes JSON, by POST; give it the field web if it answers HTTP itself",
                parts.method
            );
            return Err(ApiError::new(ErrorCode::MethodNotAllowed, text).allowing("POST").closing());
        }
        let input = self.read_web_body(call, body, self.settings.flags.max_body).await?;
        let payload = envelope(&input).map_err(|error| call.refuse((RejectReason::Invalid, error)))?;
        let mut parts = parts.clone();
        // The body is JSON by what the function is, whatever a client calls it, as curl does a form.
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove("idempotency-key");
        let is_left = preference::wants_async(&parts.headers);
        let invocation = if is_left { Invocation::Async } else { Invocation::Sync };
        let admitted = self.admit(name, &parts, BodySource::Whole(payload), invocation).await?;
        let Admitted::New(ticket) = admitted else { return Ok(lost()) };
        if is_left {
            return Ok(self.enqueue_kept(ticket));
        }
        let waiting = Waiting::of_client(self.clone(), ticket);
        self.enqueue(ticket);
        Ok(waiting.reply_with(web::bare_output).await.unwrap_or_else(lost))
    }
}

/// The body of an invocation with this input; nothing is `null`.
fn envelope(input: &[u8]) -> Result<Bytes, ApiError> {
    let input = if input.trim_ascii().is_empty() { b"null" } else { input };
    if !json::is_one_value(input) {
        let text = "the body is not one JSON value, which is the input of this function";
        return Err(ApiError::new(ErrorCode::InvalidJson, text));
    }
    let mut envelope = BytesMut::with_capacity(input.len() + 10);
    envelope.put_slice(b"{\"input\":");
    envelope.put_slice(input);
    envelope.put_slice(b"}");
    Ok(envelope.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_input_and_cannot_be_more_than_that() {
        let told = |input: &str| envelope(input.as_bytes()).map_err(|error| error.code);
        assert_eq!(told(r#"{"a":1}"#).as_deref(), Ok(&br#"{"input":{"a":1}}"#[..]));
        assert_eq!(told(" \r\n").as_deref(), Ok(&br#"{"input":null}"#[..]));
        for wrong in [r#"1,"metadata":{}"#, "1}{", "a=b", "{", "1 2"] {
            assert_eq!(told(wrong), Err(ErrorCode::InvalidJson), "{wrong}");
        }
    }
}
