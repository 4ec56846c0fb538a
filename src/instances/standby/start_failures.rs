//! Starts of single-use instances that failed: the pause before the next, and the reason.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::backoff::ExponentialBackoff;
use crate::clock::Nanos;
use crate::instance::InstanceProblem;

/// The first pause after a start that failed; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Starts of one version that failed, one after the other.
#[derive(Debug, Default)]
pub(super) struct StartFailures {
    count: Cell<u32>,
    /// Time of the last failure.
    last: Cell<Nanos>,
    /// No start before this time.
    not_before: Cell<Nanos>,
    /// Why the last start failed, while it is the last one.
    problem: RefCell<Option<InstanceProblem>>,
}

impl StartFailures {
    /// One more at the time `now`, of a start that began at `began`. Those that began before the last failure count as
    /// one with it. Answers how many there are, and the pause that begins.
    pub(super) fn add(&self, problem: InstanceProblem, began: Nanos, now: Nanos) -> (u32, Duration) {
        let is_another = self.count.get() == 0 || began >= self.last.replace(now);
        let count = self.count.get() + u32::from(is_another);
        self.count.set(count);
        self.last.set(now);
        let before = usize::try_from(count - 1).unwrap_or(usize::MAX);
        let pause = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX).nth(before).unwrap_or(PAUSE_MAX);
        self.hold(now + u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        *self.problem.borrow_mut() = Some(problem);
        (count, pause)
    }

    /// Lets no start begin before a time.
    pub(super) fn hold(&self, until: Nanos) {
        self.not_before.set(self.not_before.get().max(until));
    }

    /// An instance has started. Whether it is of any use shows when it is used.
    pub(super) fn has_started(&self) {
        *self.problem.borrow_mut() = None;
    }

    /// An instance was used: the next pause is the first one.
    pub(super) fn was_used(&self) {
        self.count.set(0);
    }

    /// The rest of the pause at this time.
    #[must_use]
    pub(super) fn pause(&self, now: Nanos) -> Duration {
        Duration::from_nanos(self.not_before.get().saturating_sub(now))
    }

    /// Why the last start failed.
    #[must_use]
    pub(super) fn problem(&self) -> Option<InstanceProblem> {
        self.problem.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_an_instance_is_used_and_not_when_one_has_merely_started() {
        let failures = StartFailures::default();
        let mut pauses = Vec::new();
        for nth in 0..12 {
            pauses.push(failures.add(InstanceProblem::new("crashed"), 0, 0).1);
            if nth % 2 == 1 {
                failures.has_started();
                assert_eq!(failures.problem(), None);
            }
        }
        assert!(pauses.is_sorted() && pauses[0] <= PAUSE_MIN && pauses[11] > PAUSE_MAX / 2, "{pauses:?}");
        assert_eq!(failures.pause(1), pauses[11] - Duration::from_nanos(1));
        failures.was_used();
        assert!(failures.add(InstanceProblem::new("crashed"), 0, 0).1 <= PAUSE_MIN);
        let (count, pause) = failures.add(InstanceProblem::new("crashed"), 7, 9);
        let of_one_batch = [8, 8, 8].map(|began| failures.add(InstanceProblem::new("crashed"), began, 10));
        assert!(of_one_batch.iter().all(|again| *again == (count, pause)), "{of_one_batch:?}");
        failures.hold(90_000_000_000);
        assert_eq!(failures.pause(0), Duration::from_secs(90));
    }
}
