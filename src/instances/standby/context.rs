//! The parts of the control thread that single-use instances need.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::refills::Refills;
use crate::clock::Clock;
use crate::function_version::FunctionVersion;
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::command_sender::CommandSender;
use crate::scheduler::message::SchedulerCommand;

/// The parts of the control thread that the single-use instances of any version need.
#[derive(Debug, Clone)]
pub(crate) struct StandbyContext {
    /// Time.
    pub(crate) clock: Clock,
    /// The way to the scheduler.
    pub(crate) commands: Rc<CommandSender>,
    /// Versions that are looked at from time to time.
    pub(crate) populated: Rc<RefCell<BTreeSet<VersionIndex>>>,
    /// See [`Refills`].
    pub(crate) refills: Rc<Refills>,
}

impl StandbyContext {
    /// Tells the scheduler of a start that it has not asked for.
    pub(super) fn tell_of_start(&self, function: &FunctionVersion) {
        self.commands.send(SchedulerCommand::Starting { version: function.index, count: 1 });
    }

    /// Tells it of one that has failed.
    pub(super) fn start_failed(&self, function: &FunctionVersion) {
        self.commands.send(SchedulerCommand::StartFailed { version: function.index });
    }

    /// Has the idle instances of a version retired that are more than `keep` and were idle before a time.
    pub(super) fn reap(&self, function: &FunctionVersion, keep: u32, idle_before: u64) {
        let keep = u16::try_from(keep).unwrap_or(u16::MAX);
        self.commands.send(SchedulerCommand::ReapIdle { version: function.index, keep, idle_before });
    }

    /// Tells whether the instance at place 0 can be granted, which stands for those that are started for an attempt.
    pub(super) fn set_fallback(&self, function: &FunctionVersion, generation: u32, is_ready: bool) {
        let instance = InstanceKey { version: function.index, place: 0, generation };
        self.commands.send(match is_ready {
            true => SchedulerCommand::Ready { instance, started: false },
            false => SchedulerCommand::Down { instance },
        });
    }
}
