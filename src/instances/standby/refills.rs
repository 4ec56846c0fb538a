//! When reserves of single-use instances may be refilled, and how many there may be of all functions.
//!
//! A refill takes the processor, or the API server, from a call that waits. So refills wait while any function has a
//! call that waits for a start, though not for long, and for a moment after an instance was given away.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::change_signal::ChangeSignal;
use crate::clock::{Clock, Nanos};

/// Time after an instance was given away in which no refill begins.
const QUIET: Duration = Duration::from_millis(20);

/// Longest wait of one refill for a moment in which no call waits for a start. Under a load of which a reserve is empty
/// there is none for long, and what helps its calls is that the reserve is filled: one instance each time.
const LULL_PATIENCE: Duration = Duration::from_millis(50);

/// The refills of all functions.
#[derive(Debug)]
pub(crate) struct Refills {
    clock: Clock,
    /// Instances that may be ready or started ahead, of all functions (`--max-standby`).
    standby_max: u32,
    standby: Cell<u32>,
    /// Starts that a call waits for.
    cold_starts: Cell<u32>,
    /// No refill begins before this time.
    quiet_until: Cell<Nanos>,
    changed: ChangeSignal,
}

/// A start that a call waits for; over when it is dropped.
#[derive(Debug)]
pub(crate) struct ColdStart(Rc<Refills>);

/// The place of one instance among those that may be started ahead.
#[derive(Debug)]
pub(crate) struct StandbyRoom(Rc<Refills>);

impl Refills {
    /// Refills of which none is under way.
    #[must_use]
    pub(crate) fn new(clock: Clock, standby_max: u32) -> Rc<Self> {
        Rc::new(Self {
            clock,
            standby_max,
            standby: Cell::new(0),
            cold_starts: Cell::new(0),
            quiet_until: Cell::new(0),
            changed: ChangeSignal::default(),
        })
    }

    /// A call waits for a start from now on.
    #[must_use]
    pub(crate) fn cold_start(self: &Rc<Self>) -> ColdStart {
        self.cold_starts.set(self.cold_starts.get() + 1);
        ColdStart(self.clone())
    }

    /// An instance was given away.
    pub(crate) fn given_away(&self) {
        let quiet = u64::try_from(QUIET.as_nanos()).unwrap_or(u64::MAX);
        self.quiet_until.set(self.clock.now() + quiet);
    }

    /// Room for one more instance that nobody has asked for; `None` where there are as many as there may be.
    #[must_use]
    pub(crate) fn room(self: &Rc<Self>) -> Option<StandbyRoom> {
        if self.standby.get() >= self.standby_max {
            return None;
        }
        self.standby.set(self.standby.get() + 1);
        Some(StandbyRoom(self.clone()))
    }

    /// The number of instances that may be ready or started ahead.
    #[must_use]
    pub(crate) fn standby_max(&self) -> u32 {
        self.standby_max
    }

    /// Returns when a refill may begin.
    pub(crate) async fn quiet(&self) {
        loop {
            // Where calls wait for starts all the time, a reserve is what helps them.
            let lull = self.changed.until(|| self.cold_starts.get() == 0);
            let _ = tokio::time::timeout(LULL_PATIENCE, lull).await;
            let left = self.quiet_until.get().saturating_sub(self.clock.now());
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_nanos(left)).await;
        }
    }
}

impl Drop for ColdStart {
    fn drop(&mut self) {
        self.0.cold_starts.set(self.0.cold_starts.get() - 1);
        self.0.changed.notify();
    }
}

impl Drop for StandbyRoom {
    fn drop(&mut self) {
        self.0.standby.set(self.0.standby.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refills_wait_for_calls_that_wait_and_for_a_moment_after_an_instance_was_given_away() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(Default::default())
            .unwrap();
        runtime.block_on(async {
            let refills = Refills::new(Clock::start(), 1);
            refills.quiet().await;
            let waits = refills.cold_start();
            let refill = {
                let refills = refills.clone();
                tokio::task::spawn_local(async move { refills.quiet().await })
            };
            tokio::task::yield_now().await;
            assert!(!refill.is_finished());
            let given = refills.clock.now();
            refills.given_away();
            drop(waits);
            refill.await.unwrap();
            assert!(u128::from(refills.clock.now() - given) >= QUIET.as_nanos());
        });
    }

    #[test]
    fn refills_go_on_one_by_one_where_calls_wait_for_starts_all_the_time() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(Default::default())
            .unwrap();
        runtime.block_on(async {
            let refills = Refills::new(Clock::start(), 1);
            let _waits = refills.cold_start();
            for nth in 1..=2 {
                let begun = refills.clock.now();
                refills.quiet().await;
                let waited = u128::from(refills.clock.now() - begun);
                assert!(waited >= LULL_PATIENCE.as_nanos(), "refill {nth} waited for {waited} ns");
            }
        });
    }

    #[test]
    fn there_are_no_more_instances_ahead_than_there_may_be() {
        let refills = Refills::new(Clock::start(), 2);
        let rooms = [refills.room(), refills.room()];
        assert!(rooms.iter().all(Option::is_some) && refills.room().is_none());
        drop(rooms);
        assert!(refills.room().is_some());
    }
}
