//! Waiting with a limit, for things of other processes that announce themselves by no event.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// A test that waits longer than this for something has failed: only a process that hangs takes so long, also
/// on a machine that compiles and runs other tests meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(120);

static CHOSEN: OnceLock<Duration> = OnceLock::new();

const STEP: Duration = Duration::from_millis(2);

/// The time since a start.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "other programs are watched on the real clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The patience of this process: [`PATIENCE`], unless another was chosen.
pub fn patience() -> Duration {
    *CHOSEN.get_or_init(|| PATIENCE)
}

/// Chooses another patience. It has to be the first that is done with it.
pub fn choose_patience(patience: Duration) {
    assert!(CHOSEN.set(patience).is_ok(), "somebody has waited already");
}

/// Looks every 2 ms until `look` has something.
///
/// # Panics
/// With the text of `missing`, where it has nothing within [`patience`].
#[track_caller]
pub fn until<T>(missing: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < patience(), "{}", missing());
        let_pass(STEP);
    }
}

/// Lets time pass in which nothing is expected to happen.
pub fn let_pass(duration: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = duration.checked_sub(watch.elapsed()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
