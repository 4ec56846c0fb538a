//! The rate at which lines of functions go on to the log of this process.
//!
//! The log is written to standard error, which may be slow, on the control thread, which has other
//! things to do. So it gets so many lines and bytes a second of each function and over all; the rest
//! is counted and told in one line. The logs API has them all.

use std::cell::Cell;

use crate::clock::Nanos;

/// Length of a window (ns).
const WINDOW: Nanos = 1_000_000_000;

/// The limits of a window.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Lines.
    pub lines: u32,
    /// Bytes of text.
    pub bytes: usize,
}

/// The limits of each function.
pub(crate) const PER_FUNCTION: RateLimit = RateLimit { lines: 1000, bytes: 256 * 1024 };
/// The limits over all functions.
pub(crate) const TOTAL: RateLimit = RateLimit { lines: 5000, bytes: 1024 * 1024 };

/// The lines and bytes that passed in the window that began last.
#[derive(Debug, Default)]
pub struct RateLimiter {
    began: Cell<Nanos>,
    lines: Cell<u32>,
    bytes: Cell<usize>,
    withheld: Cell<u64>,
}

impl RateLimiter {
    /// Whether a line of this many bytes may pass.
    pub fn allows(&self, now: Nanos, bytes: usize, limit: RateLimit) -> bool {
        if now.saturating_sub(self.began.get()) >= WINDOW {
            self.began.set(now);
            self.lines.set(0);
            self.bytes.set(0);
        }
        // A line that is longer than all that is left may pass where none has yet.
        let allowed = self.lines.get() < limit.lines && self.bytes.get() < limit.bytes;
        if allowed {
            self.lines.set(self.lines.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
        allowed
    }

    /// Counts a line that did not pass.
    pub fn withhold(&self) {
        self.withheld.set(self.withheld.get() + 1);
    }

    /// Number of lines that did not pass since the last call; `None` where all did.
    pub fn withheld(&self) -> Option<u64> {
        Some(self.withheld.take()).filter(|lines| *lines > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lets_so_many_lines_and_bytes_pass_and_the_next_one_as_many_again() {
        let limiter = RateLimiter::default();
        let limit = RateLimit { lines: 2, bytes: 10 };
        let now = 5 * WINDOW;
        assert!(limiter.allows(now, 100, limit), "one line passes, whatever its length");
        assert!(!limiter.allows(now + 1, 1, limit), "the bytes are used up");
        limiter.withhold();
        assert_eq!((limiter.withheld(), limiter.withheld()), (Some(1), None), "it is told once");
        let now = now + WINDOW;
        assert!(limiter.allows(now, 1, limit) && limiter.allows(now, 1, limit));
        assert!(!limiter.allows(now, 1, limit), "the lines are used up");
    }
}
