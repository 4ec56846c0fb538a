//! An answer to a web request over frames whose body comes piece by piece, and goes on to its client.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use picofaas_frames::Sequence;

use super::super::frames::frame_connection::FrameConnection;
use super::super::frames::framed_body::FramedBody;
use super::super::instance_pools::InstancePools;
use super::framed_answer::{FramedWebAnswer, result};
use super::idle_timer::{IdleTimer, Over};
use super::web_attempt::LAST_PIECES;
use super::web_failure::{WebFailure, too_large};
use crate::api::response::web;
use crate::channel::{MessageSender, mpsc};
use crate::dispatch::context::AttemptContext;
use crate::instance::InstanceKey;
use crate::store::attempt_result::AttemptResult;
use crate::ticket::Ticket;
use crate::web_exchange::{Piece, ReplyBody, WebReply};

/// Room of the channel to the client: a piece, and the end behind it.
const ROOM: usize = 2;

/// An answer whose head has come.
#[derive(Debug)]
pub(crate) struct FramedStream {
    pub(crate) connection: Rc<FrameConnection>,
    pub(crate) sequence: Sequence,
    pub(crate) ticket: Ticket,
    pub(crate) answer: FramedWebAnswer,
    pub(crate) body: Rc<FramedBody>,
}

impl FramedStream {
    /// Passes the answer on to the client, or keeps it. The instance may send more when the client has taken what was
    /// sent. Where it does not come to its end, the caller stops it.
    pub(crate) async fn run(
        mut self,
        context: AttemptContext<'_>,
        pools: &InstancePools,
        instance: InstanceKey,
    ) -> AttemptResult {
        let keeps_answer = context.executions.borrow().keeps_answer(self.ticket);
        let ended = match keeps_answer {
            true => self.keep(context, pools).await,
            false => self.pass(context, pools).await,
        };
        match ended {
            Ok(()) => result(self.answer.status, self.answer.first_byte, context.clock.now()),
            Err(failure) => failure.result(context, pools, self.ticket, instance).await,
        }
    }

    /// Keeps the answer with its execution once all of it is here. Until then nobody has seen any of it.
    async fn keep(&mut self, context: AttemptContext<'_>, pools: &InstancePools) -> Result<(), WebFailure> {
        let whole = self.read_whole(context, pools).await?;
        let mut executions = context.executions.borrow_mut();
        executions.web_answered(self.ticket, self.answer.status.as_u16(), self.answer.first_byte);
        let kept = match whole {
            Some(whole) => executions.keep_answer(self.ticket, &self.answer.headers, whole),
            None => Err(too_large(context.output_max)),
        };
        kept.map_err(WebFailure::NotKept)
    }

    /// The whole body; none where it has more bytes than are kept.
    async fn read_whole(
        &mut self,
        context: AttemptContext<'_>,
        pools: &InstancePools,
    ) -> Result<Option<Bytes>, WebFailure> {
        let most = context.output_max;
        if self.answer.body_bytes.is_some_and(|bytes| bytes > most as u64) {
            return Ok(None);
        }
        let mut idle = idle_timer(context, pools);
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next_piece(&mut idle).await? {
            if piece.len() > most - whole.len() {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
            self.connection.consume(self.sequence, piece.len());
        }
        // It grew by doubling, and what is held must be what is counted.
        Ok(Some(Bytes::copy_from_slice(&whole)))
    }

    /// Gives the client the head, and then the body as it takes it.
    async fn pass(&mut self, context: AttemptContext<'_>, pools: &InstancePools) -> Result<(), WebFailure> {
        let FramedWebAnswer { status, headers, body_bytes, first_byte, request, .. } = &mut self.answer;
        let (status, ticket) = (*status, self.ticket);
        context.executions.borrow_mut().web_answered(ticket, status.as_u16(), *first_byte);
        let mut idle = idle_timer(context, pools);
        if let Some(ms) = pools.entry.function.spec.web.as_ref().and_then(|web| web.stream_ms_max) {
            idle.limit(Duration::from_millis(u64::from(ms)));
        }
        match *body_bytes {
            Some(bytes) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes))),
            None if request.takes_trailers => web::announce_timing(headers),
            None => {}
        }
        let (pieces, taken) = mpsc::channel(ROOM);
        let reply = WebReply { status, headers: std::mem::take(headers), body: ReplyBody::Pieces(taken) };
        let client = context.executions.borrow_mut().take_web_reply(ticket);
        client.ok_or(WebFailure::Client)?.send(reply).map_err(|_| WebFailure::Client)?;
        let passed = self.pass_body(context, &mut idle, &pieces).await;
        if passed.is_err() {
            // The client is to have what came before it.
            drop(tokio::time::timeout(LAST_PIECES, pieces.reserve_many(ROOM)).await);
        }
        passed
    }

    async fn pass_body(
        &self,
        context: AttemptContext<'_>,
        idle: &mut IdleTimer,
        pieces: &MessageSender<Piece>,
    ) -> Result<(), WebFailure> {
        let mut left = self.answer.body_bytes;
        idle.progress();
        while left != Some(0) {
            let next = tokio::select! {
                biased;
                next = self.next_piece(idle) => next?,
                () = pieces.closed() => return Err(WebFailure::Client),
            };
            let Some(piece) = next else {
                let _ = pieces.try_send(Piece::End(self.trailers(context)));
                return Ok(());
            };
            idle.progress();
            let bytes = piece.len();
            pieces.try_send(Piece::Bytes(piece)).map_err(|_| WebFailure::Client)?;
            context.executions.borrow_mut().web_passed(self.ticket, 0, bytes as u64);
            left = left.map(|left| left.saturating_sub(bytes as u64));
            if left == Some(0) {
                break;
            }
            // All of the room is free when the client's connection has taken the piece.
            tokio::select! {
                biased;
                room = pieces.reserve_many(ROOM) => drop(room.map_err(|_| WebFailure::Client)?),
                over = poll_fn(|cx| idle.poll_over(cx)) => return Err(over.into()),
            }
            self.connection.consume(self.sequence, bytes);
            idle.progress();
            if idle.is_whole_over() {
                return Err(WebFailure::Endless);
            }
        }
        // A client that has all bytes of a length is through, and takes no word of the end.
        let _ = pieces.try_send(Piece::End(None));
        // The end of the attempt comes behind the last byte, if not with it. All bytes are there, whatever it is.
        while let Ok(Some(_)) = self.next_piece(idle).await {}
        Ok(())
    }

    /// The next piece of the body; none is its end.
    async fn next_piece(&self, idle: &mut IdleTimer) -> Result<Option<Bytes>, WebFailure> {
        tokio::select! {
            biased;
            next = poll_fn(|cx| self.body.poll_piece(cx)) => Ok(next?),
            over = poll_fn(|cx| idle.poll_over(cx)) => Err(over.into()),
        }
    }

    /// The trailers behind the last chunk, for a client that takes them.
    fn trailers(&self, context: AttemptContext<'_>) -> Option<HeaderMap> {
        let now = context.clock.now();
        let told = |_, execution: &_| web::timing_trailers(execution, now);
        self.answer.request.takes_trailers.then(|| context.executions.with(self.ticket, told))?
    }
}

fn idle_timer(context: AttemptContext<'_>, pools: &InstancePools) -> IdleTimer {
    let idle_ms = pools.entry.function.spec.web.as_ref().map_or(0, |web| web.stream_idle_ms);
    IdleTimer::new(context.clock, Duration::from_millis(u64::from(idle_ms)))
}

impl From<Over> for WebFailure {
    fn from(over: Over) -> Self {
        match over {
            Over::Idle => Self::Idle,
            Over::Whole => Self::Endless,
        }
    }
}
