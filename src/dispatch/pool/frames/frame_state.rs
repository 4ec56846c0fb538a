//! The state of a connection: that of the protocol, and ours of each attempt. Events of the one become outcomes of the
//! other.

use std::io;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use fnv::FnvHashMap;
use picofaas_frames::{
    CancelReason, DoneReason, FieldList, GO_AWAY_SHUTDOWN, GatewayConnection, GatewayEvent, Sequence,
};

use super::frame_connection::FrameConnection;
use super::frame_outcome::FrameOutcome;
use super::framed_attempt::{AnswerStart, AttemptState, FramedAttempt, PartialAnswer};
use super::framed_body::FramedBody;
use crate::clock::Nanos;
use crate::dispatch::pool::connection::ExchangeError;
use crate::dispatch::pool::outcome::{excuse, judge};
use crate::dispatch::pool::web::framed_answer::{self, FramedWebAnswer};
use crate::dispatch::pool::web::framed_stream::FramedStream;
use crate::dispatch::pool::web::web_failure::WebFailure;
use crate::error::ErrorCode;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution_error::ExecutionError;
use crate::ticket::Ticket;
use crate::web_exchange::WebRequest;

/// Bytes that are set aside for an output at once, whatever length is announced.
const OUTPUT_BYTES_AT_ONCE: usize = 64 * 1024;

/// The cause of an answer to a web request that was not given, or not to its end.
const LET_GO: &str = "the instance has let go of the attempt";

/// Attempts that are over and still among those not written, beside as many as are out and among them, above which they
/// are thrown out.
const UNWRITTEN_OVER_MAX: usize = 64;

/// The state of a connection.
#[derive(Debug)]
pub(super) struct FrameState {
    pub(super) frames: GatewayConnection,
    /// Attempts that were begun and have not had their last event.
    pub(super) attempts: FnvHashMap<Sequence, FramedAttempt>,
    /// Attempts that were begun since everything was written last, and when. Those that are over are thrown out where
    /// they become many: an instance may read so slowly that there always is something to write.
    pub(super) unwritten: Vec<(Sequence, Ticket, Nanos)>,
    /// Memory for the headers of web requests.
    pub(super) fields: FieldList,
    /// The instance has said that frames from here are wrong.
    pub(super) is_accused: bool,
    /// The error of the socket, where that ended the connection.
    broken: Option<io::ErrorKind>,
}

impl FrameState {
    pub(super) fn new(frames: GatewayConnection) -> Self {
        Self {
            frames,
            attempts: FnvHashMap::default(),
            unwritten: Vec::new(),
            fields: FieldList::new(),
            is_accused: false,
            broken: None,
        }
    }

    /// Takes note of an attempt that began at `now`.
    pub(super) fn begun(
        &mut self,
        sequence: Sequence,
        ticket: Ticket,
        web: Option<Rc<WebRequest>>,
        now: Nanos,
    ) {
        self.attempts.insert(sequence, FramedAttempt { ticket, web, state: AttemptState::Waiting });
        if self.unwritten.len() > 2 * self.attempts.len() + UNWRITTEN_OVER_MAX {
            self.unwritten.retain(|(sequence, ..)| self.attempts.contains_key(sequence));
        }
        self.unwritten.push((sequence, ticket, now));
    }

    /// Takes note that the socket is of no use any more.
    pub(super) fn break_off(&mut self, error: io::ErrorKind) {
        self.broken = Some(error);
        self.frames.disconnected();
    }

    /// The outcome that an event at `now` on `connection` means for an attempt. Outputs have at most `output_max` bytes.
    pub(super) fn outcome_of(
        &mut self,
        connection: &Rc<FrameConnection>,
        event: GatewayEvent,
        now: Nanos,
        output_max: usize,
    ) -> Option<FrameOutcome> {
        match event {
            // An attempt that begins asks whether it can.
            GatewayEvent::Open { .. } | GatewayEvent::Closed { .. } => None,
            GatewayEvent::GoingAway { code, text } => {
                let is_first = code != GO_AWAY_SHUTDOWN && !std::mem::replace(&mut self.is_accused, true);
                is_first.then_some(FrameOutcome::Accused { code, text })
            }
            GatewayEvent::Answer { sequence, head, fields, body_bytes, body, ends } => {
                if ends {
                    let FramedAttempt { ticket, web, .. } = self.attempts.remove(&sequence)?;
                    if let Some(web) = web {
                        let answer = framed_answer::read(&web, head.status, &fields, body_bytes, now);
                        return Some(web_answered(ticket, answer, &body));
                    }
                    let start = AnswerStart::new(head.status, &fields);
                    let answer = PartialAnswer { start, first_byte: 0, body: BytesMut::new() };
                    return Some(ended(ticket, answer, Some(&body), now, output_max));
                }
                if let Some(web) = &self.attempts.get(&sequence)?.web {
                    let answer = framed_answer::read(web, head.status, &fields, body_bytes, now);
                    return self.web_begins(connection, sequence, answer, now);
                }
                let start = AnswerStart::new(head.status, &fields);
                self.answer_begins(sequence, start, body_bytes, now, output_max)
            }
            GatewayEvent::Data { sequence, bytes, ends } => {
                self.answer_goes_on(sequence, &bytes, ends, now, output_max)
            }
            GatewayEvent::Failed { sequence, reason } => {
                let attempt = self.attempts.remove(&sequence)?;
                if attempt.web.is_some() && (reason != DoneReason::NotBegun || attempt.is_streaming()) {
                    return attempt.web_lost(ExchangeError::Lost(io::Error::other(LET_GO)));
                }
                let result = AttemptResult::without_answer(outcome_of_done(reason));
                Some(FrameOutcome::Ended { ticket: attempt.ticket, result })
            }
            GatewayEvent::Unsent { sequence } => {
                let attempt = self.attempts.remove(&sequence)?;
                if attempt.is_streaming() {
                    return attempt.web_lost(ExchangeError::Lost(io::Error::other(LET_GO)));
                }
                let result = AttemptResult::without_answer(excuse(&ExchangeError::Stale));
                Some(FrameOutcome::Ended { ticket: attempt.ticket, result })
            }
            GatewayEvent::Lost { sequence } => {
                let attempt = self.attempts.remove(&sequence)?;
                let error = self.loss();
                if attempt.web.is_some() {
                    return attempt.web_lost(error);
                }
                Some(FrameOutcome::Lost { ticket: attempt.ticket, error })
            }
            GatewayEvent::Released { sequence } => {
                let FramedAttempt { ticket, state, .. } = self.attempts.remove(&sequence)?;
                match state {
                    AttemptState::Stopped(how) => Some(FrameOutcome::Stopped { ticket, how }),
                    AttemptState::Stuck => Some(FrameOutcome::Freed),
                    AttemptState::Told
                    | AttemptState::Waiting
                    | AttemptState::Answering(_)
                    | AttemptState::Streaming(_) => None,
                }
            }
            GatewayEvent::Stuck { sequence } => {
                let attempt = self.attempts.get_mut(&sequence)?;
                let AttemptState::Stopped(how) = attempt.state else { return None };
                attempt.state = AttemptState::Stuck;
                Some(FrameOutcome::Stuck { ticket: attempt.ticket, how })
            }
        }
    }

    fn answer_begins(
        &mut self,
        sequence: Sequence,
        start: AnswerStart,
        body_bytes: Option<u64>,
        now: Nanos,
        output_max: usize,
    ) -> Option<FrameOutcome> {
        let announced = usize::try_from(body_bytes.unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > output_max {
            return self.refuse_output(sequence, now, output_max);
        }
        let body = BytesMut::with_capacity(announced.min(OUTPUT_BYTES_AT_ONCE));
        let answer = PartialAnswer { start, first_byte: now, body };
        self.attempts.get_mut(&sequence)?.state = AttemptState::Answering(Box::new(answer));
        None
    }

    fn answer_goes_on(
        &mut self,
        sequence: Sequence,
        bytes: &Bytes,
        ends: bool,
        now: Nanos,
        output_max: usize,
    ) -> Option<FrameOutcome> {
        let answer = match &mut self.attempts.get_mut(&sequence)?.state {
            AttemptState::Answering(answer) => answer,
            AttemptState::Streaming(body) => {
                body.add(bytes, ends);
                if ends {
                    self.attempts.remove(&sequence);
                }
                return None;
            }
            AttemptState::Waiting | AttemptState::Stopped(_) | AttemptState::Stuck | AttemptState::Told => {
                return None;
            }
        };
        if bytes.len() > output_max - answer.body.len() {
            // The instance has sent the end of it already, where this is it.
            return if ends {
                let ticket = self.attempts.remove(&sequence)?.ticket;
                Some(FrameOutcome::Ended { ticket, result: too_large(now, output_max) })
            } else {
                self.refuse_output(sequence, now, output_max)
            };
        }
        answer.body.extend_from_slice(bytes);
        self.frames.consume(sequence, bytes.len());
        if !ends {
            return None;
        }
        let FramedAttempt { ticket, state, .. } = self.attempts.remove(&sequence)?;
        let AttemptState::Answering(answer) = state else { return None };
        Some(ended(ticket, *answer, None, now, output_max))
    }

    /// The head of an answer to a web request has come. Where no body follows, or it is no answer, the rest is not wanted.
    fn web_begins(
        &mut self,
        connection: &Rc<FrameConnection>,
        sequence: Sequence,
        answer: Result<FramedWebAnswer, WebFailure>,
        now: Nanos,
    ) -> Option<FrameOutcome> {
        let attempt = self.attempts.get_mut(&sequence)?;
        match answer {
            Ok(answer) if !answer.is_bodiless => {
                let body = Rc::new(FramedBody::default());
                attempt.state = AttemptState::Streaming(body.clone());
                let (connection, ticket) = (connection.clone(), attempt.ticket);
                Some(FrameOutcome::WebBegun(FramedStream { connection, sequence, ticket, answer, body }))
            }
            answer => {
                attempt.state = AttemptState::Told;
                let outcome = web_answered(attempt.ticket, answer, &Bytes::new());
                self.frames.cancel(now, sequence, CancelReason::Cancelled);
                Some(outcome)
            }
        }
    }

    /// Ends an attempt whose output is too large, and has the instance send no more of it.
    fn refuse_output(&mut self, sequence: Sequence, now: Nanos, output_max: usize) -> Option<FrameOutcome> {
        self.frames.cancel(now, sequence, CancelReason::Cancelled);
        let attempt = self.attempts.get_mut(&sequence)?;
        attempt.state = AttemptState::Told;
        Some(FrameOutcome::Ended { ticket: attempt.ticket, result: too_large(now, output_max) })
    }

    /// The cause of the connection's end.
    fn loss(&self) -> ExchangeError {
        let reason = self.frames.close_reason();
        ExchangeError::Lost(match (self.broken, reason) {
            (Some(kind), _) => kind.into(),
            (None, Some(reason)) => io::Error::other(reason.to_string()),
            (None, None) => io::ErrorKind::UnexpectedEof.into(),
        })
    }
}

/// The end of an attempt by its answer. `inside` is a body that is a part of a buffer; it is copied, so that an output
/// that is kept does not keep the buffer.
fn ended(
    ticket: Ticket,
    answer: PartialAnswer,
    inside: Option<&Bytes>,
    now: Nanos,
    output_max: usize,
) -> FrameOutcome {
    let PartialAnswer { start, first_byte, body } = answer;
    let body = match inside {
        Some(inside) if inside.len() > output_max => {
            return FrameOutcome::Ended { ticket, result: too_large(now, output_max) };
        }
        Some(inside) => Bytes::copy_from_slice(inside),
        // One that grew may have taken twice its length.
        None if body.capacity() - body.len() <= body.len() / 8 => body.freeze(),
        None => Bytes::copy_from_slice(&body),
    };
    let response = start.with_body(body);
    let result = AttemptResult {
        cold_start: response.cold_start,
        standby: false,
        init_ns: response.init_ns(),
        outcome: judge(response),
        first_byte,
        answered: now,
    };
    FrameOutcome::Ended { ticket, result }
}

/// The outcome of an attempt at a web request by its whole answer. The body is copied: as a part of a buffer it would keep
/// that.
fn web_answered(ticket: Ticket, answer: Result<FramedWebAnswer, WebFailure>, body: &Bytes) -> FrameOutcome {
    match answer {
        Ok(answer) => FrameOutcome::WebAnswered { ticket, answer, body: Bytes::copy_from_slice(body) },
        Err(failure) => FrameOutcome::WebFailed { ticket, failure },
    }
}

/// The result of an attempt whose output is larger than outputs may be.
fn too_large(now: Nanos, output_max: usize) -> AttemptResult {
    AttemptResult {
        answered: now,
        ..AttemptResult::without_answer(excuse(&ExchangeError::TooLarge(output_max)))
    }
}

/// The outcome of an attempt that an instance has let go of, though it was not told to.
fn outcome_of_done(reason: DoneReason) -> Outcome {
    match reason {
        DoneReason::NotBegun => Outcome::Unsent(ExecutionError::new(
            ErrorCode::NoInstance,
            "an instance did not begin the attempt that it was sent".to_owned(),
        )),
        DoneReason::Failed | DoneReason::Cancelled => Outcome::Failed(ExecutionError::new(
            ErrorCode::InstanceCrashed,
            "the instance has let go of the attempt without an answer".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use picofaas_frames::{InstanceConnection, InstanceEvent, RequestHead, Settings};

    use super::*;

    #[test]
    fn attempts_that_are_over_are_forgotten_though_there_always_is_something_to_write() {
        let mut state = FrameState::new(GatewayConnection::new(Settings::default(), 0));
        let connection = FrameConnection::new(0);
        let mut instance = InstanceConnection::new(Settings::default(), 0);
        let (mut to_instance, mut to_gateway) = (BytesMut::new(), BytesMut::new());
        let head = RequestHead {
            execution_id: [1; 20],
            trace_id: [2; 16],
            parent_span_id: [3; 8],
            trace_flags: 0,
            attempt: 1,
            deadline_ms: 30_000,
        };
        let mut ended = 0;
        for round in 0..10_000 {
            if let Ok(sequence) = state.frames.begin(0, &head, &[], &Bytes::from_static(b"{\"input\":1}")) {
                state.begun(sequence, Ticket::from_bits(round), None, 0);
            }
            // The instance takes all but the last byte.
            let waiting = state.frames.outgoing();
            let taken = waiting.len() - 1;
            to_instance.extend_from_slice(&waiting[..taken]);
            state.frames.written(taken);
            while let Some(event) = instance.poll_event(0, &mut to_instance) {
                if let InstanceEvent::Invoked { sequence, .. } = event {
                    assert!(instance.done(sequence, DoneReason::Failed));
                }
            }
            let answers = instance.outgoing();
            to_gateway.extend_from_slice(answers);
            let written = answers.len();
            instance.written(written);
            while let Some(event) = state.frames.poll_event(0, &mut to_gateway) {
                ended += usize::from(state.outcome_of(&connection, event, 0, 0).is_some());
            }
        }
        assert!(ended > 9_000, "{ended} have ended");
        assert!(state.frames.has_outgoing());
        assert!(state.unwritten.len() <= 100, "{} are not forgotten", state.unwritten.len());
    }
}
