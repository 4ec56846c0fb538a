//! The gateway's half of an execution: payload, result, who waits for it, how long it is kept.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use hyper::header::HeaderValue;
use slab::Slab;
use tokio::task::AbortHandle;

use super::history::History;
use super::reply::{Failure, Stamps};
use crate::clock::Nanos;
use crate::dispatch::Served;
use crate::hot::ticket::Ticket;
use crate::hot::waybill::Waybill;
use crate::id::Entropy;

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With an output.
    Success,
    /// Without.
    Error,
    /// By its deadline.
    Timeout,
    /// Nobody wanted it any more.
    Cancelled,
}

/// Where an execution stands. `Ended` never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for its first dispatch, or its next.
    Queued,
    /// An attempt is with an instance.
    Running,
    /// Terminal.
    Ended(Status),
}

impl Stage {
    /// The stage as clients read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Running => "running",
            Stage::Ended(Status::Success) => "success",
            Stage::Ended(Status::Error) => "error",
            Stage::Ended(Status::Timeout) => "timeout",
            Stage::Ended(Status::Cancelled) => "cancelled",
        }
    }
}

/// Who asked, which decides how long the record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Someone waits for the answer; afterwards the record is the first to go.
    Waiting,
    /// Someone was promised that it can be read: kept for the whole retention.
    Promised,
}

/// The trace an invocation belongs to.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `X-Trace-Id` as it came; otherwise made from `made`.
    pub id: Option<HeaderValue>,
    /// `traceparent` as it came; otherwise made from `made`.
    pub parent: Option<HeaderValue>,
    /// 128 bits for a trace id and 64 for a span id, where one had to be made.
    pub made: (u64, u64, u64),
}

/// One execution, from its admission until its retention is over.
#[derive(Debug)]
pub struct Record {
    /// The random part of its id.
    pub nonce: u64,
    /// The function's version it was admitted to, or last granted on.
    pub served: Rc<Served>,
    /// Where it stands.
    pub stage: Stage,
    /// Who asked.
    pub asked: Asked,
    /// The body as the client sent it; empty once it is not needed any more.
    pub payload: Bytes,
    /// The function's output, one JSON value; empty where there is none.
    pub output: Bytes,
    /// Why it ended badly, or why its last attempt did.
    pub failure: Option<Box<Failure>>,
    /// See [`Trace`].
    pub trace: Trace,
    /// Passed on to the function.
    pub idempotency_key: Option<HeaderValue>,
    /// Attempts begun.
    pub attempt: u8,
    /// The answer was the first of its instance.
    pub cold_start: bool,
    /// By when the client must be answered.
    pub deadline: Nanos,
    /// What the deadline becomes at the first grant (ns from then); 0: it stays.
    pub run_budget: Nanos,
    /// When the first attempt was granted; 0: not yet.
    pub first_granted: Nanos,
    /// See [`Stamps`].
    pub stamps: Stamps,
    /// The task of the running attempt.
    pub task: Option<AbortHandle>,
    /// Somebody has read its end.
    pub read: bool,
    /// How many wait for the end. A record that someone waits for stays.
    pub waiters: u32,
    wakers: Vec<Waker>,
    waker: Option<Waker>,
}

/// What a record begins with.
#[derive(Debug)]
pub struct Admission {
    /// The function's version.
    pub served: Rc<Served>,
    /// Who asked.
    pub asked: Asked,
    /// The body.
    pub payload: Bytes,
    /// The trace.
    pub trace: Trace,
    /// The client's key.
    pub idempotency_key: Option<HeaderValue>,
    /// By when it must be answered, or first dispatched.
    pub deadline: Nanos,
    /// How long an async one may run from its first dispatch on (ns); 0: the deadline stays.
    pub run_budget: Nanos,
    /// When its head was read.
    pub admitted: Nanos,
}

impl Record {
    fn new(nonce: u64, admission: Admission) -> Self {
        Self {
            nonce,
            served: admission.served,
            stage: Stage::Queued,
            asked: admission.asked,
            payload: admission.payload,
            output: Bytes::new(),
            failure: None,
            trace: admission.trace,
            idempotency_key: admission.idempotency_key,
            attempt: 0,
            cold_start: false,
            deadline: admission.deadline,
            run_budget: admission.run_budget,
            first_granted: 0,
            stamps: Stamps { admitted: admission.admitted, ..Stamps::default() },
            task: None,
            read: false,
            waiters: 0,
            wakers: Vec::new(),
            waker: None,
        }
    }

    /// Whether it is terminal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Wakes `waker` at the end. The first one costs no memory.
    pub fn wait(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_none_or(|other| other.will_wake(waker)) {
            if self.waker.is_none() {
                self.waker = Some(waker.clone());
            }
        } else if !self.wakers.iter().any(|other| other.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    /// Everyone who waits, to be woken.
    pub fn take_wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.waker.take().into_iter().chain(std::mem::take(&mut self.wakers))
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.output.len()
    }
}

/// Why there is no record for an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Every record is in use by an execution that is not over, or promised.
    Executions,
    /// Too many are promised to be kept.
    Retention,
    /// Too many bytes are held, or too many by this function.
    Bytes,
}

/// Of the records, how many eighths can be promised: the others are left to those who wait.
const PROMISED_EIGHTHS: usize = 7;
/// How many of the oldest kept records are looked at to find one that may go.
const EVICT_LOOKS: usize = 16;

/// All records of one gateway.
#[derive(Debug)]
pub struct Cargo {
    gateway: u8,
    slots: usize,
    records: Slab<Record>,
    /// The slots of the records, by admission.
    history: History,
    generations: Box<[u32]>,
    /// Ended records of those who waited, oldest first.
    spare: VecDeque<(Ticket, Nanos)>,
    /// Ended records that were promised, oldest first.
    promised: VecDeque<(Ticket, Nanos)>,
    /// Records that are not wanted any more, but the scheduler has not let go of yet.
    leaving: VecDeque<Ticket>,
    /// Bytes of the records in `spare`.
    spare_bytes: usize,
    promised_count: usize,
    /// Promised records that nobody has read the end of.
    pub unread: usize,
    bytes: usize,
    bytes_max: usize,
    retention: Nanos,
    entropy: Entropy,
    /// Executions that wait for a grant.
    pub queued: usize,
    /// Executions with an attempt at an instance.
    pub running: usize,
}

impl Cargo {
    /// Room for `slots` records and `bytes_max` bytes of payloads and outputs; an ended one is
    /// kept for `retention` ns.
    #[must_use]
    pub fn new(gateway: u8, slots: usize, bytes_max: usize, retention: Nanos) -> Self {
        Self {
            gateway,
            slots,
            records: Slab::with_capacity(slots),
            history: History::new(slots),
            generations: vec![0; slots].into_boxed_slice(),
            spare: VecDeque::with_capacity(slots),
            promised: VecDeque::new(),
            leaving: VecDeque::new(),
            spare_bytes: 0,
            promised_count: 0,
            unread: 0,
            bytes: 0,
            bytes_max,
            retention,
            entropy: Entropy::new(),
            queued: 0,
            running: 0,
        }
    }

    /// Random bits, for ids.
    pub fn random(&mut self) -> u64 {
        self.entropy.u64()
    }

    /// Takes a record, evicting the oldest that was kept without a promise where it must.
    ///
    /// # Errors
    /// What there was no room for.
    pub fn take(&mut self, admission: Admission, waybills: &[Waybill]) -> Result<Ticket, Full> {
        if admission.asked == Asked::Promised && self.promised_count >= self.slots / 8 * PROMISED_EIGHTHS {
            return Err(Full::Retention);
        }
        let length = admission.payload.len();
        self.make_room(&admission.served, length, waybills)?;
        while self.records.len() >= self.slots {
            self.sweep_leaving(waybills);
            if self.records.len() < self.slots {
                break;
            }
            if !self.evict(waybills) {
                return Err(Full::Executions);
            }
        }
        let promised = admission.asked == Asked::Promised;
        admission.served.bytes.set(admission.served.bytes.get() + length);
        let nonce = self.entropy.u64();
        let admitted = admission.admitted;
        let slot = self.records.insert(Record::new(nonce, admission));
        self.history.admit(slot, admitted);
        self.generations[slot] = self.generations[slot].wrapping_add(1).max(1);
        self.bytes += length;
        self.promised_count += usize::from(promised);
        self.unread += usize::from(promised);
        self.queued += 1;
        Ok(self.ticket(slot))
    }

    /// The ticket of the record in a slot.
    fn ticket(&self, slot: usize) -> Ticket {
        Ticket::new(self.gateway, u32::try_from(slot).unwrap_or(u32::MAX), self.generations[slot])
    }

    /// The records by admission.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The record in a slot, where there is one.
    #[must_use]
    pub fn at(&self, slot: usize) -> Option<(Ticket, &Record)> {
        self.records.get(slot).map(|record| (self.ticket(slot), record))
    }

    /// A function may hold at most half of the bytes that the others leave free.
    fn make_room(&mut self, served: &Served, length: usize, waybills: &[Waybill]) -> Result<(), Full> {
        if length > self.bytes_max / 2 {
            return Err(Full::Bytes);
        }
        let fits = |cargo: &Self| {
            let own = served.bytes.get();
            let others = cargo.bytes.saturating_sub(own);
            own + length <= cargo.bytes_max.saturating_sub(others) / 2
        };
        let own = served.bytes.get();
        let others = self.bytes.saturating_sub(own);
        let at_best = self.bytes_max.saturating_sub(others.saturating_sub(self.spare_bytes)) / 2;
        if own.saturating_sub(self.spare_bytes) + length > at_best {
            // Not even without everything that may go: then nobody's records go for it.
            return Err(Full::Bytes);
        }
        while !fits(self) {
            if !self.evict(waybills) {
                return Err(Full::Bytes);
            }
        }
        Ok(())
    }

    /// The record of a ticket, where it still is that ticket's.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Record> {
        if self.generations.get(ticket.slot()) != Some(&ticket.generation()) {
            return None;
        }
        self.records.get_mut(ticket.slot())
    }

    /// Whether the ticket's slot has since been used by others: its record was there once.
    #[must_use]
    pub fn was_used(&self, ticket: Ticket) -> bool {
        self.generations
            .get(ticket.slot())
            .is_some_and(|now| ticket.generation() != 0 && ticket.generation() <= *now)
    }

    /// Keeps an ended record for its retention; its payload is let go, its output counted.
    pub fn keep(&mut self, ticket: Ticket, now: Nanos, waybills: &[Waybill]) {
        let expires = now + self.retention;
        let Some(record) = self.get_mut(ticket) else { return };
        let freed = record.payload.len();
        let held = record.output.len();
        record.payload = Bytes::new();
        // Each holds on to the whole head that it came in.
        record.trace.id = None;
        record.trace.parent = None;
        record.idempotency_key = None;
        record.served.bytes.set(record.served.bytes.get() + held - freed);
        let asked = record.asked;
        self.bytes = self.bytes + held - freed;
        match asked {
            Asked::Waiting => {
                self.spare.push_back((ticket, expires));
                self.spare_bytes += held;
            }
            Asked::Promised => self.promised.push_back((ticket, expires)),
        }
        while self.bytes > self.bytes_max && self.evict(waybills) {}
    }

    /// Moves an execution's bytes from one version of its function to another.
    pub fn rehome(&mut self, ticket: Ticket, served: &Rc<Served>) {
        let Some(record) = self.get_mut(ticket) else { return };
        let bytes = record.bytes();
        record.served.bytes.set(record.served.bytes.get() - bytes);
        served.bytes.set(served.bytes.get() + bytes);
        record.served = served.clone();
    }

    /// Lets go of what has been kept long enough.
    pub fn expire(&mut self, now: Nanos, waybills: &[Waybill]) {
        for kept in [0, 1] {
            loop {
                let queue = if kept == 0 { &mut self.spare } else { &mut self.promised };
                match queue.front() {
                    Some((ticket, expires)) if *expires <= now => {
                        let ticket = *ticket;
                        queue.pop_front();
                        if kept == 0 {
                            self.spare_bytes -= self.get_mut(ticket).map_or(0, |record| record.bytes());
                        }
                        self.leave(ticket, waybills);
                    }
                    _ => break,
                }
            }
        }
        self.sweep_leaving(waybills);
    }

    /// Every execution that is not over.
    #[must_use]
    pub fn live(&self) -> Vec<Ticket> {
        let live = self.records.iter().filter(|(_, record)| !record.has_ended());
        live.map(|(slot, _)| self.ticket(slot)).collect()
    }

    /// Ended executions that can be read.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.spare.len() + self.promised.len()
    }

    /// Lets the oldest spare record go. False where there is none that may.
    fn evict(&mut self, waybills: &[Waybill]) -> bool {
        for at in 0..self.spare.len().min(EVICT_LOOKS) {
            let (ticket, _) = self.spare[at];
            let free = self.get_mut(ticket).is_none_or(|record| record.waiters == 0);
            if free && waybills[ticket.slot()].is_released(ticket.generation()) {
                self.spare.remove(at);
                self.spare_bytes -= self.get_mut(ticket).map_or(0, |record| record.bytes());
                self.remove(ticket);
                return true;
            }
        }
        false
    }

    fn leave(&mut self, ticket: Ticket, waybills: &[Waybill]) {
        let waited_for = self.get_mut(ticket).is_some_and(|record| record.waiters > 0);
        if !waited_for && waybills[ticket.slot()].is_released(ticket.generation()) {
            self.remove(ticket);
        } else {
            self.leaving.push_back(ticket);
        }
    }

    fn sweep_leaving(&mut self, waybills: &[Waybill]) {
        for _ in 0..self.leaving.len() {
            if let Some(ticket) = self.leaving.pop_front() {
                self.leave(ticket, waybills);
            }
        }
    }

    fn remove(&mut self, ticket: Ticket) {
        if self.get_mut(ticket).is_none() {
            return;
        }
        let record = self.records.remove(ticket.slot());
        self.history.remove(ticket.slot());
        let bytes = record.bytes();
        self.bytes -= bytes;
        record.served.bytes.set(record.served.bytes.get() - bytes);
        let promised = record.asked == Asked::Promised;
        self.promised_count -= usize::from(promised);
        self.unread -= usize::from(promised && !record.read);
    }

    /// Somebody was told how it ended.
    pub fn mark_read(&mut self, ticket: Ticket) {
        let Some(record) = self.get_mut(ticket) else { return };
        if record.asked == Asked::Promised && record.has_ended() && !record.read {
            record.read = true;
            self.unread -= 1;
        }
    }
}
