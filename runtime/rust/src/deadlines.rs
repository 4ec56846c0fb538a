//! Deadlines of many invocations on one timer.
//!
//! A timer of its own for each invocation would cost it a system call: the event loop is told of
//! every timer that is due before those it knows, and among invocations that end long before
//! their deadline that is nearly each. Here the one timer is set to the earliest deadline there
//! was, is left alone when that invocation ends, and finds the next one when it goes off.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use crate::clock;

/// The deadlines of one thread.
#[derive(Default)]
pub(crate) struct Deadlines {
    slots: RefCell<Vec<DeadlineState>>,
    free: RefCell<Vec<usize>>,
    /// Time at which the timer goes off; not after the earliest deadline.
    alarm: Cell<Option<Instant>>,
    /// The task that has the timer.
    timer: RefCell<Option<Waker>>,
}

enum DeadlineState {
    Free,
    /// The deadline, and the task to wake then.
    Waiting(Instant, Waker),
    Passed,
}

/// A deadline that is kept; given up on drop.
struct DeadlineGuard<'a> {
    deadlines: &'a Deadlines,
    slot: usize,
}

impl Deadlines {
    /// Must be called inside the runtime.
    pub(crate) fn start() -> Rc<Self> {
        let deadlines = Rc::new(Self::default());
        let running = Rc::clone(&deadlines);
        spawn_local(async move { running.run().await });
        deadlines
    }

    /// Does the work until the deadline; `None` where that came first.
    pub(crate) async fn limit<T>(&self, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut guard = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            match &guard {
                None => guard = Some(self.register(deadline, cx)),
                Some(guard) if guard.has_passed(cx) => return Poll::Ready(None),
                Some(_) => {}
            }
            Poll::Pending
        })
        .await
    }

    fn register(&self, deadline: Instant, cx: &Context<'_>) -> DeadlineGuard<'_> {
        let waiting = DeadlineState::Waiting(deadline, cx.waker().clone());
        let mut slots = self.slots.borrow_mut();
        let slot = match self.free.borrow_mut().pop() {
            Some(slot) => {
                slots[slot] = waiting;
                slot
            }
            None => {
                slots.push(waiting);
                slots.len() - 1
            }
        };
        if self.alarm.get().is_none_or(|alarm| deadline < alarm) {
            self.alarm.set(Some(deadline));
            if let Some(timer) = &*self.timer.borrow() {
                timer.wake_by_ref();
            }
        }
        DeadlineGuard { deadlines: self, slot }
    }

    async fn run(&self) {
        let mut sleep = pin!(sleep_until(clock::now()));
        poll_fn(|cx| {
            self.timer.replace(Some(cx.waker().clone()));
            while let Some(alarm) = self.alarm.get() {
                if sleep.deadline() != alarm {
                    sleep.as_mut().reset(alarm);
                }
                if sleep.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.alarm.set(self.wake_until(alarm));
            }
            Poll::Pending
        })
        .await
    }

    /// Wakes the tasks whose deadline is over, and finds the earliest of the others.
    fn wake_until(&self, now: Instant) -> Option<Instant> {
        let mut earliest = None;
        for slot in &mut *self.slots.borrow_mut() {
            match slot {
                DeadlineState::Waiting(deadline, waker) if *deadline <= now => {
                    waker.wake_by_ref();
                    *slot = DeadlineState::Passed;
                }
                DeadlineState::Waiting(deadline, _)
                    if earliest.is_none_or(|earliest| *deadline < earliest) =>
                {
                    earliest = Some(*deadline);
                }
                DeadlineState::Waiting(..) | DeadlineState::Free | DeadlineState::Passed => {}
            }
        }
        earliest
    }
}

impl DeadlineGuard<'_> {
    /// Whether the deadline is over; if it is not, this task will be woken then.
    fn has_passed(&self, cx: &Context<'_>) -> bool {
        match &mut self.deadlines.slots.borrow_mut()[self.slot] {
            DeadlineState::Waiting(_, waker) => {
                waker.clone_from(cx.waker());
                false
            }
            DeadlineState::Free | DeadlineState::Passed => true,
        }
    }
}

impl Drop for DeadlineGuard<'_> {
    fn drop(&mut self) {
        self.deadlines.slots.borrow_mut()[self.slot] = DeadlineState::Free;
        self.deadlines.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn each_is_stopped_at_its_own_deadline_whatever_the_order_and_what_is_done_is_not() {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let deadlines = Deadlines::start();
            let began = clock::now();
            let after = move |ms| began + Duration::from_millis(ms);
            assert_eq!(deadlines.limit(after(5), ready(7)).await, Some(7));
            let (mut tasks, ended) = (Vec::new(), Rc::new(RefCell::new(Vec::new())));
            for ms in [50, 10, 30, 10, 70] {
                let (deadlines, ended) = (Rc::clone(&deadlines), Rc::clone(&ended));
                tasks.push(spawn_local(async move {
                    // One that ends before leaves the timer as it is.
                    let short = deadlines.limit(after(ms + 10_000), tokio::task::yield_now());
                    assert_eq!(short.await, Some(()));
                    assert_eq!(deadlines.limit(after(ms), pending::<()>()).await, None);
                    assert!(clock::now() >= after(ms), "not before");
                    ended.borrow_mut().push(ms);
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*ended.borrow(), [10, 10, 30, 50, 70]);
            assert_eq!(deadlines.limit(began, pending::<()>()).await, None, "it is over already");
            assert!(deadlines.slots.borrow().iter().all(|slot| matches!(slot, DeadlineState::Free)));
            assert_eq!(deadlines.slots.borrow().len(), deadlines.free.borrow().len());
        });
    }
}
