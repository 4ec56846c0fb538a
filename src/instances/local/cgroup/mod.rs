//! Control groups, which bound memory, processes and CPU of an instance and all that it starts.
//!
//! Both versions of the kernel's interface are used, each controller where it is mounted: on a
//! hybrid machine that may be one hierarchy for each.
//!
//! | file | holds |
//! |---|---|
//! | `mounts` | mount points of our own groups, from `/proc/self/cgroup` and `/proc/self/mountinfo` |
//! | `root` | our folder in one hierarchy, with its free and its dying groups |
//! | `folder` | the group of one instance in one hierarchy |
//! | `owner` | the name of our folders, and the folders left by dead processes |

pub(crate) mod folder;
pub(crate) mod mounts;
pub(crate) mod owner;
pub(crate) mod root;

use std::fmt;

/// A controller of a hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Bytes.
    Memory,
    /// Processes and threads.
    Pids,
    /// Time on CPUs.
    Cpu,
}

impl Controller {
    /// All controllers.
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Pids, Controller::Cpu];

    /// Its name in the kernel's files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Cpu => "cpu",
        }
    }
}

/// Version of the kernel's cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy for each controller, or for a few.
    One,
    /// One for all of them.
    Two,
}

impl fmt::Display for CgroupVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CgroupVersion::One => "v1",
            CgroupVersion::Two => "v2",
        })
    }
}

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
