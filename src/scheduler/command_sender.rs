//! Commands from control to the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::message::SchedulerCommand;
use super::rings::Rings;
use crate::change_signal::ChangeSignal;

/// Sends commands in the order in which they were given; those that the ring has no room for wait here.
#[derive(Debug)]
pub struct CommandSender {
    rings: Arc<Rings>,
    waiting: RefCell<VecDeque<SchedulerCommand>>,
    /// Number of commands given.
    given: Cell<u64>,
    /// Number of commands that had been handled at the last look.
    seen_handled: Cell<u64>,
    handled_more: ChangeSignal,
}

impl CommandSender {
    /// To this scheduler.
    #[must_use]
    pub fn new(rings: Arc<Rings>) -> Self {
        Self {
            rings,
            waiting: RefCell::default(),
            given: Cell::new(0),
            seen_handled: Cell::new(0),
            handled_more: ChangeSignal::default(),
        }
    }

    /// Sends one, after those that still wait.
    pub fn send(&self, command: SchedulerCommand) {
        self.given.set(self.given.get() + 1);
        self.waiting.borrow_mut().push_back(command);
        self.flush();
    }

    /// Sends what waits, as far as there is room. Answers whether all have gone.
    pub fn flush(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(command) = waiting.pop_front() {
            if let Err(command) = self.rings.send_command(command) {
                waiting.push_front(command);
                return false;
            }
        }
        true
    }

    /// Returns when the scheduler has handled everything that was sent before.
    pub async fn handled(&self) {
        let given = self.given.get();
        // Pairs with the scheduler's count after it has handled them: its changes are seen from then on.
        let is_handled = || self.rings.commands_handled.load(Ordering::Acquire) >= given;
        self.handled_more
            .until(|| {
                self.flush();
                is_handled()
            })
            .await;
    }

    /// Wakes who waits for commands to be handled, where some have been since the last call. The control thread
    /// calls this when the scheduler has woken it.
    pub fn look(&self) {
        let handled = self.rings.commands_handled.load(Ordering::Acquire);
        if self.seen_handled.replace(handled) != handled {
            self.handled_more.notify();
        }
    }

    /// Whether commands have been handled since the last look.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.rings.commands_handled.load(Ordering::Relaxed) != self.seen_handled.get()
    }
}
