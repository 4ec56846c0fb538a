//! The task of one attempt at an instance that answers HTTP requests as they are.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use tokio::time::Sleep;

use super::super::connection::{Connection, ExchangeError, RESPONSE_HEAD_BYTES_MAX};
use super::super::instance_pools::InstancePools;
use super::super::response_head::{BodyLength, ResponseHead};
use super::answer_body::{AnswerBody, Taken};
use super::answer_head::{ParsedAnswer, parse_answer};
use super::idle_timer::IdleTimer;
use super::sent_request::send;
use super::tunnel::Tunnel;
use super::upload::{Upload, UploadError};
use super::web_failure::{WebFailure, too_large};
use crate::api::response::web;
use crate::channel;
use crate::channel::{MessageSender, mpsc, oneshot};
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::dispatch::context::AttemptContext;
use crate::instance::InstanceKey;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::ticket::Ticket;
use crate::web_exchange::{Piece, ReplyBody, RequestBody, WebReply, WebRequest};

/// Bytes that are read at once at first, and at most. A body that fills what it was given is given more.
const READ_BYTES_MIN: usize = 4 * 1024;
/// See [`READ_BYTES_MIN`].
const READ_BYTES_MAX: usize = 64 * 1024;
/// Pieces of an answer that may wait for its client, beside the one that is being read.
const PIECES_MAX: usize = 2;

/// Time in which a client may take what came of an answer that has broken off.
pub(super) const LAST_PIECES: Duration = Duration::from_millis(500);

/// The end of an attempt, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct WebEnd {
    /// The result of the attempt.
    pub result: AttemptResult,
    /// The answer that the client is to have, where it has not had the head of it.
    pub reply: Option<WebReply>,
    /// The connection, where its protocol was changed.
    pub tunnel: Option<Tunnel>,
}

/// One attempt on its connection.
struct WebAttempt<'a> {
    context: AttemptContext<'a>,
    ticket: Ticket,
    request: Rc<WebRequest>,
    connection: Connection,
    upload: Option<Upload>,
    /// The instance took not all of the request's body: its connection is of no more use.
    is_upload_cut: bool,
    idle: IdleTimer,
    /// Longest time of an answer from its head on.
    stream_max: Option<Duration>,
    /// The end of patience with the head of the answer, where the scheduler does not watch that.
    head_due: Option<Pin<Box<Sleep>>>,
    /// The head of the answer has come.
    has_head: bool,
    /// No client waits: the answer is kept with its execution.
    keeps_answer: bool,
    room: usize,
}

/// The head of an answer.
enum WebAnswer {
    Upgraded(HeaderMap),
    Head(ResponseHead, HeaderMap),
}

/// Sends a request to an instance, and passes the answer on to its client as it comes.
pub(crate) async fn run(
    context: AttemptContext<'_>,
    pools: &InstancePools,
    ticket: Ticket,
    instance: InstanceKey,
) -> WebEnd {
    let without_reply = |result| WebEnd { result, reply: None, tunnel: None };
    let answered = match WebAttempt::begin(context, pools, ticket, instance).await {
        Ok(begun) => begun.answer(pools, instance).await,
        Err(error) => Err(error.into()),
    };
    match answered {
        Ok(end) => end,
        Err(failure) => without_reply(failure.result(context, pools, ticket, instance).await),
    }
}

impl<'a> WebAttempt<'a> {
    /// Writes the head of the request, and its body where that is whole, on a pooled connection or a new one.
    async fn begin(
        context: AttemptContext<'a>,
        pools: &InstancePools,
        ticket: Ticket,
        instance: InstanceKey,
    ) -> Result<Self, ExchangeError> {
        let gone = || ExchangeError::Connect(std::io::ErrorKind::NotConnected.into());
        let address = pools.address(instance).ok_or_else(gone)?;
        let request = context
            .executions
            .with(ticket, |_, execution| execution.web.as_ref().and_then(|web| web.request.clone()));
        let request = request.flatten().ok_or_else(gone)?;
        let web = pools.entry.function.spec.web.as_ref();
        let idle_ms = web.map_or(0, |web| web.stream_idle_ms);
        let stream_max = web.and_then(|web| web.stream_ms_max);
        loop {
            let mut now = context.clock.now();
            let pooled = pools.take(instance, now);
            let is_fresh = pooled.is_none();
            let mut connection = match pooled {
                Some(connection) => connection,
                None => {
                    let connection = Connection::open(&address.target).await?;
                    now = context.clock.now();
                    connection
                }
            };
            match send(context, &address, &request, &mut connection, ticket, now).await {
                Ok(()) => {}
                // A pooled connection that was closed meanwhile is replaced; a fresh one is not.
                Err(ExchangeError::Stale) if !is_fresh => continue,
                Err(error) => return Err(error),
            }
            let mut executions = context.executions.borrow_mut();
            executions.written(ticket, now, context.clock.now());
            let upload = executions.take_upload(ticket);
            let keeps_answer = executions.keeps_answer(ticket);
            drop(executions);
            let is_chunked = request.body == RequestBody::Chunked;
            let limit = request.body_limit;
            return Ok(Self {
                context,
                ticket,
                request,
                connection,
                upload: upload.map(|body| Upload::new(body, is_chunked, limit)),
                is_upload_cut: false,
                idle: IdleTimer::new(context.clock, Duration::from_millis(u64::from(idle_ms))),
                stream_max: stream_max.map(|ms| Duration::from_millis(u64::from(ms))),
                head_due: None,
                has_head: false,
                keeps_answer,
                room: READ_BYTES_MIN,
            });
        }
    }

    /// Reads the answer and passes it on.
    async fn answer(mut self, pools: &InstancePools, instance: InstanceKey) -> Result<WebEnd, WebFailure> {
        let start = poll_fn(|cx| self.poll_start(cx)).await?;
        let first_byte = self.context.clock.now();
        self.has_head = true;
        let (head, headers) = match start {
            WebAnswer::Upgraded(headers) => return Ok(self.upgraded(headers, pools, first_byte)),
            WebAnswer::Head(head, headers) => (head, headers),
        };
        let reply = match self.keeps_answer {
            true => self.keep(&head, &headers, first_byte).await.map(|()| None),
            false => self.pass(&head, headers, first_byte).await,
        }?;
        let answered = self.context.clock.now();
        let is_clean = self.upload.is_none() && !self.is_upload_cut && self.connection.read.is_empty();
        if is_clean && head.keep_alive && head.body != BodyLength::UntilClose {
            self.connection.read = BytesMut::new();
            pools.put(instance, self.connection, answered);
        }
        let result = AttemptResult {
            outcome: Outcome::Answered(head.status),
            cold_start: head.cold_start,
            standby: false,
            init_ns: head.init_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS)),
            first_byte,
            answered,
        };
        Ok(WebEnd { result, reply, tunnel: None })
    }

    /// Passes the answer on. Answers it where all of it is here with the head.
    async fn pass(
        &mut self,
        head: &ResponseHead,
        mut headers: HeaderMap,
        first_byte: Nanos,
    ) -> Result<Option<WebReply>, WebFailure> {
        self.context.executions.borrow_mut().web_answered(self.ticket, head.status, first_byte);
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut body = AnswerBody::new(head.body);
        if let Some(whole) = self.take_whole(head, &mut body) {
            return Ok(Some(WebReply { status, headers, body: ReplyBody::Whole(whole) }));
        }
        if let Some(most) = self.stream_max {
            self.idle.limit(most);
        }
        let has_length = matches!(head.body, BodyLength::Known(_));
        if self.request.takes_trailers && !has_length {
            web::announce_timing(&mut headers);
        }
        let (pieces, taken) = mpsc::channel(PIECES_MAX);
        let reply = WebReply { status, headers, body: ReplyBody::Pieces(taken) };
        let client = self.context.executions.borrow_mut().take_web_reply(self.ticket);
        client.ok_or(WebFailure::Client)?.send(reply).map_err(|_| WebFailure::Client)?;
        if let Err(failure) = self.pass_body(&mut body, has_length, &pieces).await {
            // The client is to have what came before it.
            let taken = pieces.reserve_many(PIECES_MAX);
            drop(tokio::time::timeout(LAST_PIECES, taken).await);
            return Err(failure);
        }
        Ok(None)
    }

    /// Keeps the answer with its execution once all of it is here. Until then nobody has seen any of it.
    async fn keep(
        &mut self,
        head: &ResponseHead,
        headers: &HeaderMap,
        first_byte: Nanos,
    ) -> Result<(), WebFailure> {
        let most = self.context.output_max;
        let whole = self.read_whole(head.body, most).await?;
        let mut executions = self.context.executions.borrow_mut();
        executions.web_answered(self.ticket, head.status, first_byte);
        let kept = match whole {
            Some(whole) => executions.keep_answer(self.ticket, headers, whole),
            None => Err(too_large(most)),
        };
        kept.map_err(WebFailure::NotKept)
    }

    /// The whole body; none where it has more than `most` bytes.
    async fn read_whole(&mut self, length: BodyLength, most: usize) -> Result<Option<Bytes>, WebFailure> {
        let mut whole = BytesMut::new();
        match length {
            BodyLength::Known(length) if length > most => return Ok(None),
            BodyLength::Known(length) => whole.reserve(length),
            BodyLength::Chunked | BodyLength::UntilClose => {}
        }
        let mut body = AnswerBody::new(length);
        self.idle.progress();
        while let Some(piece) = poll_fn(|cx| self.poll_piece(cx, &mut body)).await? {
            if piece.len() > most - whole.len() {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(match length {
            BodyLength::Known(_) => whole.freeze(),
            // It grew by doubling, and what is held must be what is counted.
            BodyLength::Chunked | BodyLength::UntilClose => Bytes::copy_from_slice(&whole),
        }))
    }

    /// The end of an attempt by whose answer the protocol changes.
    fn upgraded(self, headers: HeaderMap, pools: &InstancePools, now: Nanos) -> WebEnd {
        self.context.executions.borrow_mut().web_answered(self.ticket, 101, now);
        let (client, stream) = oneshot::channel();
        let is_web_socket =
            self.request.upgrade.as_ref().is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let idle_ms = pools.entry.function.spec.web.as_ref().map_or(0, |web| web.stream_idle_ms);
        let idle = Duration::from_millis(u64::from(idle_ms));
        let result = AttemptResult {
            first_byte: now,
            answered: now,
            ..AttemptResult::without_answer(Outcome::Answered(101))
        };
        WebEnd {
            result,
            reply: Some(WebReply {
                status: StatusCode::SWITCHING_PROTOCOLS,
                headers,
                body: ReplyBody::Upgraded(client),
            }),
            tunnel: Some(Tunnel::new(self.connection, stream, idle, is_web_socket)),
        }
    }

    /// The whole body, where all of it is here with the head.
    fn take_whole(&mut self, head: &ResponseHead, body: &mut AnswerBody) -> Option<Bytes> {
        match head.body {
            BodyLength::Known(length) if length <= self.connection.read.len() => {
                *body = AnswerBody::Over;
                let whole = Bytes::copy_from_slice(&self.connection.read[..length]);
                drop(self.connection.read.split_to(length));
                self.context.executions.borrow_mut().web_passed(self.ticket, 0, length as u64);
                Some(whole)
            }
            BodyLength::Known(_) | BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Passes the body on to the client, piece by piece.
    async fn pass_body(
        &mut self,
        body: &mut AnswerBody,
        has_length: bool,
        pieces: &MessageSender<Piece>,
    ) -> Result<(), WebFailure> {
        self.idle.progress();
        loop {
            let next = tokio::select! {
                biased;
                next = poll_fn(|cx| self.poll_piece(cx, body)) => next?,
                () = pieces.closed() => return Err(WebFailure::Client),
            };
            let is_end = next.is_none();
            let piece = next.map_or_else(|| Piece::End(self.trailers()), Piece::Bytes);
            let bytes = if let Piece::Bytes(bytes) = &piece { bytes.len() } else { 0 };
            let room = tokio::select! {
                biased;
                room = pieces.reserve() => room.map_err(|_| WebFailure::Client)?,
                over = poll_fn(|cx| self.poll_upload(cx)) => return Err(over),
            };
            room.send(piece);
            self.idle.progress();
            self.context.executions.borrow_mut().web_passed(self.ticket, 0, bytes as u64);
            // A client that has all bytes of a length is through, and takes no word of the end.
            let is_through = has_length && body.is_over();
            if is_end || is_through {
                let _ = pieces.try_send(Piece::End(None));
                return Ok(());
            }
            if self.idle.is_whole_over() {
                return Err(WebFailure::Endless);
            }
        }
    }

    /// The trailers behind the last chunk, for a client that takes them.
    fn trailers(&self) -> Option<HeaderMap> {
        let now = self.context.clock.now();
        let told = |_, execution: &_| web::timing_trailers(execution, now);
        self.request.takes_trailers.then(|| self.context.executions.with(self.ticket, told))?
    }

    /// The head of the answer.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<WebAnswer, WebFailure>> {
        loop {
            let parsed = parse_answer(&self.connection.read, &self.request)?;
            match parsed {
                ParsedAnswer::Whole(head, _) if head.length > RESPONSE_HEAD_BYTES_MAX => {
                    return Poll::Ready(Err(WebFailure::head_too_large()));
                }
                ParsedAnswer::Whole(head, headers) => {
                    drop(self.connection.read.split_to(head.length));
                    return Poll::Ready(Ok(WebAnswer::Head(head, headers)));
                }
                ParsedAnswer::Upgraded(length, headers) => {
                    drop(self.connection.read.split_to(length));
                    return Poll::Ready(Ok(WebAnswer::Upgraded(headers)));
                }
                ParsedAnswer::Interim(length) => {
                    drop(self.connection.read.split_to(length));
                    continue;
                }
                ParsedAnswer::Partial => {}
            }
            if self.connection.read.len() >= RESPONSE_HEAD_BYTES_MAX {
                return Poll::Ready(Err(WebFailure::head_too_large()));
            }
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Err(WebFailure::ended_early()));
            }
        }
    }

    /// The next piece of the body; none is its end.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut AnswerBody,
    ) -> Poll<Result<Option<Bytes>, WebFailure>> {
        loop {
            match body.take(&mut self.connection.read)? {
                Taken::Piece(piece) => return Poll::Ready(Ok(Some(piece))),
                Taken::End => return Poll::Ready(Ok(None)),
                Taken::Nothing => {}
            }
            if !ready!(self.poll_more(cx))? {
                if !matches!(body, AnswerBody::UntilClose) {
                    return Poll::Ready(Err(WebFailure::ended_early()));
                }
                *body = AnswerBody::Over;
            }
        }
    }

    /// Reads some bytes of the answer; meanwhile the body of the request goes out. False: the connection has ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, WebFailure>> {
        let Connection { stream, read, .. } = &mut self.connection;
        read.reserve(self.room);
        let came = match stream.poll_read(cx, read) {
            Poll::Ready(came) => came.map_err(ExchangeError::Lost)?,
            Poll::Pending => return self.poll_upload(cx).map(Err),
        };
        // A body that fills what it was given is given more, and one that does not is given less.
        if came >= self.room {
            self.room = (self.room * 2).min(READ_BYTES_MAX);
        } else if came < self.room / 4 {
            self.room = (self.room / 2).max(READ_BYTES_MIN);
        }
        self.idle.progress();
        Poll::Ready(Ok(came > 0))
    }

    /// Passes the request's body on, where some is left. Ready with the reason why there will be no answer, or none of
    /// the rest.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<WebFailure> {
        if let Some(upload) = &mut self.upload {
            let before = upload.passed;
            let passed = upload.poll_pass(cx, &mut self.connection.stream);
            let more = upload.passed - before;
            if more > 0 {
                self.idle.progress();
                self.context.executions.borrow_mut().web_passed(self.ticket, more, 0);
            }
            match passed {
                Poll::Pending => {}
                Poll::Ready(Err(UploadError::Client)) => return Poll::Ready(WebFailure::Client),
                Poll::Ready(Err(UploadError::TooLarge(limit))) => {
                    return Poll::Ready(WebFailure::BodyTooLarge(limit));
                }
                Poll::Ready(ended) => {
                    self.upload = None;
                    // It may have answered without reading all of it: its answer, or its end, says so.
                    self.is_upload_cut = ended.is_err();
                    let patience = self.context.executions.borrow().head_patience(self.ticket);
                    self.head_due = Some(Box::pin(tokio::time::sleep(patience)));
                }
            }
        }
        if self.has_head || self.upload.is_some() {
            return self.idle.poll_over(cx).map(WebFailure::from);
        }
        match &mut self.head_due {
            Some(due) => due.as_mut().poll(cx).map(|()| WebFailure::Late),
            None => Poll::Pending,
        }
    }
}

/// Gives a client its answer, where it still waits.
pub(crate) fn give(context: AttemptContext<'_>, ticket: Ticket, reply: WebReply) {
    let client = context.executions.borrow_mut().take_web_reply(ticket);
    if let Some(client) = client {
        channel::answer(client, reply);
    }
}
