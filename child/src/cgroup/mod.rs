//! Control groups as any process of one sees them.
//!
//! | file | has |
//! |---|---|
//! | `mounts` | mount points of our own groups, from `/proc/self/cgroup` and `/proc/self/mountinfo` |
//! | `memory_kills` | counters of a group whose processes were killed for its limit of memory |

mod memory_kills;
mod mounts;

use std::fmt;

pub use memory_kills::{MemoryKills, MemoryLimit};
pub use mounts::{Hierarchy, group_for, hierarchies};

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
