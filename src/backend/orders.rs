//! The way from control to the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::hot::message::Order;
use crate::hot::rings::Rings;

/// Sends orders in the order they were given; what the ring has no room for waits here.
#[derive(Debug)]
pub struct Orders {
    rings: Arc<Rings>,
    waiting: RefCell<VecDeque<Order>>,
    /// Number of orders given.
    given: Cell<u64>,
}

/// Period of the check whether the scheduler has handled an order.
const HANDLED_LOOK: Duration = Duration::from_millis(1);

impl Orders {
    /// To this scheduler.
    #[must_use]
    pub fn new(rings: Arc<Rings>) -> Self {
        Self { rings, waiting: RefCell::default(), given: Cell::new(0) }
    }

    /// Sends one, after those that still wait.
    pub fn send(&self, order: Order) {
        self.given.set(self.given.get() + 1);
        self.waiting.borrow_mut().push_back(order);
        self.flush();
    }

    /// Sends what waits, as far as there is room. Answers whether all have gone.
    pub fn flush(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(order) = waiting.pop_front() {
            if let Err(order) = self.rings.order(order) {
                waiting.push_front(order);
                return false;
            }
        }
        true
    }

    /// Returns when the scheduler has handled everything that was sent before.
    pub async fn handled(&self) {
        let given = self.given.get();
        // Pairs with the scheduler's count after it has obeyed: what it changed is seen by whoever is told.
        while self.rings.obeyed.load(Ordering::Acquire) < given {
            tokio::time::sleep(HANDLED_LOOK).await;
            self.flush();
        }
    }
}
