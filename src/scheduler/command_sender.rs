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
        // Before the first look: the scheduler counts, and then looks for who waits.
        self.rings.commands_awaited.fetch_max(given, Ordering::SeqCst);
        // Pairs with the scheduler's count after it has handled them: its changes are seen from then on.
        let is_handled = || self.rings.commands_handled.load(Ordering::SeqCst) >= given;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::rings::Capacity;
    use crate::scheduler::tick::Scheduler;

    #[test]
    fn control_is_woken_by_handled_commands_only_while_it_waits_for_them() {
        let rings = Arc::new(Rings::new(Capacity { gateways: 1, slots: 1, versions: 1 }).unwrap());
        let mut scheduler = Scheduler::new(rings.clone(), 7);
        let commands = CommandSender::new(rings.clone());
        let mut is_woken_by_a_command = || {
            rings.control_doorbell.fall_asleep();
            commands.send(SchedulerCommand::StartFailed { version: 0 });
            scheduler.tick(1);
            let is_woken = !rings.control_doorbell.is_asleep();
            rings.control_doorbell.wake_up();
            is_woken
        };
        assert!(!is_woken_by_a_command(), "nobody waits");
        // The first step of `handled`.
        rings.commands_awaited.store(2, Ordering::SeqCst);
        assert!(is_woken_by_a_command(), "the second is waited for");
        assert!(!is_woken_by_a_command(), "both have been handled");
    }
}
