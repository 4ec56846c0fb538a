//! The waiters for the end of one execution.

use std::task::Waker;

/// The waiters. The first one costs no memory, and each takes along what it left when it leaves: an
/// execution may last for a day, and whoever waits for it may come again every second on a new
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    count: u32,
    /// Number of waiters that there have been, which tells them apart.
    last: u64,
    first: Option<(u64, Waker)>,
    others: Vec<(u64, Waker)>,
}

/// The wakers of all waiters, to be woken once the store is not borrowed any more.
#[must_use]
#[derive(Debug)]
pub(crate) struct Wakers {
    first: Option<(u64, Waker)>,
    others: Vec<(u64, Waker)>,
}

impl Wakers {
    /// Wakes all.
    pub(crate) fn wake(self) {
        self.first.into_iter().chain(self.others).for_each(|(_, waker)| waker.wake());
    }
}

/// Number of the client that waits for the answer to its `:invoke`: it is the first waiter.
pub(crate) const CLIENT: u64 = 1;

impl Waiters {
    /// The client alone, see [`CLIENT`].
    #[must_use]
    pub(crate) fn of_client() -> Self {
        Self { count: 1, last: CLIENT, ..Self::default() }
    }

    /// Enters a waiter. Answers its number.
    pub(crate) fn enter(&mut self) -> u64 {
        self.count += 1;
        self.last += 1;
        self.last
    }

    /// Lets a waiter leave. Answers whether it was the last.
    pub(crate) fn leave(&mut self, who: u64) -> bool {
        self.count = self.count.saturating_sub(1);
        if self.first.as_ref().is_some_and(|(first, _)| *first == who) {
            self.first = None;
        } else if let Some(at) = self.others.iter().position(|(other, _)| *other == who) {
            self.others.swap_remove(at);
        }
        self.is_empty()
    }

    /// Whether there is no waiter.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Wakes `waker` at the end, and no other that was given for `who` before.
    pub(crate) fn wait(&mut self, who: u64, waker: &Waker) {
        let mut all = self.first.iter_mut().chain(&mut self.others);
        if let Some((_, known)) = all.find(|(other, _)| *other == who) {
            known.clone_from(waker);
        } else if self.first.is_none() {
            self.first = Some((who, waker.clone()));
        } else {
            self.others.push((who, waker.clone()));
        }
    }

    /// Takes the wakers of all, at the end.
    pub(crate) fn take_wakers(&mut self) -> Wakers {
        Wakers { first: self.first.take(), others: std::mem::take(&mut self.others) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    /// A task that counts how often it was woken; who else refers to it keeps its memory.
    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn waiting(waiters: &mut Waiters) -> (u64, Arc<Task>) {
        let task = Arc::new(Task::default());
        let who = waiters.enter();
        waiters.wait(who, &task.clone().into());
        (who, task)
    }

    #[test]
    fn whoever_leaves_takes_its_waker_along_and_the_others_are_woken_once() {
        let mut waiters = Waiters::default();
        let (first, gone) = waiting(&mut waiters);
        let (_, stays) = waiting(&mut waiters);
        for _ in 0..100 {
            let (who, passing) = waiting(&mut waiters);
            assert!(!waiters.leave(who));
            assert_eq!(Arc::strong_count(&passing), 1, "a task that has ended is kept");
        }
        assert!(!waiters.leave(first));
        assert_eq!(Arc::strong_count(&gone), 1, "the first is kept");
        let (last, also) = waiting(&mut waiters);
        waiters.take_wakers().wake();
        let woken = [&gone, &stays, &also].map(|task| task.0.load(Ordering::Relaxed));
        assert_eq!(woken, [0, 1, 1]);
        assert!(!waiters.leave(last), "one that was woken still waits until it leaves");
    }

    #[test]
    fn who_is_polled_by_another_task_is_woken_in_that_one() {
        let mut waiters = Waiters::default();
        waiting(&mut waiters);
        let (who, before) = waiting(&mut waiters);
        let after = Arc::new(Task::default());
        waiters.wait(who, &after.clone().into());
        assert_eq!(Arc::strong_count(&before), 1);
        waiters.take_wakers().wake();
        assert_eq!(after.0.load(Ordering::Relaxed), 1);
    }
}
