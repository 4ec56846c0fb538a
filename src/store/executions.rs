//! The handle by which the tasks of a gateway share its store.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use super::execution::Execution;
use super::execution_store::ExecutionStore;
use crate::id::{ExecutionId, Token};
use crate::ticket::Ticket;

/// The executions of a gateway. A borrow lasts for a few lines, and never across an `await`.
#[derive(Clone, Debug)]
pub struct Executions(Rc<RefCell<ExecutionStore>>);

impl Executions {
    /// The handle of a store.
    #[must_use]
    pub(crate) fn new(store: ExecutionStore) -> Self {
        Self(Rc::new(RefCell::new(store)))
    }

    /// The store, to look at.
    #[must_use]
    pub(crate) fn borrow(&self) -> Ref<'_, ExecutionStore> {
        self.0.borrow()
    }

    /// The store, for a transition.
    #[must_use]
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, ExecutionStore> {
        self.0.borrow_mut()
    }

    /// Looks at the execution of a ticket; `None` where the store does not have it any more.
    pub fn with<T>(&self, ticket: Ticket, look: impl FnOnce(ExecutionId, &Execution) -> T) -> Option<T> {
        let store = self.0.borrow();
        let execution = store.get(ticket)?;
        Some(look(store.id(ticket, execution), execution))
    }

    /// A token that nobody can guess.
    #[must_use]
    pub(crate) fn new_token(&self) -> Token {
        let mut store = self.0.borrow_mut();
        Token { high: store.random(), low: store.random() }
    }
}
