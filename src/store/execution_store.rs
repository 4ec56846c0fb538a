//! The executions of one gateway: made at admission, kept after their end, let go.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use slab::Slab;

use super::execution::{Admission, Execution, Invocation, Retention};
use super::function_entry::FunctionEntry;
use super::history::History;
use super::idempotency::IdempotencyKeys;
use crate::clock::Nanos;
use crate::id::{Entropy, ExecutionId};
use crate::queue::execution_signals::ExecutionSignals;
use crate::ticket::Ticket;

/// The reason why the store has no room for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Every slot is taken by an execution that is not over or was promised to be kept.
    Executions,
    /// Too many slots, or bytes for outputs, are promised.
    Retention,
    /// Too many bytes are held, or too many by this function.
    Bytes,
}

/// Eighths of the slots that can be promised: the others are left to clients who wait.
const PROMISED_EIGHTHS: usize = 7;
/// Number of the oldest kept executions that are looked at to find one that may go.
const EVICT_LOOKS: usize = 16;
/// Executions that one pass lets go of because their time is over: some microseconds of work, after
/// which others have their turn.
const EXPIRED_PER_PASS: usize = 128;

/// Room of a store.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Executions.
    pub slots: usize,
    /// Bytes of payloads and outputs.
    pub bytes_max: usize,
    /// Bytes that a promised execution takes at least until it ends.
    pub reserved_output: usize,
    /// Time for which an ended execution is kept (ns).
    pub retention: Nanos,
}

/// All executions of one gateway, running or kept.
#[derive(Debug)]
pub struct ExecutionStore {
    gateway: u8,
    incarnation: u32,
    limits: StoreLimits,
    executions: Slab<Execution>,
    /// The slots of the executions, by admission.
    history: History,
    generations: Box<[u32]>,
    /// Ended executions that can be evicted, oldest first.
    evictable: VecDeque<(Ticket, Nanos)>,
    /// Ended executions that were promised, oldest first.
    promised: VecDeque<(Ticket, Nanos)>,
    /// Executions that are not wanted any more, but that the scheduler has not released yet.
    leaving: VecDeque<Ticket>,
    /// Bytes of the executions in `evictable`.
    evictable_bytes: usize,
    /// Promised executions, ended or not.
    promised_count: usize,
    /// The keys that stand for executions.
    pub keys: IdempotencyKeys,
    /// Executions of `:enqueue` whose end nobody has read.
    pub unread: usize,
    bytes: usize,
    entropy: Entropy,
    /// Executions that wait for a grant.
    pub queued: usize,
    /// Executions with an attempt at an instance.
    pub running: usize,
}

impl ExecutionStore {
    /// An empty store of a gateway, in this incarnation of the process.
    #[must_use]
    pub fn new(gateway: u8, incarnation: u32, limits: StoreLimits) -> Self {
        let slots = limits.slots;
        Self {
            gateway,
            incarnation,
            limits,
            executions: Slab::with_capacity(slots),
            history: History::new(slots),
            generations: vec![0; slots].into_boxed_slice(),
            evictable: VecDeque::with_capacity(slots),
            promised: VecDeque::new(),
            leaving: VecDeque::new(),
            evictable_bytes: 0,
            promised_count: 0,
            keys: IdempotencyKeys::default(),
            unread: 0,
            bytes: 0,
            entropy: Entropy::new(),
            queued: 0,
            running: 0,
        }
    }

    /// Random bits, for ids.
    pub fn random(&mut self) -> u64 {
        self.entropy.u64()
    }

    /// Adds an execution, and evicts the oldest that was kept without a promise where it must.
    ///
    /// # Errors
    /// See [`Full`].
    pub fn insert(&mut self, admission: Admission, signals: &[ExecutionSignals]) -> Result<Ticket, Full> {
        let promised = admission.retention() == Retention::Promised;
        if promised && self.promised_count >= self.limits.slots / 8 * PROMISED_EIGHTHS {
            return Err(Full::Retention);
        }
        let length = admission.payload.len();
        let held = if promised { length.max(self.limits.reserved_output) } else { length };
        self.make_room(&admission.entry, held, signals)
            // What found no room is the output to come rather than the payload.
            .map_err(|full| if held > length { Full::Retention } else { full })?;
        while self.executions.len() >= self.limits.slots {
            self.sweep_leaving(signals);
            if self.executions.len() < self.limits.slots {
                break;
            }
            if !self.evict(signals) {
                return Err(Full::Executions);
            }
        }
        let is_async = admission.invocation == Invocation::Async;
        admission.entry.bytes.set(admission.entry.bytes.get() + held);
        let nonce = self.entropy.u64();
        let admitted = admission.admitted;
        let slot = self.executions.insert(Execution::new(nonce, admission, held));
        self.history.admit(slot, admitted);
        self.generations[slot] = self.generations[slot].wrapping_add(1).max(1);
        self.bytes += held;
        self.promised_count += usize::from(promised);
        self.unread += usize::from(is_async);
        self.queued += 1;
        let ticket = self.ticket(slot);
        let execution = &self.executions[slot];
        if let Some(key) = &execution.idempotency_key {
            self.keys.insert(key.clone(), ticket, &execution.payload);
        }
        Ok(ticket)
    }

    /// The public name of a ticket's execution.
    #[must_use]
    pub fn id(&self, ticket: Ticket, execution: &Execution) -> ExecutionId {
        ExecutionId { incarnation: self.incarnation, ticket, nonce: execution.nonce }
    }

    /// The ticket of the execution in a slot.
    fn ticket(&self, slot: usize) -> Ticket {
        Ticket::new(self.gateway, u32::try_from(slot).unwrap_or(u32::MAX), self.generations[slot])
    }

    /// The executions in the order of their admission.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The execution in a slot, where there is one.
    #[must_use]
    pub fn at(&self, slot: usize) -> Option<(Ticket, &Execution)> {
        self.executions.get(slot).map(|execution| (self.ticket(slot), execution))
    }

    fn fits(&self, entry: &FunctionEntry, length: usize) -> bool {
        let own = entry.bytes.get();
        let others = self.bytes.saturating_sub(own);
        own + length <= self.limits.bytes_max.saturating_sub(others) / 2
    }

    /// A function may hold at most half of the bytes that the others leave free.
    fn make_room(
        &mut self,
        entry: &FunctionEntry,
        length: usize,
        signals: &[ExecutionSignals],
    ) -> Result<(), Full> {
        if length > self.limits.bytes_max / 2 {
            return Err(Full::Bytes);
        }
        let own = entry.bytes.get();
        let others = self.bytes.saturating_sub(own);
        let at_best = self.limits.bytes_max.saturating_sub(others.saturating_sub(self.evictable_bytes)) / 2;
        if own.saturating_sub(self.evictable_bytes) + length > at_best {
            // Not even without everything that may go: then nothing is evicted for it.
            return Err(Full::Bytes);
        }
        while !self.fits(entry, length) {
            if !self.evict(signals) {
                return Err(Full::Bytes);
            }
        }
        Ok(())
    }

    /// The execution of a ticket, while the store has it.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Execution> {
        if self.generations.get(ticket.slot()) != Some(&ticket.generation()) {
            return None;
        }
        self.executions.get_mut(ticket.slot())
    }

    /// Whether the ticket's slot has since been used by others: the execution was there once.
    #[must_use]
    pub fn was_used(&self, ticket: Ticket) -> bool {
        self.generations
            .get(ticket.slot())
            .is_some_and(|now| ticket.generation() != 0 && ticket.generation() <= *now)
    }

    /// Finds room to keep an output of `length` bytes; false where there is none and the execution
    /// must not end with it. What somebody waits for is answered in any case, and then kept
    /// without a reservation.
    pub fn accommodate(&mut self, ticket: Ticket, length: usize, signals: &[ExecutionSignals]) -> bool {
        let Some(execution) = self.get_mut(ticket) else { return true };
        let (retention, invocation, more) =
            (execution.retention, execution.invocation, length.saturating_sub(execution.held));
        if retention == Retention::Evictable || more == 0 {
            return true;
        }
        while self.bytes + more > self.limits.bytes_max {
            if self.evict(signals) {
                continue;
            }
            if invocation == Invocation::Async {
                return false;
            }
            if let Some(execution) = self.get_mut(ticket) {
                execution.retention = Retention::Evictable;
            }
            self.promised_count -= 1;
            return true;
        }
        true
    }

    /// Frees the key of an execution: its end is not one to be replayed.
    pub fn release_key(&mut self, ticket: Ticket) {
        if let Some(key) = self.get_mut(ticket).and_then(|execution| execution.idempotency_key.take()) {
            self.keys.release(&key, ticket);
        }
    }

    /// Promises that the end of an execution that only its client waited for can be read.
    ///
    /// # Errors
    /// If it is kept without a reservation, because there was no room for its output, and may go at
    /// any time.
    pub fn promise(&mut self, ticket: Ticket) -> Result<(), Full> {
        let Some(execution) = self.get_mut(ticket) else { return Err(Full::Retention) };
        if execution.retention == Retention::Evictable {
            return Err(Full::Retention);
        }
        if execution.invocation == Invocation::Sync {
            execution.invocation = Invocation::Async;
            let unread = !execution.read;
            self.unread += usize::from(unread);
        }
        Ok(())
    }

    /// Keeps an ended execution for its retention; its payload is let go, its output counted.
    pub fn keep(&mut self, ticket: Ticket, now: Nanos, signals: &[ExecutionSignals]) {
        let expires = now + self.limits.retention;
        let Some(execution) = self.get_mut(ticket) else { return };
        let held = execution.output.len();
        let freed = std::mem::replace(&mut execution.held, held);
        execution.payload = Bytes::new();
        // Each holds on to the whole head that it came in.
        execution.trace.id = None;
        execution.trace.parent = None;
        execution.entry.bytes.set(execution.entry.bytes.get() + held - freed);
        let retention = execution.retention;
        self.bytes = self.bytes + held - freed;
        match retention {
            Retention::Evictable => {
                self.evictable.push_back((ticket, expires));
                self.evictable_bytes += held;
            }
            Retention::Promised => self.promised.push_back((ticket, expires)),
        }
        while self.bytes > self.limits.bytes_max && self.evict(signals) {}
    }

    /// Moves an execution's bytes from one version of its function to another.
    pub fn reassign(&mut self, ticket: Ticket, entry: &Rc<FunctionEntry>) {
        let Some(execution) = self.get_mut(ticket) else { return };
        let bytes = execution.held;
        execution.entry.bytes.set(execution.entry.bytes.get() - bytes);
        entry.bytes.set(entry.bytes.get() + bytes);
        execution.entry = entry.clone();
    }

    /// Lets go of what has been kept long enough, in a pass with a bound. Answers whether there is more.
    pub fn expire(&mut self, now: Nanos, signals: &[ExecutionSignals]) -> bool {
        for _ in 0..EXPIRED_PER_PASS {
            let is_over = |(_, expires): &mut (Ticket, Nanos)| *expires <= now;
            if let Some((ticket, _)) = self.evictable.pop_front_if(is_over) {
                self.evictable_bytes -= self.get_mut(ticket).map_or(0, |execution| execution.held);
                self.leave(ticket, signals);
            } else if let Some((ticket, _)) = self.promised.pop_front_if(is_over) {
                self.leave(ticket, signals);
            } else {
                self.sweep_leaving(signals);
                return false;
            }
        }
        true
    }

    /// Every execution that is not over.
    #[must_use]
    pub fn live(&self) -> Vec<Ticket> {
        let live = self.executions.iter().filter(|(_, execution)| !execution.has_ended());
        live.map(|(slot, _)| self.ticket(slot)).collect()
    }

    /// Ended executions that can be read.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.evictable.len() + self.promised.len()
    }

    /// Evicts the oldest execution that may go. False where there is none.
    fn evict(&mut self, signals: &[ExecutionSignals]) -> bool {
        for at in 0..self.evictable.len().min(EVICT_LOOKS) {
            let (ticket, _) = self.evictable[at];
            let free = self.get_mut(ticket).is_none_or(|execution| execution.waiters.is_empty());
            if free && signals[ticket.slot()].is_released(ticket.generation()) {
                self.evictable.remove(at);
                self.evictable_bytes -= self.get_mut(ticket).map_or(0, |execution| execution.held);
                self.remove(ticket);
                return true;
            }
        }
        false
    }

    fn leave(&mut self, ticket: Ticket, signals: &[ExecutionSignals]) {
        let waited_for = self.get_mut(ticket).is_some_and(|execution| !execution.waiters.is_empty());
        if !waited_for && signals[ticket.slot()].is_released(ticket.generation()) {
            self.remove(ticket);
        } else {
            self.leaving.push_back(ticket);
        }
    }

    fn sweep_leaving(&mut self, signals: &[ExecutionSignals]) {
        for _ in 0..self.leaving.len() {
            if let Some(ticket) = self.leaving.pop_front() {
                self.leave(ticket, signals);
            }
        }
    }

    fn remove(&mut self, ticket: Ticket) {
        if self.get_mut(ticket).is_none() {
            return;
        }
        let execution = self.executions.remove(ticket.slot());
        self.history.remove(ticket.slot());
        self.bytes -= execution.held;
        execution.entry.bytes.set(execution.entry.bytes.get() - execution.held);
        if let Some(key) = &execution.idempotency_key {
            self.keys.release(key, ticket);
        }
        let is_async = execution.invocation == Invocation::Async;
        self.promised_count -= usize::from(execution.retention == Retention::Promised);
        self.unread -= usize::from(is_async && !execution.read);
    }

    /// Takes note that the end of an execution was read.
    pub fn mark_read(&mut self, ticket: Ticket) {
        let Some(execution) = self.get_mut(ticket) else { return };
        if execution.invocation == Invocation::Async && execution.has_ended() && !execution.read {
            execution.read = true;
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
    use crate::function_version::FunctionVersion;
    use crate::metrics::MetricsByGateway;
    use crate::queue::function_queue::FunctionQueue;
    use crate::spec::parse_function;
    use crate::store::execution::{Stage, Status};
    use crate::store::idempotency::IdempotencyKey;
    use crate::trace::Trace;

    const RETENTION: Nanos = 1000;

    fn limits(slots: usize, bytes_max: usize, reserved_output: usize) -> StoreLimits {
        StoreLimits { slots, bytes_max, reserved_output, retention: RETENTION }
    }

    fn entry() -> Rc<FunctionEntry> {
        let text = r#"{"name":"f","executionMode":"POOL","endpointUrl":"http://127.0.0.1:9"}"#;
        let spec = parse_function(text.as_bytes()).expect("a function");
        let function = FunctionVersion {
            etag: spec.etag(),
            hidden_etag: String::new(),
            index: 0,
            queue: Arc::new(FunctionQueue::new(1)),
            addresses: Box::default(),
            endings: Box::default(),
            metrics: Arc::new(MetricsByGateway::new(1)),
            problem: Arc::new(ArcSwapOption::empty()),
            spec,
        };
        Rc::new(FunctionEntry::new(Arc::new(function), Rc::new(Cell::new(0))))
    }

    fn admission(entry: &Rc<FunctionEntry>, invocation: Invocation, key: Option<&str>) -> Admission {
        Admission {
            entry: entry.clone(),
            invocation,
            payload: Bytes::from_static(b"1"),
            trace: Trace { id: None, parent: None, made: (1, 1, 1) },
            idempotency_key: key
                .map(|key| Rc::new(IdempotencyKey { function: "f".into(), key: key.as_bytes().into() })),
            deadline: 1,
            run_budget: 0,
            admitted: 0,
        }
    }

    /// Ends an execution with an output of so many bytes.
    fn end(store: &mut ExecutionStore, ticket: Ticket, output: usize, signals: &[ExecutionSignals]) {
        assert!(store.accommodate(ticket, output, signals));
        let execution = store.get_mut(ticket).expect("the execution");
        execution.output = vec![b'1'; output].into();
        execution.stage = Stage::Ended(Status::Success);
        store.keep(ticket, 0, signals);
        signals[ticket.slot()].release(ticket.generation());
    }

    #[test]
    fn one_pass_lets_go_of_no_more_than_its_bound_and_the_last_of_nothing_that_is_to_stay() {
        let signals: Vec<ExecutionSignals> = (0..1024).map(|_| ExecutionSignals::default()).collect();
        let mut store = ExecutionStore::new(0, 1, limits(1024, 1 << 20, 0));
        let entry = entry();
        for invocation in [Invocation::Sync, Invocation::Async] {
            for _ in 0..EXPIRED_PER_PASS {
                let ticket =
                    store.insert(admission(&entry, invocation, None), &signals).expect("there is room");
                end(&mut store, ticket, 1, &signals);
            }
        }
        assert!(!store.expire(RETENTION - 1, &signals));
        assert_eq!((store.kept(), store.unread), (2 * EXPIRED_PER_PASS, EXPIRED_PER_PASS));
        assert!(store.expire(RETENTION, &signals));
        assert_eq!((store.kept(), store.unread), (EXPIRED_PER_PASS, EXPIRED_PER_PASS));
        while store.expire(RETENTION, &signals) {}
        assert_eq!((store.kept(), store.unread, store.bytes), (0, 0, 0));
        assert_eq!((store.executions.len(), entry.bytes.get(), store.promised_count), (0, 0, 0));
        assert_eq!(store.history().newest(), None);
    }

    #[test]
    fn what_is_kept_without_a_reservation_is_promised_to_nobody() {
        let signals: Vec<ExecutionSignals> = (0..64).map(|_| ExecutionSignals::default()).collect();
        let mut store = ExecutionStore::new(0, 1, limits(64, 100, 10));
        let entry = entry();
        let [fits, does_not] = ["a", "b"].map(|key| {
            store.insert(admission(&entry, Invocation::Sync, Some(key)), &signals).expect("there is room")
        });
        end(&mut store, fits, 10, &signals);
        end(&mut store, does_not, 200, &signals);
        assert_eq!(store.promise(fits), Ok(()));
        assert_eq!(store.unread, 1);
        assert_eq!(store.promise(does_not), Err(Full::Retention));
        assert_eq!(store.unread, 1);
    }
}
