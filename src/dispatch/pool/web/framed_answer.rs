//! The head of an answer to a web request that came in a frame.

use std::rc::Rc;

use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use picofaas_frames::Fields;

use super::super::connection::{ExchangeError, RESPONSE_HEAD_BYTES_MAX};
use super::super::response_head::{digits, is_bodiless};
use super::web_failure::{WebFailure, too_large};
use crate::api::web::fields::keep_of_answer;
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::ticket::Ticket;
use crate::web_exchange::{ReplyBody, WebReply, WebRequest};

/// Bytes of a line of a head beside name and value, as HTTP/1.1 has it.
const LINE_BYTES: usize = 4;

/// The head of an answer, for the client.
#[derive(Debug)]
pub(crate) struct FramedWebAnswer {
    pub(super) request: Rc<WebRequest>,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Length of the body, where it is known before the end.
    pub(super) body_bytes: Option<u64>,
    /// It has no body, whatever follows.
    pub(crate) is_bodiless: bool,
    /// Time at which it came.
    pub(super) first_byte: Nanos,
}

/// Reads the head of an answer to a request that came at `now`, of whose body the instance says this length.
///
/// # Errors
/// HTTP has no such answer.
pub(crate) fn read(
    request: &Rc<WebRequest>,
    status: u16,
    fields: &Fields,
    body_bytes: Option<u64>,
    now: Nanos,
) -> Result<FramedWebAnswer, WebFailure> {
    let garbage = |text: String| WebFailure::from(ExchangeError::Garbage(text));
    let status = StatusCode::from_u16(status).map_err(|_| garbage("its status is none".to_owned()))?;
    // One piece of memory for all values.
    let fields = fields.detached();
    let mut headers = HeaderMap::with_capacity(16);
    let mut head_bytes = 0;
    for header in fields.headers() {
        let (name, value) = header.ok_or_else(|| garbage("a header of it is malformed".to_owned()))?;
        head_bytes += name.len() + value.len() + LINE_BYTES;
        match (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(fields.share(value))) {
            (Ok(name), Ok(value)) => drop(headers.append(name, value)),
            (_, _) => {
                let name = String::from_utf8_lossy(name);
                return Err(garbage(format!("its header {name} is malformed")));
            }
        }
    }
    if head_bytes > RESPONSE_HEAD_BYTES_MAX {
        return Err(WebFailure::head_too_large());
    }
    let is_bodiless = request.method == Method::HEAD || is_bodiless(status.as_u16());
    if !is_bodiless && let Some(body_bytes) = body_bytes {
        let other = |said: &&HeaderValue| digits(said.as_bytes()) != Some(body_bytes);
        if let Some(said) = headers.get_all(CONTENT_LENGTH).iter().find(other) {
            return Err(garbage(format!(
                "its Content-Length is {said:?}, and its body has {body_bytes} bytes"
            )));
        }
    }
    keep_of_answer(&mut headers, is_bodiless || body_bytes.is_some());
    Ok(FramedWebAnswer {
        request: request.clone(),
        status,
        headers,
        body_bytes,
        is_bodiless,
        first_byte: now,
    })
}

impl FramedWebAnswer {
    /// Takes note of an answer with its whole body. Answers the result of the attempt, and what the client is to have of
    /// it.
    pub(crate) fn whole(
        self,
        context: AttemptContext<'_>,
        ticket: Ticket,
        body: Bytes,
    ) -> (AttemptResult, Option<WebReply>) {
        let mut executions = context.executions.borrow_mut();
        let Self { status, headers, first_byte, .. } = self;
        executions.web_answered(ticket, status.as_u16(), first_byte);
        let answered = result(status, first_byte, first_byte);
        if executions.keeps_answer(ticket) {
            let kept = match body.len() > context.output_max {
                true => Err(too_large(context.output_max)),
                false => executions.keep_answer(ticket, &headers, body),
            };
            let refused = |error| AttemptResult::without_answer(Outcome::Refused(error));
            return (kept.map_or_else(refused, |()| answered), None);
        }
        executions.web_passed(ticket, 0, body.len() as u64);
        (answered, Some(WebReply { status, headers, body: ReplyBody::Whole(body) }))
    }
}

/// The result of an attempt with an answer.
pub(super) fn result(status: StatusCode, first_byte: Nanos, answered: Nanos) -> AttemptResult {
    AttemptResult {
        first_byte,
        answered,
        ..AttemptResult::without_answer(Outcome::Answered(status.as_u16()))
    }
}
