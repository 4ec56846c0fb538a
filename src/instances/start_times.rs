//! Times that the last starts of instances took.

use crate::clock::Nanos;

/// Starts whose times are remembered.
const STARTS: usize = 32;
/// Time that a start is taken for until one has been seen.
const UNKNOWN_NS: Nanos = 500_000_000;

/// The times of the last starts of one version.
#[derive(Debug, Default)]
pub(super) struct StartTimes {
    /// Times (ns), of which the first `count % STARTS` are the newest once it is full.
    times: [Nanos; STARTS],
    count: usize,
}

impl StartTimes {
    /// Takes note of the time that an instance took from its start until it was ready.
    pub(super) fn note(&mut self, took: Nanos) {
        self.times[self.count % STARTS] = took;
        self.count += 1;
    }

    /// Time within which nine of ten starts are over.
    #[must_use]
    pub(super) fn p90(&self) -> Nanos {
        let mut sorted = self.times;
        let known = &mut sorted[..self.count.min(STARTS)];
        known.sort_unstable();
        let rank = (known.len() * 9).div_ceil(10).saturating_sub(1);
        known.get(rank).copied().unwrap_or(UNKNOWN_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_start_of_many_is_not_taken_for_all() {
        let mut starts = StartTimes::default();
        assert_eq!(starts.p90(), UNKNOWN_NS);
        (0..31).for_each(|_| starts.note(100));
        starts.note(30_000);
        assert_eq!(starts.p90(), 100);
        (0..STARTS).for_each(|_| starts.note(400));
        assert_eq!(starts.p90(), 400);
    }
}
