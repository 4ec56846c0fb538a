//! Credits of executions: given back at their first grant or their end, and handed over between versions.

use super::Scheduler;
use crate::instance::VersionIndex;

impl Scheduler {
    pub(super) fn return_credit(&mut self, slot: u32) {
        let execution = &mut self.executions[slot as usize];
        if std::mem::take(&mut execution.holds_credit)
            && let Some(version) = &self.versions[execution.version as usize]
        {
            version.queue.return_credit();
        }
    }

    /// Forfeits the credit of an execution that waits in another version from now on: nobody else gets it.
    pub(super) fn forfeit_credit(&mut self, slot: u32) {
        let execution = &mut self.executions[slot as usize];
        let had = std::mem::take(&mut execution.holds_credit);
        if let Some(version) = &mut self.versions[execution.version as usize] {
            version.forfeited_credits += u32::from(had);
        }
    }

    /// Exchanges the credit of an execution that came by the queue of a replaced version for one of the
    /// version that serves; where there is none, the first one is forfeited.
    pub(super) fn exchange_credit(&mut self, slot: u32, version: VersionIndex) {
        let counts =
            self.versions[version as usize].as_ref().is_some_and(|version| version.queue.take_credit());
        if counts {
            self.return_credit(slot);
        } else {
            self.forfeit_credit(slot);
        }
        self.executions[slot as usize].holds_credit = counts;
    }
}
