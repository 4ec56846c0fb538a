//! Providers of instances: local processes or pods for `WARM` and `JOB`, endpoints for `POOL`.
//!
//! Everything here runs on the control thread.
//!
//! | file | holds |
//! |---|---|
//! | `backend` | the provider of the instances of one version, of any kind |
//! | `local` | processes on this machine |
//! | `standby` | single-use instances that are started ahead |
//! | `endpoints` | the endpoints of a `POOL` function |
//! | `open_versions` | the open versions of functions, each with its backend |
//! | `scaling` | how many instances that stay are to be there before calls wait for them |
//! | `start_times` | times that the last starts took |
//! | `autoscaler` | scale-up as the scheduler asks for it, and scale-down of idle instances |

pub(crate) mod autoscaler;
pub(crate) mod backend;
mod endpoints;
pub(crate) mod local;
pub(crate) mod open_versions;
pub(crate) mod scaling;
pub(crate) mod standby;
mod start_times;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::instance::VersionIndex;
use crate::kubernetes::cluster::Cluster;
use crate::scheduler::command_sender::CommandSender;
use local::LocalContext;
use standby::context::StandbyContext;

/// Context of all backends; each is given the part that it needs.
#[derive(Debug)]
pub struct Context {
    /// The way to the scheduler.
    pub commands: Rc<CommandSender>,
    /// Versions whose backend has started an instance: only these have idle ones to look for, and versions
    /// without any cost nothing. The autoscaler drops a version again when it finds its set empty.
    pub populated: Rc<RefCell<BTreeSet<VersionIndex>>>,
    /// The part of it that instances need which are started ahead.
    pub(crate) standby: StandbyContext,
    /// This machine, which runs the functions where no cluster does.
    pub local: Rc<LocalContext>,
    /// The cluster that runs functions, where it is not this machine that does.
    pub cluster: Option<Rc<Cluster>>,
}
