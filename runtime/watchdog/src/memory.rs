//! The memory that the watchdog and its program may have together, and the kills where it was not enough.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use picofaas_child::cgroup::{CgroupVersion, Controller, MemoryKills, MemoryLimit, hierarchies};

/// Our group that bounds memory. It is read at the start and when a process was killed.
pub(crate) struct Memory {
    group: Option<Group>,
}

struct Group {
    folder: PathBuf,
    version: CgroupVersion,
    /// Kills that were there when we began, or that are the reason of an end.
    told: Cell<MemoryKills>,
}

/// A kill of something of ours for the limit of our group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverLimit {
    pub(crate) limit: Option<MemoryLimit>,
}

impl Memory {
    /// Finds our group. Where it cannot be seen, no kill is known to be for its limit.
    pub(crate) fn find() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let found = hierarchies(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        let bounds_memory =
            |version: CgroupVersion, controllers: &[Controller], folder: &PathBuf| match version {
                CgroupVersion::One => controllers.contains(&Controller::Memory),
                CgroupVersion::Two => folder.join("memory.events").exists(),
            };
        let group = found.into_iter().find(|one| bounds_memory(one.version, &one.controllers, &one.own));
        Self {
            group: group.map(|one| Group {
                told: Cell::new(MemoryKills::read(&one.own, one.version)),
                folder: one.own,
                version: one.version,
            }),
        }
    }

    /// Whether a kill for its limit would be seen.
    pub(crate) fn is_visible(&self) -> bool {
        self.group.is_some()
    }

    /// Takes a kill for the limit of our group that is the reason of no end yet.
    pub(crate) fn take_kill(&self) -> Option<OverLimit> {
        let Group { folder, version, told } = self.group.as_ref()?;
        let mut kills = told.get();
        let was_killed = kills.take_one(MemoryKills::read(folder, *version));
        told.set(kills);
        was_killed.then(|| OverLimit { limit: MemoryLimit::read(folder, *version) })
    }
}
