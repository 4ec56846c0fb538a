//! Growing pauses between tries.

use std::time::Duration;

/// Exponential backoff: pauses between the tries of one thing. Each is longer than the one before, up to
/// the longest.
#[derive(Clone, Debug)]
pub(crate) struct ExponentialBackoff {
    first: Duration,
    longest: Duration,
    growth: Growth,
    next: Duration,
}

/// Growth from one pause to the next.
#[derive(Clone, Copy, Debug)]
enum Growth {
    Double,
    Quarter,
}

impl ExponentialBackoff {
    /// Pauses that double.
    #[must_use]
    pub(crate) fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, longest, growth: Growth::Double, next: first }
    }

    /// Pauses that grow by a quarter: a wait for something that comes soon is cut short by little.
    #[must_use]
    pub(crate) fn by_quarters(first: Duration, longest: Duration) -> Self {
        Self { first, longest, growth: Growth::Quarter, next: first }
    }

    /// Length of the next pause.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        let more = match self.growth {
            Growth::Double => pause,
            Growth::Quarter => pause / 4,
        };
        self.next = (pause + more).min(self.longest);
        pause
    }

    /// Sleeps for the next pause.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }

    /// Begins again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Iterator for ExponentialBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_pause())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(backoff: &mut ExponentialBackoff, count: usize) -> Vec<u128> {
        backoff.take(count).map(|pause| pause.as_millis()).collect()
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_begin_again_after_a_reset() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(500));
        let mut doubling = ExponentialBackoff::doubling(first, longest);
        assert_eq!(ms(&mut doubling, 5), [100, 200, 400, 500, 500]);
        doubling.reset();
        assert_eq!(ms(&mut doubling, 2), [100, 200]);
        let mut by_quarters = ExponentialBackoff::by_quarters(first, longest);
        assert_eq!(ms(&mut by_quarters, 4), [100, 125, 156, 195]);
        assert_eq!(by_quarters.nth(99), Some(longest));
    }
}
