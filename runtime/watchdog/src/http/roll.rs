//! Who is under way.

use std::cell::{Cell, RefCell};

use picofaas_runtime::{Context, Logger};

/// The executions that are under way.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Their places, some of them free.
    places: RefCell<Vec<Option<Logger>>>,
    free: RefCell<Vec<usize>>,
    taken: Cell<usize>,
}

/// An execution's place on the roll; given up on drop.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    roll: &'a Roll,
    place: usize,
}

impl Roll {
    pub(crate) fn enter(&self, context: &Context) -> Entry<'_> {
        let mut places = self.places.borrow_mut();
        let place = self.free.borrow_mut().pop().unwrap_or_else(|| {
            places.push(None);
            places.len() - 1
        });
        places[place] = Some(context.logger());
        self.taken.set(self.taken.get() + 1);
        Entry { roll: self, place }
    }

    /// The one that is under way, if exactly one is.
    pub(crate) fn only(&self) -> Option<Logger> {
        if self.taken.get() != 1 {
            return None;
        }
        self.places.borrow().iter().flatten().next().cloned()
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.roll.places.borrow_mut()[self.place] = None;
        self.roll.free.borrow_mut().push(self.place);
        self.roll.taken.set(self.roll.taken.get() - 1);
    }
}
