//! Control groups, which bound memory, processes and CPU of an instance and all that it starts.
//!
//! Both versions of the kernel's interface are used, each controller where it is mounted: on a
//! hybrid machine that may be one hierarchy for each. Where they are mounted is in `picofaas_child`.
//!
//! | file | holds |
//! |---|---|
//! | `root` | our folder in one hierarchy, with its free and its dying groups |
//! | `folder` | the group of one instance in one hierarchy |
//! | `owner` | the name of our folders, and the folders left by dead processes |

pub(crate) mod folder;
pub(crate) mod owner;
pub(crate) mod root;

pub(crate) use picofaas_child::cgroup::{CgroupVersion, Controller};

/// Limits of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CgroupLimits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_millicores: Option<u64>,
    /// Processes and threads; 0 lets nothing more begin.
    pub pids: u64,
}

impl CgroupLimits {
    /// Whether there is something for this controller to bound.
    #[must_use]
    pub(crate) fn needs(&self, controller: Controller) -> bool {
        match controller {
            Controller::Memory => self.memory_bytes.is_some(),
            Controller::Pids => true,
            Controller::Cpu => self.cpu_millicores.is_some(),
        }
    }
}
