//! When reserves of single-use instances may be refilled, and how many there may be of all functions.
//!
//! A refill takes the processor, or the API server, from a call that waits. So no more starts run side by side than there
//! are cores for, those that calls wait for included, and none begins in the moment after an instance was given away. A
//! refill does not wait for long in either case: a reserve that is empty makes every call wait.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::change_signal::ChangeSignal;
use crate::clock::{Clock, Nanos};

/// Time after an instance was given away in which no refill begins. Most executions are over then.
const QUIET: Duration = Duration::from_millis(5);

/// Time after which a refill does not wait for other starts any more once one more call has to wait for a start: under a
/// load of which a reserve is empty, what helps is that it is filled, one instance for each call that finds none. Calls
/// that came all at once are served first.
const PATIENCE: Duration = Duration::from_millis(50);
/// Longest further wait for other starts. One may hang.
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// The refills of all functions.
#[derive(Debug)]
pub(crate) struct Refills {
    clock: Clock,
    /// Instances that may be ready or started ahead, of all functions (`--max-standby`).
    standby_max: u32,
    /// Cores that this process may use.
    cores: u32,
    standby: Cell<u32>,
    /// Starts that a call waits for, and refills of this machine.
    under_way: Cell<u32>,
    /// Starts so far that calls have waited for.
    cold_starts: Cell<u64>,
    /// No refill begins before this time.
    quiet_until: Cell<Nanos>,
    changed: ChangeSignal,
}

/// A start that a call waits for; over when it is dropped.
#[derive(Debug)]
pub(crate) struct ColdStart(Rc<Refills>);

/// The place of one instance among those that may be started ahead.
#[derive(Debug)]
pub(crate) struct StandbyRoom {
    refills: Rc<Refills>,
    /// It counts among the starts that are under way.
    is_starting: Cell<bool>,
}

impl Refills {
    /// Refills of which none is under way.
    #[must_use]
    pub(crate) fn new(clock: Clock, standby_max: u32, cores: usize) -> Rc<Self> {
        Rc::new(Self {
            clock,
            standby_max,
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            standby: Cell::new(0),
            under_way: Cell::new(0),
            cold_starts: Cell::new(0),
            quiet_until: Cell::new(0),
            changed: ChangeSignal::default(),
        })
    }

    /// Cores that this process may use.
    #[must_use]
    pub(crate) fn cores(&self) -> u32 {
        self.cores
    }

    /// A call waits for a start from now on.
    #[must_use]
    pub(crate) fn cold_start(self: &Rc<Self>) -> ColdStart {
        self.under_way.set(self.under_way.get() + 1);
        self.cold_starts.set(self.cold_starts.get() + 1);
        self.changed.notify();
        ColdStart(self.clone())
    }

    /// An instance was given away.
    pub(crate) fn given_away(&self) {
        self.quiet_until.set(self.clock.now() + nanos(QUIET));
    }

    /// Whether there is room for one more instance that nobody has asked for.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        self.standby.get() < self.standby_max
    }

    /// The room for one more instance that nobody has asked for; `None` where there are as many as there may be.
    #[must_use]
    pub(crate) fn room(self: &Rc<Self>) -> Option<StandbyRoom> {
        if !self.has_room() {
            return None;
        }
        self.standby.set(self.standby.get() + 1);
        Some(StandbyRoom { refills: self.clone(), is_starting: Cell::new(false) })
    }

    /// The same for one that is started now, on this machine.
    #[must_use]
    pub(crate) fn room_to_start(self: &Rc<Self>) -> Option<StandbyRoom> {
        let room = self.room()?;
        room.is_starting.set(true);
        self.under_way.set(self.under_way.get() + 1);
        Some(room)
    }

    /// The number of instances that may be ready or started ahead.
    #[must_use]
    pub(crate) fn standby_max(&self) -> u32 {
        self.standby_max
    }

    /// Returns when a refill may begin, beside which fewer than `side_by_side` starts are to be under way.
    pub(crate) async fn turn(&self, side_by_side: u32) {
        let asked = self.clock.now();
        let has_place = || self.under_way.get() < side_by_side;
        if tokio::time::timeout(PATIENCE, self.changed.until(has_place)).await.is_err() {
            let so_far = self.cold_starts.get();
            let goes = self.changed.until(|| has_place() || self.cold_starts.get() > so_far);
            // It goes after that time in any case.
            let _ = tokio::time::timeout(PATIENCE_MAX, goes).await;
        }
        // Calls that come one after the other do not put it off again.
        let quiet_until = self.quiet_until.get().min(asked + nanos(QUIET));
        tokio::time::sleep(Duration::from_nanos(quiet_until.saturating_sub(self.clock.now()))).await;
    }

    /// A start that was under way is over.
    fn one_is_over(&self) {
        self.under_way.set(self.under_way.get() - 1);
        self.changed.notify();
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl StandbyRoom {
    /// Its instance has started, or has not.
    pub(crate) fn start_is_over(&self) {
        if self.is_starting.replace(false) {
            self.refills.one_is_over();
        }
    }
}

impl Drop for ColdStart {
    fn drop(&mut self) {
        self.0.one_is_over();
    }
}

impl Drop for StandbyRoom {
    fn drop(&mut self) {
        self.start_is_over();
        self.refills.standby.set(self.refills.standby.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(Default::default())
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn refills_wait_for_starts_under_way_and_for_a_moment_after_an_instance_was_given_away() {
        in_runtime(async {
            let refills = Refills::new(Clock::start(), 1, 2);
            let (one, other) = (refills.cold_start(), refills.cold_start());
            let refill = {
                let refills = refills.clone();
                tokio::task::spawn_local(async move { refills.turn(2).await })
            };
            tokio::task::yield_now().await;
            assert!(!refill.is_finished());
            drop(one);
            refill.await.unwrap();
            let given = refills.clock.now();
            refills.given_away();
            refills.turn(2).await;
            let waited = u128::from(refills.clock.now() - given);
            assert!(waited >= QUIET.as_nanos(), "{waited} ns");
            drop(other);
        });
    }

    #[test]
    fn where_starts_are_under_way_all_the_time_a_refill_goes_with_the_next_call_that_waits_or_after_a_while()
    {
        in_runtime(async {
            let refills = Refills::new(Clock::start(), 1, 1);
            let _waits = refills.cold_start();
            let mut turn = std::pin::pin!(refills.turn(1));
            assert!(tokio::time::timeout(PATIENCE * 3, turn.as_mut()).await.is_err(), "nothing has come");
            let _another = refills.cold_start();
            let begun = refills.clock.now();
            turn.await;
            assert!(u128::from(refills.clock.now() - begun) < PATIENCE_MAX.as_nanos() / 2, "it goes with it");
            let _early = refills.cold_start();
            refills.turn(1).await;
            let waited = u128::from(refills.clock.now() - begun);
            assert!(waited >= (PATIENCE + PATIENCE_MAX).as_nanos(), "it hangs, and {waited} ns have passed");
        });
    }

    #[test]
    fn a_refill_waits_for_the_moment_after_one_call_and_not_for_that_after_each_that_follows() {
        in_runtime(async {
            let refills = Refills::new(Clock::start(), 1, 1);
            refills.given_away();
            let mut turn = std::pin::pin!(refills.turn(1));
            let begun = refills.clock.now();
            // Calls come faster than the moment is long.
            while tokio::time::timeout(QUIET / 4, turn.as_mut()).await.is_err() {
                refills.given_away();
                assert!(u128::from(refills.clock.now() - begun) < PATIENCE.as_nanos() * 20, "it is put off");
            }
        });
    }

    #[test]
    fn a_refill_takes_a_place_beside_other_starts_until_its_own_is_over() {
        let refills = Refills::new(Clock::start(), 3, 2);
        let rooms =
            [refills.room_to_start().unwrap(), refills.room().unwrap(), refills.room_to_start().unwrap()];
        assert_eq!(refills.under_way.get(), 2, "one is there already");
        rooms[0].start_is_over();
        rooms[0].start_is_over();
        assert_eq!(refills.under_way.get(), 1);
        drop(rooms);
        assert_eq!(refills.under_way.get(), 0);
    }

    #[test]
    fn there_are_no_more_instances_ahead_than_there_may_be() {
        let refills = Refills::new(Clock::start(), 2, 1);
        let rooms = [refills.room(), refills.room()];
        assert!(rooms.iter().all(Option::is_some) && refills.room().is_none());
        drop(rooms);
        assert!(refills.room().is_some());
    }
}
