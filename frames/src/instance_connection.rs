//! The instance's end: it gets attempts and answers them.

use bytes::{Bytes, BytesMut};

use crate::answer_head::{ANSWER_HEAD_BYTES, AnswerHead};
use crate::attempt_end::{CancelReason, DoneReason};
use crate::close_reason::CloseReason;
use crate::field_list::FieldList;
use crate::fields::{EncodeFields, Field, Fields};
use crate::flow::LastWord;
use crate::frame::{END, Frame, Kind, Sequence};
use crate::go_away::{GO_AWAY_SHUTDOWN, GoAway};
use crate::link::{Attempt, Link};
use crate::request_head::{Request, RequestHead};
use crate::settings::Settings;
use crate::violation::Violation;

/// Something that happened at the instance's end.
///
/// Each attempt that was invoked is over by exactly one of: [`InstanceConnection::answer`] without an error,
/// [`InstanceConnection::done`], or [`Self::Lost`].
#[derive(Debug)]
pub enum InstanceEvent {
    /// An attempt began; with `ends` its body is whole.
    Invoked {
        /// The attempt.
        sequence: Sequence,
        /// Its ids, number and time.
        head: RequestHead,
        /// Optional fields.
        fields: Fields,
        /// Length of the body. A number that is not to be trusted with an allocation.
        body_bytes: u64,
        /// The body, or nothing of it where [`Self::Data`] follows. A part of the input's buffer, which it keeps.
        body: Bytes,
        /// Whether the body is whole.
        ends: bool,
    },
    /// A piece of a body. Call [`InstanceConnection::consume`] when there is room for more.
    Data {
        /// The attempt.
        sequence: Sequence,
        /// The piece, empty only at the end.
        bytes: Bytes,
        /// Whether it was the last.
        ends: bool,
    },
    /// The gateway wants no answer any more: stop, and call [`InstanceConnection::done`].
    Cancelled {
        /// The attempt.
        sequence: Sequence,
        /// Why.
        reason: CancelReason,
    },
    /// The connection is over, so nobody reads an answer any more: stop. The attempt is over.
    Lost {
        /// The attempt.
        sequence: Sequence,
    },
    /// The gateway will close the connection.
    GoingAway {
        /// 0, or the code of the [`Violation`] that it found.
        code: u16,
        /// Its words.
        text: String,
    },
    /// The connection is over, and every attempt, too: write what is queued, if it can be, and close.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why an answer was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAnswered {
    /// The attempt is over: it was answered, or lost with the connection.
    Over,
    /// The attempt was cancelled, and is over with this call: the gateway was told that it is done.
    Cancelled,
    /// The status is none, or the fields are too long for a frame. The attempt is still to be answered.
    Invalid,
}

/// The state of an attempt at this end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    Running,
    /// Cancelled, and not yet let go.
    Stopping,
    /// The head of the answer was sent, and pieces of the body are handed over.
    Streaming,
    /// Answered, with a part of the body still to be sent.
    Answering,
}

/// The instance's end of a connection, after the `101` that opened it.
///
/// Used as [`GatewayConnection`](crate::GatewayConnection) is. Whatever handlers do, the connection has to be polled
/// and written: an instance that answers no `PING` in time is lost with all its attempts.
#[derive(Debug)]
pub struct InstanceConnection {
    link: Link<Taken>,
    /// The last sequence that is run, where this end is going away.
    last: Option<Sequence>,
}

impl InstanceConnection {
    /// A connection over which nothing went yet.
    #[must_use]
    pub fn new(settings: Settings, now_ns: u64) -> Self {
        Self { link: Link::new(settings, settings.attempts_max, true, now_ns), last: None }
    }

    /// Queues an answer with its whole body, which is kept as a reference while it waits.
    ///
    /// # Errors
    /// Says why it is not sent.
    pub fn answer(
        &mut self,
        sequence: Sequence,
        head: AnswerHead,
        fields: &[Field<'_>],
        body: &Bytes,
    ) -> Result<(), NotAnswered> {
        self.answer_with(sequence, head, fields, body)
    }

    /// Queues a whole answer to a web request, as [`Self::answer`] does.
    ///
    /// # Errors
    /// Says why it is not sent.
    pub fn answer_web(
        &mut self,
        sequence: Sequence,
        head: AnswerHead,
        fields: &FieldList,
        body: &Bytes,
    ) -> Result<(), NotAnswered> {
        self.answer_with(sequence, head, fields, body)
    }

    fn answer_with(
        &mut self,
        sequence: Sequence,
        head: AnswerHead,
        fields: &(impl EncodeFields + ?Sized),
        body: &Bytes,
    ) -> Result<(), NotAnswered> {
        let fields_bytes = self.check_answer(sequence, head, fields)?;
        let fixed = head.encode(Some(body.len() as u64), fields_bytes);
        if self.link.send_head(sequence, &fixed, (fields, fields_bytes), body) {
            self.link.retire(sequence);
        } else if let Some(attempt) = self.link.attempts.get(sequence) {
            attempt.state = Taken::Answering;
        }
        Ok(())
    }

    /// Queues the beginning of an answer whose body is handed over by [`Self::send`], of `body_bytes` bytes where that
    /// is known.
    ///
    /// # Errors
    /// Says why it is not sent.
    pub fn begin_answer(
        &mut self,
        sequence: Sequence,
        head: AnswerHead,
        fields: &FieldList,
        body_bytes: Option<u64>,
    ) -> Result<(), NotAnswered> {
        let fields_bytes = self.check_answer(sequence, head, fields)?;
        let fixed = head.encode(body_bytes, fields_bytes);
        self.link.send_head_alone(sequence, &fixed, (fields, fields_bytes));
        if let Some(attempt) = self.link.attempts.get(sequence) {
            attempt.state = Taken::Streaming;
        }
        Ok(())
    }

    /// Hands over the first piece of a body that was begun, or the next one of which [`Self::next_sent`] has told that it
    /// may come; with `ends` the last, which may be empty. It is kept as a reference until the gateway takes it.
    ///
    /// # Errors
    /// The answer is over, or was cancelled.
    pub fn send(&mut self, sequence: Sequence, piece: Bytes, ends: bool) -> Result<(), NotAnswered> {
        self.hand_over(sequence, piece, ends.then_some(LastWord::End))
    }

    /// Breaks off a body that was begun, behind the pieces of it that were handed over.
    ///
    /// # Errors
    /// The answer is over, or was cancelled.
    pub fn break_off(&mut self, sequence: Sequence) -> Result<(), NotAnswered> {
        self.hand_over(sequence, Bytes::new(), Some(LastWord::Done(DoneReason::Failed)))
    }

    fn hand_over(
        &mut self,
        sequence: Sequence,
        piece: Bytes,
        last: Option<LastWord>,
    ) -> Result<(), NotAnswered> {
        let is_closed = self.link.is_closed();
        let Some(attempt) = self.link.attempts.get(sequence).filter(|_| !is_closed) else {
            return Err(NotAnswered::Over);
        };
        match attempt.state {
            Taken::Streaming => {}
            Taken::Stopping => return Err(NotAnswered::Cancelled),
            Taken::Running | Taken::Answering => return Err(NotAnswered::Over),
        }
        if last.is_some() {
            attempt.state = Taken::Answering;
        }
        self.link.send_piece(sequence, piece, last);
        Ok(())
    }

    /// The next attempt whose body was begun and of which all pieces that were handed over are queued: the next piece may
    /// come. Each is told once for a piece; it may be over by now. Ask after [`Self::outgoing`].
    pub fn next_sent(&mut self) -> Option<Sequence> {
        self.link.next_sent()
    }

    /// Whether an answer with this head and these fields can begin; the bytes of the fields.
    fn check_answer(
        &mut self,
        sequence: Sequence,
        head: AnswerHead,
        fields: &(impl EncodeFields + ?Sized),
    ) -> Result<usize, NotAnswered> {
        let state = self.link.attempts.get(sequence).map(|attempt| attempt.state);
        match state.filter(|_| !self.link.is_closed()) {
            Some(Taken::Running) => {}
            Some(Taken::Stopping) => {
                self.done(sequence, DoneReason::Cancelled);
                return Err(NotAnswered::Cancelled);
            }
            Some(Taken::Streaming | Taken::Answering) => return Err(NotAnswered::Over),
            None => {
                // Its loss need not be told any more.
                self.link.attempts.remove(sequence);
                return Err(NotAnswered::Over);
            }
        }
        let fields_bytes = fields.encoded_bytes().filter(|bytes| self.link.fits(ANSWER_HEAD_BYTES + bytes));
        fields_bytes.filter(|_| head.is_valid()).ok_or(NotAnswered::Invalid)
    }

    /// Lets go of an attempt without an answer, after its cancellation or a fault. Tells whether there was something
    /// to let go.
    pub fn done(&mut self, sequence: Sequence, reason: DoneReason) -> bool {
        if self.link.is_closed() {
            return self.link.attempts.remove(sequence).is_some();
        }
        let Some(attempt) = self.link.attempts.get(sequence) else { return false };
        // The gateway knows a cancelled attempt as that.
        let reason = if attempt.state == Taken::Stopping { DoneReason::Cancelled } else { reason };
        self.link.outbox.push(Kind::Done, sequence, 0, &[&[reason as u8]]);
        self.link.retire(sequence);
        true
    }

    /// Lets `bytes` more of a body come, as many as were consumed. Nothing happens where it is whole or over.
    pub fn consume(&mut self, sequence: Sequence, bytes: usize) {
        self.link.consume(sequence, bytes);
    }

    /// Takes no attempts any more that have not been invoked yet: the gateway sends them elsewhere. Those that are
    /// out go on.
    pub fn go_away(&mut self, text: &str) {
        if self.last.is_none() && !self.link.is_closed() {
            self.last = Some(self.link.newest);
            GoAway::queue(&mut self.link.outbox, self.link.newest, GO_AWAY_SHUTDOWN, text);
        }
    }

    /// The next event of what was read, which is taken off `input`, or of the time that has gone by. `None` where
    /// nothing more has happened; less than a frame is left in `input` then.
    pub fn poll_event(&mut self, now_ns: u64, input: &mut BytesMut) -> Option<InstanceEvent> {
        if !self.link.is_closed() {
            let reason = match self.read(now_ns, input) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => self.link.judge(now_ns).err()?,
                Err(violation) => CloseReason::Violation(violation),
            };
            self.end(reason);
        }
        input.clear();
        while let Some((sequence, attempt, _)) = self.link.take_any() {
            match attempt.state {
                Taken::Running | Taken::Stopping | Taken::Streaming => {
                    return Some(InstanceEvent::Lost { sequence });
                }
                Taken::Answering => {}
            }
        }
        self.link.take_reason().map(|reason| InstanceEvent::Closed { reason })
    }

    fn read(&mut self, now_ns: u64, input: &mut BytesMut) -> Result<Option<InstanceEvent>, Violation> {
        while let Some(frame) = self.link.next(now_ns, input)? {
            let event = match frame.kind {
                Kind::Head => self.request(now_ns, frame)?,
                Kind::Data => self.data(frame)?,
                Kind::Cancel => self.cancel(&frame)?,
                Kind::GoAway => {
                    let GoAway { code, text, .. } = GoAway::decode(&frame)?;
                    Some(InstanceEvent::GoingAway { code, text })
                }
                Kind::Done => return Err(Violation::Misplaced),
                Kind::Hello | Kind::Window | Kind::Ping => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn request(&mut self, now_ns: u64, frame: Frame) -> Result<Option<InstanceEvent>, Violation> {
        let (sequence, ends) = (frame.sequence, frame.has(END));
        if self.link.newest.0.checked_add(1) != Some(sequence.0) {
            return Err(Violation::UnknownSequence);
        }
        let Request { head, fields, body_bytes, body } = Request::decode(frame)?;
        if self.last.is_some() {
            self.link.newest = sequence;
            self.link.late += 1;
            return Ok(None);
        }
        if self.link.load() >= self.link.settings.attempts_max as usize {
            return Err(Violation::TooManyAttempts);
        }
        self.link.newest = sequence;
        let answer_window = fields.answer_window()?;
        self.link.insert(now_ns, sequence, Taken::Running, (None, answer_window));
        if !ends && let Some(attempt) = self.link.attempts.get(sequence) {
            attempt.flow.expect(Some(body_bytes));
        }
        Ok(Some(InstanceEvent::Invoked { sequence, head, fields, body_bytes, body, ends }))
    }

    fn data(&mut self, frame: Frame) -> Result<Option<InstanceEvent>, Violation> {
        let (sequence, ends) = (frame.sequence, frame.has(END));
        let Some(Attempt { flow, state }) = self.link.attempts.get(sequence) else {
            self.link.expect_late(sequence)?;
            return Ok(None);
        };
        flow.received(frame.payload.len(), ends)?;
        match state {
            Taken::Running | Taken::Streaming => {
                Ok(Some(InstanceEvent::Data { sequence, bytes: frame.payload, ends }))
            }
            Taken::Stopping | Taken::Answering => {
                self.link.late += 1;
                Ok(None)
            }
        }
    }

    fn cancel(&mut self, frame: &Frame) -> Result<Option<InstanceEvent>, Violation> {
        let sequence = frame.sequence;
        let reason = CancelReason::of(*frame.payload.first().ok_or(Violation::Malformed)?);
        let Some(Attempt { flow, state }) = self.link.attempts.get(sequence) else {
            self.link.expect_late(sequence)?;
            return Ok(None);
        };
        match *state {
            Taken::Running | Taken::Streaming => {
                flow.stop_sending();
                *state = Taken::Stopping;
                return Ok(Some(InstanceEvent::Cancelled { sequence, reason }));
            }
            // Nobody reads the rest.
            Taken::Answering => {
                flow.stop_sending();
                self.done(sequence, DoneReason::Cancelled);
            }
            Taken::Stopping => {}
        }
        Ok(None)
    }

    fn end(&mut self, reason: CloseReason) {
        let last = self.last.unwrap_or(self.link.newest);
        self.link.close(reason, last);
    }

    /// Bytes to be written, which are queued by this call; empty where there are none. At most 64 KiB of them are
    /// pieces of bodies.
    pub fn outgoing(&mut self) -> &[u8] {
        self.link.outgoing()
    }

    /// Takes note that the first `bytes` of [`Self::outgoing`] were written.
    pub fn written(&mut self, bytes: usize) {
        self.link.advance(bytes);
    }

    /// Whether [`Self::outgoing`] has something.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        self.link.has_outgoing()
    }

    /// Answers queued since everything was written last: the size of the batch so far.
    #[must_use]
    pub const fn queued_heads(&self) -> usize {
        self.link.outbox.heads()
    }

    /// When [`Self::poll_event`] is to be called if nothing is read before; `None` where nothing is waited for.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.link.deadline()
    }

    /// Attempts that are not over, those included whose answers are still to be sent in part.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.link.attempts.len()
    }

    /// Frames that came for ended attempts, or for those that this end does not run as it is going away.
    #[must_use]
    pub const fn late_frames(&self) -> u64 {
        self.link.late
    }

    /// Whether it went away and nothing is left to be answered or written: it may be closed.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.last.is_some() && self.link.attempts.is_empty() && !self.link.has_outgoing()
    }

    /// Ends the connection. [`Self::poll_event`] gives what is lost by it; the gateway is told.
    pub fn close(&mut self) {
        self.end(CloseReason::Closed);
    }

    /// Takes note that the stream ended or broke. What was read before has to be polled first.
    pub fn disconnected(&mut self) {
        self.end(CloseReason::Disconnected);
    }

    /// Bytes that are queued, and attempts in line.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        self.link.held()
    }

    /// Places for the state of attempts.
    #[cfg(test)]
    pub(crate) fn places(&self) -> usize {
        self.link.attempts.places()
    }
}

#[cfg(test)]
mod tests;
