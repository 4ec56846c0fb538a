//! How much of what functions write goes on to the log of this process.
//!
//! That log is written to standard error, which may be slow, on the control thread, which has other
//! things to do. So it gets so many lines and bytes a second of each function and over all; the rest
//! is counted and told in one line. The logs API has them all.

use std::cell::Cell;

use crate::clock::Nanos;

/// How long an allowance is for (ns).
const WINDOW: Nanos = 1_000_000_000;

/// The most that passes in a window.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Lines.
    pub lines: u32,
    /// Bytes of text.
    pub bytes: usize,
}

/// Of each function.
pub const OF_A_FUNCTION: Most = Most { lines: 1000, bytes: 256 * 1024 };
/// Over all functions.
pub const OVER_ALL: Most = Most { lines: 5000, bytes: 1024 * 1024 };

/// What has passed in the window that began last.
#[derive(Debug, Default)]
pub struct Allowance {
    began: Cell<Nanos>,
    lines: Cell<u32>,
    bytes: Cell<usize>,
    withheld: Cell<u64>,
}

impl Allowance {
    /// Whether a line of so many bytes may pass.
    pub fn allows(&self, now: Nanos, bytes: usize, most: Most) -> bool {
        if now.saturating_sub(self.began.get()) >= WINDOW {
            self.began.set(now);
            self.lines.set(0);
            self.bytes.set(0);
        }
        // A line that is longer than all that is left may pass where none has yet.
        let allowed = self.lines.get() < most.lines && self.bytes.get() < most.bytes;
        if allowed {
            self.lines.set(self.lines.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
        allowed
    }

    /// One line more did not pass.
    pub fn withhold(&self) {
        self.withheld.set(self.withheld.get() + 1);
    }

    /// How many did not pass since this was asked last; `None` where all did.
    pub fn withheld(&self) -> Option<u64> {
        Some(self.withheld.take()).filter(|lines| *lines > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_lets_so_many_lines_and_bytes_pass_and_the_next_one_as_many_again() {
        let allowance = Allowance::default();
        let most = Most { lines: 2, bytes: 10 };
        let now = 5 * WINDOW;
        assert!(allowance.allows(now, 100, most), "one line passes, whatever its length");
        assert!(!allowance.allows(now + 1, 1, most), "the bytes are used up");
        allowance.withhold();
        assert_eq!((allowance.withheld(), allowance.withheld()), (Some(1), None), "it is told once");
        let now = now + WINDOW;
        assert!(allowance.allows(now, 1, most) && allowance.allows(now, 1, most));
        assert!(!allowance.allows(now, 1, most), "the lines are used up");
    }
}
