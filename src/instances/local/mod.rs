//! Processes on this machine.
//!
//! | file | holds |
//! |---|---|
//! | `host` | this machine as the host of such processes |
//! | `process_set` | the instances of one version: started, watched, replaced, stopped |
//! | `serving_process` | one that serves on a socket: its start until it is ready, the reasons of its end |
//! | `job_processes` | the processes of one version that take one attempt each |
//! | `process` | one local process, from its start until nothing of it is left |
//! | `running_builds` | the functions whose program is being built |
//! | `running` | the processes of each function that run, and those that ended of late |
//! | `values` | values of the references of a function: in files and in our environment |
//! | `env_file` | files of values, such as `.env` |
//! | `children` | the processes that are our children, and those left to us |
//! | `final_output` | the final output of processes that have ended |
//! | `locale` | locale and time zone of local processes |
//! | `limits` | limits of local processes, and their means |
//! | `cgroup` | the control groups of the kernel |
//! | `rlimit` | the limits that a process inherits |

pub(crate) mod cgroup;
pub(crate) mod children;
mod env_file;
pub(crate) mod final_output;
pub(crate) mod host;
pub(crate) mod job_processes;
pub(crate) mod limits;
pub(crate) mod locale;
pub(crate) mod process;
pub(crate) mod process_set;
pub(crate) mod rlimit;
pub(crate) mod running;
pub(crate) mod running_builds;
pub(crate) mod serving_process;
pub(crate) mod values;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::command_sender::CommandSender;
use host::ProcessHost;

/// Context of the backends on this machine.
#[derive(Debug)]
pub struct LocalContext {
    /// The machine.
    pub host: Rc<ProcessHost>,
    /// The way to the scheduler.
    pub commands: Rc<CommandSender>,
    /// Versions that have, or may come to have, idle instances; the autoscaler removes one without any.
    pub populated: Rc<RefCell<BTreeSet<VersionIndex>>>,
    /// Folder of the sockets of instances.
    pub sockets: PathBuf,
    /// URL by which processes of `JOB` functions reach the runtime listener.
    pub runtime_url: Rc<str>,
    /// Longest time until a started instance answers its health check, in milliseconds.
    pub start_timeout_ms: u64,
    /// Longest time until a process has ended that was asked to, in milliseconds.
    pub stop_timeout_ms: u64,
}

impl LocalContext {
    /// The socket of an instance.
    #[must_use]
    pub(crate) fn socket(&self, instance: InstanceKey) -> PathBuf {
        // With the process's number, because two processes may have been given one folder.
        let process = std::process::id();
        let InstanceKey { version, place, generation } = instance;
        self.sockets.join(format!("{process}-{version}-{place}-{generation}.sock"))
    }
}
