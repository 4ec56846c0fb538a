//! Waiting for a change of state, as tokio's `Notify` has it, on one thread and without a lock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Wakes every task that waits for a change.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    next_key: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

/// A waiting task; taken off the list on drop.
struct Waiter<'a> {
    notify: &'a Notify,
    key: u64,
}

impl Notify {
    /// Has every waiting task look again.
    pub(crate) fn notify_waiters(&self) {
        for waker in self.waiting.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Waits until `look` finds something. It looks at once, and again after each notification.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        if let Some(found) = look() {
            return found;
        }
        let waiter = Waiter { notify: self, key: self.next_key.replace(self.next_key.get() + 1) };
        poll_fn(|cx| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                waiter.notify.waiting.borrow_mut().insert(waiter.key, cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.notify.waiting.borrow_mut().remove(&self.key);
    }
}
