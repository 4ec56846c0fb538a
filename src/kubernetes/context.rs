//! The parts of the control thread that pods are served with.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::clock::Clock;
use crate::instance::VersionIndex;
use crate::scheduler::command_sender::CommandSender;

/// Context of everything in a cluster, given to it at its start.
#[derive(Debug)]
pub(crate) struct KubeContext {
    /// The way to the scheduler.
    pub commands: Rc<CommandSender>,
    /// Time.
    pub clock: Clock,
    /// Longest time of a start, in milliseconds.
    pub start_timeout_ms: u64,
    /// Versions that have, or may come to have, idle instances; the autoscaler removes one without any.
    pub populated: Rc<RefCell<BTreeSet<VersionIndex>>>,
}
