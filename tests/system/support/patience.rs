//! Waiting with a limit. The only place of these tests that reads a clock.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A test that waits longer than this for something has failed: only what hangs takes so long, also on a
/// machine that compiles and runs other tests meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked for what has no event.
const LOOK: Duration = Duration::from_millis(2);

/// When something began.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the process under test runs on the real clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets time pass, where it is the passing of time that is measured.
pub(crate) fn let_pass(duration: Duration) {
    let watch = Stopwatch::start();
    while let Some(left) = duration.checked_sub(watch.elapsed()) {
        thread::park_timeout(left);
    }
}

/// Kills a process that is still there when this has not been dropped for [`PATIENCE`]: who reads what the
/// process writes comes to an end then, and fails.
pub(crate) struct Alarm {
    over: Arc<AtomicBool>,
    thread: Thread,
}

impl Alarm {
    pub(crate) fn of(child: &Child) -> Self {
        let (pid, over) = (Pid::from_child(child), Arc::new(AtomicBool::new(false)));
        let seen = over.clone();
        let watcher = thread::spawn(move || {
            let watch = Stopwatch::start();
            while !seen.load(Ordering::Acquire) {
                let Some(left) = PATIENCE.checked_sub(watch.elapsed()) else {
                    eprintln!("{pid:?} is killed: it was waited for for {PATIENCE:?}");
                    // Fails only if it has ended, which is what is wanted.
                    let _ = kill_process(pid, Signal::KILL);
                    return;
                };
                thread::park_timeout(left);
            }
        });
        Self { over, thread: watcher.thread().clone() }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Looks again and again until `look` finds something; another process has no event to offer.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::park_timeout(LOOK);
    }
}
