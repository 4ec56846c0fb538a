//! Patience with a limit, and how long something took. The only place of this program that reads a clock or
//! sleeps: it watches other programs, which have no event to offer.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

const STEP: Duration = Duration::from_millis(10);

/// Calls `probe` every 10 ms until it has something. `None` when it had nothing within `limit`.
#[expect(
    clippy::disallowed_methods,
    reason = "another program's start and end are seen by looking, on the real clock"
)]
pub(crate) fn until<T>(limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let started = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(Some(found));
        }
        if started.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(STEP);
    }
}

/// Lets time pass, where it is what happens meanwhile that is measured.
pub(crate) fn let_pass(duration: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = duration.checked_sub(watch.elapsed()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a bench measures on the real clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Now, in nanoseconds, on the clock that all processes of this machine share, those in containers, too.
pub(crate) fn monotonic_ns() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_already_there_is_found_without_waiting_even_with_no_patience() {
        assert_eq!(until(Duration::ZERO, || Ok(Some(7))).unwrap(), Some(7));
    }

    #[test]
    fn what_never_comes_ends_at_the_limit() {
        let mut calls = 0;
        let never = until(Duration::from_millis(25), || {
            calls += 1;
            Ok(None::<()>)
        });
        assert_eq!(never.unwrap(), None);
        assert!(calls > 1, "looked only {calls} times");
    }
}
