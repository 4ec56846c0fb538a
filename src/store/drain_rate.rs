//! The rate at which the executions of a function end.

use std::cell::Cell;

use crate::clock::Nanos;

/// The rate at which executions of a function end, averaged over about two windows.
#[derive(Debug, Default)]
pub(crate) struct DrainRate {
    window_start: Cell<Nanos>,
    in_window: Cell<u32>,
    per_second: Cell<f64>,
}

/// Length of one window of the measurement.
const WINDOW_NS: Nanos = 1_000_000_000;

impl DrainRate {
    /// Counts an execution that has ended.
    pub(crate) fn count(&self, now: Nanos) {
        let elapsed = now.saturating_sub(self.window_start.get());
        if elapsed >= WINDOW_NS {
            let rate = f64::from(self.in_window.get()) * 1e9 / elapsed as f64;
            self.per_second.set((self.per_second.get() + rate) / 2.0);
            self.window_start.set(now);
            self.in_window.set(0);
        }
        self.in_window.set(self.in_window.get() + 1);
    }

    /// In how many seconds (1 … 60) `depth` executions will have drained.
    #[must_use]
    pub(crate) fn seconds_for(&self, depth: usize) -> u32 {
        let rate = self.per_second.get().max(f64::from(self.in_window.get()));
        if rate <= 0.0 {
            return 1;
        }
        #[expect(clippy::cast_sign_loss, reason = "both are positive")]
        let seconds = (depth as f64 / rate).ceil() as u32;
        seconds.clamp(1, 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_said_to_drain_as_fast_as_executions_have_been_ending() {
        let rate = DrainRate::default();
        assert_eq!(rate.seconds_for(1000), 1, "nothing has ended yet");
        // 20 per second for four seconds.
        for nth in 0..80_u64 {
            rate.count(WINDOW_NS + nth * 50_000_000);
        }
        for (depth, seconds) in [(0, 1), (10, 1), (100, 5), (400, 20), (1_000_000, 60)] {
            let said = rate.seconds_for(depth);
            assert!(said.abs_diff(seconds) <= 1 + seconds / 5, "{said} s for {depth}, not {seconds} s");
        }
        // It becomes slower: 2 per second.
        for nth in 0..20_u64 {
            rate.count(5 * WINDOW_NS + nth * 500_000_000);
        }
        let said = rate.seconds_for(40);
        assert!((17..=22).contains(&said), "{said} s");
    }
}
