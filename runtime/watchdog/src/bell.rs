//! Waiting, on one thread and without a lock, for something that another task does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Rung when something has changed, for those who wait for a change.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    next_key: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

/// Somebody's place among those who wait; given up on drop.
struct Place<'a> {
    bell: &'a Bell,
    key: u64,
}

impl Bell {
    /// Has everybody who waits look again.
    pub(crate) fn ring(&self) {
        for waker in self.waiting.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Waits until `look` finds something. It looks at once, and again after each ring.
    pub(crate) async fn when<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        if let Some(found) = look() {
            return found;
        }
        let place = Place { bell: self, key: self.next_key.replace(self.next_key.get() + 1) };
        poll_fn(|cx| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                place.bell.waiting.borrow_mut().insert(place.key, cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bell.waiting.borrow_mut().remove(&self.key);
    }
}
