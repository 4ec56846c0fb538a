//! The caller of the instance's end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use super::dice::Dice;
use super::run::{Seen, body};
use crate::{
    AnswerHead, CloseReason, DoneReason, Field, FieldList, InstanceConnection, InstanceEvent, NotAnswered,
    Sequence, Settings,
};

/// An attempt that was invoked and is not over.
#[derive(Default)]
struct Running {
    /// The part of its body that came.
    body: Vec<u8>,
    /// Bytes of it that are not consumed yet.
    held: usize,
    is_whole: bool,
    is_cancelled: bool,
    /// The rest of its answer, where that was begun and goes out piece by piece.
    rest: Option<Bytes>,
}

pub(super) struct InstanceModel {
    pub(super) end: InstanceConnection,
    pub(super) input: BytesMut,
    running: BTreeMap<Sequence, Running>,
    /// All that were ever invoked.
    pub(super) invoked: BTreeSet<Sequence>,
    /// Answers that were given.
    pub(super) answers: BTreeMap<Sequence, Bytes>,
    pub(super) reason: Option<CloseReason>,
}

impl InstanceModel {
    pub(super) fn new(attempts_max: u32) -> Self {
        Self {
            end: InstanceConnection::new(Settings { attempts_max, ..Settings::default() }, 0),
            input: BytesMut::new(),
            running: BTreeMap::new(),
            invoked: BTreeSet::new(),
            answers: BTreeMap::new(),
            reason: None,
        }
    }

    /// Answers one attempt or lets it go, also before its body is whole, if `any`.
    pub(super) fn finish(&mut self, dice: &mut Dice, any: bool, seen: &mut Seen) {
        let ready =
            |running: &Running| running.is_cancelled || (running.rest.is_none() && (any || running.is_whole));
        let candidates: Vec<Sequence> = self
            .running
            .iter()
            .filter(|(_, running)| ready(running))
            .map(|(sequence, _)| *sequence)
            .collect();
        if candidates.is_empty() {
            return;
        }
        let sequence = candidates[dice.index(candidates.len())];
        let running = self.running.remove(&sequence).unwrap();
        if running.rest.is_none() && !running.is_cancelled && dice.one_in(3) {
            self.begin_stream(sequence, running, dice, seen);
            return;
        }
        if running.rest.is_some() || dice.one_in(6) {
            assert!(self.end.done(sequence, DoneReason::Failed));
            assert!(!self.end.done(sequence, DoneReason::Failed), "let go twice");
            return;
        }
        let body = body(dice);
        let start = [1, 0, 0, 0];
        let fields = [Field { id: Field::COLD_START, value: &start }];
        let fields = if dice.one_in(5) { &fields[..] } else { &[] };
        match self.end.answer(sequence, AnswerHead { status: 200 }, fields, &body) {
            Ok(()) => {
                assert!(!running.is_cancelled);
                self.answers.insert(sequence, body.clone());
            }
            Err(NotAnswered::Cancelled) => {
                assert!(running.is_cancelled);
                seen.count("not answered");
            }
            Err(NotAnswered::Over) => assert!(self.reason.is_some() || self.end.next_deadline_ns().is_none()),
            Err(NotAnswered::Invalid) => panic!("{sequence:?} has a valid answer"),
        }
        let again = self.end.answer(sequence, AnswerHead { status: 200 }, fields, &body);
        assert_eq!(again, Err(NotAnswered::Over), "answered twice");
    }

    /// Begins an answer whose body goes out piece by piece.
    fn begin_stream(&mut self, sequence: Sequence, mut running: Running, dice: &mut Dice, seen: &mut Seen) {
        let body = body(dice);
        let length = dice.one_in(2).then_some(body.len() as u64);
        match self.end.begin_answer(sequence, AnswerHead { status: 200 }, &FieldList::new(), length) {
            Ok(()) => {
                self.answers.insert(sequence, body.clone());
                running.rest = Some(body);
                self.running.insert(sequence, running);
                self.send_piece(sequence, dice, seen);
            }
            Err(NotAnswered::Over) => assert!(self.reason.is_some() || self.end.next_deadline_ns().is_none()),
            Err(refused) => panic!("{sequence:?} begins no answer: {refused:?}"),
        }
    }

    /// Hands over the next piece of each answer that is ready for one.
    pub(super) fn feed(&mut self, dice: &mut Dice, seen: &mut Seen) {
        while let Some(sequence) = self.end.next_sent() {
            if self.running.get(&sequence).is_some_and(|running| !running.is_cancelled) {
                self.send_piece(sequence, dice, seen);
            }
        }
    }

    fn send_piece(&mut self, sequence: Sequence, dice: &mut Dice, seen: &mut Seen) {
        let rest =
            self.running.get_mut(&sequence).and_then(|running| running.rest.as_mut()).expect("it streams");
        if dice.one_in(30) {
            self.end.break_off(sequence).expect("it streams");
            seen.count("broken off");
            self.running.remove(&sequence);
            return;
        }
        let length = 1 + dice.index(rest.len().max(1));
        let piece = rest.split_to(length.min(rest.len()));
        // The end may come with the last piece, or behind it.
        let ends = rest.is_empty() && (piece.is_empty() || dice.one_in(2));
        self.end.send(sequence, piece, ends).expect("it streams");
        if ends {
            seen.count("streamed");
            self.running.remove(&sequence);
        }
    }

    pub(super) fn consume(&mut self, dice: &mut Dice, all: bool) {
        for (sequence, running) in &mut self.running {
            if all || dice.one_in(3) {
                self.end.consume(*sequence, std::mem::take(&mut running.held));
            }
        }
    }

    /// Takes all events. `bodies` are those that the gateway sent; none are compared where it is `None`.
    pub(super) fn poll(&mut self, now_ns: u64, bodies: Option<&BTreeMap<Sequence, Bytes>>, seen: &mut Seen) {
        while let Some(event) = self.end.poll_event(now_ns, &mut self.input) {
            assert!(self.reason.is_none(), "{event:?} after the end");
            match event {
                InstanceEvent::Invoked { sequence, head, body, body_bytes, ends, .. } => {
                    if bodies.is_some() {
                        assert_eq!(head.execution_id[..8], body_bytes.to_le_bytes());
                    }
                    let running = Running { body: body.to_vec(), ..Running::default() };
                    assert!(self.running.insert(sequence, running).is_none(), "{sequence:?} runs twice");
                    self.invoked.insert(sequence);
                    seen.count(if ends { "invoked" } else { "invoked in pieces" });
                    self.end_body(sequence, ends, bodies);
                }
                InstanceEvent::Data { sequence, bytes, ends } => {
                    let running = self.running.get_mut(&sequence).expect("a piece for what runs");
                    assert!(!running.is_whole && !running.is_cancelled);
                    running.body.extend_from_slice(&bytes);
                    running.held += bytes.len();
                    assert!(running.held <= 65_536, "{} bytes beyond the window", running.held);
                    self.end_body(sequence, ends, bodies);
                }
                InstanceEvent::Cancelled { sequence, .. } => {
                    let running = self.running.get_mut(&sequence).expect("a cancellation of what runs");
                    assert!(!std::mem::replace(&mut running.is_cancelled, true), "cancelled twice");
                    seen.count("cancelled");
                }
                InstanceEvent::Lost { sequence } => {
                    assert!(self.running.remove(&sequence).is_some(), "{sequence:?} was over");
                    seen.count("lost at the instance");
                }
                InstanceEvent::GoingAway { .. } => seen.count("the gateway goes away"),
                InstanceEvent::Closed { reason } => {
                    assert!(self.running.is_empty(), "{} attempts are not told", self.running.len());
                    self.reason = Some(reason);
                }
            }
        }
    }

    fn end_body(&mut self, sequence: Sequence, ends: bool, bodies: Option<&BTreeMap<Sequence, Bytes>>) {
        let running = self.running.get_mut(&sequence).expect("it runs");
        running.is_whole = ends;
        if let Some(bodies) = bodies.filter(|_| ends) {
            assert!(bodies[&sequence] == running.body, "{sequence:?} has the body of another");
        }
    }

    pub(super) fn is_running(&self) -> bool {
        !self.running.is_empty()
    }
}
