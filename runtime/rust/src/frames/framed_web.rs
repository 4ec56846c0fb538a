//! A web request of a frame, and its answer (`docs/runtime.md#web-requests`).

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as _, Frame};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri};
use picofaas_frames::{AnswerHead, Field, FieldList, Fields, RequestHead, Sequence, WebHead};

use super::framed_invocation::{FramedAnswer, FramedInvocation};
use crate::caller::write_hex;
use crate::handler::Handler;
use crate::log;
use crate::panics::caught;
use crate::request_body::RequestBody;
use crate::response::{self, HttpResponse};
use crate::response_body::{AnyError, ResponseBody};
use crate::server::Instance;
use crate::standby::ConnectionKey;
use crate::web_answer;

const EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");
const DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");

/// A whole answer to a web request.
#[derive(Debug)]
pub(super) struct WebAnswer {
    pub(super) head: AnswerHead,
    pub(super) fields: FieldList,
    pub(super) body: Bytes,
}

/// A part of an answer whose body comes piece by piece.
#[derive(Debug)]
pub(super) enum WebStep {
    Begin { head: AnswerHead, fields: FieldList, body_bytes: Option<u64> },
    Piece { bytes: Bytes, ends: bool },
    BreakOff,
}

/// The way of such answers from their invocations to the connection: at most one piece of each is on it.
#[derive(Debug, Default)]
pub(super) struct Outlet(RefCell<Vec<(Sequence, WebStep)>>);

impl Outlet {
    fn put(&self, sequence: Sequence, step: WebStep) {
        self.0.borrow_mut().push((sequence, step));
    }

    /// Takes all that is there.
    pub(super) fn take(&self) -> Vec<(Sequence, WebStep)> {
        self.0.take()
    }
}

/// The request of a frame as HTTP/1.1 would have it, but for its body. None where it is malformed.
pub(super) fn request(head: &RequestHead, web: &WebHead<'_>, fields: &Fields) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(web.method).ok()?;
    *request.uri_mut() = PathAndQuery::try_from(web.target).map(Uri::from).ok()?;
    let headers = request.headers_mut();
    headers.reserve(16);
    for header in fields.headers() {
        let (name, value) = header?;
        headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    insert_names(headers, head, fields)?;
    headers.insert(ATTEMPT, HeaderValue::from(head.attempt));
    headers.insert(DEADLINE_MS, HeaderValue::from(head.deadline_ms));
    Some(request)
}

/// Inserts the headers for which a frame has places and fields of its own.
fn insert_names(headers: &mut HeaderMap, head: &RequestHead, fields: &Fields) -> Option<()> {
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
    let mut execution = [0; 40];
    write_hex(&mut execution, &head.execution_id);
    headers.insert(EXECUTION_ID, value(&execution)?);
    let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut parent[3..35], &head.trace_id);
    write_hex(&mut parent[36..52], &head.parent_span_id);
    write_hex(&mut parent[53..], &[head.trace_flags]);
    headers.insert(TRACE_ID, value(fields.get(Field::TRACE_NAME).unwrap_or(&parent[3..35]))?);
    headers.insert(TRACEPARENT, value(fields.get(Field::TRACEPARENT).unwrap_or(&parent))?);
    if let Some(state) = fields.get(Field::TRACESTATE) {
        headers.insert(TRACESTATE, value(state)?);
    }
    Some(())
}

/// Has the handler answer a request. An answer that is not whole goes to the outlet piece by piece.
pub(super) async fn run<H, Args>(
    instance: &Rc<Instance<H>>,
    invocation: &FramedInvocation,
    connection: ConnectionKey,
    sequence: Sequence,
    request: Option<Box<Request<()>>>,
    outlet: &Outlet,
) -> FramedAnswer
where
    H: Handler<Args>,
{
    let is_head = request.as_ref().is_some_and(|request| request.method() == Method::HEAD);
    let response = match request {
        None => response::bad_request("the frame has a request that is none of HTTP"),
        Some(request) => match invocation.body.whole().await {
            Ok(body) => {
                let request = request.map(|()| RequestBody::whole_at_once(body));
                web_answer::answer_framed(instance, connection, request).await
            }
            Err(failure) => response::failure(&failure, &failure.to_string()),
        },
    };
    send(invocation, sequence, is_head, response, outlet).await
}

/// Sends an answer, of which the body may come piece by piece.
async fn send(
    invocation: &FramedInvocation,
    sequence: Sequence,
    is_head: bool,
    response: HttpResponse,
    outlet: &Outlet,
) -> FramedAnswer {
    let (parts, body) = response.into_parts();
    let whole = |length: Option<u64>, body: Bytes| {
        let (head, fields) = head_of(&parts, length);
        FramedAnswer::Web(WebAnswer { head, fields, body })
    };
    let has_no_body = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_no_body || !body.is_whole() && body.is_end_stream() {
        // HTTP/1.1 tells the length of the body that there would be, too.
        let length = body.size_hint().exact().filter(|bytes| *bytes > 0);
        let length = length.filter(|_| parts.status != StatusCode::NO_CONTENT);
        let dropped = caught(|| drop(body));
        if let Err(panic) = dropped {
            log::line(&format!("error a body panicked when it was dropped: {}", panic.message));
        }
        return whole(length, Bytes::new());
    }
    let mut body = match body.into_whole() {
        Ok(bytes) => return whole(None, bytes),
        Err(pieces) => pieces,
    };
    let told = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // Where all of it is there at once, it goes with its head.
    let mut next = poll_fn(|cx| Poll::Ready(poll_piece(&mut body, cx))).await;
    match &mut next {
        Poll::Ready(None) => return whole(None, Bytes::new()),
        Poll::Ready(Some(Ok(bytes))) if body.is_end_stream() => {
            cut(bytes, told);
            return whole(None, std::mem::take(bytes));
        }
        Poll::Ready(Some(_)) | Poll::Pending => {}
    }
    let here = if let Poll::Ready(Some(Ok(bytes))) = &next { bytes.len() as u64 } else { 0 };
    let counted = body.size_hint().exact().map(|rest| rest + here);
    let body_bytes = told.or(counted);
    let (head, fields) = head_of(&parts, counted.filter(|_| told.is_none()));
    outlet.put(sequence, WebStep::Begin { head, fields, body_bytes });
    let mut left = body_bytes;
    loop {
        let piece = match std::mem::replace(&mut next, Poll::Pending) {
            Poll::Ready(piece) => piece,
            Poll::Pending => poll_fn(|cx| poll_piece(&mut body, cx)).await,
        };
        let step = step_of(piece, &mut left, || body.is_end_stream());
        if let WebStep::Piece { bytes, ends: false } = &step
            && bytes.is_empty()
        {
            continue;
        }
        let is_last = !matches!(step, WebStep::Piece { ends: false, .. });
        outlet.put(sequence, step);
        if is_last {
            return FramedAnswer::Streamed;
        }
        invocation.piece_sent().await;
    }
}

/// The part of an answer that a piece of its body is, of which `left` bytes are to come, where that is known.
fn step_of(
    piece: Option<Result<Bytes, AnyError>>,
    left: &mut Option<u64>,
    is_end: impl FnOnce() -> bool,
) -> WebStep {
    match piece {
        Some(Ok(mut bytes)) => {
            cut(&mut bytes, *left);
            *left = left.map(|left| left - bytes.len() as u64);
            let ends = left.map_or_else(is_end, |left| left == 0);
            WebStep::Piece { bytes, ends }
        }
        None if left.is_none_or(|left| left == 0) => WebStep::Piece { bytes: Bytes::new(), ends: true },
        Some(Err(_)) | None => WebStep::BreakOff,
    }
}

/// Cuts a piece to the bytes that are left of its body, where that is known, as hyper does over HTTP/1.1.
fn cut(bytes: &mut Bytes, left: Option<u64>) {
    bytes.truncate(left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX));
}

/// The next piece of a body; trailers are none of it.
fn poll_piece(body: &mut ResponseBody, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, AnyError>>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(bytes))) => return Poll::Ready(Some(Ok(bytes))),
            Some(Ok(Err(_))) => {}
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        }
    }
}

/// The head of an answer, with a length that its headers do not tell.
fn head_of(parts: &Parts, length: Option<u64>) -> (AnswerHead, FieldList) {
    let mut fields = FieldList::new();
    for (name, value) in &parts.headers {
        fields.push_header(name.as_str().as_bytes(), value.as_bytes());
    }
    if let Some(length) = length.filter(|_| !parts.headers.contains_key(CONTENT_LENGTH)) {
        fields.push_header(CONTENT_LENGTH.as_str().as_bytes(), length.to_string().as_bytes());
    }
    (AnswerHead { status: parts.status.as_u16() }, fields)
}
