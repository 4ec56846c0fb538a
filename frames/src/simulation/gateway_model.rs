//! The caller of the gateway's end.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::dice::Dice;
use super::run::{Seen, body};
use crate::{
    CancelReason, CloseReason, Field, GatewayConnection, GatewayEvent, Refused, RequestHead, Sequence,
    Settings,
};

/// An attempt that has had no last event.
#[derive(Default)]
struct Out {
    /// The part of its answer that came.
    body: Vec<u8>,
    /// Bytes of it that are not consumed yet.
    held: usize,
    is_cancelled: bool,
    is_stuck: bool,
    is_answered: bool,
}

pub(super) struct GatewayModel {
    pub(super) end: GatewayConnection,
    pub(super) input: BytesMut,
    out: BTreeMap<Sequence, Out>,
    /// Bodies of all that were begun.
    pub(super) bodies: BTreeMap<Sequence, Bytes>,
    pub(super) unsent: Vec<Sequence>,
    pub(super) attempts_max: Option<u32>,
    pub(super) reason: Option<CloseReason>,
}

impl GatewayModel {
    pub(super) fn new() -> Self {
        Self {
            end: GatewayConnection::new(Settings { attempts_max: 24, ..Settings::default() }, 0),
            input: BytesMut::new(),
            out: BTreeMap::new(),
            bodies: BTreeMap::new(),
            unsent: Vec::new(),
            attempts_max: None,
            reason: None,
        }
    }

    pub(super) fn begin(&mut self, now_ns: u64, dice: &mut Dice, seen: &mut Seen) {
        let mut head = RequestHead {
            execution_id: [0; 20],
            trace_id: [1; 16],
            parent_span_id: [2; 8],
            trace_flags: 1,
            attempt: 1,
            deadline_ms: 30_000,
        };
        let body = body(dice);
        head.execution_id[..8].copy_from_slice(&(body.len() as u64).to_le_bytes());
        let state = dice.bytes(100);
        let fields = [Field { id: Field::TRACESTATE, value: &state }];
        let fields = if dice.one_in(3) { &fields[..] } else { &[] };
        let room = self.attempts_max.map(|max| self.out.len() < max as usize);
        match self.end.begin(now_ns, &head, fields, &body) {
            Ok(sequence) => {
                assert_eq!(room, Some(true), "{sequence:?} begins where there is no room");
                assert_eq!(sequence.get() as usize, self.bodies.len() + 1, "sequences follow each other");
                self.out.insert(sequence, Out::default());
                self.bodies.insert(sequence, body);
            }
            Err(Refused::NotOpen) => assert_eq!(room, None),
            Err(Refused::Full) => {
                assert_eq!(room, Some(false));
                seen.count("full");
            }
            Err(Refused::GoingAway | Refused::Closed) => assert!(self.end.is_ending()),
            Err(refused @ (Refused::UsedUp | Refused::TooLong | Refused::NotTaken)) => panic!("{refused:?}"),
        }
        assert_eq!(self.end.in_flight(), self.out.len());
    }

    pub(super) fn cancel(&mut self, now_ns: u64, dice: &mut Dice) {
        if self.out.is_empty() {
            return;
        }
        let sequence = *self.out.keys().nth(dice.index(self.out.len())).unwrap();
        let out = self.out.get_mut(&sequence).unwrap();
        let cancels = self.end.cancel(now_ns, sequence, CancelReason::Deadline);
        assert_eq!(cancels, !out.is_cancelled, "{sequence:?} is cancelled once");
        out.is_cancelled = true;
    }

    /// Consumes of some attempts all that came, or of all.
    pub(super) fn consume(&mut self, dice: &mut Dice, all: bool) {
        for (sequence, out) in &mut self.out {
            if all || dice.one_in(3) {
                self.end.consume(*sequence, std::mem::take(&mut out.held));
            }
        }
    }

    /// Takes all events. `answers` are those that the instance gave; none are compared where it is `None`.
    pub(super) fn poll(&mut self, now_ns: u64, answers: Option<&BTreeMap<Sequence, Bytes>>, seen: &mut Seen) {
        while let Some(event) = self.end.poll_event(now_ns, &mut self.input) {
            assert!(self.reason.is_none(), "{event:?} after the end");
            match event {
                GatewayEvent::Open { attempts_max } => self.attempts_max = Some(attempts_max),
                GatewayEvent::Answer { sequence, head, body, ends, .. } => {
                    assert!((200..=599).contains(&head.status));
                    let out = self.out.get_mut(&sequence).expect("an answer to what is out");
                    assert!(!out.is_cancelled && !std::mem::replace(&mut out.is_answered, true));
                    out.body.extend_from_slice(&body);
                    seen.count(if ends { "answered" } else { "answered in pieces" });
                    self.end_body(sequence, ends, answers);
                }
                GatewayEvent::Data { sequence, bytes, ends } => {
                    let out = self.out.get_mut(&sequence).expect("a piece of what is out");
                    assert!(!out.is_cancelled && out.is_answered);
                    out.body.extend_from_slice(&bytes);
                    out.held += bytes.len();
                    assert!(out.held <= 65_536, "{} bytes beyond the window", out.held);
                    self.end_body(sequence, ends, answers);
                }
                GatewayEvent::Failed { sequence, .. } => {
                    assert!(!self.take(sequence).is_cancelled);
                    seen.count("failed");
                }
                GatewayEvent::Unsent { sequence } => {
                    assert!(!self.take(sequence).is_cancelled);
                    self.unsent.push(sequence);
                    seen.count("unsent");
                }
                GatewayEvent::Lost { sequence } => {
                    assert!(!self.take(sequence).is_cancelled);
                    seen.count("lost");
                }
                GatewayEvent::Released { sequence } => {
                    assert!(self.take(sequence).is_cancelled);
                    seen.count("released");
                }
                GatewayEvent::Stuck { sequence } => {
                    let out = self.out.get_mut(&sequence).expect("out while it is stuck");
                    assert!(out.is_cancelled && !std::mem::replace(&mut out.is_stuck, true));
                    seen.count("stuck");
                }
                GatewayEvent::GoingAway { .. } => seen.count("going away"),
                GatewayEvent::Closed { reason } => self.close(reason, seen),
            }
            assert_eq!(self.end.in_flight(), self.out.len());
        }
    }

    /// Removes an attempt that has its last event.
    fn take(&mut self, sequence: Sequence) -> Out {
        self.out.remove(&sequence).unwrap_or_else(|| panic!("a second last event for {sequence:?}"))
    }

    fn end_body(&mut self, sequence: Sequence, ends: bool, answers: Option<&BTreeMap<Sequence, Bytes>>) {
        if ends {
            let out = self.take(sequence);
            if let Some(answers) = answers {
                assert!(answers[&sequence] == out.body, "{sequence:?} has the body of another");
            }
        }
    }

    fn close(&mut self, reason: CloseReason, seen: &mut Seen) {
        assert!(self.out.is_empty(), "{} attempts without a last event", self.out.len());
        assert_eq!(self.end.next_deadline_ns(), None);
        self.reason = Some(reason);
        seen.count(match reason {
            CloseReason::Violation(_) => "violation",
            CloseReason::Silent => "silent",
            CloseReason::HalfFrame => "half a frame",
            CloseReason::Disconnected | CloseReason::Closed => "closed",
        });
    }

    pub(super) fn has_out(&self) -> bool {
        !self.out.is_empty()
    }
}
