//! Serving the versions that have something to do: permits, instances, grants.

use super::unreachable::{count_attempt, measure_pace};
use super::{GRANTS_PER_VERSION, Scheduler, VERSIONS_PER_TICK, timer_ms};
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::message::{EndReason, GatewayCommand, SchedulerEvent};
use crate::scheduler::scheduled_execution::{ExecutionState, ScheduledExecution};
use crate::scheduler::scheduled_version::{InstanceState, ScheduledVersion};

impl Scheduler {
    pub(super) fn serve_versions(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        for _ in 0..VERSIONS_PER_TICK.min(self.active.len()) {
            let Some(index) = self.active.pop_front() else { break };
            let Some(mut version) = self.versions[index as usize].take() else { continue };
            version.active = false;
            let (done, again) = self.serve(&mut version, now);
            work += done;
            if version.gate.is_some() {
                measure_pace(&mut version, &self.executions, done, now);
            }
            version.publish();
            if version.is_finished() {
                if let Some(version) = self.give_back(version) {
                    self.versions[index as usize] = Some(version);
                    self.activate(index);
                }
                continue;
            }
            self.versions[index as usize] = Some(version);
            if again {
                self.activate(index);
            }
        }
        work
    }

    /// Grants what can be granted. Answers how many grants and endings there were, and whether
    /// there is more to do at once.
    pub(super) fn serve(&mut self, version: &mut ScheduledVersion, now: Nanos) -> (usize, bool) {
        for done in 0..GRANTS_PER_VERSION {
            let Some(slot) = version.waiting.next(&self.executions, now) else {
                version.unschedulable = version.unschedulable && !version.limits.can_start;
                return (done, false);
            };
            if !self.gateway_has_room(self.executions[slot as usize].ticket) {
                return (done, true);
            }
            if version.unschedulable {
                self.take_next(version, slot);
                // An execution that finds no instance uses up an attempt.
                self.begin_attempt(version, slot, now);
                self.retry_in(version, slot, EndReason::NoInstance, now);
                continue;
            }
            if !version.has_permit() {
                return (done, false);
            }
            let Some(place) = version.pick() else {
                return (done, self.ask_for_instances(version));
            };
            if version.gate.is_some()
                && let Err(why) = self.check_deadline(version, slot, now)
            {
                self.drop_unreachable(version, slot, why);
                continue;
            }
            self.grant(version, slot, place, now);
        }
        (GRANTS_PER_VERSION, true)
    }

    pub(super) fn grant(&mut self, version: &mut ScheduledVersion, slot: u32, place: u16, now: Nanos) {
        self.take_next(version, slot);
        version.in_flight += 1;
        let instance = &mut version.instances[usize::from(place)];
        instance.in_flight += 1;
        instance.last_used = now;
        let granted = if instance.has_answered { now } else { 0 };
        let key = InstanceKey { version: version.index, place, generation: instance.generation };
        if version.is_single_use(place) {
            version.set_state(key, InstanceState::Retiring);
        }
        self.begin_attempt(version, slot, now);
        let execution = &mut self.executions[slot as usize];
        execution.state = ExecutionState::Running;
        execution.version = version.index;
        execution.place = place;
        execution.granted = granted;
        execution.instance_generation = key.generation;
        let execution = *execution;
        let until = execution.deadline.min(now.saturating_add(version.limits.attempt_timeout_ns));
        self.wheel.set(slot, timer_ms(until));
        self.send(
            execution.ticket,
            GatewayCommand::Run { ticket: execution.ticket, instance: key, attempt: execution.attempt },
        );
    }

    /// One more attempt of an execution. Its first one ends its wait in the queue: the credit goes
    /// back, and an async execution's time to run begins.
    pub(super) fn begin_attempt(&mut self, version: &ScheduledVersion, slot: u32, now: Nanos) {
        let execution = &mut self.executions[slot as usize];
        execution.attempt += 1;
        if std::mem::take(&mut execution.holds_credit) {
            version.queue.return_credit();
        }
        if execution.run_budget > 0 {
            execution.since = now;
            execution.deadline = now.saturating_add(execution.run_budget);
            execution.run_budget = 0;
        }
    }

    /// Asks control for instances while work waits for one. Answers whether the question must
    /// be put again, because the ring to control is full.
    pub(super) fn ask_for_instances(&mut self, version: &mut ScheduledVersion) -> bool {
        while version.wants_instance() {
            if self
                .rings
                .scheduler_events
                .push(SchedulerEvent::InstanceWanted { version: version.index })
                .is_err()
            {
                return true;
            }
            self.notified = true;
            version.starting += 1;
        }
        if version.ready == 0 && version.starting == 0 && !version.limits.can_start && version.in_flight == 0
        {
            version.unschedulable = true;
            return true;
        }
        false
    }

    pub(super) fn activate(&mut self, index: VersionIndex) {
        if let Some(version) = self.versions[index as usize].as_mut()
            && !version.active
        {
            version.active = true;
            self.active.push_back(index);
        }
    }

    pub(super) fn version(&mut self, index: VersionIndex) -> Option<&mut ScheduledVersion> {
        self.versions.get_mut(index as usize)?.as_deref_mut()
    }

    /// The version that serves what was sent to `index`: itself, or its latest successor.
    pub(super) fn current_version_of(&mut self, mut index: VersionIndex) -> VersionIndex {
        while let Some(next) = self.version(index).and_then(|version| version.successor) {
            index = next;
        }
        index
    }

    /// Hands a finished version's memory to control; it comes back where the ring is full.
    pub(super) fn give_back(&mut self, version: Box<ScheduledVersion>) -> Option<Box<ScheduledVersion>> {
        let successor = version.successor;
        match self.rings.scheduler_events.push(SchedulerEvent::VersionClosed { version }) {
            Ok(()) => {
                self.notified = true;
                if let Some(index) = successor
                    && let Some(successor) = self.version(index)
                {
                    successor.predecessor_draining = false;
                    self.activate(index);
                }
                None
            }
            Err(SchedulerEvent::VersionClosed { version }) => Some(version),
            Err(
                SchedulerEvent::InstanceWanted { .. }
                | SchedulerEvent::InstanceSuspect { .. }
                | SchedulerEvent::InstanceIdle { .. },
            ) => None,
        }
    }

    /// Releases the permit of an attempt that has ended so, and its place at the instance.
    pub(super) fn release_permit(&mut self, execution: &ScheduledExecution, how: AttemptEnd, now: Nanos) {
        let key = InstanceKey {
            version: execution.version,
            place: execution.place,
            generation: execution.instance_generation,
        };
        let Some(version) = self.version(execution.version) else {
            debug_assert!(false, "an attempt outlived its version");
            return;
        };
        version.in_flight -= 1;
        if version.gate.is_some() {
            count_attempt(version, execution, how, now);
        }
        let mut idle = false;
        // One that is down counts on, because it may be found to be there after all.
        if let Some(instance) = version.place_mut(key) {
            instance.in_flight -= 1;
            instance.last_used = now;
            idle = instance.state == InstanceState::Retiring && instance.in_flight == 0;
        }
        let mut successor = version.successor;
        while let Some(index) = successor {
            self.activate(index);
            successor = self.version(index).and_then(|version| {
                version.predecessor_in_flight = version.predecessor_in_flight.saturating_sub(1);
                version.successor
            });
        }
        if idle {
            self.report_idle(key);
        }
        self.activate(execution.version);
    }
}
