//! A model of how long attempts have taken: an execution must not be dropped that has time enough for each of them.

use std::collections::BTreeMap;

use super::control::ModelControl;
use super::gateway::ModelExecution;
use crate::attempt_end::AttemptEnd;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::{InstanceKey, VersionIndex};

/// The scheduler may not remember an attempt for longer.
const REMEMBERED: Nanos = 10_000 * NANOS_PER_MS;
/// The scheduler must not decide by fewer attempts.
const SAMPLES_MIN: usize = 20;

/// The attempts of each version: when they ended, and the longest that they may be taken for.
#[derive(Default)]
pub(super) struct SeenTimes(BTreeMap<VersionIndex, Vec<(Nanos, Nanos)>>);

impl SeenTimes {
    /// Another version has the index from now on.
    pub(super) fn forget(&mut self, version: VersionIndex) {
        self.0.remove(&version);
    }

    /// An attempt has ended so.
    pub(super) fn ended(
        &mut self,
        instance: InstanceKey,
        execution: &ModelExecution,
        how: AttemptEnd,
        now: Nanos,
    ) {
        match how {
            AttemptEnd::Answered | AttemptEnd::TimedOut => {
                self.count(instance, execution, execution.ended || now >= execution.deadline, now);
            }
            AttemptEnd::Late => self.count(instance, execution, true, now),
            AttemptEnd::Done | AttemptEnd::Failed | AttemptEnd::Unsent => {}
        }
    }

    /// One that was stopped at its deadline may count as the whole time of its execution.
    fn count(&mut self, instance: InstanceKey, execution: &ModelExecution, is_whole: bool, now: Nanos) {
        let took = now - execution.granted;
        let at_most = took.max(execution.deadline.saturating_sub(execution.admitted));
        self.0.entry(instance.version).or_default().push((now, if is_whole { at_most } else { took }));
    }

    /// An attempt, where there is one, is stopped. Its end comes later.
    pub(super) fn stopped(&mut self, execution: &ModelExecution, now: Nanos) {
        if let Some(instance) = execution.flying {
            self.count(instance, execution, now >= execution.deadline, now);
        }
    }

    /// The scheduler drops an execution.
    pub(super) fn check_drop(&self, execution: &ModelExecution, control: &ModelControl, now: Nanos) {
        let ticket = execution.ticket;
        assert_eq!((execution.flying, execution.was_begun), (None, false), "{ticket:?} was begun");
        assert_eq!(execution.run_budget, 0, "the time of {ticket:?} has not begun");
        let versions = control.versions.iter().filter(|(_, model)| {
            model.function == execution.function && model.limits.drop_unreachable && !model.over
        });
        let left = execution.deadline.saturating_sub(now);
        let is_justified = versions.into_iter().any(|(version, _)| {
            let recent = |(at, _): &&(Nanos, Nanos)| now - at <= REMEMBERED;
            let took: Vec<Nanos> =
                self.0.get(version).into_iter().flatten().filter(recent).map(|(_, took)| *took).collect();
            // A bucket is a quarter wide, and what was stopped may be taken for one of the next.
            let longest = took.iter().max().copied().unwrap_or(0) + 131_072;
            took.len() >= SAMPLES_MIN && left <= longest.saturating_mul(8) / 5
        });
        assert!(is_justified, "{ticket:?} was dropped with {left} ns left");
    }
}
