//! The executions of one gateway: made at admission, kept after their end, let go.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;

use super::execution::{Admission, Execution, Invocation, Retention, State, Status};
use super::function_entry::FunctionEntry;
use super::history::History;
use super::idempotency::{IdempotencyKey, IdempotencyKeys, KeyLookup};
use super::waiters::Wakers;
use crate::clock::Nanos;
use crate::id::{Entropy, ExecutionId};
use crate::queue::execution_signals::ExecutionSignals;
use crate::ticket::Ticket;
use crate::trace::TraceBits;

/// Room that was made for an execution, to be used before another is.
#[must_use]
#[derive(Debug)]
pub(crate) struct Room {
    /// Bytes that it will hold.
    held: usize,
}

/// The reason why the store has no room for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
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
pub(crate) struct StoreLimits {
    /// Executions.
    pub slots: usize,
    /// Bytes of payloads and outputs.
    pub bytes_max: usize,
    /// Bytes that a promised execution takes at least until it ends.
    pub reserved_output: usize,
    /// Time for which an ended execution is kept (ns).
    pub retention: Nanos,
}

/// Numbers of a store's executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreCounts {
    /// Executions that wait for a grant.
    pub queued: usize,
    /// Executions with an attempt at an instance.
    pub running: usize,
    /// Executions of `:enqueue` whose end nobody has read.
    pub unread: usize,
    /// Ended executions that can be read.
    pub kept: usize,
}

/// The result of a look-up of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdLookup {
    /// The store has the execution.
    Here,
    /// It had the execution.
    Gone,
    /// There was never one of this id.
    Unknown,
}

/// The execution of a ticket, while it is there; the other fields of the store stay free for use.
pub(super) fn find<'a>(
    executions: &'a mut Slab<Execution>,
    generations: &[u32],
    ticket: Ticket,
) -> Option<&'a mut Execution> {
    if generations.get(ticket.slot()) != Some(&ticket.generation()) {
        return None;
    }
    executions.get_mut(ticket.slot())
}

/// All executions of one gateway, running or kept.
#[derive(Debug)]
pub(crate) struct ExecutionStore {
    gateway: u8,
    incarnation: u32,
    limits: StoreLimits,
    /// By slot; the scheduler reads and writes the other half of them.
    pub(super) signals: Arc<[ExecutionSignals]>,
    pub(super) executions: Slab<Execution>,
    /// The slots of the executions, by admission.
    history: History,
    pub(super) generations: Box<[u32]>,
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
    pub(super) keys: IdempotencyKeys,
    /// Executions of `:enqueue` whose end nobody has read.
    unread: usize,
    bytes: usize,
    entropy: Entropy,
    /// Bits for the traces of executions.
    pub(crate) trace_bits: TraceBits,
    /// Executions that wait for a grant.
    pub(super) queued: usize,
    /// Executions with an attempt at an instance.
    pub(super) running: usize,
}

impl ExecutionStore {
    /// An empty store of a gateway, in this incarnation of the process. There are `signals` for each slot.
    #[must_use]
    pub(crate) fn new(
        gateway: u8,
        incarnation: u32,
        limits: StoreLimits,
        signals: Arc<[ExecutionSignals]>,
    ) -> Self {
        let slots = limits.slots;
        debug_assert!(signals.len() >= slots, "there are slots without signals");
        let mut entropy = Entropy::new();
        let trace_bits = TraceBits::new([entropy.u64(), entropy.u64()]);
        Self {
            gateway,
            incarnation,
            limits,
            signals,
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
            entropy,
            trace_bits,
            queued: 0,
            running: 0,
        }
    }

    /// Random bits, for ids.
    pub(crate) fn random(&mut self) -> u64 {
        self.entropy.u64()
    }

    /// Makes room for an execution: evicts the oldest that were kept without a promise where it must.
    ///
    /// # Errors
    /// See [`Full`].
    pub(crate) fn make_room(&mut self, admission: &Admission) -> Result<Room, Full> {
        let promised = admission.retention() == Retention::Promised;
        if promised && self.promised_count >= self.limits.slots / 8 * PROMISED_EIGHTHS {
            return Err(Full::Retention);
        }
        let length = admission.bytes();
        let held = if promised { length.max(self.limits.reserved_output) } else { length };
        self.make_bytes(&admission.entry, held)
            // The output to come found no room, rather than the payload.
            .map_err(|full| if held > length { Full::Retention } else { full })?;
        while self.executions.len() >= self.limits.slots {
            self.sweep_leaving();
            if self.executions.len() < self.limits.slots {
                break;
            }
            if !self.evict() {
                return Err(Full::Executions);
            }
        }
        Ok(Room { held })
    }

    /// Adds an execution where there is room for it. That of an `:invoke` has a waiter,
    /// [`CLIENT`](super::waiters::CLIENT).
    #[expect(clippy::needless_pass_by_value, reason = "the room is used up")]
    pub(crate) fn insert(&mut self, admission: Admission, room: Room) -> Ticket {
        let Room { held } = room;
        let promised = admission.retention() == Retention::Promised;
        let is_async = admission.invocation == Invocation::Async;
        admission.entry.hold(held);
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
        self.signals[slot].write(execution.deadline, execution.run_budget);
        if let Some(key) = &execution.idempotency_key {
            self.keys.insert(key.clone(), ticket, &execution.payload);
        }
        ticket
    }

    /// The execution that a function's key stands for, of a request with this body.
    #[must_use]
    pub(crate) fn look_up_key(&self, key: &IdempotencyKey, body: &[u8]) -> KeyLookup {
        self.keys.look_up(key, body)
    }

    /// Frees the keys of a function that is gone.
    pub(crate) fn forget_keys(&mut self, function: &str) {
        self.keys.forget(function);
    }

    /// The incarnation of the process.
    pub(super) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// The public name of a ticket's execution.
    #[must_use]
    pub(crate) fn id(&self, ticket: Ticket, execution: &Execution) -> ExecutionId {
        ExecutionId { incarnation: self.incarnation, ticket, nonce: execution.nonce }
    }

    /// The ticket of the execution in a slot.
    fn ticket(&self, slot: usize) -> Ticket {
        Ticket::new(self.gateway, u32::try_from(slot).unwrap_or(u32::MAX), self.generations[slot])
    }

    /// The executions in the order of their admission.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// The execution in a slot, where there is one.
    pub(super) fn at(&self, slot: usize) -> Option<(Ticket, &Execution)> {
        self.executions.get(slot).map(|execution| (self.ticket(slot), execution))
    }

    fn fits(&self, entry: &FunctionEntry, length: usize) -> bool {
        let own = entry.held();
        let others = self.bytes.saturating_sub(own);
        own + length <= self.limits.bytes_max.saturating_sub(others) / 2
    }

    /// A function may hold at most half of the bytes that the others leave free.
    fn make_bytes(&mut self, entry: &FunctionEntry, length: usize) -> Result<(), Full> {
        if length > self.limits.bytes_max / 2 {
            return Err(Full::Bytes);
        }
        let own = entry.held();
        let others = self.bytes.saturating_sub(own);
        let at_best = self.limits.bytes_max.saturating_sub(others.saturating_sub(self.evictable_bytes)) / 2;
        if own.saturating_sub(self.evictable_bytes) + length > at_best {
            // Not even without everything that may go: then nothing is evicted for it.
            return Err(Full::Bytes);
        }
        while !self.fits(entry, length) {
            if !self.evict() {
                return Err(Full::Bytes);
            }
        }
        Ok(())
    }

    /// The execution of a ticket, while the store has it.
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Execution> {
        find(&mut self.executions, &self.generations, ticket)
    }

    /// The execution of a ticket, while the store has it.
    #[must_use]
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Execution> {
        if self.generations.get(ticket.slot()) != Some(&ticket.generation()) {
            return None;
        }
        self.executions.get(ticket.slot())
    }

    /// The result of a look-up of an id of this incarnation.
    #[must_use]
    pub(crate) fn look_up(&self, id: ExecutionId) -> IdLookup {
        match self.get(id.ticket) {
            Some(execution) if execution.nonce == id.nonce => IdLookup::Here,
            None if self.was_used(id.ticket) => IdLookup::Gone,
            Some(_) | None => IdLookup::Unknown,
        }
    }

    /// Whether the ticket's slot has since been used by others: the execution was there once.
    fn was_used(&self, ticket: Ticket) -> bool {
        self.generations
            .get(ticket.slot())
            .is_some_and(|now| ticket.generation() != 0 && ticket.generation() <= *now)
    }

    /// Finds room to keep an output of `length` bytes; false where there is none and the execution
    /// must not end with it. What somebody waits for is answered in any case, and then kept
    /// without a reservation.
    pub(super) fn accommodate(&mut self, ticket: Ticket, length: usize) -> bool {
        let Some(execution) = self.get_mut(ticket) else { return true };
        let (retention, invocation, more) =
            (execution.retention, execution.invocation, length.saturating_sub(execution.held));
        if retention == Retention::Evictable || more == 0 {
            return true;
        }
        while self.bytes + more > self.limits.bytes_max {
            if self.evict() {
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

    /// Promises that the end of an execution that only its client waited for can be read.
    ///
    /// # Errors
    /// If it is kept without a reservation, because there was no room for its output, and may go at
    /// any time.
    pub(crate) fn promise(&mut self, ticket: Ticket) -> Result<(), Full> {
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

    /// Queued → ended: counts the end, frees a key that is not to be replayed, and keeps the execution for its
    /// retention; its payload is let go, its output counted. Answers those who wait for the end.
    pub(super) fn settle(&mut self, ticket: Ticket, status: Status, now: Nanos) -> Option<Wakers> {
        let execution = find(&mut self.executions, &self.generations, ticket)?;
        debug_assert!(matches!(execution.state, State::Queued), "{:?} is ended", execution.state);
        execution.state = State::Ended(status);
        self.queued -= 1;
        execution.timestamps.ended = now;
        execution.count_end(status);
        let took = now.saturating_sub(execution.timestamps.admitted);
        if execution.entry.slowest.is_slow(took, now) {
            let id = ExecutionId { incarnation: self.incarnation, ticket, nonce: execution.nonce };
            execution.record_slow(id, status, took);
        }
        if !execution.is_replayed()
            && let Some(key) = execution.idempotency_key.take()
        {
            self.keys.release(&key, ticket);
        }
        let wakers = execution.waiters.take_wakers();
        let held = execution.output.len();
        let freed = std::mem::replace(&mut execution.held, held);
        execution.payload = Bytes::new();
        // Its headers hold on to the whole head that they came in.
        execution.trace.let_go();
        if let Some(web) = &mut execution.web {
            web.let_go();
        }
        execution.entry.hold(held);
        execution.entry.let_go(freed);
        let expires = now + self.limits.retention;
        match execution.retention {
            Retention::Evictable => {
                self.evictable.push_back((ticket, expires));
                self.evictable_bytes += held;
            }
            Retention::Promised => self.promised.push_back((ticket, expires)),
        }
        self.bytes = self.bytes + held - freed;
        while self.bytes > self.limits.bytes_max && self.evict() {}
        Some(wakers)
    }

    /// Lets go of what has been kept long enough, in a pass with a bound. Answers whether there is more.
    pub(crate) fn expire(&mut self, now: Nanos) -> bool {
        for _ in 0..EXPIRED_PER_PASS {
            let is_over = |(_, expires): &mut (Ticket, Nanos)| *expires <= now;
            if let Some((ticket, _)) = self.evictable.pop_front_if(is_over) {
                self.evictable_bytes -= self.get_mut(ticket).map_or(0, |execution| execution.held);
                self.leave(ticket);
            } else if let Some((ticket, _)) = self.promised.pop_front_if(is_over) {
                self.leave(ticket);
            } else {
                self.sweep_leaving();
                return false;
            }
        }
        true
    }

    /// Every execution that is not over.
    #[must_use]
    pub(crate) fn live(&self) -> Vec<Ticket> {
        let live = self.executions.iter().filter(|(_, execution)| !execution.has_ended());
        live.map(|(slot, _)| self.ticket(slot)).collect()
    }

    /// Numbers of its executions.
    #[must_use]
    pub(crate) fn counts(&self) -> StoreCounts {
        StoreCounts {
            queued: self.queued,
            running: self.running,
            unread: self.unread,
            kept: self.evictable.len() + self.promised.len(),
        }
    }

    /// Evicts the oldest execution that may go. False where there is none.
    fn evict(&mut self) -> bool {
        for at in 0..self.evictable.len().min(EVICT_LOOKS) {
            let (ticket, _) = self.evictable[at];
            let free = self.get_mut(ticket).is_none_or(|execution| execution.waiters.is_empty());
            if free && self.signals[ticket.slot()].is_released(ticket.generation()) {
                self.evictable.remove(at);
                self.evictable_bytes -= self.get_mut(ticket).map_or(0, |execution| execution.held);
                self.remove(ticket);
                return true;
            }
        }
        false
    }

    fn leave(&mut self, ticket: Ticket) {
        let waited_for = self.get_mut(ticket).is_some_and(|execution| !execution.waiters.is_empty());
        if !waited_for && self.signals[ticket.slot()].is_released(ticket.generation()) {
            self.remove(ticket);
        } else {
            self.leaving.push_back(ticket);
        }
    }

    fn sweep_leaving(&mut self) {
        for _ in 0..self.leaving.len() {
            if let Some(ticket) = self.leaving.pop_front() {
                self.leave(ticket);
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
        execution.entry.let_go(execution.held);
        if let Some(key) = &execution.idempotency_key {
            self.keys.release(key, ticket);
        }
        let is_async = execution.invocation == Invocation::Async;
        self.promised_count -= usize::from(execution.retention == Retention::Promised);
        self.unread -= usize::from(is_async && !execution.read);
    }

    /// Takes note that the end of an execution was read.
    pub(crate) fn mark_read(&mut self, ticket: Ticket) {
        let Some(execution) = self.get_mut(ticket) else { return };
        if execution.invocation == Invocation::Async && execution.has_ended() && !execution.read {
            execution.read = true;
            self.unread -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
