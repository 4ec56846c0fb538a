//! Waiting executions: how they enter and leave the line of their version.

#[cfg(test)]
use super::audit::LineStep;
use super::{Scheduler, timer_ms};
use crate::instance::VersionIndex;
use crate::scheduler::message::EndReason;
use crate::scheduler::scheduled_execution::ExecutionState;
use crate::scheduler::scheduled_version::ScheduledVersion;

impl Scheduler {
    pub(super) fn enqueue(&mut self, slot: u32, index: VersionIndex, in_front: bool) {
        self.executions[slot as usize].state = ExecutionState::Queued;
        self.executions[slot as usize].version = index;
        let Some(version) = self.versions[index as usize].as_mut() else {
            debug_assert!(false, "enqueued on a version that is not open");
            return;
        };
        #[cfg(test)]
        self.line_steps.push(LineStep::Joined {
            version: index,
            execution: self.executions[slot as usize],
            is_again: in_front,
        });
        if in_front {
            version.waiting.push_again(&mut self.executions, slot);
        } else {
            version.waiting.push(&mut self.executions, slot);
        }
        self.activate(index);
    }

    /// Back to wait for its next attempt, before those that were admitted later.
    pub(super) fn requeue(&mut self, slot: u32) {
        let execution = self.executions[slot as usize];
        let index = self.current_version_of(execution.version);
        if self.version(index).is_none_or(|version| version.closed) {
            self.end(slot, EndReason::FunctionRemoved);
            self.let_go(slot);
            return;
        }
        self.wheel.set(slot, timer_ms(execution.deadline));
        self.enqueue(slot, index, true);
    }

    pub(super) fn leave_line(&mut self, slot: u32) {
        let index = self.executions[slot as usize].version;
        if let Some(version) = self.versions[index as usize].as_mut() {
            version.waiting.remove(&mut self.executions, slot);
            #[cfg(test)]
            self.line_steps
                .push(LineStep::Left { version: index, ticket: self.executions[slot as usize].ticket });
            if let Some(gate) = &mut version.gate {
                gate.count_left();
            }
        }
        self.activate(index);
    }

    /// The one that is next is begun, or ended in its turn. The version is out of the table.
    pub(super) fn take_next(&mut self, version: &mut ScheduledVersion, slot: u32) {
        #[cfg(test)]
        self.line_steps.push(LineStep::Taken {
            in_flight: version.in_flight + version.predecessor_in_flight,
            version: version.index,
            ticket: self.executions[slot as usize].ticket,
        });
        version.waiting.take(&mut self.executions, slot);
    }

    /// The scheduler holds nothing of the slot any more; its gateway may use it again.
    pub(super) fn let_go(&mut self, slot: u32) {
        self.return_credit(slot);
        self.wheel.clear(slot);
        let execution = &mut self.executions[slot as usize];
        execution.state = ExecutionState::Free;
        let ticket = execution.ticket;
        self.rings.signals(ticket).release(ticket.generation());
    }
}
