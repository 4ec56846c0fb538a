//! A value for one who waits for it, on one thread and without a lock.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

/// At most one value on its way to at most one waiter.
pub(crate) struct Notice<T> {
    value: Cell<Option<T>>,
    waiter: Cell<Option<Waker>>,
}

impl<T> Default for Notice<T> {
    fn default() -> Self {
        Self { value: Cell::new(None), waiter: Cell::new(None) }
    }
}

impl<T> Notice<T> {
    /// Gives the value and wakes who waits. One that nobody has taken yet is replaced.
    pub(crate) fn post(&self, value: T) {
        self.value.set(Some(value));
        self.nudge();
    }

    /// Wakes who waits without a value, to look at something else.
    pub(crate) fn nudge(&self) {
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
