//! Decides which execution runs next and where, and which waits, retries, times out or is cancelled.
//!
//! [`Scheduler::tick`] is one bounded pass with no clock and no I/O of its own but one
//! doorbell per gateway. Its cost depends on the versions that have something to do. It
//! allocates nothing, takes no lock and writes no log line.
//!
//! | file | holds |
//! |---|---|
//! | this one | the tick: what comes in, timers, what goes out |
//! | `serve` | permits, instances, grants |
//! | `waiting` | executions in line |
//! | `retry` | the end of an attempt: another attempt, its back-off, or the end |
//! | `credits` | credits that go back, are forfeited, or exchanged for those of another version |
//! | `commands` | commands of control |
//! | `unreachable` | executions that can hardly end in time, and what attempts have taken |
//! | `idle` | idle instances: which are retired, and how control is told |

#[cfg(test)]
pub(super) mod audit;
mod commands;
mod credits;
mod idle;
mod retry;
mod serve;
mod unreachable;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::message::{EndReason, GatewayCommand, GatewayEvent};
use super::rings::Rings;
use super::scheduled_execution::{ExecutionState, NONE, ScheduledExecution};
use super::scheduled_version::ScheduledVersion;
use super::wheel::Wheel;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::VersionIndex;
use crate::ticket::Ticket;

/// Commands handled in one tick.
pub(super) const COMMANDS_PER_TICK: usize = 64;
/// Events handled in one tick.
pub(super) const EVENTS_PER_TICK: usize = 512;
/// Announced functions whose rings are drained in one tick.
pub(super) const QUEUES_PER_TICK: usize = 128;
/// Tickets taken from one function before the next has its turn.
pub(super) const TICKETS_PER_QUEUE: usize = 64;
/// Timers moved in one tick.
pub(super) const TIMERS_PER_TICK: u32 = 512;
/// Versions served in one tick.
pub(super) const VERSIONS_PER_TICK: usize = 128;
/// Grants and endings for one version before the next has its turn.
pub(super) const GRANTS_PER_VERSION: usize = 64;

/// Work of a tick, and when the next one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickSummary {
    /// Messages, timers and grants handled.
    pub work: usize,
    /// The tick stopped at a bound: tick again at once.
    pub more: bool,
    /// When a timer may be due (ns); `u64::MAX` where there is none.
    pub next_wake: Nanos,
}

/// The scheduler's whole world. One thread owns it at a time; while none does, it lies in
/// [`Rings::idle_scheduler`].
pub struct Scheduler {
    rings: Arc<Rings>,
    executions: Box<[ScheduledExecution]>,
    wheel: Wheel,
    versions: Box<[Option<Box<ScheduledVersion>>]>,
    /// Versions with something to do, each once; never longer than it was allocated.
    active: VecDeque<VersionIndex>,
    /// Gateways that were sent a command in this tick.
    touched: Box<[bool]>,
    notified: bool,
    /// State of a xorshift generator, for jitter.
    jitter: u64,
    /// Steps of all lines, which the simulation takes.
    #[cfg(test)]
    pub(super) line_steps: Vec<audit::LineStep>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Allocates everything it will ever need. `seed` is for the jitter of back-offs.
    #[must_use]
    pub fn new(rings: Arc<Rings>, seed: u64) -> Self {
        let capacity = rings.capacity;
        let slots = capacity.gateways * capacity.slots;
        Self {
            executions: vec![ScheduledExecution::free(); slots].into_boxed_slice(),
            wheel: Wheel::new(slots),
            versions: (0..capacity.versions).map(|_| None).collect(),
            active: VecDeque::with_capacity(capacity.versions),
            touched: vec![false; capacity.gateways].into_boxed_slice(),
            notified: false,
            jitter: seed | 1,
            #[cfg(test)]
            line_steps: Vec::new(),
            rings,
        }
    }

    /// One bounded pass at the time `now`, which must not go back between calls.
    pub fn tick(&mut self, now: Nanos) -> TickSummary {
        let work = self.take_commands(now)
            + self.take_events(now)
            + self.take_tickets(now)
            + self.fire_timers(now)
            + self.serve_versions(now);
        self.ring_out();
        self.rings.ticks.fetch_add(1, Ordering::Relaxed);
        let next_wake = self.wheel.next().map_or(u64::MAX, |ms| ms * NANOS_PER_MS);
        let more = !self.active.is_empty() || self.rings.has_work() || next_wake <= now;
        TickSummary { work, more, next_wake }
    }

    // ---- what comes in ----

    fn take_commands(&mut self, now: Nanos) -> usize {
        let mut taken = 0;
        while taken < COMMANDS_PER_TICK {
            let Some(command) = self.rings.scheduler_commands.pop() else { break };
            self.handle(command, now);
            taken += 1;
        }
        if taken > 0 {
            let before = self.rings.commands_handled.fetch_add(taken as u64, Ordering::SeqCst);
            self.notified |= before < self.rings.commands_awaited.load(Ordering::SeqCst);
        }
        taken
    }

    fn take_events(&mut self, now: Nanos) -> usize {
        for taken in 0..EVENTS_PER_TICK {
            let Some(event) = self.rings.gateway_events.pop() else { return taken };
            match event {
                GatewayEvent::AttemptEnded { ticket, how } => self.attempt_ended(ticket, how, now),
                GatewayEvent::PlaceKept { instance } => self.keep_place(instance),
                GatewayEvent::PlaceFreed { instance } => self.free_place(instance),
                GatewayEvent::InstanceSilent { instance } => self.suspect(instance),
                GatewayEvent::Cancelled { ticket } => self.cancel(ticket),
            }
        }
        EVENTS_PER_TICK
    }

    fn take_tickets(&mut self, now: Nanos) -> usize {
        let mut taken = 0;
        for _ in 0..QUEUES_PER_TICK {
            let Some(index) = self.rings.ready.pop() else { break };
            // A version that is not there was closed, or its command is still on the ring: `open`
            // then drains what was announced too early.
            taken += self.drain(index, TICKETS_PER_QUEUE, now);
        }
        taken
    }

    /// Takes up to `most` tickets from a version's queue into its wait list.
    fn drain(&mut self, index: VersionIndex, most: usize, now: Nanos) -> usize {
        let Some(queue) = self.versions[index as usize].as_ref().map(|version| version.queue.clone()) else {
            return 0;
        };
        queue.clear_announced();
        for taken in 0..most {
            let Some(ticket) = queue.pop() else {
                return taken;
            };
            self.accept(ticket, index, now);
        }
        if queue.on_ring() > 0 && queue.announce_again() {
            // The ring has a place for every version twice.
            let announced = self.rings.ready.push(index);
            debug_assert!(announced.is_ok(), "the ready ring is full");
        }
        most
    }

    fn accept(&mut self, ticket: Ticket, from: VersionIndex, now: Nanos) {
        let slot = self.slot(ticket);
        let signals = self.rings.signals(ticket);
        let (deadline, run_budget) = signals.read();
        let execution = &mut self.executions[slot as usize];
        debug_assert_eq!(execution.state, ExecutionState::Free, "{ticket:?} came while its slot was in use");
        *execution = ScheduledExecution::accepted(ticket, from, deadline, run_budget, now);
        if signals.is_cancelled(ticket.generation()) {
            self.let_go(slot);
            return;
        }
        let version = self.current_version_of(from);
        if self.version(version).is_some_and(|current| current.closed) {
            self.end(slot, EndReason::FunctionRemoved);
            self.let_go(slot);
            return;
        }
        self.wheel.set(slot, timer_ms(deadline));
        if version != from {
            self.exchange_credit(slot, version);
        }
        self.enqueue(slot, version, false);
    }

    fn cancel(&mut self, ticket: Ticket) {
        let slot = self.slot(ticket);
        let execution = self.executions[slot as usize];
        if execution.ticket != ticket {
            return;
        }
        match execution.state {
            ExecutionState::Queued => {
                self.leave_line(slot);
                self.let_go(slot);
            }
            ExecutionState::BackingOff => {
                self.leave_backoff(slot);
                self.let_go(slot);
            }
            // The attempt's end is on its way, and lets go.
            ExecutionState::Running | ExecutionState::Aborting => {
                self.wheel.clear(slot);
                self.executions[slot as usize].state = ExecutionState::Ending;
            }
            ExecutionState::Free | ExecutionState::Ending => {}
        }
    }

    fn fire_timers(&mut self, now: Nanos) -> usize {
        let mut steps = TIMERS_PER_TICK;
        while let Some(slot) = self.wheel.pop(now / NANOS_PER_MS, &mut steps) {
            let execution = self.executions[slot as usize];
            if !self.gateway_has_room(execution.ticket) {
                self.wheel.set(slot, now / NANOS_PER_MS + 1);
                continue;
            }
            let over = now >= execution.deadline;
            match execution.state {
                ExecutionState::Queued => {
                    self.leave_line(slot);
                    self.end(slot, EndReason::Timeout);
                    self.let_go(slot);
                }
                ExecutionState::BackingOff if over => {
                    self.leave_backoff(slot);
                    self.end(slot, EndReason::Timeout);
                    self.let_go(slot);
                }
                ExecutionState::BackingOff => {
                    self.leave_backoff(slot);
                    self.requeue(slot);
                }
                ExecutionState::Running if !over => {
                    self.count_stopped(&execution, now);
                    self.executions[slot as usize].state = ExecutionState::Aborting;
                    self.wheel.set(slot, timer_ms(execution.deadline));
                    self.send(execution.ticket, GatewayCommand::Abort { ticket: execution.ticket });
                }
                ExecutionState::Running | ExecutionState::Aborting => {
                    if execution.state == ExecutionState::Running {
                        self.count_stopped(&execution, now);
                    }
                    self.executions[slot as usize].state = ExecutionState::Ending;
                    self.end(slot, EndReason::Timeout);
                }
                ExecutionState::Free | ExecutionState::Ending => {
                    debug_assert!(false, "a timer of an execution that is {:?}", execution.state)
                }
            }
        }
        (TIMERS_PER_TICK - steps) as usize
    }

    // ---- what goes out ----

    fn gateway_has_room(&self, ticket: Ticket) -> bool {
        !self.rings.gateways[ticket.gateway()].commands.is_full()
    }

    fn end(&mut self, slot: u32, why: EndReason) {
        let ticket = self.executions[slot as usize].ticket;
        self.send(ticket, GatewayCommand::End { ticket, why });
    }

    fn send(&mut self, ticket: Ticket, command: GatewayCommand) {
        let sent = self.rings.gateways[ticket.gateway()].commands.push(command);
        debug_assert!(sent.is_ok(), "the ring of a gateway's commands is full");
        self.touched[ticket.gateway()] = true;
    }

    fn ring_out(&mut self) {
        for (gateway, touched) in self.rings.gateways.iter().zip(self.touched.iter_mut()) {
            if std::mem::take(touched) && gateway.doorbell.must_wake() {
                gateway.eventfd.wake();
            }
        }
        if std::mem::take(&mut self.notified) && self.rings.control_doorbell.must_wake() {
            self.rings.control_eventfd.wake();
        }
    }

    fn slot(&self, ticket: Ticket) -> u32 {
        u32::try_from(ticket.gateway() * self.rings.capacity.slots + ticket.slot()).unwrap_or(NONE)
    }
}

/// The wheel's time at which a deadline has surely passed.
fn timer_ms(at: Nanos) -> u64 {
    at.div_ceil(NANOS_PER_MS)
}
