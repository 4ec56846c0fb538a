//! How long to wait before what has ended is started again.

use std::time::Duration;

use crate::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN};

/// How far a process had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It was never ready.
    Unready,
    /// It ended soon after it was ready.
    Short,
    /// It worked.
    Steady,
}

/// Pauses that grow while one process after the other comes to nothing.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// In a row; the first is without a pause if it was ready, and so counts as none.
    failures: u32,
}

impl Pauses {
    /// The pause after another process has ended: none after one that worked, nor after the
    /// first that ended soon, for the next may well do better.
    pub(crate) fn after(&mut self, life: Life) -> Duration {
        match life {
            Life::Steady => {
                self.failures = 0;
                return Duration::ZERO;
            }
            Life::Short if self.failures == 0 => {
                self.failures = 1;
                return Duration::ZERO;
            }
            Life::Short | Life::Unready => {}
        }
        self.failures = self.failures.saturating_add(1).max(2);
        let pause = RESTART_PAUSE_MIN.saturating_mul(1 << (self.failures - 2).min(16));
        pause.min(RESTART_PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_200_ms_to_1_s_until_one_has_worked() {
        let mut pauses = Pauses::default();
        let mut ms = |life| pauses.after(life).as_millis();
        assert_eq!([(); 5].map(|()| ms(Life::Short)), [0, 200, 400, 800, 1000]);
        assert_eq!(ms(Life::Steady), 0);
        assert_eq!([(); 3].map(|()| ms(Life::Unready)), [200, 400, 800]);
    }
}
