//! Commands from control to the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::message::SchedulerCommand;
use super::rings::Rings;

/// Sends commands in the order in which they were given; those that the ring has no room for wait here.
#[derive(Debug)]
pub struct CommandSender {
    rings: Arc<Rings>,
    waiting: RefCell<VecDeque<SchedulerCommand>>,
    /// Number of commands given.
    given: Cell<u64>,
}

/// Period of the check whether the scheduler has handled a command.
const HANDLED_LOOK: Duration = Duration::from_millis(1);

impl CommandSender {
    /// To this scheduler.
    #[must_use]
    pub fn new(rings: Arc<Rings>) -> Self {
        Self { rings, waiting: RefCell::default(), given: Cell::new(0) }
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
        while self.rings.commands_handled.load(Ordering::Acquire) < given {
            tokio::time::sleep(HANDLED_LOOK).await;
            self.flush();
        }
    }
}
