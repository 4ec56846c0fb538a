//! The gateway's end: it begins attempts and gets their outcomes.

use bytes::{Bytes, BytesMut};

use crate::answer_head::{Answer, AnswerHead};
use crate::attempt_end::{CancelReason, DoneReason};
use crate::close_reason::CloseReason;
use crate::field_list::FieldList;
use crate::fields::{EncodeFields, Field, Fields};
use crate::frame::{END, Frame, Kind, Sequence};
use crate::go_away::GoAway;
use crate::link::{Attempt, Link};
use crate::refused::Refused;
use crate::request_head::{REQUEST_HEAD_BYTES, RequestHead};
use crate::settings::Settings;
use crate::violation::Violation;
use crate::web_head::{WebFields, WebHead};

/// Something that happened at the gateway's end.
///
/// Each attempt that was begun has exactly one *last* event: the one with the end of its answer, [`Self::Failed`],
/// [`Self::Unsent`], [`Self::Lost`], or, where it was cancelled before one of these, [`Self::Released`].
#[derive(Debug)]
pub enum GatewayEvent {
    /// The instance has said how many attempts it takes: they may begin.
    Open {
        /// Attempts at once, the smaller of the instance's limit and this end's.
        attempts_max: u32,
    },
    /// An answer began; with `ends` it is whole, and this the last event.
    Answer {
        /// The attempt.
        sequence: Sequence,
        /// Its status.
        head: AnswerHead,
        /// Optional fields.
        fields: Fields,
        /// Length of the body as the instance says; `None` where it does not know. A number that is not to be trusted
        /// with an allocation.
        body_bytes: Option<u64>,
        /// The body, or nothing of it where [`Self::Data`] follows. A part of the input's buffer, which it keeps.
        body: Bytes,
        /// Whether this is all.
        ends: bool,
    },
    /// A piece of an answer's body; with `ends` the last event. Call [`GatewayConnection::consume`] when there is
    /// room for more.
    Data {
        /// The attempt.
        sequence: Sequence,
        /// The piece, empty only at the end.
        bytes: Bytes,
        /// Whether it was the last.
        ends: bool,
    },
    /// The instance has let go of the attempt without an answer, or in the middle of one. The last event.
    Failed {
        /// The attempt.
        sequence: Sequence,
        /// Why.
        reason: DoneReason,
    },
    /// The instance cannot have begun the attempt: another may be tried as if it had never been sent. The last event.
    Unsent {
        /// The attempt.
        sequence: Sequence,
    },
    /// The connection was lost when the attempt had been written: it may have run. The last event.
    Lost {
        /// The attempt.
        sequence: Sequence,
    },
    /// The instance has let go of a cancelled attempt, or is lost. The last event.
    Released {
        /// The attempt.
        sequence: Sequence,
    },
    /// A cancelled attempt was not let go in time. Not the last event; once for an attempt.
    Stuck {
        /// The attempt.
        sequence: Sequence,
    },
    /// The instance takes no more attempts on this connection. [`Self::Unsent`] follows for those that it will not
    /// run.
    GoingAway {
        /// 0, or the code of the [`Violation`] that it found.
        code: u16,
        /// Its words.
        text: String,
    },
    /// The connection is over, and every attempt had its last event: write what is queued, if it can be, and close.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// The state of an attempt at this end.
#[derive(Debug)]
struct Sent {
    /// Place in the stream behind its `HEAD`.
    head_end: u64,
    /// Whether the `HEAD` of its answer came.
    is_answered: bool,
    /// Whether it was cancelled.
    is_abandoned: bool,
    /// When the caller is told that it goes on although it was cancelled.
    stuck_ns: Option<u64>,
}

/// The gateway's end of a connection, after the `101` that opened it.
///
/// Read into a buffer, then call [`Self::poll_event`] until it gives nothing, then write [`Self::outgoing`]. Call
/// [`Self::poll_event`] at [`Self::next_deadline_ns`], too. Every `now_ns` is of one clock that does not go back.
#[derive(Debug)]
pub struct GatewayConnection {
    link: Link<Sent>,
    /// The last sequence that the instance runs, where it is going away.
    last: Option<Sequence>,
    /// It has said a lower sequence than at first, which it may do once.
    has_taken_back: bool,
    /// Place from which attempts after `last` are looked for.
    unsent_place: usize,
    /// When cancelled attempts are looked through next.
    stuck_check_ns: Option<u64>,
}

impl GatewayConnection {
    /// A connection over which nothing went yet.
    #[must_use]
    pub fn new(settings: Settings, now_ns: u64) -> Self {
        let link = Link::new(settings, 0, false, now_ns);
        Self { link, last: None, has_taken_back: false, unsent_place: 0, stuck_check_ns: None }
    }

    /// Queues an attempt with its whole body, which is kept as a reference while it waits.
    ///
    /// # Errors
    /// Says why it cannot begin here; nothing has changed then.
    pub fn begin(
        &mut self,
        now_ns: u64,
        head: &RequestHead,
        fields: &[Field<'_>],
        body: &Bytes,
    ) -> Result<Sequence, Refused> {
        self.begin_with(now_ns, head, fields, None, body)
    }

    /// Queues a web request with its whole body, as [`Self::begin`] does a call.
    ///
    /// # Errors
    /// Says why it cannot begin here; nothing has changed then.
    pub fn begin_web(
        &mut self,
        now_ns: u64,
        head: &RequestHead,
        web: &WebHead<'_>,
        others: &FieldList,
        body: &Bytes,
    ) -> Result<Sequence, Refused> {
        if !self.link.peer().is_some_and(|peer| peer.takes_web) {
            return Err(if self.link.peer().is_some() { Refused::NotTaken } else { Refused::NotOpen });
        }
        self.begin_with(now_ns, head, &WebFields { head: web, others }, web.answer_window, body)
    }

    fn begin_with(
        &mut self,
        now_ns: u64,
        head: &RequestHead,
        fields: &(impl EncodeFields + ?Sized),
        own_window: Option<u32>,
        body: &Bytes,
    ) -> Result<Sequence, Refused> {
        let attempts_max = self.may_begin()?;
        if self.link.attempts.len() >= attempts_max as usize {
            return Err(Refused::Full);
        }
        let fields_bytes = fields.encoded_bytes().ok_or(Refused::TooLong)?;
        if !self.link.fits(REQUEST_HEAD_BYTES + fields_bytes) {
            return Err(Refused::TooLong);
        }
        let sequence = Sequence(self.link.newest.0.checked_add(1).ok_or(Refused::UsedUp)?);
        self.link.newest = sequence;
        let sent = Sent { head_end: u64::MAX, is_answered: false, is_abandoned: false, stuck_ns: None };
        self.link.insert(now_ns, sequence, sent, (own_window, None));
        let fixed = head.encode(body.len(), fields_bytes);
        self.link.send_head(sequence, &fixed, (fields, fields_bytes), body);
        let head_end = self.link.outbox.end();
        if let Some(attempt) = self.link.attempts.get(sequence) {
            attempt.state.head_end = head_end;
        }
        Ok(sequence)
    }

    /// How many attempts may be out.
    fn may_begin(&self) -> Result<u32, Refused> {
        if self.link.is_closed() {
            return Err(Refused::Closed);
        }
        if self.last.is_some() {
            return Err(Refused::GoingAway);
        }
        self.attempts_max().ok_or(Refused::NotOpen)
    }

    fn attempts_max(&self) -> Option<u32> {
        self.link.peer().map(|peer| peer.attempts_max.min(self.link.settings.attempts_max))
    }

    /// Cancels an attempt: only [`GatewayEvent::Stuck`] and [`GatewayEvent::Released`] come of it. It counts as out
    /// until it is released. Tells whether there was something to cancel.
    pub fn cancel(&mut self, now_ns: u64, sequence: Sequence, reason: CancelReason) -> bool {
        let stuck_ns = now_ns.saturating_add(self.link.settings.stuck_after_ns);
        let Some(Attempt { flow, state }) = self.link.attempts.get(sequence) else { return false };
        if state.is_abandoned {
            return false;
        }
        state.is_abandoned = true;
        state.stuck_ns = Some(stuck_ns);
        flow.stop_sending();
        self.stuck_check_ns = Some(self.stuck_check_ns.map_or(stuck_ns, |earlier| earlier.min(stuck_ns)));
        if !self.link.is_closed() {
            self.link.outbox.push(Kind::Cancel, sequence, 0, &[&[reason as u8]]);
        }
        true
    }

    /// Lets `bytes` more of an answer come, as many as were consumed. Nothing happens where it is over.
    pub fn consume(&mut self, sequence: Sequence, bytes: usize) {
        self.link.consume(sequence, bytes);
    }

    /// The next event of what was read, which is taken off `input`, or of the time that has gone by. `None` where
    /// nothing more has happened; less than a frame is left in `input` then.
    pub fn poll_event(&mut self, now_ns: u64, input: &mut BytesMut) -> Option<GatewayEvent> {
        if !self.link.is_closed() {
            if let Some(event) = self.next_unsent() {
                return Some(event);
            }
            let closed = match self.read(now_ns, input) {
                Ok(Some(event)) => return Some(event),
                Ok(None) => self.link.judge(now_ns).err(),
                Err(violation) => Some(CloseReason::Violation(violation)),
            };
            match closed {
                None => return self.next_stuck(now_ns),
                Some(reason) => self.link.close(reason, Sequence::NONE),
            }
        }
        input.clear();
        self.next_of_closed()
    }

    fn read(&mut self, now_ns: u64, input: &mut BytesMut) -> Result<Option<GatewayEvent>, Violation> {
        while let Some(frame) = self.link.next(now_ns, input)? {
            let event = match frame.kind {
                Kind::Hello => self.attempts_max().map(|attempts_max| GatewayEvent::Open { attempts_max }),
                Kind::Head => self.answer(frame)?,
                Kind::Data => self.data(frame)?,
                Kind::Done => Some(self.done(&frame)?),
                Kind::GoAway => Some(self.going_away(&frame)?),
                Kind::Cancel => return Err(Violation::Misplaced),
                Kind::Window | Kind::Ping => None,
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The attempt of a frame, which must have been written to the instance, and not ended by it before.
    fn attempt(&mut self, sequence: Sequence) -> Result<&mut Attempt<Sent>, Violation> {
        let (newest, written) = (self.link.newest, self.link.outbox.written());
        match self.link.attempts.get(sequence) {
            Some(attempt) if attempt.state.head_end <= written => Ok(attempt),
            None if sequence != Sequence::NONE && sequence <= newest => Err(Violation::AnsweredTwice),
            Some(_) | None => Err(Violation::UnknownSequence),
        }
    }

    fn answer(&mut self, frame: Frame) -> Result<Option<GatewayEvent>, Violation> {
        let (sequence, ends) = (frame.sequence, frame.has(END));
        let Attempt { flow, state } = self.attempt(sequence)?;
        if std::mem::replace(&mut state.is_answered, true) {
            return Err(Violation::AnsweredTwice);
        }
        let Answer { head, fields, body_bytes, body } = Answer::decode(frame)?;
        if !ends {
            flow.expect(body_bytes);
        }
        if state.is_abandoned {
            return Ok(self.late(sequence, ends));
        }
        if ends {
            self.link.attempts.remove(sequence);
        }
        Ok(Some(GatewayEvent::Answer { sequence, head, fields, body_bytes, body, ends }))
    }

    fn data(&mut self, frame: Frame) -> Result<Option<GatewayEvent>, Violation> {
        let (sequence, ends) = (frame.sequence, frame.has(END));
        let Attempt { flow, state } = self.attempt(sequence)?;
        if !state.is_answered {
            return Err(Violation::Misplaced);
        }
        flow.received(frame.payload.len(), ends)?;
        if state.is_abandoned {
            return Ok(self.late(sequence, ends));
        }
        if ends {
            self.link.attempts.remove(sequence);
        }
        Ok(Some(GatewayEvent::Data { sequence, bytes: frame.payload, ends }))
    }

    /// Counts a part of an answer to a cancelled attempt, which its end releases.
    fn late(&mut self, sequence: Sequence, ends: bool) -> Option<GatewayEvent> {
        self.link.late += 1;
        if ends {
            self.link.attempts.remove(sequence);
        }
        ends.then_some(GatewayEvent::Released { sequence })
    }

    fn done(&mut self, frame: &Frame) -> Result<GatewayEvent, Violation> {
        let sequence = frame.sequence;
        let reason = DoneReason::of(*frame.payload.first().ok_or(Violation::Malformed)?);
        let is_abandoned = self.attempt(sequence)?.state.is_abandoned;
        self.link.attempts.remove(sequence);
        Ok(if is_abandoned {
            GatewayEvent::Released { sequence }
        } else {
            GatewayEvent::Failed { sequence, reason }
        })
    }

    /// An instance may go away twice, and only run fewer attempts the second time. Each time costs a look at all
    /// attempts; saying the same again costs nothing.
    fn going_away(&mut self, frame: &Frame) -> Result<GatewayEvent, Violation> {
        let GoAway { last, code, text } = GoAway::decode(frame)?;
        if last > self.last.unwrap_or(self.link.newest) {
            return Err(Violation::UnknownSequence);
        }
        if self.last != Some(last) {
            let takes_back = self.last.is_some();
            if takes_back && std::mem::replace(&mut self.has_taken_back, true) {
                return Err(Violation::UnknownSequence);
            }
            self.last = Some(last);
            self.unsent_place = 0;
        }
        Ok(GatewayEvent::GoingAway { code, text })
    }

    /// The next attempt that the instance will not run.
    fn next_unsent(&mut self) -> Option<GatewayEvent> {
        let last = self.last?;
        while self.unsent_place < self.link.attempts.places() {
            let attempt = self.link.attempts.at(self.unsent_place);
            if let Some((sequence, _)) = attempt.filter(|(sequence, _)| *sequence > last) {
                let attempt = self.link.attempts.remove(sequence)?;
                return Some(if attempt.state.is_abandoned {
                    GatewayEvent::Released { sequence }
                } else {
                    GatewayEvent::Unsent { sequence }
                });
            }
            self.unsent_place += 1;
        }
        None
    }

    /// The next attempt that was cancelled and goes on.
    fn next_stuck(&mut self, now_ns: u64) -> Option<GatewayEvent> {
        if self.stuck_check_ns.is_none_or(|check| now_ns < check) {
            return None;
        }
        let mut next = None;
        for place in 0..self.link.attempts.places() {
            let Some((sequence, attempt)) = self.link.attempts.at(place) else { continue };
            let Some(stuck_ns) = attempt.state.stuck_ns else { continue };
            if stuck_ns <= now_ns {
                attempt.state.stuck_ns = None;
                return Some(GatewayEvent::Stuck { sequence });
            }
            next = Some(next.map_or(stuck_ns, |earlier: u64| earlier.min(stuck_ns)));
        }
        self.stuck_check_ns = next;
        None
    }

    fn next_of_closed(&mut self) -> Option<GatewayEvent> {
        let Some((sequence, attempt, written)) = self.link.take_any() else {
            return self.link.take_reason().map(|reason| GatewayEvent::Closed { reason });
        };
        Some(if attempt.state.is_abandoned {
            GatewayEvent::Released { sequence }
        } else if attempt.state.head_end > written {
            GatewayEvent::Unsent { sequence }
        } else {
            GatewayEvent::Lost { sequence }
        })
    }

    /// Bytes to be written, which are queued by this call; empty where there are none. At most 64 KiB of them are
    /// pieces of bodies.
    pub fn outgoing(&mut self) -> &[u8] {
        self.link.outgoing()
    }

    /// Takes note that the first `bytes` of [`Self::outgoing`] were written. An attempt whose `HEAD` is among them,
    /// whole, counts as sent.
    /// Call it before anything is polled that was read after the write: an answer to an attempt that was not sent is a
    /// violation.
    pub fn written(&mut self, bytes: usize) {
        self.link.advance(bytes);
    }

    /// Whether [`Self::outgoing`] has something.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        self.link.has_outgoing()
    }

    /// Attempts queued since everything was written last: the size of the batch so far.
    #[must_use]
    pub const fn queued_heads(&self) -> usize {
        self.link.outbox.heads()
    }

    /// When [`Self::poll_event`] is to be called if nothing is read before; `None` where nothing is waited for.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let stuck_ns = self.stuck_check_ns.filter(|_| !self.link.is_closed());
        [self.link.deadline(), stuck_ns].into_iter().flatten().min()
    }

    /// Attempts that are out, abandoned ones included.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.link.attempts.len()
    }

    /// Frames that came for cancelled or ended attempts.
    #[must_use]
    pub const fn late_frames(&self) -> u64 {
        self.link.late
    }

    /// Whether the connection is over, or will be with the last attempt that is out.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.link.is_closed() || self.last.is_some()
    }

    /// Why the connection is over; `None` while it is not.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.link.close_reason()
    }

    /// Ends the connection. [`Self::poll_event`] gives every outcome; the instance is told.
    pub fn close(&mut self) {
        self.link.close(CloseReason::Closed, Sequence::NONE);
    }

    /// Takes note that the stream ended or broke. What was read before has to be polled first.
    pub fn disconnected(&mut self) {
        self.link.close(CloseReason::Disconnected, Sequence::NONE);
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
