//! The memory that the watchdog and its program may have together, and the kills where it was not enough.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use picofaas_child::cgroup::{CgroupVersion, Controller, MemoryKills, MemoryLimit, hierarchies};
use tokio::time::{Instant, sleep};

use crate::limits::KILL_KEPT;

/// Our group that bounds memory. Its kills are read when a process was killed, and each second, which dates them.
pub(crate) struct Memory {
    group: Option<Group>,
}

struct Group {
    folder: PathBuf,
    version: CgroupVersion,
    /// Kills that were there when we began, that are the reason of an end, or that are too old to be one.
    told: Cell<MemoryKills>,
    /// Kills that were there at the last look at which there were more than before.
    seen: Cell<MemoryKills>,
    seen_at: Cell<Instant>,
    /// The last kill that is the reason of a lost connection, and when it became that.
    of_connections: Cell<Option<(OverLimit, Instant)>>,
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
        Self { group: group.map(|one| Group::new(one.own, one.version, Instant::now())) }
    }

    /// Whether a kill for its limit would be seen.
    pub(crate) fn is_visible(&self) -> bool {
        self.group.is_some()
    }

    /// Looks for kills from time to time, so that it is known of each how old it is.
    pub(crate) async fn watch(&self) {
        let Some(group) = &self.group else { return };
        loop {
            sleep(KILL_KEPT).await;
            group.look(Instant::now());
        }
    }

    /// Takes a kill for the limit of our group that is recent, and the reason of no end yet.
    pub(crate) fn take_kill(&self) -> Option<OverLimit> {
        self.group.as_ref()?.take(Instant::now())
    }

    /// The kill for which a connection was lost. A process may have had several, so one kill is the reason for all that
    /// are lost in the same moment.
    pub(crate) fn kill_of_connection(&self) -> Option<OverLimit> {
        self.group.as_ref()?.of_connection(Instant::now())
    }
}

impl Group {
    fn new(folder: PathBuf, version: CgroupVersion, now: Instant) -> Self {
        let kills = MemoryKills::read(&folder, version);
        Self {
            folder,
            version,
            told: Cell::new(kills),
            seen: Cell::new(kills),
            seen_at: Cell::new(now),
            of_connections: Cell::default(),
        }
    }

    /// The kills that there are. Those that were seen some time ago are the reason of no end any more: a program may go
    /// on without a process that it has lost.
    fn look(&self, now: Instant) -> MemoryKills {
        let (kills, seen) = (MemoryKills::read(&self.folder, self.version), self.seen.get());
        if now - self.seen_at.get() >= KILL_KEPT && seen.has_more_than(self.told.get()) {
            self.told.set(seen);
        }
        if kills.has_more_than(seen) {
            self.seen.set(kills);
            self.seen_at.set(now);
        }
        kills
    }

    fn take(&self, now: Instant) -> Option<OverLimit> {
        let kills = self.look(now);
        let mut told = self.told.get();
        let was_killed = told.take_one(kills);
        self.told.set(told);
        was_killed.then(|| OverLimit { limit: MemoryLimit::read(&self.folder, self.version) })
    }

    fn of_connection(&self, now: Instant) -> Option<OverLimit> {
        let taken = self.take(now);
        if let Some(over_limit) = taken {
            self.of_connections.set(Some((over_limit, now)));
        }
        let last = self.of_connections.get().filter(|(_, at)| now - *at < KILL_KEPT);
        last.map(|(over_limit, _)| over_limit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(200);

    fn killed(folder: &tempfile::TempDir, kills: u64) {
        fs::write(folder.path().join("memory.events"), format!("oom {kills}\noom_kill {kills}\n")).unwrap();
    }

    /// A group of version 2 with one kill from before.
    fn group(now: Instant) -> (tempfile::TempDir, Group) {
        let folder = tempfile::tempdir().unwrap();
        killed(&folder, 1);
        let group = Group::new(folder.path().to_owned(), CgroupVersion::Two, now);
        (folder, group)
    }

    #[test]
    fn a_kill_is_the_reason_of_one_end_and_of_all_connections_that_are_lost_with_it() {
        let now = Instant::now();
        let (folder, group) = group(now);
        assert!(group.take(now).is_none() && group.of_connection(now).is_none());
        killed(&folder, 2);
        for nth in 0..8 {
            assert!(group.of_connection(now + MOMENT * nth / 8).is_some(), "{nth}");
        }
        assert!(group.take(now + MOMENT).is_none(), "a process that ended for another reason");
        assert!(group.of_connection(now + MOMENT + KILL_KEPT).is_none(), "one that is lost later");
        killed(&folder, 4);
        let now = now + KILL_KEPT * 2;
        assert!(group.take(now).is_some() && group.take(now).is_some() && group.take(now).is_none());
    }

    #[test]
    fn a_kill_that_ended_nothing_is_not_the_reason_of_a_later_end() {
        let now = Instant::now();
        let (folder, group) = group(now);
        killed(&folder, 2);
        group.look(now);
        assert!(group.take(now + KILL_KEPT).is_none());
        assert!(group.of_connection(now + KILL_KEPT).is_none());
        // One that is new is, and no older one with it.
        let now = now + KILL_KEPT * 2;
        killed(&folder, 3);
        group.look(now);
        killed(&folder, 4);
        assert!(group.take(now + KILL_KEPT).is_some());
        assert!(group.take(now + KILL_KEPT).is_none());
    }
}
