//! Waiting with a limit. The only place of these tests that reads a clock.

use std::thread;
use std::time::{Duration, Instant};

/// A test that waits longer than this for something has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for what has no event.
const LOOK: Duration = Duration::from_millis(2);

/// When something began.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the process under test runs on the real clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets time pass, where it is the passing of time that is measured.
pub fn let_pass(duration: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = duration.checked_sub(watch.elapsed()) {
        thread::park_timeout(left);
    }
}

/// Looks again and again until `look` finds something; another process has no event to offer.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::park_timeout(LOOK);
    }
}
