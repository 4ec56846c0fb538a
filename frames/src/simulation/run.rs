//! A run of the simulation.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::dice::Dice;
use super::gateway_model::GatewayModel;
use super::instance_model::InstanceModel;
use super::observer::Observer;
use crate::CloseReason;

const STEPS: u64 = 1500;
/// Most bytes of a head with its fields and the body that is inside of it whatever waits.
const HEAD_BYTES_MAX: usize = 12 + 64 + 103 + 1024;
/// Bytes of pieces of bodies that wait, and of frames about windows and cancellations.
const WAITING_BYTES_MAX: usize = 64 * 1024 + 4096;

/// Faults that a run may have.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) cancels: bool,
    pub(super) drain: bool,
    pub(super) loss: bool,
    pub(super) leaps: bool,
    pub(super) garbage: bool,
}

/// How often each thing happened.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn count(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    fn add(&mut self, name: &'static str, times: u64) {
        if times > 0 {
            *self.0.entry(name).or_insert(0) += times;
        }
    }
}

/// A body of any length; most are short.
pub(super) fn body(dice: &mut Dice) -> Bytes {
    let length = match dice.below(20) {
        0 => 0,
        1 => dice.below(200_000),
        2 | 3 => dice.below(25_000),
        4 | 5 => dice.below(3000),
        _ => dice.below(100),
    };
    let length = usize::try_from(length).unwrap();
    let mut bytes = dice.bytes(61).repeat(length / 61 + 1);
    bytes.truncate(length);
    Bytes::from(bytes)
}

pub(super) struct Run {
    dice: Dice,
    faults: Faults,
    now_ns: u64,
    gateway: GatewayModel,
    instance: InstanceModel,
    /// Bytes on their way, and how many there may be.
    to_instance: Vec<u8>,
    to_gateway: Vec<u8>,
    pipe_bytes_max: usize,
    by_gateway: Observer,
    by_instance: Observer,
    attempts_max: u32,
    /// Whether bytes were changed on their way: then nobody knows what comes.
    is_spoilt: bool,
    seen: Seen,
}

impl Run {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut dice = Dice::new(seed);
        let attempts_max = 1 + dice.below(40) as u32;
        Self {
            faults,
            now_ns: 0,
            gateway: GatewayModel::new(),
            instance: InstanceModel::new(attempts_max),
            to_instance: Vec::new(),
            to_gateway: Vec::new(),
            pipe_bytes_max: 1 << (8 + dice.below(11)),
            by_gateway: Observer::default(),
            by_instance: Observer::default(),
            attempts_max: attempts_max.min(24),
            is_spoilt: false,
            seen: Seen::default(),
            dice,
        }
    }

    /// Runs all steps, lets what is out come to its end, and closes.
    pub(super) fn run(mut self) -> BTreeMap<&'static str, u64> {
        let lost_at = if self.faults.loss { self.dice.below(STEPS) } else { STEPS };
        for _ in 0..lost_at {
            self.step();
            self.audit();
        }
        if !self.faults.loss {
            self.settle();
        }
        self.lose();
        self.seen.add("late", self.gateway.end.late_frames() + self.instance.end.late_frames());
        self.seen.0
    }

    fn step(&mut self) {
        match self.dice.below(16) {
            0..3 => self.gateway.begin(self.now_ns, &mut self.dice, &mut self.seen),
            3..6 => self.instance.finish(&mut self.dice, false, &mut self.seen),
            6 | 7 => self.write_gateway(),
            8 | 9 => self.write_instance(),
            10 | 11 => self.read_instance(),
            12 | 13 => self.read_gateway(),
            14 => {
                self.gateway.consume(&mut self.dice, false);
                self.instance.consume(&mut self.dice, false);
                self.now_ns += self.dice.below(100_000);
            }
            _ => self.rare_step(),
        }
    }

    fn rare_step(&mut self) {
        match self.dice.below(40) {
            0..12 if self.faults.cancels => self.gateway.cancel(self.now_ns, &mut self.dice),
            12..14 => self.instance.finish(&mut self.dice, true, &mut self.seen),
            14 if self.faults.drain && self.dice.one_in(4) => self.instance.end.go_away("drain"),
            15..18 if self.faults.leaps => self.leap(),
            18 if self.faults.garbage => self.spoil(),
            _ => {}
        }
    }

    /// Lets up to 4 s go by in which nothing is read or written.
    fn leap(&mut self) {
        for _ in 0..=self.dice.below(4) {
            self.now_ns += 1_000_000_000;
            self.poll_instance();
            self.poll_gateway();
        }
    }

    /// Puts garbage among the bytes that are on their way, or changes some.
    fn spoil(&mut self) {
        let to_gateway = self.dice.one_in(2);
        let pipe = if to_gateway { &mut self.to_gateway } else { &mut self.to_instance };
        self.is_spoilt = true;
        let at = self.dice.index(pipe.len() + 1);
        if self.dice.one_in(2) {
            let length = self.dice.index(40);
            let garbage = self.dice.bytes(length);
            pipe.splice(at..at, garbage);
        } else if let Some(byte) = pipe.get_mut(at) {
            *byte ^= 1 << self.dice.below(8);
        }
    }

    fn write_gateway(&mut self) {
        let room = self.pipe_bytes_max.saturating_sub(self.to_instance.len());
        let bytes = self.gateway.end.outgoing();
        let length = self.dice.index(bytes.len().min(room) + 1);
        if !self.is_spoilt {
            self.by_gateway.see(&bytes[..length], &self.by_instance);
        }
        self.to_instance.extend_from_slice(&bytes[..length]);
        self.gateway.end.written(length);
    }

    fn write_instance(&mut self) {
        let room = self.pipe_bytes_max.saturating_sub(self.to_gateway.len());
        self.instance.end.outgoing();
        self.instance.feed(&mut self.dice, &mut self.seen);
        let bytes = self.instance.end.outgoing();
        let length = self.dice.index(bytes.len().min(room) + 1);
        if !self.is_spoilt {
            self.by_instance.see(&bytes[..length], &self.by_gateway);
        }
        self.to_gateway.extend_from_slice(&bytes[..length]);
        self.instance.end.written(length);
    }

    fn read_instance(&mut self) {
        let length = self.dice.index(self.to_instance.len() + 1);
        self.instance.input.extend_from_slice(&self.to_instance[..length]);
        self.to_instance.drain(..length);
        self.poll_instance();
    }

    fn poll_instance(&mut self) {
        let bodies = (!self.is_spoilt).then_some(&self.gateway.bodies);
        self.instance.poll(self.now_ns, bodies, &mut self.seen);
        self.check_reason(self.instance.reason);
        assert!(self.instance.input.len() < 12 + 20_480, "less than a frame is left");
        if self.instance.end.is_drained() {
            self.seen.count("drained");
        }
    }

    fn read_gateway(&mut self) {
        let length = self.dice.index(self.to_gateway.len() + 1);
        self.gateway.input.extend_from_slice(&self.to_gateway[..length]);
        self.to_gateway.drain(..length);
        self.poll_gateway();
    }

    fn poll_gateway(&mut self) {
        let answers = (!self.is_spoilt).then_some(&self.instance.answers);
        self.gateway.poll(self.now_ns, answers, &mut self.seen);
        self.check_reason(self.gateway.reason);
        assert!(self.gateway.input.len() < 12 + 20_480, "less than a frame is left");
    }

    /// A connection ends by itself only with its reason.
    fn check_reason(&self, reason: Option<CloseReason>) {
        match reason {
            Some(CloseReason::Violation(violation)) => assert!(self.is_spoilt, "{violation}"),
            Some(CloseReason::Silent | CloseReason::HalfFrame) => {
                assert!(self.faults.leaps || self.is_spoilt, "taken for dead");
            }
            Some(CloseReason::Disconnected | CloseReason::Closed) | None => {}
        }
    }

    /// Checks that nothing ran which is unsent, and that nothing grows.
    fn audit(&mut self) {
        if !self.is_spoilt {
            for sequence in &self.gateway.unsent {
                assert!(!self.instance.invoked.contains(sequence), "{sequence:?} ran and is unsent");
            }
        }
        let attempts_max = self.attempts_max as usize;
        let bytes_max = WAITING_BYTES_MAX + attempts_max.max(40) * HEAD_BYTES_MAX;
        for (bytes, in_line) in [self.gateway.end.held(), self.instance.end.held()] {
            assert!(bytes <= bytes_max, "{bytes} bytes are queued");
            assert!(in_line <= 80, "{in_line} are in line");
        }
        let (gateway, instance) = (self.gateway.end.places(), self.instance.end.places());
        assert!(gateway.max(instance) <= 128, "{gateway} and {instance} places");
    }

    /// Lets everything that is out come to its end: whole pieces, no more faults.
    fn settle(&mut self) {
        self.pipe_bytes_max = usize::MAX;
        for _ in 0..3000 {
            self.write_gateway();
            self.read_instance();
            self.instance.consume(&mut self.dice, true);
            self.instance.finish(&mut self.dice, false, &mut self.seen);
            self.write_instance();
            self.read_gateway();
            self.gateway.consume(&mut self.dice, true);
            let is_over = self.gateway.reason.is_some() || self.instance.reason.is_some();
            let is_busy = self.gateway.has_out() || self.instance.is_running();
            if is_over || self.is_spoilt || (!is_busy && !self.gateway.end.has_outgoing()) {
                break;
            }
        }
        self.audit();
        let has_ended = self.gateway.reason.is_some() || self.instance.reason.is_some();
        if !has_ended && !self.is_spoilt {
            assert!(!self.gateway.has_out(), "attempts are out for ever");
            assert!(!self.instance.is_running(), "attempts run for ever");
        }
    }

    /// Breaks the connection. Each end still reads some of what is on its way.
    fn lose(&mut self) {
        self.read_gateway();
        if self.dice.one_in(2) {
            self.gateway.end.disconnected();
        } else {
            self.gateway.end.close();
        }
        self.poll_gateway();
        assert!(self.gateway.reason.is_some());
        // The last word, and whatever else is written after the end, must not begin anything.
        self.write_gateway();
        self.read_instance();
        self.read_instance();
        self.audit();
        self.instance.end.disconnected();
        self.poll_instance();
        assert!(self.instance.reason.is_some());
        self.audit();
    }
}
