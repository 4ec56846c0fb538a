//! Executions that can hardly end in time: they are ended instead of begun. And what the gate of a version learns.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;

use super::Scheduler;
use crate::attempt_end::AttemptEnd;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::InstanceKey;
use crate::queue_order::QueueOrder;
use crate::scheduler::deadline_gate::{Candidate, Unreachable};
use crate::scheduler::message::EndReason;
use crate::scheduler::scheduled_execution::{ExecutionState, ScheduledExecution};
use crate::scheduler::scheduled_version::ScheduledVersion;

impl Scheduler {
    /// Whether the first in line of a version with a gate is to be begun. One whose time to run begins with its first
    /// attempt is.
    #[inline(never)]
    pub(super) fn check_deadline(
        &self,
        version: &mut ScheduledVersion,
        slot: u32,
        now: Nanos,
    ) -> Result<(), Unreachable> {
        let execution = &self.executions[slot as usize];
        let Some(gate) = version.gate.as_deref_mut() else { return Ok(()) };
        if execution.run_budget > 0 {
            return Ok(());
        }
        let is_idle = version.in_flight + version.predecessor_in_flight == 0;
        let candidate = Candidate {
            since: execution.since,
            deadline: execution.deadline,
            is_alone: is_idle && version.waiting.len() == 1,
            is_idle,
        };
        gate.check(candidate, now)
    }

    /// Ends the first in line. One that had an attempt ends with the error of that. The version is out of the table.
    pub(super) fn drop_unreachable(&mut self, version: &mut ScheduledVersion, slot: u32, why: Unreachable) {
        self.take_next(version, slot);
        let execution = &mut self.executions[slot as usize];
        if std::mem::take(&mut execution.holds_credit) {
            version.queue.return_credit();
        }
        let why = match (execution.attempt, why) {
            (0, Unreachable::TooLate { needed }) => {
                let ms = u32::try_from(needed.div_ceil(NANOS_PER_MS)).unwrap_or(u32::MAX);
                EndReason::Unreachable { needed_ms: NonZeroU32::new(ms) }
            }
            (0, Unreachable::TooShort) => EndReason::Unreachable { needed_ms: None },
            (1.., _) => EndReason::Exhausted,
        };
        self.end(slot, why);
        self.let_go(slot);
    }

    /// Counts an attempt that is stopped, because its own time or that of its execution is over.
    pub(super) fn count_stopped(&mut self, execution: &ScheduledExecution, now: Nanos) {
        if execution.granted > 0
            && let Some(version) = self.version(execution.version)
            && let Some(gate) = version.gate.as_deref_mut()
        {
            gate.count_stopped(execution.granted, execution.since, execution.deadline, now);
        }
    }
}

/// Counts an attempt that has ended so, where the version has a gate.
#[inline(never)]
pub(super) fn count_attempt(
    version: &mut ScheduledVersion,
    execution: &ScheduledExecution,
    how: AttemptEnd,
    now: Nanos,
) {
    let Some(gate) = version.gate.as_deref_mut() else { return };
    if execution.state != ExecutionState::Running {
        // It was counted when it was stopped.
        return;
    }
    let &ScheduledExecution { granted, since, deadline, .. } = execution;
    match how {
        AttemptEnd::Answered => {
            if granted > 0 {
                gate.count_answered(granted, now);
            }
            let key = InstanceKey {
                version: execution.version,
                place: execution.place,
                generation: execution.instance_generation,
            };
            if let Some(instance) = version.place_mut(key) {
                instance.has_answered = true;
            }
        }
        // By the clock of the scheduler its time is over in a moment: the function has rounded it down.
        AttemptEnd::Late if granted > 0 => gate.count_stopped(granted, since, deadline, deadline.max(now)),
        AttemptEnd::TimedOut if granted > 0 => gate.count_stopped(granted, since, deadline, now),
        AttemptEnd::Late
        | AttemptEnd::TimedOut
        | AttemptEnd::Done
        | AttemptEnd::Failed
        | AttemptEnd::Unsent => {}
    }
}

/// Measures and publishes how fast the line of a version with a gate moves, of which `left` were taken just now.
#[inline(never)]
pub(super) fn measure_pace(
    version: &mut ScheduledVersion,
    executions: &[ScheduledExecution],
    left: usize,
    now: Nanos,
) {
    let Some(gate) = version.gate.as_deref_mut() else { return };
    let left = u32::try_from(left).unwrap_or(u32::MAX);
    let pace = gate.measure(left, version.waiting.is_empty(), now);
    // The last one in may be the first one out.
    let pace = if version.limits.queue_order == QueueOrder::Lifo { 0 } else { pace };
    let last_due = if pace > 0 { version.waiting.last_due(executions) } else { 0 };
    version.queue.last_due_ns.store(last_due, Ordering::Relaxed);
    version.queue.pace_ns.store(pace, Ordering::Relaxed);
}
