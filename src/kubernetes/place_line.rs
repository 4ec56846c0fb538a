//! Places that come free below a quota, and the attempts that wait for one: first in, first out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::change_signal::ChangeSignal;
use crate::clock::Nanos;

/// Longest time in which a quota comes to know that something has ended or was deleted.
pub(super) const QUOTA_LAG: Duration = Duration::from_secs(2);

/// Whether a quota may not have come to know yet of something that happened then.
pub(super) fn is_fresh(then: Option<Nanos>, now: Nanos) -> bool {
    then.is_some_and(|then| Duration::from_nanos(now.saturating_sub(then)) < QUOTA_LAG)
}

/// The line of those who wait for a place of one kind.
#[derive(Debug, Default)]
pub(super) struct PlaceLine {
    /// Times at which places came free that nobody has taken, the oldest first.
    free: RefCell<VecDeque<Nanos>>,
    /// Time at which something last happened that may make room.
    stirred: Cell<Option<Nanos>>,
    /// Wakes of those who wait, by their number.
    waiting: RefCell<BTreeMap<u64, Rc<Wake>>>,
}

/// A wake that is not lost where it comes before it is waited for.
#[derive(Debug, Default)]
struct Wake {
    woken: Cell<bool>,
    changed: ChangeSignal,
}

impl PlaceLine {
    /// Something has happened that may make room, or may leave no hope of it: the first looks.
    pub(super) fn look(&self) {
        if let Some(first) = self.waiting.borrow().values().next() {
            first.woken.set(true);
            first.changed.notify();
        }
    }

    /// Something has happened at this time that may make room.
    pub(super) fn stir(&self, now: Nanos) {
        self.stirred.set(Some(now));
        self.look();
    }

    /// A place has come free: the first who waits may take it.
    pub(super) fn add(&self, now: Nanos) {
        self.forget_old(now);
        self.free.borrow_mut().push_back(now);
        self.stir(now);
    }

    /// Takes a place that has come free, if there is one of which the quota may not have known before.
    pub(super) fn take(&self, now: Nanos) -> bool {
        self.forget_old(now);
        self.free.borrow_mut().pop_front().is_some()
    }

    /// Time at which something last happened that may make room.
    pub(super) fn stirred(&self) -> Option<Nanos> {
        self.stirred.get()
    }

    /// Lines up by a number: who drew a lower one is before.
    pub(super) fn join(&self, number: u64) -> Standing<'_> {
        let wake = Rc::<Wake>::default();
        self.waiting.borrow_mut().insert(number, wake.clone());
        Standing { line: self, number, wake }
    }

    fn forget_old(&self, now: Nanos) {
        self.free.borrow_mut().retain(|freed| is_fresh(Some(*freed), now));
    }
}

/// A stand in the line, which is left when this is dropped.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    line: &'a PlaceLine,
    number: u64,
    wake: Rc<Wake>,
}

impl Standing<'_> {
    /// Whether nobody is before.
    pub(super) fn is_first(&self) -> bool {
        self.line.waiting.borrow().keys().next() == Some(&self.number)
    }

    /// Returns when there is something to look at.
    pub(super) async fn woken(&self) {
        self.wake.changed.until(|| self.wake.woken.take()).await;
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.line.waiting.borrow_mut().remove(&self.number);
        self.line.look();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Nanos = 2_000_000_000;

    #[test]
    fn a_place_is_taken_once_and_while_a_quota_may_not_know_of_it() {
        let line = PlaceLine::default();
        assert!(!line.take(0));
        line.add(1);
        line.add(2);
        assert!(line.take(3) && line.take(3) && !line.take(3));
        line.add(4);
        assert!(!line.take(4 + LAG), "the quota has known it for long");
        assert_eq!(line.stirred(), Some(4));
    }

    #[test]
    fn the_first_is_who_drew_the_lowest_number_and_then_the_next() {
        let line = PlaceLine::default();
        let (late, early) = (line.join(7), line.join(3));
        assert!(early.is_first() && !late.is_first());
        line.add(1);
        assert!(early.wake.woken.get() && !late.wake.woken.get(), "one is woken by a place");
        drop(early);
        assert!(late.is_first() && late.wake.woken.get(), "its turn is told");
        let again = line.join(3);
        assert!(again.is_first() && !late.is_first(), "a place in the line is kept");
    }
}
