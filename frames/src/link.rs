//! The part of a connection that is the same at both ends.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::attempt_table::AttemptTable;
use crate::close_reason::CloseReason;
use crate::fields::EncodeFields;
use crate::flow::{Flow, LastWord};
use crate::frame::{ACK, DATA_BYTES_MAX, END, Frame, HEAD_BYTES, Kind, PAYLOAD_BYTES_MAX, Sequence};
use crate::go_away::{GO_AWAY_SHUTDOWN, GoAway};
use crate::hello::Hello;
use crate::liveness::{Liveness, Verdict};
use crate::outbox::{Outbox, QUEUED_BYTES_MAX};
use crate::settings::Settings;
use crate::violation::Violation;

/// Bytes of body that go inside of a `HEAD` however much is queued. A longer one then waits as a reference.
const INSIDE_BYTES_ALWAYS: usize = 1024;

/// Attempts that are over and still in line, beside as many as are out and in it, above which they are thrown out.
const LINE_OVER_MAX: usize = 64;

/// An attempt that is out, and the state that its end keeps of it.
#[derive(Debug)]
pub(crate) struct Attempt<S> {
    pub(crate) flow: Flow,
    pub(crate) state: S,
}

#[derive(Debug)]
pub(crate) struct Link<S> {
    pub(crate) settings: Settings,
    pub(crate) outbox: Outbox,
    pub(crate) attempts: AttemptTable<Attempt<S>>,
    /// The greatest sequence that was used.
    pub(crate) newest: Sequence,
    /// Frames that came for attempts that were over or abandoned, as may happen to any.
    pub(crate) late: u64,
    peer: Option<Hello>,
    /// Attempts with something to send. Each is in it once; those that are over are skipped, and thrown out where they
    /// become many.
    line: VecDeque<Sequence>,
    /// Attempts of which all that was handed over is queued, and more is to come.
    sent: VecDeque<Sequence>,
    liveness: Liveness,
    /// Bytes of the last `PING` that is not answered yet. One that comes sooner than it can be answered replaces it,
    /// so that answers do not pile up.
    ack: Option<[u8; 8]>,
    /// Place in the stream behind the last answer to a `PING`. The next one is queued when that was written, so that an
    /// end which reads nothing is owed one.
    ack_end: u64,
    pings: u64,
    /// The same of the last `PING` of this end.
    ping_end: u64,
    /// Bytes that were left of the input when it was last looked at.
    left: usize,
    closing: Option<Closing>,
    /// Whether attempts are over with the end of the body that this end sends.
    ends_with_body: bool,
    /// Ends of attempts that are queued and not yet written: places in the stream.
    ends: VecDeque<u64>,
}

#[derive(Debug)]
struct Closing {
    reason: CloseReason,
    /// Bytes that had been written.
    written: u64,
    /// Attempts before this place have been taken out.
    place: usize,
    is_told: bool,
}

impl<S> Link<S> {
    pub(crate) fn new(settings: Settings, attempts_max: u32, ends_with_body: bool, now_ns: u64) -> Self {
        let window_bytes = settings.window_bytes.max(DATA_BYTES_MAX as u32);
        let settings = Settings { window_bytes, ..settings };
        let takes_web = settings.takes_web;
        let hello = Hello { attempts_max, window_bytes, payload_bytes_max: PAYLOAD_BYTES_MAX, takes_web };
        let mut outbox = Outbox::default();
        outbox.push(Kind::Hello, Sequence::NONE, 0, &[&hello.encode()]);
        Self {
            settings,
            outbox,
            attempts: AttemptTable::new(),
            newest: Sequence::NONE,
            late: 0,
            peer: None,
            line: VecDeque::new(),
            sent: VecDeque::new(),
            liveness: Liveness::new(now_ns),
            ack: None,
            ack_end: 0,
            pings: 0,
            ping_end: 0,
            left: 0,
            closing: None,
            ends_with_body,
            ends: VecDeque::new(),
        }
    }

    pub(crate) const fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// Attempts that the other end counts as out, as it cannot have read their ends yet.
    pub(crate) fn load(&self) -> usize {
        self.attempts.len() + self.ends.len()
    }

    /// Adds an attempt that begins. At first `own_window` bytes of its body are taken by this end, and `window` by the
    /// other; where they are not given, those that each end has said.
    pub(crate) fn insert(
        &mut self,
        now_ns: u64,
        sequence: Sequence,
        state: S,
        (own_window, window): (Option<u32>, Option<u32>),
    ) {
        if self.attempts.is_empty() {
            self.liveness.heard(now_ns);
        }
        let window = window.unwrap_or_else(|| self.peer.as_ref().map_or(0, |peer| peer.window_bytes));
        let flow = Flow::new(window, own_window.unwrap_or(self.settings.window_bytes));
        self.attempts.insert(sequence, Attempt { flow, state });
    }

    /// The next frame that is about attempts, or the `HELLO`. `None` where none is whole.
    pub(crate) fn next(&mut self, now_ns: u64, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        if input.len() > self.left {
            self.liveness.heard(now_ns);
        }
        loop {
            let before = input.len();
            let frame = Frame::take(input)?;
            self.left = input.len();
            let has_part = self.left > 0 || self.peer.is_none();
            let Some(frame) = frame else {
                self.liveness.left(now_ns, has_part, before == self.left);
                return Ok(None);
            };
            // The part behind it is another one.
            self.liveness.left(now_ns, self.left > 0, false);
            if (frame.kind == Kind::Hello) != self.peer.is_none() {
                return Err(Violation::Misplaced);
            }
            match frame.kind {
                Kind::Hello => self.peer = Some(Hello::decode(&frame.payload)?),
                Kind::Window => {
                    self.widen(&frame)?;
                    continue;
                }
                Kind::Ping => {
                    self.ping(&frame)?;
                    continue;
                }
                Kind::Head | Kind::Data | Kind::Cancel | Kind::Done | Kind::GoAway => {}
            }
            return Ok(Some(frame));
        }
    }

    fn widen(&mut self, frame: &Frame) -> Result<(), Violation> {
        let bytes = frame.payload.first_chunk().copied().map(u32::from_le_bytes);
        let bytes = bytes.filter(|bytes| *bytes > 0).ok_or(Violation::Malformed)?;
        match self.attempts.get(frame.sequence) {
            Some(attempt) => attempt.flow.widen(bytes)?,
            None => self.expect_late(frame.sequence)?,
        }
        self.enter_line(frame.sequence);
        Ok(())
    }

    fn ping(&mut self, frame: &Frame) -> Result<(), Violation> {
        let bytes = frame.payload.first_chunk().copied().ok_or(Violation::Malformed)?;
        if !frame.has(ACK) {
            self.ack = Some(bytes);
        }
        Ok(())
    }

    /// Counts a frame for an attempt that is not there, which must have been.
    pub(crate) const fn expect_late(&mut self, sequence: Sequence) -> Result<(), Violation> {
        if sequence.0 == 0 || sequence.0 > self.newest.0 {
            return Err(Violation::UnknownSequence);
        }
        self.late += 1;
        Ok(())
    }

    /// Judges the silence of the other end.
    pub(crate) fn judge(&mut self, now_ns: u64) -> Result<(), CloseReason> {
        match self.liveness.judge(now_ns, !self.attempts.is_empty(), &self.settings) {
            Verdict::Alive => Ok(()),
            Verdict::Ask => {
                if self.outbox.written() >= self.ping_end {
                    self.pings += 1;
                    self.outbox.push(Kind::Ping, Sequence::NONE, 0, &[&self.pings.to_le_bytes()]);
                    self.ping_end = self.outbox.end();
                }
                Ok(())
            }
            Verdict::Silent => Err(CloseReason::Silent),
            Verdict::HalfFrame => Err(CloseReason::HalfFrame),
        }
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.closing.is_some() {
            return None;
        }
        self.liveness.deadline(!self.attempts.is_empty(), &self.settings)
    }

    /// Whether a `HEAD` of so many bytes without its body can be sent.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.peer.as_ref().is_some_and(|peer| bytes <= peer.payload_bytes_max)
    }

    /// Queues the `HEAD` of an attempt that is there, and its body, inside or to follow as `DATA`. Tells whether the
    /// body is inside.
    pub(crate) fn send_head(
        &mut self,
        sequence: Sequence,
        fixed: &[u8],
        (fields, fields_bytes): (&(impl EncodeFields + ?Sized), usize),
        body: &Bytes,
    ) -> bool {
        let without_body = fixed.len() + fields_bytes;
        let is_inside = self.fits(without_body + body.len())
            && (body.len() <= INSIDE_BYTES_ALWAYS || self.outbox.len() + body.len() <= QUEUED_BYTES_MAX);
        let (flags, inside) = if is_inside { (END, &body[..]) } else { (0, &[][..]) };
        self.outbox.push_head(Kind::Head, sequence, flags, without_body + inside.len());
        self.outbox.push_part(fixed);
        fields.write(&mut self.outbox);
        self.outbox.push_part(inside);
        if !is_inside && let Some(attempt) = self.attempts.get(sequence) {
            attempt.flow.send(body.clone());
            self.enter_line(sequence);
        }
        is_inside
    }

    /// Queues the `HEAD` of an attempt that is there, whose body is handed over piece by piece.
    pub(crate) fn send_head_alone(
        &mut self,
        sequence: Sequence,
        fixed: &[u8],
        (fields, fields_bytes): (&(impl EncodeFields + ?Sized), usize),
    ) {
        self.outbox.push_head(Kind::Head, sequence, 0, fixed.len() + fields_bytes);
        self.outbox.push_part(fixed);
        fields.write(&mut self.outbox);
    }

    /// Hands over a piece of the body of an attempt whose earlier pieces are queued, or the last word of it.
    pub(crate) fn send_piece(&mut self, sequence: Sequence, piece: Bytes, last: Option<LastWord>) {
        if let Some(attempt) = self.attempts.get(sequence) {
            attempt.flow.hand_over(piece, last);
            self.enter_line(sequence);
        }
    }

    /// The next attempt of which all that was handed over is queued, and more is to come. Each is told once for a piece.
    pub(crate) fn next_sent(&mut self) -> Option<Sequence> {
        self.sent.pop_front()
    }

    /// Takes an attempt out whose end was queued.
    pub(crate) fn retire(&mut self, sequence: Sequence) {
        self.attempts.remove(sequence);
        self.ends.push_back(self.outbox.end());
    }

    /// Takes note that bytes of a body were consumed, and lets more come if that is worth a frame.
    pub(crate) fn consume(&mut self, sequence: Sequence, bytes: usize) {
        if let Some(attempt) = self.attempts.get(sequence) {
            attempt.flow.consumed(bytes);
            self.enter_line(sequence);
        }
    }

    /// Puts an attempt at the end of the line if it has something to send.
    fn enter_line(&mut self, sequence: Sequence) {
        let Some(Attempt { flow, .. }) = self.attempts.get(sequence) else { return };
        if !flow.is_in_line && (flow.has_piece() || flow.owes()) {
            flow.is_in_line = true;
            self.line.push_back(sequence);
        }
        // The other end may read so slowly that nobody has a turn, and end attempts all the same.
        if self.line.len() > 2 * self.attempts.len() + LINE_OVER_MAX {
            let attempts = &mut self.attempts;
            self.line.retain(|sequence| attempts.get(*sequence).is_some());
        }
    }

    /// Queues what has its turn while there is room, and gives all that is to be written.
    pub(crate) fn outgoing(&mut self) -> &[u8] {
        if self.closing.is_none() {
            if self.outbox.written() >= self.ack_end
                && let Some(bytes) = self.ack.take()
            {
                self.outbox.push(Kind::Ping, Sequence::NONE, ACK, &[&bytes]);
                self.ack_end = self.outbox.end();
            }
            let frame_bytes_max = 2 * HEAD_BYTES + size_of::<u32>() + DATA_BYTES_MAX;
            while self.outbox.len() + frame_bytes_max <= QUEUED_BYTES_MAX {
                let Some(sequence) = self.line.pop_front() else { break };
                self.take_turn(sequence);
            }
        }
        self.outbox.unwritten()
    }

    /// Queues what one attempt may send in its turn: bytes that the other end is allowed, and a piece of a body.
    fn take_turn(&mut self, sequence: Sequence) {
        let Some(peer) = &self.peer else { return };
        let Some(Attempt { flow, .. }) = self.attempts.get(sequence) else { return };
        flow.is_in_line = false;
        if flow.owes() {
            let bytes = flow.give().to_le_bytes();
            self.outbox.push(Kind::Window, sequence, 0, &[&bytes]);
        }
        if flow.has_piece() {
            let (piece, last) = flow.piece(DATA_BYTES_MAX.min(peer.payload_bytes_max));
            let is_sent = flow.is_sent();
            let ends = last == Some(LastWord::End);
            if ends || !piece.is_empty() {
                self.outbox.push(Kind::Data, sequence, if ends { END } else { 0 }, &[&piece]);
            }
            if let Some(LastWord::Done(reason)) = last {
                self.outbox.push(Kind::Done, sequence, 0, &[&[reason as u8]]);
            }
            if last.is_some() && self.ends_with_body {
                self.retire(sequence);
                return;
            }
            if is_sent && self.ends_with_body {
                self.sent.push_back(sequence);
            }
        }
        self.enter_line(sequence);
    }

    /// Takes note that the first `bytes` of [`Self::outgoing`] were written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.outbox.advance(bytes);
        let written = self.outbox.written();
        while self.ends.front().is_some_and(|end| *end <= written) {
            self.ends.pop_front();
        }
    }

    /// Whether something is to be written.
    pub(crate) fn has_outgoing(&self) -> bool {
        let has_more = self.closing.is_none() && (self.ack.is_some() || !self.line.is_empty());
        self.outbox.len() > 0 || has_more
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.closing.as_ref().map(|closing| closing.reason)
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closing.is_some()
    }

    /// Ends it. Nothing that waits is written any more, so that no attempt is both begun and told to be unsent; the
    /// other end is told the reason where that can be. Nothing happens where it was closed before.
    pub(crate) fn close(&mut self, reason: CloseReason, last: Sequence) {
        if self.closing.is_some() {
            return;
        }
        let (code, text) = match reason {
            CloseReason::Violation(violation) => (violation.code(), violation.text()),
            CloseReason::Silent
            | CloseReason::HalfFrame
            | CloseReason::Disconnected
            | CloseReason::Closed => (GO_AWAY_SHUTDOWN, ""),
        };
        self.closing = Some(Closing { reason, written: self.outbox.written(), place: 0, is_told: false });
        if self.outbox.cut() && reason != CloseReason::Disconnected {
            GoAway::queue(&mut self.outbox, last, code, text);
        }
        self.line.clear();
        self.sent.clear();
        self.ends.clear();
    }

    /// One of the attempts that are still there, once it is closed, and how many bytes had been written.
    pub(crate) fn take_any(&mut self) -> Option<(Sequence, Attempt<S>, u64)> {
        let closing = self.closing.as_mut()?;
        while closing.place < self.attempts.places() {
            if let Some((sequence, _)) = self.attempts.at(closing.place) {
                let attempt = self.attempts.remove(sequence)?;
                return Some((sequence, attempt, closing.written));
            }
            closing.place += 1;
        }
        None
    }

    /// The reason of its end, once.
    pub(crate) fn take_reason(&mut self) -> Option<CloseReason> {
        let closing = self.closing.as_mut().filter(|closing| !closing.is_told)?;
        closing.is_told = true;
        Some(closing.reason)
    }

    /// Bytes that are queued, and attempts in line.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.outbox.len(), self.line.len())
    }
}
