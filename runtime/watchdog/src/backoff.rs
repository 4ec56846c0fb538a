//! The delay before a process that ended is started again.

use tokio::time::Duration;

use crate::limits::{RESTART_DELAY_MAX, RESTART_DELAY_MIN};

/// The delay after `failures` processes in a row that did no work.
pub(crate) fn restart_delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => RESTART_DELAY_MIN.saturating_mul(1 << (more - 2).min(8)).min(RESTART_DELAY_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_no_use_is_followed_at_once_and_the_pause_then_grows_up_to_a_second() {
        let delays: Vec<_> = (0..7).map(|failures| restart_delay(failures).as_millis()).collect();
        assert_eq!(delays, [0, 0, 200, 400, 800, 1000, 1000]);
        assert_eq!(restart_delay(u32::MAX), RESTART_DELAY_MAX);
    }
}
