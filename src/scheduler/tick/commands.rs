//! Commands of control: versions opened, handed over and closed, instances coming and going.

use super::{Scheduler, TICKETS_PER_QUEUE};
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::message::SchedulerCommand;
use crate::scheduler::scheduled_execution::{ExecutionState, NONE};
use crate::scheduler::scheduled_version::{InstanceState, ScheduledVersion};

impl Scheduler {
    pub(super) fn handle(&mut self, command: SchedulerCommand, now: Nanos) {
        match command {
            SchedulerCommand::Open { version } => self.open(version, now),
            SchedulerCommand::Succeed { old, new } => self.succeed(old, new),
            SchedulerCommand::Close { version } => self.close(version, now),
            SchedulerCommand::Ready { instance, started } => self.instance_ready(instance, started, now),
            SchedulerCommand::Down { instance } => {
                if let Some(version) = self.version(instance.version) {
                    version.set_state(instance, InstanceState::Absent);
                }
                self.activate(instance.version);
            }
            SchedulerCommand::StartFailed { version: index } => {
                if let Some(version) = self.version(index) {
                    version.starting = version.starting.saturating_sub(1);
                    version.unschedulable =
                        version.ready == 0 && version.starting == 0 && !version.waiting.is_empty();
                }
                self.activate(index);
            }
            SchedulerCommand::ReapIdle { version, keep, idle_before } => {
                self.reap_idle(version, keep, idle_before)
            }
            SchedulerCommand::Starting { version, count } => {
                if let Some(version) = self.version(version) {
                    version.starting += count;
                }
            }
        }
    }

    pub(super) fn open(&mut self, version: Box<ScheduledVersion>, now: Nanos) {
        let index = version.index;
        debug_assert!(self.versions[index as usize].is_none(), "version {index} is open already");
        self.versions[index as usize] = Some(version);
        self.activate(index);
        // A gateway may have announced the version before this command was reached.
        self.drain(index, TICKETS_PER_QUEUE, now);
    }

    pub(super) fn succeed(&mut self, old: VersionIndex, new: VersionIndex) {
        let Some(predecessor) = self.version(old) else { return };
        predecessor.successor = Some(new);
        let predecessor_in_flight = predecessor.in_flight + predecessor.predecessor_in_flight;
        if let Some(version) = self.version(new) {
            version.predecessor_in_flight += predecessor_in_flight;
            version.predecessor_draining = true;
        }
        self.hand_over(old, new);
        self.activate(new);
    }

    /// Moves the line of `old` to `new` in its order. The credits are forfeited: until they are told of
    /// `new`, gateways push to `old`, whose queue is to admit nobody in the place of an execution that
    /// still waits.
    pub(super) fn hand_over(&mut self, old: VersionIndex, new: VersionIndex) {
        loop {
            let first = self.versions[old as usize]
                .as_ref()
                .and_then(|version| version.waiting.first(&self.executions));
            let Some(slot) = first else { break };
            self.leave_line(slot);
            self.forfeit_credit(slot);
            self.enqueue(slot, new, false);
        }
        self.count_in(new);
    }

    /// Takes a credit for each execution that waits for a first attempt and came from the version before,
    /// the last in line first: while more wait than the queue may hold, nobody else is admitted. One that has come to
    /// stand among others by its deadline is not the last, and has a credit before those.
    fn count_in(&mut self, index: VersionIndex) {
        let Some(version) = self.versions[index as usize].as_ref() else { return };
        let mut at = None;
        loop {
            at = version.waiting.before(&self.executions, at);
            let Some(slot) = at else { return };
            let execution = &mut self.executions[slot as usize];
            if execution.attempt == 0 && !execution.holds_credit {
                if !version.queue.take_credit() {
                    return;
                }
                execution.holds_credit = true;
            }
        }
    }

    pub(super) fn close(&mut self, index: VersionIndex, now: Nanos) {
        // No gateway pushes to the queue any more, so this empties it for good.
        self.drain(index, usize::MAX, now);
        let Some(version) = self.version(index) else { return };
        version.closed = true;
        // With a successor nothing waits here; without one, each waiting one ends now.
        version.unschedulable = true;
        if version.successor.is_none() {
            self.end_pauses(index, now);
        }
        let Some(version) = self.version(index) else { return };
        let places = version.instances.len();
        for place in 0..u16::try_from(places).unwrap_or(u16::MAX) {
            let Some(version) = self.version(index) else { return };
            let generation = version.instances[usize::from(place)].generation;
            self.retire(InstanceKey { version: index, place, generation });
        }
        self.activate(index);
    }

    /// Ends the pauses between attempts of a function that is gone: the timer of each fires in this
    /// very tick and finds the version closed. A look at every execution, once per deletion
    /// of a function that has such executions.
    fn end_pauses(&mut self, index: VersionIndex, now: Nanos) {
        let mut slot = 0;
        while slot < self.executions.len() {
            let execution = self.executions[slot];
            if execution.state == ExecutionState::BackingOff
                && self.current_version_of(execution.version) == index
            {
                self.wheel.set(u32::try_from(slot).unwrap_or(NONE), now / NANOS_PER_MS);
            }
            slot += 1;
        }
    }

    pub(super) fn instance_ready(&mut self, key: InstanceKey, started: bool, now: Nanos) {
        let Some(version) = self.version(key.version) else { return };
        if started {
            version.starting = version.starting.saturating_sub(1);
        }
        let Some(instance) = version.instances.get_mut(usize::from(key.place)) else { return };
        if instance.generation != key.generation || instance.state == InstanceState::Absent {
            debug_assert_ne!(instance.state, InstanceState::Ready, "two instances in one place");
            if instance.generation != key.generation {
                instance.generation = key.generation;
                instance.in_flight = 0;
                instance.kept = 0;
                instance.has_answered = false;
            }
            instance.state = InstanceState::Suspect;
            instance.last_used = now;
        }
        if instance.state == InstanceState::Suspect {
            version.set_state(key, InstanceState::Ready);
        }
        version.unschedulable = version.closed;
        let retire = version.closed;
        self.activate(key.version);
        if retire {
            self.retire(key);
        }
    }
}
