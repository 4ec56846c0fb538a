//! The way from control to the scheduler.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::hot::message::Order;
use crate::hot::switchboard::Switchboard;

/// Sends orders in the order they were given; what the ring has no room for waits here.
#[derive(Debug)]
pub struct Orders {
    board: Arc<Switchboard>,
    waiting: RefCell<VecDeque<Order>>,
}

impl Orders {
    /// To this scheduler.
    #[must_use]
    pub fn new(board: Arc<Switchboard>) -> Self {
        Self { board, waiting: RefCell::default() }
    }

    /// Sends one, after those that still wait.
    pub fn send(&self, order: Order) {
        self.waiting.borrow_mut().push_back(order);
        self.flush();
    }

    /// Sends what waits, as far as there is room. Answers whether all have gone.
    pub fn flush(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(order) = waiting.pop_front() {
            if let Err(order) = self.board.order(order) {
                waiting.push_front(order);
                return false;
            }
        }
        true
    }
}
