//! The executions in flight.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use picofaas_runtime::{Context, Logger};

/// The executions in flight at a server.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Some of them free.
    slots: RefCell<Vec<Option<Logger>>>,
    free: RefCell<Vec<usize>>,
    taken: Cell<usize>,
}

/// An execution in flight; taken off the list on drop.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    list: Rc<InFlight>,
    slot: usize,
}

impl InFlight {
    pub(crate) fn insert(self: &Rc<Self>, context: &Context) -> InFlightGuard {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        slots[slot] = Some(context.logger());
        drop(slots);
        self.taken.set(self.taken.get() + 1);
        InFlightGuard { list: Rc::clone(self), slot }
    }

    /// The execution in flight, if exactly one is.
    pub(crate) fn only(&self) -> Option<Logger> {
        if self.taken.get() != 1 {
            return None;
        }
        self.slots.borrow().iter().flatten().next().cloned()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.list.slots.borrow_mut()[self.slot] = None;
        self.list.free.borrow_mut().push(self.slot);
        self.list.taken.set(self.list.taken.get() - 1);
    }
}
