//! Every case on every runtime, some at a time.

use std::cell::RefCell;
use std::num::NonZero;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::case::{Mode, Row};
use super::subject::Subject;

thread_local! {
    /// The reason for which the case on this thread failed: a panic's payload does not say where it was.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A row on a runtime.
pub(crate) struct CaseRun<'a> {
    /// Index of the runtime.
    pub(crate) runtime: usize,
    pub(crate) subject: &'a Subject,
    pub(crate) mode: Mode,
    pub(crate) row: Row,
}

/// The end of a run.
pub(crate) type CaseResult = Result<(), String>;

/// Executes all runs; the results are in the order of the runs.
pub(crate) fn all(runs: &[CaseRun<'_>]) -> Vec<CaseResult> {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let said = info.payload_as_str().unwrap_or("a panic without words");
        REASON.set(Some(format!("{place}: {said}")));
    }));
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, CaseResult)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once())
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    while let Some((index, run)) = take(&next, runs) {
                        done.push((index, execute(run)));
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("failures of cases are caught")).collect()
    });
    // A panic from here on is a fault of ours.
    let _ = panic::take_hook();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Cases wait more than they work.
fn at_once() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get) * 2
}

fn take<'a, 'b>(next: &AtomicUsize, runs: &'a [CaseRun<'b>]) -> Option<(usize, &'a CaseRun<'b>)> {
    // Relaxed: it only hands out numbers.
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, runs.get(index)?))
}

/// Executes a run on a thread that bears its name.
fn execute(run: &CaseRun<'_>) -> CaseResult {
    let name = format!("{} {}: {}", run.subject.name, run.mode.name(), run.row.name);
    thread::scope(|scope| {
        let running = thread::Builder::new().name(name).spawn_scoped(scope, || {
            panic::catch_unwind(panic::AssertUnwindSafe(|| run.row.look_at(run.subject)))
                .map_err(|_| REASON.take().unwrap_or_else(|| "it failed without a reason".to_owned()))
        });
        match running {
            Ok(running) => running.join().expect("its panics are caught"),
            Err(error) => Err(format!("no thread to run it on: {error}")),
        }
    })
}
