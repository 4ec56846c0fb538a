//! Every case on every runtime, some at a time.

use std::cell::RefCell;
use std::num::NonZero;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::case::{Case, Mode};
use super::subject::Subject;

thread_local! {
    /// What the case on this thread failed with: a panic's payload does not say where it was.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A case on a runtime.
pub struct Trial<'a> {
    /// Which of the runtimes.
    pub runtime: usize,
    pub subject: &'a Subject,
    pub mode: Mode,
    pub case: Case,
}

/// How a trial ended.
pub type Verdict = Result<(), String>;

/// Runs all trials; the verdicts are in the order of the trials.
pub fn all(trials: &[Trial<'_>]) -> Vec<Verdict> {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let said = info.payload_as_str().unwrap_or("a panic without words");
        REASON.set(Some(format!("{place}: {said}")));
    }));
    let next = AtomicUsize::new(0);
    let mut verdicts: Vec<(usize, Verdict)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once())
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    while let Some((index, trial)) = take(&next, trials) {
                        done.push((index, run(trial)));
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("failures of cases are caught")).collect()
    });
    // What failed hereafter is a fault of ours.
    let _ = panic::take_hook();
    verdicts.sort_by_key(|(index, _)| *index);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Cases wait more than they work.
fn at_once() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get) * 2
}

fn take<'a, 'b>(next: &AtomicUsize, trials: &'a [Trial<'b>]) -> Option<(usize, &'a Trial<'b>)> {
    // Relaxed: it only hands out numbers.
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, trials.get(index)?))
}

/// Runs a trial on a thread that bears its name.
fn run(trial: &Trial<'_>) -> Verdict {
    let name = format!("{} {}: {}", trial.subject.name, trial.mode.name(), trial.case.name);
    thread::scope(|scope| {
        let running = thread::Builder::new().name(name).spawn_scoped(scope, || {
            panic::catch_unwind(panic::AssertUnwindSafe(|| (trial.case.run)(trial.subject)))
                .map_err(|_| REASON.take().unwrap_or_else(|| "it failed without a reason".to_owned()))
        });
        match running {
            Ok(running) => running.join().expect("its panics are caught"),
            Err(error) => Err(format!("no thread to run it on: {error}")),
        }
    })
}
