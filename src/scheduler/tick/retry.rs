//! Retries: whether an attempt that failed is followed by another, and the pause before it.
//!
//! Failures that no other attempt would mend do not come here: `dispatch::function_error` knows them, and
//! `store::transitions` ends their executions.

use super::{Scheduler, timer_ms};
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::instance::InstanceKey;
use crate::scheduler::message::{EndReason, SchedulerEvent};
use crate::scheduler::scheduled_execution::ExecutionState;
use crate::scheduler::scheduled_version::{InstanceState, ScheduledVersion};
use crate::ticket::Ticket;

impl Scheduler {
    /// An attempt has ended: its execution is over, is tried again, or was never sent.
    pub(super) fn attempt_ended(&mut self, ticket: Ticket, how: AttemptEnd, now: Nanos) {
        let slot = self.slot(ticket);
        let execution = self.executions[slot as usize];
        let in_flight = matches!(
            execution.state,
            ExecutionState::Running | ExecutionState::Aborting | ExecutionState::Ending
        );
        debug_assert!(in_flight && execution.ticket == ticket, "{ticket:?} ended an attempt it did not have");
        if execution.ticket != ticket || !in_flight {
            return;
        }
        self.release_permit(&execution, how, now);
        match (execution.state, how) {
            (ExecutionState::Ending, _) | (_, AttemptEnd::Answered | AttemptEnd::Late | AttemptEnd::Done) => {
                self.let_go(slot);
            }
            (_, AttemptEnd::TimedOut | AttemptEnd::Failed) => self.retry(slot, EndReason::Exhausted, now),
            (_, AttemptEnd::Unsent) => self.unsent(slot, now),
        }
    }

    /// After a failed attempt: another one after its back-off, or the end. It goes on in the version
    /// that replaced its own.
    pub(super) fn retry(&mut self, slot: u32, why: EndReason, now: Nanos) {
        let index = self.current_version_of(self.executions[slot as usize].version);
        let Some(mut version) = self.versions.get_mut(index as usize).and_then(Option::take) else {
            self.end(slot, EndReason::FunctionRemoved);
            self.let_go(slot);
            return;
        };
        self.retry_in(&mut version, slot, why, now);
        self.versions[index as usize] = Some(version);
    }

    /// Another attempt in this version after its back-off, or the end where none is left. The
    /// version is out of the table.
    pub(super) fn retry_in(&mut self, version: &mut ScheduledVersion, slot: u32, why: EndReason, now: Nanos) {
        let limits = version.limits;
        let execution = self.executions[slot as usize];
        let pause = self.backoff(execution.attempt, limits.retry_backoff_ns, limits.retry_max_backoff_ns);
        let resume = now.saturating_add(pause);
        let was_last = execution.attempt > limits.max_retries || resume >= execution.deadline;
        if was_last || version.closed {
            self.end(slot, if was_last { why } else { EndReason::FunctionRemoved });
            self.let_go(slot);
            return;
        }
        let execution = &mut self.executions[slot as usize];
        execution.state = ExecutionState::BackingOff;
        execution.version = version.index;
        self.wheel.set(slot, timer_ms(resume));
        version.backing_off += 1;
    }

    /// The instance could not be reached, and nothing was sent: it leaves the set, and the
    /// execution goes to another one at no cost, where there is another or one can be started.
    pub(super) fn unsent(&mut self, slot: u32, now: Nanos) {
        let execution = self.executions[slot as usize];
        let key = InstanceKey {
            version: execution.version,
            place: execution.place,
            generation: execution.instance_generation,
        };
        let (mut other, mut can_start) = (false, false);
        if let Some(version) = self.version(execution.version) {
            can_start = version.limits.can_start;
            let is_ready =
                version.instance_mut(key).is_some_and(|instance| instance.state == InstanceState::Ready);
            other = version.ready > u16::from(is_ready);
            self.suspect(key);
        }
        if other {
            self.executions[slot as usize].attempt -= 1;
            self.requeue(slot);
        } else {
            // An instance that has just crashed is met by those it was granted to before anybody
            // knows. They wait for its replacement, after a back-off lest a sick one that is
            // found healthy each time is tried without a pause.
            self.executions[slot as usize].attempt -= u8::from(can_start);
            self.retry(slot, EndReason::NoInstance, now);
        }
    }

    /// Takes an instance out of the set until control has found it well.
    pub(super) fn suspect(&mut self, key: InstanceKey) {
        let Some(version) = self.version(key.version) else { return };
        let is_ready =
            version.instance_mut(key).is_some_and(|instance| instance.state == InstanceState::Ready);
        // Where nobody would look after it, it stays in the set.
        if is_ready
            && self.rings.scheduler_events.push(SchedulerEvent::InstanceSuspect { instance: key }).is_ok()
        {
            self.notified = true;
            if let Some(version) = self.version(key.version) {
                version.set_state(key, InstanceState::Suspect);
            }
        }
    }

    pub(super) fn leave_backoff(&mut self, slot: u32) {
        let index = self.executions[slot as usize].version;
        if let Some(version) = self.version(index) {
            version.backing_off -= 1;
        }
        self.activate(index);
    }

    /// Full jitter: anything between nothing and the exponential bound, after "Exponential
    /// Backoff And Jitter" (AWS Architecture Blog, 2015).
    pub(super) fn backoff(&mut self, attempt: u8, base: Nanos, most: Nanos) -> Nanos {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let bound = base.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(most);
        if bound == 0 { 0 } else { self.jitter % bound }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scheduler::rings::{Capacity, Rings};

    #[test]
    fn pauses_are_spread_from_nothing_to_a_bound_that_doubles_up_to_its_limit() {
        let rings = Rings::new(Capacity { gateways: 1, slots: 1, versions: 1 }).unwrap();
        let mut scheduler = Scheduler::new(Arc::new(rings), 7);
        for (attempt, bound) in [(1, 100), (2, 200), (3, 400), (6, 3200), (7, 5000), (11, 5000), (255, 5000)]
        {
            let pauses: Vec<Nanos> = (0..2000).map(|_| scheduler.backoff(attempt, 100, 5000)).collect();
            let (least, most) = (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap());
            let mean = pauses.iter().sum::<Nanos>() / 2000;
            assert!(
                most < bound && most > bound * 9 / 10 && least < bound / 10,
                "{attempt}: {least} … {most}"
            );
            assert!((bound * 45 / 100..=bound * 55 / 100).contains(&mean), "{attempt}: {mean} of {bound}");
        }
        assert_eq!(scheduler.backoff(1, 0, 0), 0);
    }
}
