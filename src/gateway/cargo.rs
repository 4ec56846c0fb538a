//! The records of one gateway: taken at admission, kept after their end, let go.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use slab::Slab;

use super::history::History;
use super::keys::Keys;
use super::record::{Admission, Asked, Class, Record};
use crate::clock::Nanos;
use crate::dispatch::Served;
use crate::hot::ticket::Ticket;
use crate::hot::waybill::Waybill;
use crate::id::Entropy;

/// Why there is no record for an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Every record is in use by an execution that is not over, or reserved.
    Executions,
    /// Too many records, or bytes for outputs, are reserved.
    Retention,
    /// Too many bytes are held, or too many by this function.
    Bytes,
}

/// Of the records, how many eighths can be reserved: the others are left to those who wait.
const RESERVED_EIGHTHS: usize = 7;
/// How many of the oldest kept records are looked at to find one that may go.
const EVICT_LOOKS: usize = 16;
/// How many records one pass lets go of because their time is over: some microseconds of work, after
/// which others have their turn.
const EXPIRED_PER_PASS: usize = 128;

/// All records of one gateway.
#[derive(Debug)]
pub struct Cargo {
    gateway: u8,
    slots: usize,
    records: Slab<Record>,
    /// The slots of the records, by admission.
    history: History,
    generations: Box<[u32]>,
    /// Ended records of the spare class, oldest first.
    spare: VecDeque<(Ticket, Nanos)>,
    /// Ended records of the reserved class, oldest first.
    reserved: VecDeque<(Ticket, Nanos)>,
    /// Records that are not wanted any more, but the scheduler has not let go of yet.
    leaving: VecDeque<Ticket>,
    /// Bytes of the records in `spare`.
    spare_bytes: usize,
    /// Records of the reserved class, ended or not.
    reserved_count: usize,
    /// Bytes for an output that are reserved with a record.
    reserved_output: usize,
    /// What keys stand for.
    pub keys: Keys,
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
    /// Room for `slots` records and `bytes_max` bytes of payloads and outputs, of which a record of
    /// the reserved class takes `reserved_output` at least until it ends; an ended one is kept for
    /// `retention` ns.
    #[must_use]
    pub fn new(
        gateway: u8,
        slots: usize,
        bytes_max: usize,
        reserved_output: usize,
        retention: Nanos,
    ) -> Self {
        Self {
            gateway,
            slots,
            records: Slab::with_capacity(slots),
            history: History::new(slots),
            generations: vec![0; slots].into_boxed_slice(),
            spare: VecDeque::with_capacity(slots),
            reserved: VecDeque::new(),
            leaving: VecDeque::new(),
            spare_bytes: 0,
            reserved_count: 0,
            reserved_output,
            keys: Keys::default(),
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
        let reserved = admission.class() == Class::Reserved;
        if reserved && self.reserved_count >= self.slots / 8 * RESERVED_EIGHTHS {
            return Err(Full::Retention);
        }
        let length = admission.payload.len();
        let held = if reserved { length.max(self.reserved_output) } else { length };
        self.make_room(&admission.served, held, waybills)
            // What found no room is the output to come rather than the payload.
            .map_err(|full| if held > length { Full::Retention } else { full })?;
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
        admission.served.bytes.set(admission.served.bytes.get() + held);
        let nonce = self.entropy.u64();
        let admitted = admission.admitted;
        let slot = self.records.insert(Record::new(nonce, admission, held));
        self.history.admit(slot, admitted);
        self.generations[slot] = self.generations[slot].wrapping_add(1).max(1);
        self.bytes += held;
        self.reserved_count += usize::from(reserved);
        self.unread += usize::from(promised);
        self.queued += 1;
        let ticket = self.ticket(slot);
        let record = &self.records[slot];
        if let Some(claim) = &record.claim {
            self.keys.claim(claim.clone(), ticket, &record.payload);
        }
        Ok(ticket)
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

    fn fits(&self, served: &Served, length: usize) -> bool {
        let own = served.bytes.get();
        let others = self.bytes.saturating_sub(own);
        own + length <= self.bytes_max.saturating_sub(others) / 2
    }

    /// A function may hold at most half of the bytes that the others leave free.
    fn make_room(&mut self, served: &Served, length: usize, waybills: &[Waybill]) -> Result<(), Full> {
        if length > self.bytes_max / 2 {
            return Err(Full::Bytes);
        }
        let own = served.bytes.get();
        let others = self.bytes.saturating_sub(own);
        let at_best = self.bytes_max.saturating_sub(others.saturating_sub(self.spare_bytes)) / 2;
        if own.saturating_sub(self.spare_bytes) + length > at_best {
            // Not even without everything that may go: then nobody's records go for it.
            return Err(Full::Bytes);
        }
        while !self.fits(served, length) {
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

    /// Finds room to keep an output of `length` bytes; false where there is none and the execution
    /// must not end with it. What somebody waits for is answered in any case, and then kept
    /// without a reservation.
    pub fn accommodate(&mut self, ticket: Ticket, length: usize, waybills: &[Waybill]) -> bool {
        let Some(record) = self.get_mut(ticket) else { return true };
        let (class, asked, more) = (record.class, record.asked, length.saturating_sub(record.held));
        if class == Class::Spare || more == 0 {
            return true;
        }
        while self.bytes + more > self.bytes_max {
            if self.evict(waybills) {
                continue;
            }
            if asked == Asked::Promised {
                return false;
            }
            if let Some(record) = self.get_mut(ticket) {
                record.class = Class::Spare;
            }
            self.reserved_count -= 1;
            return true;
        }
        true
    }

    /// The key of an execution is free again: its end is not one to be replayed.
    pub fn release_claim(&mut self, ticket: Ticket) {
        if let Some(claim) = self.get_mut(ticket).and_then(|record| record.claim.take()) {
            self.keys.release(&claim, ticket);
        }
    }

    /// Somebody else was promised to read the end of an execution that only its client waited for.
    ///
    /// # Errors
    /// Where it is kept without a reservation, because there was no room for its output, and may go at
    /// any time.
    pub fn promise(&mut self, ticket: Ticket) -> Result<(), Full> {
        let Some(record) = self.get_mut(ticket) else { return Err(Full::Retention) };
        if record.class == Class::Spare {
            return Err(Full::Retention);
        }
        if record.asked == Asked::Waiting {
            record.asked = Asked::Promised;
            let unread = !record.read;
            self.unread += usize::from(unread);
        }
        Ok(())
    }

    /// Keeps an ended record for its retention; its payload is let go, its output counted.
    pub fn keep(&mut self, ticket: Ticket, now: Nanos, waybills: &[Waybill]) {
        let expires = now + self.retention;
        let Some(record) = self.get_mut(ticket) else { return };
        let held = record.output.len();
        let freed = std::mem::replace(&mut record.held, held);
        record.payload = Bytes::new();
        // Each holds on to the whole head that it came in.
        record.trace.id = None;
        record.trace.parent = None;
        record.idempotency_key = None;
        record.served.bytes.set(record.served.bytes.get() + held - freed);
        let class = record.class;
        self.bytes = self.bytes + held - freed;
        match class {
            Class::Spare => {
                self.spare.push_back((ticket, expires));
                self.spare_bytes += held;
            }
            Class::Reserved => self.reserved.push_back((ticket, expires)),
        }
        while self.bytes > self.bytes_max && self.evict(waybills) {}
    }

    /// Moves an execution's bytes from one version of its function to another.
    pub fn rehome(&mut self, ticket: Ticket, served: &Rc<Served>) {
        let Some(record) = self.get_mut(ticket) else { return };
        let bytes = record.held;
        record.served.bytes.set(record.served.bytes.get() - bytes);
        served.bytes.set(served.bytes.get() + bytes);
        record.served = served.clone();
    }

    /// Lets go of what has been kept long enough, in a pass with a bound. Answers whether there is more.
    pub fn expire(&mut self, now: Nanos, waybills: &[Waybill]) -> bool {
        for _ in 0..EXPIRED_PER_PASS {
            let is_over = |(_, expires): &mut (Ticket, Nanos)| *expires <= now;
            if let Some((ticket, _)) = self.spare.pop_front_if(is_over) {
                self.spare_bytes -= self.get_mut(ticket).map_or(0, |record| record.held);
                self.leave(ticket, waybills);
            } else if let Some((ticket, _)) = self.reserved.pop_front_if(is_over) {
                self.leave(ticket, waybills);
            } else {
                self.sweep_leaving(waybills);
                return false;
            }
        }
        true
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
        self.spare.len() + self.reserved.len()
    }

    /// Lets the oldest spare record go. False where there is none that may.
    fn evict(&mut self, waybills: &[Waybill]) -> bool {
        for at in 0..self.spare.len().min(EVICT_LOOKS) {
            let (ticket, _) = self.spare[at];
            let free = self.get_mut(ticket).is_none_or(|record| record.waiters.is_empty());
            if free && waybills[ticket.slot()].is_released(ticket.generation()) {
                self.spare.remove(at);
                self.spare_bytes -= self.get_mut(ticket).map_or(0, |record| record.held);
                self.remove(ticket);
                return true;
            }
        }
        false
    }

    fn leave(&mut self, ticket: Ticket, waybills: &[Waybill]) {
        let waited_for = self.get_mut(ticket).is_some_and(|record| !record.waiters.is_empty());
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
        self.bytes -= record.held;
        record.served.bytes.set(record.served.bytes.get() - record.held);
        if let Some(claim) = &record.claim {
            self.keys.release(claim, ticket);
        }
        let promised = record.asked == Asked::Promised;
        self.reserved_count -= usize::from(record.class == Class::Reserved);
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use arc_swap::ArcSwapOption;

    use super::*;
    use crate::dispatch::Pooled;
    use crate::function::Function;
    use crate::gateway::keys::Claim;
    use crate::gateway::record::{Stage, Status, Trace};
    use crate::hot::doorway::Doorway;
    use crate::metrics::Meters;
    use crate::registry::parse_function;

    const RETENTION: Nanos = 1000;

    fn served() -> Rc<Served> {
        let text = r#"{"name":"f","executionMode":"POOL","endpointUrl":"http://127.0.0.1:9"}"#;
        let spec = parse_function(text.as_bytes()).expect("a function");
        let function = Function {
            etag: spec.etag(),
            hidden_etag: String::new(),
            lane: 0,
            doorway: Arc::new(Doorway::new(1)),
            addresses: Box::default(),
            endings: Box::default(),
            meters: Arc::new(Meters::new(1)),
            trouble: Arc::new(ArcSwapOption::empty()),
            spec,
        };
        Rc::new(Served::new(Arc::new(function), Rc::new(Cell::new(0)), Rc::<Pooled>::default()))
    }

    fn admission(served: &Rc<Served>, asked: Asked, key: Option<&str>) -> Admission {
        Admission {
            served: served.clone(),
            asked,
            payload: Bytes::from_static(b"1"),
            trace: Trace { id: None, parent: None, made: (1, 1, 1) },
            idempotency_key: None,
            claim: key.map(|key| Rc::new(Claim { function: "f".into(), key: key.as_bytes().into() })),
            deadline: 1,
            run_budget: 0,
            admitted: 0,
        }
    }

    /// Ends an execution with an output of so many bytes.
    fn end(cargo: &mut Cargo, ticket: Ticket, output: usize, waybills: &[Waybill]) {
        assert!(cargo.accommodate(ticket, output, waybills));
        let record = cargo.get_mut(ticket).expect("its record");
        record.output = vec![b'1'; output].into();
        record.stage = Stage::Ended(Status::Success);
        cargo.keep(ticket, 0, waybills);
        waybills[ticket.slot()].release(ticket.generation());
    }

    #[test]
    fn one_pass_lets_go_of_no_more_than_its_bound_and_the_last_of_nothing_that_is_to_stay() {
        let waybills: Vec<Waybill> = (0..1024).map(|_| Waybill::default()).collect();
        let mut cargo = Cargo::new(0, 1024, 1 << 20, 0, RETENTION);
        let served = served();
        for asked in [Asked::Waiting, Asked::Promised] {
            for _ in 0..EXPIRED_PER_PASS {
                let ticket = cargo.take(admission(&served, asked, None), &waybills).expect("there is room");
                end(&mut cargo, ticket, 1, &waybills);
            }
        }
        assert!(!cargo.expire(RETENTION - 1, &waybills));
        assert_eq!((cargo.kept(), cargo.unread), (2 * EXPIRED_PER_PASS, EXPIRED_PER_PASS));
        assert!(cargo.expire(RETENTION, &waybills));
        assert_eq!((cargo.kept(), cargo.unread), (EXPIRED_PER_PASS, EXPIRED_PER_PASS));
        while cargo.expire(RETENTION, &waybills) {}
        assert_eq!((cargo.kept(), cargo.unread, cargo.bytes), (0, 0, 0));
        assert_eq!((cargo.records.len(), served.bytes.get(), cargo.reserved_count), (0, 0, 0));
        assert_eq!(cargo.history().newest(), None);
    }

    #[test]
    fn what_is_kept_without_a_reservation_is_promised_to_nobody() {
        let waybills: Vec<Waybill> = (0..64).map(|_| Waybill::default()).collect();
        let mut cargo = Cargo::new(0, 64, 100, 10, RETENTION);
        let served = served();
        let [fits, does_not] = ["a", "b"].map(|key| {
            cargo.take(admission(&served, Asked::Waiting, Some(key)), &waybills).expect("there is room")
        });
        end(&mut cargo, fits, 10, &waybills);
        end(&mut cargo, does_not, 200, &waybills);
        assert_eq!(cargo.promise(fits), Ok(()));
        assert_eq!(cargo.unread, 1);
        assert_eq!(cargo.promise(does_not), Err(Full::Retention));
        assert_eq!(cargo.unread, 1);
    }
}
