//! An attempt on a connection that carries many, and what has come of its answer.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use picofaas_frames::{Field, Fields};

use super::frame_outcome::FrameOutcome;
use super::framed_body::FramedBody;
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::dispatch::pool::connection::{ExchangeError, InstanceResponse};
use crate::ticket::Ticket;
use crate::web_exchange::WebRequest;

/// An attempt that was begun and has not had its last event.
#[derive(Debug)]
pub(super) struct FramedAttempt {
    pub(super) ticket: Ticket,
    /// Of a web request: it.
    pub(super) web: Option<Rc<WebRequest>>,
    pub(super) state: AttemptState,
}

impl FramedAttempt {
    /// Whether the body of its answer to a web request is on its way.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.state, AttemptState::Streaming(_))
    }

    /// The outcome of an attempt at a web request that will not be answered, or not to the end. Of one whose answer has
    /// begun, the task that passes it on tells.
    pub(super) fn web_lost(self, error: ExchangeError) -> Option<FrameOutcome> {
        match self.state {
            AttemptState::Streaming(body) => {
                body.break_off(error);
                None
            }
            AttemptState::Waiting | AttemptState::Answering(_) => {
                Some(FrameOutcome::WebFailed { ticket: self.ticket, failure: error.into() })
            }
            AttemptState::Stopped(_) | AttemptState::Stuck | AttemptState::Told => None,
        }
    }
}

/// State of an attempt.
#[derive(Debug)]
pub(super) enum AttemptState {
    /// Nothing of its answer has come.
    Waiting,
    /// A part of its answer has come.
    Answering(Box<PartialAnswer>),
    /// The head of its answer to a web request has come, and the body goes on its way piece by piece. A task of its own
    /// tells of its end.
    Streaming(Rc<FramedBody>),
    /// It was stopped, and the scheduler is to be told this when the instance lets go of it.
    Stopped(AttemptEnd),
    /// It was stopped, the scheduler was told, and the instance goes on with it.
    Stuck,
    /// Its result was told before its end, as its output is too large.
    Told,
}

/// The part of an answer that has come.
#[derive(Debug)]
pub(super) struct PartialAnswer {
    pub(super) start: AnswerStart,
    /// Time at which its beginning had come, and the rest was waited for; 0: it was not.
    pub(super) first_byte: Nanos,
    pub(super) body: BytesMut,
}

/// The beginning of an answer, as far as we look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerStart {
    status: u16,
    /// Of the first answer of its process: the milliseconds of its start, where they are told.
    cold_start: Option<Option<u64>>,
}

impl AnswerStart {
    pub(super) fn new(status: u16, fields: &Fields) -> Self {
        let field = fields.iter().find(|field| field.id == Field::COLD_START);
        let cold_start =
            field.map(|field| field.value.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))));
        Self { status, cold_start }
    }

    /// The answer with its whole body, which holds no larger buffer.
    pub(super) fn with_body(self, body: Bytes) -> InstanceResponse {
        InstanceResponse {
            status: self.status,
            cold_start: self.cold_start.is_some(),
            init_ms: self.cold_start.flatten(),
            body,
            reusable: true,
        }
    }
}
