//! How many single-use instances of a function are to be ready.
//!
//! A call that finds none ready waits for one that is started for it, so the reserve is a loss system: while calls come
//! at the rate λ and a start takes T, the share of them that find none of S ready is Erlang's loss formula B(S, λT)
//! (A. K. Erlang, "Løsning af nogle Problemer …", 1917), whatever the distribution of T. Calls that come in groups are
//! lost more often than it says; the rate of the busiest of three windows makes up for some of that.

use std::collections::VecDeque;

use crate::clock::Nanos;
use crate::instances::start_times::StartTimes;
use crate::spec::Standby;

const SECOND_NS: Nanos = 1_000_000_000;
/// Windows over which calls are counted, in seconds. The longest is as long as the buckets go back.
const WINDOWS_S: [usize; 3] = [2, 10, BUCKETS];
/// Seconds of which the calls are counted one by one.
const BUCKETS: usize = 30;
/// Share of the calls that may find no instance ready.
const LOSS_MAX: f64 = 0.01;

/// Calls of the last seconds and times of the last starts of one function, and the reserve that follows.
#[derive(Debug)]
pub(super) struct Reserve {
    bounds: Standby,
    /// Time without a call after which only `min` are kept.
    idle_ns: Nanos,
    /// Calls by the second, the newest at the end; it ends with the second `newest`.
    calls: VecDeque<u32>,
    newest: u64,
    first_call: Option<Nanos>,
    last_call: Option<Nanos>,
    starts: StartTimes,
}

impl Reserve {
    /// The reserve of a function that nobody has called.
    #[must_use]
    pub(super) fn new(bounds: Standby, idle_ns: Nanos) -> Self {
        Self {
            bounds,
            idle_ns,
            calls: VecDeque::from(vec![0; BUCKETS]),
            newest: 0,
            first_call: None,
            last_call: None,
            starts: StartTimes::default(),
        }
    }

    /// Takes note of a call.
    pub(super) fn called(&mut self, now: Nanos) {
        self.move_on(now);
        if let Some(count) = self.calls.back_mut() {
            *count = count.saturating_add(1);
        }
        self.first_call.get_or_insert(now);
        self.last_call = Some(now);
    }

    /// Takes note of the time that an instance took from its start until it was ready.
    pub(super) fn started(&mut self, took: Nanos) {
        self.starts.note(took);
    }

    /// Time of the last call.
    #[must_use]
    pub(super) fn last_call(&self) -> Option<Nanos> {
        self.last_call
    }

    /// Instances that are to be ready.
    #[must_use]
    pub(super) fn target(&mut self, now: Nanos) -> u32 {
        let Standby { min, max } = self.bounds;
        let is_idle = self.last_call.is_none_or(|last| now.saturating_sub(last) >= self.idle_ns);
        if is_idle {
            return min;
        }
        self.move_on(now);
        let load = self.rate(now) * seconds(self.starts.p90());
        servers(load, LOSS_MAX, max).max(min)
    }

    /// Calls in a second: those of the busiest window.
    fn rate(&self, now: Nanos) -> f64 {
        let age = seconds(now.saturating_sub(self.first_call.unwrap_or(now)));
        let of_window = |window: usize| {
            let calls: u32 = self.calls.iter().rev().take(window).sum();
            // The current second is not over.
            let so_far = (window as f64) - 1.0 + seconds(now % SECOND_NS);
            f64::from(calls) / so_far.min(age).max(1.0)
        };
        WINDOWS_S.into_iter().map(of_window).fold(0.0, f64::max)
    }

    /// Makes the second of `now` the last of the buckets.
    fn move_on(&mut self, now: Nanos) {
        let second = now / SECOND_NS;
        let passed = usize::try_from(second.saturating_sub(self.newest)).unwrap_or(BUCKETS);
        for _ in 0..passed.min(BUCKETS) {
            self.calls.pop_front();
            self.calls.push_back(0);
        }
        self.newest = self.newest.max(second);
    }
}

/// The fewest servers, at least one and at most `max`, of which no more than the share `loss` of calls finds all busy
/// under a load in erlangs.
#[must_use]
fn servers(load: f64, loss: f64, max: u32) -> u32 {
    let mut blocked = 1.0;
    for count in 1..max {
        blocked = load * blocked / (f64::from(count) + load * blocked);
        if blocked <= loss {
            return count;
        }
    }
    max
}

fn seconds(ns: Nanos) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    fn reserve(min: u32, max: u32) -> Reserve {
        Reserve::new(Standby { min, max }, 60 * SECOND_NS)
    }

    /// Calls at an even rate for some seconds, from second 100 on; the time after the last.
    fn call(reserve: &mut Reserve, per_second: u64, for_s: u64) -> Nanos {
        let begun = 100 * SECOND_NS;
        (0..per_second * for_s).for_each(|nth| reserve.called(begun + nth * SECOND_NS / per_second));
        begun + for_s * SECOND_NS
    }

    #[test]
    fn the_loss_formula_gives_the_servers_of_the_published_tables() {
        // Erlang B at a blocking of 1 %: the load that so many servers carry.
        for (count, load) in [(1, 0.0101), (2, 0.153), (5, 1.36), (10, 4.46), (20, 12.0), (50, 37.9)] {
            assert_eq!(servers(load * 0.99, LOSS_MAX, 1000), count, "{load}");
            assert_eq!(servers(load * 1.02, LOSS_MAX, 1000), count + 1, "{load}");
        }
        assert_eq!(servers(0.0, LOSS_MAX, 1000), 1, "who is called at all has one");
        assert_eq!(servers(500.0, LOSS_MAX, 7), 7);
    }

    #[test]
    fn a_reserve_follows_the_rate_and_the_time_of_starts_within_its_bounds() {
        let mut slow = reserve(0, 100);
        assert_eq!(slow.target(0), 0, "nobody has called");
        (0..20).for_each(|_| slow.started(300 * MS));
        let now = call(&mut slow, 10, 30);
        // 3 erlangs.
        assert_eq!(slow.target(now), 8);
        let mut fast = reserve(0, 100);
        (0..20).for_each(|_| fast.started(2 * MS));
        let now = call(&mut fast, 10, 30);
        assert_eq!(fast.target(now), 2);
        let mut bounded = reserve(3, 5);
        (0..20).for_each(|_| bounded.started(300 * MS));
        assert_eq!(bounded.target(0), 3);
        let now = call(&mut bounded, 10, 30);
        assert_eq!(bounded.target(now), 5);
        assert_eq!(
            bounded.target(now + 60 * SECOND_NS),
            3,
            "nobody has called for as long as idleTimeoutMs says"
        );
    }

    #[test]
    fn a_rate_that_rises_is_followed_in_two_seconds_and_one_that_falls_in_thirty() {
        let mut reserve = reserve(0, 100);
        (0..20).for_each(|_| reserve.started(300 * MS));
        let calm = call(&mut reserve, 1, 60);
        let before = reserve.target(calm);
        for nth in 0..40 {
            reserve.called(calm + nth * SECOND_NS / 20);
        }
        let busy = reserve.target(calm + 2 * SECOND_NS);
        assert!(before <= 3 && busy >= 11, "{before} {busy}");
        let later = reserve.target(calm + 40 * SECOND_NS);
        assert_eq!(later, 1);
    }
}
