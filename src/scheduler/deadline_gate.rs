//! The gate before a grant: whether an execution can still end in time, by what attempts have taken lately.
//!
//! An execution is judged by the attempts that its whole time would have been enough for: it is begun while at least 99
//! of 100 of these would have ended in the time that is left. So a function with calls of 1 ms and of 1 s keeps its
//! fast calls, though half of its attempts take longer than a deadline of 100 ms.
//!
//! An estimate can lock itself in: while nothing is begun, nothing is learnt. Therefore
//! - fewer than [`SAMPLES_MIN`] attempts are no estimate, and attempts are forgotten after 10 s;
//! - an execution that has waited for at most an eighth of its time is judged by its whole time;
//! - one that is alone is begun, and so is one every [`PROBE_NS`] where not one attempt would have been quick enough;
//! - an attempt that was stopped counts as one that would have ended soon after, unless enough attempts are known to
//!   take longer than the whole time.

use super::service_times::ServiceTimes;
use crate::clock::Nanos;

/// Attempts below which there is no estimate.
const SAMPLES_MIN: u32 = 20;
/// Percentage of the attempts within the whole time that the time left must be enough for.
const IN_TIME_PERCENT: u32 = 99;
/// Part of its time that an execution may wait and be judged by its whole time: an eighth.
const FRESH_PART: Nanos = 8;
/// Attempts that were stopped, for each that is known to take longer than the whole time, up to which they are taken for
/// attempts of that kind.
const STOPPED_PER_LONG: u32 = 16;
/// Time after which one is begun though not one attempt would have been quick enough (ns).
const PROBE_NS: Nanos = 250_000_000;
/// Shortest time over which the pace of a line is measured (ns).
const PACE_NS: Nanos = 100_000_000;
/// Executions that must have left the line for a pace.
const PACE_MIN: u32 = 20;

/// An execution that is next in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Since when its time runs (ns).
    pub since: Nanos,
    /// By when it must have ended (ns).
    pub deadline: Nanos,
    /// Nothing else of its function runs or waits.
    pub is_alone: bool,
    /// Nothing else of its function runs.
    pub is_idle: bool,
}

/// Why an execution is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// It has waited for too long: 99 of 100 attempts end within this time (ns).
    TooLate { needed: Nanos },
    /// No attempt has lately ended within its whole time.
    TooShort,
}

/// The gate of one version of a function.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineGate {
    times: ServiceTimes,
    /// When one was last begun without hope.
    probed: Nanos,
    /// Since when the line has not been empty, or its pace been measured; `None` while it is empty.
    measured: Option<Nanos>,
    /// Executions that have left it since.
    left: u32,
    /// The pace so far (ns from one that leaves to the next); 0: not known.
    pace: Nanos,
}

impl DeadlineGate {
    /// One that knows nothing yet.
    pub(crate) fn new() -> Self {
        Self { times: ServiceTimes::new(), probed: 0, measured: None, left: 0, pace: 0 }
    }

    /// Whether the execution is to be begun.
    ///
    /// # Errors
    /// It would hardly end in time.
    pub(crate) fn check(&mut self, candidate: Candidate, now: Nanos) -> Result<(), Unreachable> {
        let left = candidate.deadline.saturating_sub(now);
        if left >= self.times.longest() || candidate.is_alone {
            return Ok(());
        }
        self.judge(candidate, left, now)
    }

    #[cold]
    fn judge(&mut self, candidate: Candidate, left: Nanos, now: Nanos) -> Result<(), Unreachable> {
        let budget = candidate.deadline.saturating_sub(candidate.since);
        let chances = self.times.chances(budget, left, now);
        if chances.samples < SAMPLES_MIN {
            return Ok(());
        }
        let stopped_are_long = chances.beyond_budget.saturating_mul(STOPPED_PER_LONG) >= chances.stopped;
        let (whole, in_time) = if stopped_are_long {
            (chances.within_budget, chances.within_left)
        } else {
            let stopped = chances.stopped;
            (chances.within_budget + stopped, chances.within_left + chances.stopped_within_left)
        };
        if whole == 0 {
            if candidate.is_idle || now.saturating_sub(self.probed) >= PROBE_NS {
                self.probed = now;
                return Ok(());
            }
            return Err(Unreachable::TooShort);
        }
        let is_fresh = is_fresh(candidate.since, candidate.deadline, now);
        if is_fresh || u64::from(in_time) * 100 >= u64::from(whole) * u64::from(IN_TIME_PERCENT) {
            return Ok(());
        }
        Err(Unreachable::TooLate { needed: self.times.quantile(IN_TIME_PERCENT, budget).max(left) })
    }

    /// Counts an attempt that was granted and answered at these times.
    pub(crate) fn count_answered(&mut self, granted: Nanos, now: Nanos) {
        self.times.count_answered(now.saturating_sub(granted), now);
    }

    /// Counts an attempt that was granted at this time and stopped now, because the time of its execution, or its own,
    /// was over. One that had nearly the whole time of its execution counts as if it had had all of it.
    pub(crate) fn count_stopped(&mut self, granted: Nanos, since: Nanos, deadline: Nanos, now: Nanos) {
        let had = now.saturating_sub(granted);
        let is_whole = now >= deadline && is_fresh(since, deadline, granted);
        let counted = if is_whole { had.max(deadline.saturating_sub(since)) } else { had };
        self.times.count_stopped(counted, now);
    }

    /// One has left the line, by itself.
    pub(crate) fn count_left(&mut self) {
        self.left += 1;
    }

    /// After the line was served: `left` were taken from it, `is_empty` says what is left of it. Answers the time from
    /// one that leaves to the next (ns) while that is known; 0 else.
    pub(crate) fn measure(&mut self, left: u32, is_empty: bool, now: Nanos) -> Nanos {
        if is_empty {
            self.measured = None;
            self.pace = 0;
            return 0;
        }
        let Some(since) = self.measured else {
            self.measured = Some(now);
            self.left = 0;
            return 0;
        };
        self.left += left;
        let elapsed = now.saturating_sub(since);
        if elapsed >= PACE_NS && self.left >= PACE_MIN {
            let pace = (elapsed / Nanos::from(self.left)).max(1);
            self.pace = if self.pace == 0 { pace } else { (self.pace + pace) / 2 };
            self.measured = Some(now);
            self.left = 0;
        }
        self.pace
    }
}

/// Whether at most an eighth of the time was over at `at`.
fn is_fresh(since: Nanos, deadline: Nanos, at: Nanos) -> bool {
    at.saturating_sub(since) <= deadline.saturating_sub(since) / FRESH_PART
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NANOS_PER_MS as MS;

    const S: Nanos = 1000 * MS;

    /// One of many that wait while others run.
    fn waits(since: Nanos, deadline: Nanos) -> Candidate {
        Candidate { since, deadline, is_alone: false, is_idle: false }
    }

    fn gate_of(answered: &[(u32, Nanos)]) -> DeadlineGate {
        let mut gate = DeadlineGate::new();
        for (count, ns) in answered {
            (0..*count).for_each(|_| gate.count_answered(0, *ns));
        }
        gate
    }

    #[test]
    fn what_has_waited_too_long_to_end_in_time_is_not_begun() {
        let mut gate = gate_of(&[(1000, 5 * MS)]);
        let candidate = waits(100 * MS, 200 * MS);
        assert_eq!(gate.check(candidate, 190 * MS), Ok(()));
        let Err(Unreachable::TooLate { needed }) = gate.check(candidate, 196 * MS) else { panic!("begun") };
        assert!((5 * MS..7 * MS).contains(&needed), "{needed}");
        let Err(Unreachable::TooLate { .. }) = gate.check(candidate, 300 * MS) else { panic!("begun") };
    }

    #[test]
    fn one_in_a_hundred_may_take_longer() {
        let candidate = waits(0, 100 * MS);
        assert_eq!(gate_of(&[(992, 5 * MS), (8, 60 * MS)]).check(candidate, 90 * MS), Ok(()));
        assert!(gate_of(&[(980, 5 * MS), (20, 60 * MS)]).check(candidate, 90 * MS).is_err());
    }

    #[test]
    fn fewer_than_twenty_attempts_are_no_estimate() {
        assert_eq!(gate_of(&[(19, 5 * MS)]).check(waits(0, 100 * MS), 99 * MS), Ok(()));
        assert!(gate_of(&[(20, 5 * MS)]).check(waits(0, 100 * MS), 99 * MS).is_err());
    }

    #[test]
    fn an_estimate_is_forgotten_after_ten_seconds() {
        let mut gate = gate_of(&[(1000, 80 * MS)]);
        assert!(gate.check(waits(S, S + 100 * MS), S + 50 * MS).is_err());
        assert_eq!(gate.check(waits(11 * S, 11 * S + 100 * MS), 11 * S + 50 * MS), Ok(()));
    }

    #[test]
    fn what_is_alone_is_begun_however_late_it_is() {
        let mut gate = gate_of(&[(1000, 5 * MS)]);
        let candidate = Candidate { is_alone: true, ..waits(0, 100 * MS) };
        assert_eq!(gate.check(candidate, 99 * MS), Ok(()));
    }

    #[test]
    fn a_function_with_fast_and_slow_calls_keeps_its_fast_ones() {
        let mut gate = gate_of(&[(500, MS), (500, S)]);
        assert_eq!(gate.check(waits(S, S + 100 * MS), S + 50 * MS), Ok(()));
        assert!(gate.check(waits(S, S + 100 * MS), S + 99 * MS).is_err());
        // An execution that has the time for the slow ones is judged by them.
        assert_eq!(gate.check(waits(S, 3 * S), S + 700 * MS), Ok(()));
        assert!(gate.check(waits(S, 3 * S), 2 * S + 500 * MS).is_err());
    }

    #[test]
    fn slow_calls_that_were_stopped_do_not_end_fast_ones() {
        let mut gate = gate_of(&[(500, MS)]);
        (0..500).for_each(|_| gate.count_stopped(0, 0, 100 * MS, 100 * MS));
        (0..500).for_each(|_| gate.count_stopped(0, 0, 60 * MS, 60 * MS));
        assert_eq!(gate.check(waits(0, 100 * MS), 50 * MS), Ok(()));
    }

    #[test]
    fn attempts_that_were_stopped_lengthen_the_estimate_where_none_is_known_to_take_longer() {
        let mut gate = gate_of(&[(1000, 5 * MS)]);
        assert_eq!(gate.check(waits(0, 100 * MS), 90 * MS), Ok(()));
        // They had 10 ms left of 100 ms.
        (0..100).for_each(|_| gate.count_stopped(90 * MS, 0, 100 * MS, 100 * MS));
        assert!(gate.check(waits(0, 100 * MS), 90 * MS).is_err());
        assert_eq!(gate.check(waits(0, 100 * MS), 80 * MS), Ok(()));
    }

    #[test]
    fn where_nothing_was_quick_enough_one_goes_first_or_every_quarter_of_a_second() {
        let mut gate = DeadlineGate::new();
        (0..100).for_each(|_| gate.count_stopped(0, 0, 100 * MS, 100 * MS));
        let fresh = |at| waits(at, at + 100 * MS);
        assert_eq!(gate.check(fresh(S), S), Ok(()), "the first");
        assert_eq!(gate.check(fresh(S), S + MS), Err(Unreachable::TooShort));
        assert_eq!(gate.check(Candidate { is_idle: true, ..fresh(S) }, S + 2 * MS), Ok(()), "none runs");
        assert_eq!(gate.check(fresh(S), S + 3 * MS), Err(Unreachable::TooShort));
        assert_eq!(gate.check(fresh(S + 300 * MS), S + 300 * MS), Ok(()), "a quarter of a second later");
        // One was quick enough: whoever has just come is begun.
        gate.count_answered(S, S + 5 * MS);
        assert_eq!(gate.check(fresh(S + 301 * MS), S + 301 * MS), Ok(()));
    }

    #[test]
    fn who_has_just_come_is_begun_at_the_edge_of_a_bucket_and_with_a_deadline_of_a_millisecond_or_a_day() {
        for budget in [MS, 100 * MS, 101 * MS, 107_374_183, 24 * 3600 * S] {
            let took = budget - budget / 50;
            let check_after = |waited: Nanos| {
                let (since, mut gate) = (24 * 3600 * S, DeadlineGate::new());
                let now = since + waited;
                (0..1000).for_each(|_| gate.count_answered(now - took, now));
                gate.check(waits(since, since + budget), now)
            };
            assert_eq!(check_after(budget / 10), Ok(()), "{budget}");
            assert!(check_after(budget / 2).is_err(), "{budget}");
        }
    }

    #[test]
    fn a_pace_is_told_while_the_line_is_not_empty_and_twenty_have_left_it() {
        let mut gate = DeadlineGate::new();
        assert_eq!(gate.measure(1, false, S), 0);
        for nth in 1..=19 {
            assert_eq!(gate.measure(1, false, S + nth * 20 * MS), 0, "{nth} have left");
        }
        assert_eq!(gate.measure(1, false, S + 400 * MS), 20 * MS);
        // It becomes faster: 100 in 100 ms.
        assert_eq!(gate.measure(100, false, S + 500 * MS), (20 * MS + MS) / 2);
        assert_eq!(gate.measure(1, true, S + 501 * MS), 0);
        assert_eq!(gate.measure(50, false, S + 900 * MS), 0, "it starts anew");
    }
}
