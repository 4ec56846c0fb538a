//! Telling every connection to finish, on one thread and without a lock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;

/// The state of the drain, and the tasks to wake when it starts.
#[derive(Default)]
pub(crate) struct Drain {
    started: Cell<bool>,
    next_key: Cell<u64>,
    wakers: RefCell<BTreeMap<u64, Waker>>,
}

/// A connection's place among those to wake; given up on drop.
#[must_use = "dropping it means never being woken"]
pub(crate) struct DrainWaiter {
    drain: Rc<Drain>,
    key: u64,
}

impl Drain {
    /// Whether [`Drain::start`] was called.
    pub(crate) fn started(&self) -> bool {
        self.started.get()
    }

    /// Wakes every connection, each of which then finds [`Drain::started`].
    pub(crate) fn start(&self) {
        self.started.set(true);
        for waker in self.wakers.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Has the task of `waker` woken by [`Drain::start`].
    pub(crate) fn register(self: &Rc<Self>, waker: Waker) -> DrainWaiter {
        let key = self.next_key.replace(self.next_key.get() + 1);
        self.wakers.borrow_mut().insert(key, waker);
        DrainWaiter { drain: Rc::clone(self), key }
    }
}

impl Drop for DrainWaiter {
    fn drop(&mut self) {
        self.drain.wakers.borrow_mut().remove(&self.key);
    }
}
