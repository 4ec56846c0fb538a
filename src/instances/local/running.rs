//! The processes of each function that run, and those that ended of late.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Clock;

/// Processes that have ended and are remembered.
const ENDED_MAX: usize = 256;

/// The life of a process of a function.
#[derive(Clone, Debug)]
pub(crate) struct ProcessLife {
    /// The function's name.
    pub function: Rc<str>,
    /// Time of its start, since 1970.
    pub begun: Duration,
    /// Time of its end; none while it runs.
    pub ended: Option<Duration>,
}

/// The processes of each function. What they start themselves is not here.
#[derive(Debug, Default)]
pub struct RunningProcesses {
    live: RefCell<BTreeMap<u32, ProcessLife>>,
    ended: RefCell<VecDeque<ProcessLife>>,
}

impl RunningProcesses {
    /// A process was started.
    pub(super) fn begin(&self, pid: u32, function: Rc<str>, clock: Clock) {
        // It may have begun to work before we come to this.
        const EARLIER: Duration = Duration::from_millis(10);
        let begun = clock.unix(clock.now()).saturating_sub(EARLIER);
        let life = ProcessLife { function, begun, ended: None };
        self.live.borrow_mut().insert(pid, life);
    }

    /// A process has ended.
    pub(super) fn end(&self, pid: u32, clock: Clock) {
        let Some(life) = self.live.borrow_mut().remove(&pid) else { return };
        let mut ended = self.ended.borrow_mut();
        if ended.len() == ENDED_MAX {
            ended.pop_front();
        }
        ended.push_back(ProcessLife { ended: Some(clock.unix(clock.now())), ..life });
    }

    /// The processes that run, by their numbers.
    #[must_use]
    pub(crate) fn live(&self) -> Vec<(u32, ProcessLife)> {
        self.live.borrow().iter().map(|(pid, life)| (*pid, life.clone())).collect()
    }

    /// Whether a process of this function that has ended was alive at this time.
    #[must_use]
    pub(crate) fn ended_after(&self, function: &str, at: Duration) -> bool {
        self.ended.borrow().iter().any(|life| {
            *life.function == *function && life.begun <= at && life.ended.is_some_and(|ended| at <= ended)
        })
    }

    /// Whether a process of this function has ended at this time or later.
    #[must_use]
    pub(crate) fn ended_since(&self, function: &str, at: Duration) -> bool {
        let ended = self.ended.borrow();
        ended.iter().any(|life| *life.function == *function && life.ended.is_some_and(|ended| at <= ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_remembered_with_the_time_of_its_life() {
        let (running, clock) = (RunningProcesses::default(), Clock::start());
        running.begin(7, "f".into(), clock);
        let within = clock.unix(clock.now());
        assert_eq!(running.live().len(), 1);
        assert!(!running.ended_after("f", within));
        running.end(7, clock);
        assert!(running.live().is_empty());
        assert!(running.ended_after("f", within) && !running.ended_after("g", within));
        let second = Duration::from_secs(1);
        assert!(running.ended_since("f", within - second) && !running.ended_since("g", within - second));
        assert!(!running.ended_since("f", within + second));
        assert!(!running.ended_after("f", within - second) && !running.ended_after("f", within + second));
        for pid in 0..1000 {
            running.begin(pid, "g".into(), clock);
            running.end(pid, clock);
        }
        assert_eq!(running.ended.borrow().len(), ENDED_MAX);
    }
}
