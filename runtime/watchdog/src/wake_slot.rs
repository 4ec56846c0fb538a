//! A value for one waiting task, on one thread and without a lock. Unlike a oneshot channel it can be
//! filled again, and its task can be woken without a value.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// At most one value on its way to at most one waiting task.
pub(crate) struct WakeSlot<T> {
    value: Cell<Option<T>>,
    waiter: Cell<Option<Waker>>,
}

impl<T> Default for WakeSlot<T> {
    fn default() -> Self {
        Self { value: Cell::new(None), waiter: Cell::new(None) }
    }
}

impl<T> WakeSlot<T> {
    /// Fills the slot and wakes the waiting task. A value that was not taken yet is replaced.
    pub(crate) fn put(&self, value: T) {
        self.value.set(Some(value));
        self.wake();
    }

    /// Wakes the waiting task without a value, to look at something else.
    pub(crate) fn wake(&self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    /// Takes the value, or has the task woken when there is one.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<T> {
        if let Some(value) = self.value.take() {
            return Poll::Ready(value);
        }
        let waiter = self.waiter.take().filter(|waiter| waiter.will_wake(cx.waker()));
        self.waiter.set(Some(waiter.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }

    /// Waits for the value.
    pub(crate) async fn wait(&self) -> T {
        poll_fn(|cx| self.poll(cx)).await
    }
}
