//! Processes of a group that the kernel killed for the group's limit of memory.

use std::fmt;
use std::fs;
use std::path::Path;

use super::CgroupVersion;

/// Within this part of its limit a group is near it: memory is charged in pieces, and huge pages are large.
const NEAR: u64 = 8;

/// Counters of a group since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryKills {
    /// Times that the group's own limit was met: as version 2 counts them, or, of version 1, which counts
    /// none where swap is counted, the kills so far where the group ever came near it.
    limit_met: u64,
    /// Processes that were killed for want of memory, the group's or the machine's.
    kills: u64,
}

/// Bytes that a group may have, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit(pub u64);

impl MemoryKills {
    /// Reads the counters in a group's folder. A file that is not there counts nothing.
    #[must_use]
    pub fn read(folder: &Path, version: CgroupVersion) -> Self {
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let number = |text: &str| text.trim().parse().unwrap_or(0);
        let field = |text: &str, name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map_or(0, number)
        };
        match version {
            CgroupVersion::One => {
                let kills = field(&read("memory.oom_control"), "oom_kill");
                let limit = number(&read("memory.limit_in_bytes"));
                // Memory with swap is charged first, where it is counted.
                let peak = ["memory.max_usage_in_bytes", "memory.memsw.max_usage_in_bytes"];
                let peak = peak.map(|file| number(&read(file))).into_iter().max().unwrap_or(0);
                Self { limit_met: if peak >= limit - limit / NEAR { kills } else { 0 }, kills }
            }
            CgroupVersion::Two => {
                let events = read("memory.events");
                Self { limit_met: field(&events, "oom"), kills: field(&events, "oom_kill") }
            }
        }
    }

    /// Whether something was killed since `before` for the group's own limit. Where the whole machine
    /// was out of memory, that was not met.
    #[must_use]
    pub fn has_more_than(self, before: Self) -> bool {
        self.kills > before.kills && self.limit_met > before.limit_met
    }

    /// Takes one kill of those that `now` has more than these: whether there is one.
    pub fn take_one(&mut self, now: Self) -> bool {
        let is_there = now.has_more_than(*self);
        if is_there {
            self.kills += 1;
            if self.kills == now.kills {
                *self = now;
            }
        }
        is_there
    }
}

impl MemoryLimit {
    /// Reads the limit of a group; `None` where it has none.
    #[must_use]
    pub fn read(folder: &Path, version: CgroupVersion) -> Option<Self> {
        let file = match version {
            CgroupVersion::One => "memory.limit_in_bytes",
            CgroupVersion::Two => "memory.max",
        };
        fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok().map(Self)
    }
}

/// In the largest binary unit that is exact, with the field that sets it.
impl fmt::Display for MemoryLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count) = *self;
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(shift, _)| count > 0 && count.is_multiple_of(1 << shift)) {
            Some((shift, unit)) => write!(out, "{} {unit}", count >> shift)?,
            None => write!(out, "{count} bytes")?,
        }
        out.write_str(" (resources.limits.memory)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_in_the_unit_it_was_meant_in() {
        for (limit, text) in [
            (64 << 20, "64 MiB"),
            (3 << 30, "3 GiB"),
            (1536 << 10, "1536 KiB"),
            (64_000_001, "64000001 bytes"),
        ] {
            assert_eq!(MemoryLimit(limit).to_string(), format!("{text} (resources.limits.memory)"));
        }
    }

    #[test]
    fn a_kill_counts_only_where_the_groups_own_limit_was_met() {
        let folder = tempfile::tempdir().unwrap();
        let read = |events: &str| {
            fs::write(folder.path().join("memory.events"), events).unwrap();
            MemoryKills::read(folder.path(), CgroupVersion::Two)
        };
        let before = read("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n");
        // The machine had none left.
        assert!(!read("max 9\noom 3\noom_kill 3\n").has_more_than(before));
        // It was met, and nothing had to be killed.
        assert!(!read("max 99\noom 4\noom_kill 2\n").has_more_than(before));
        assert!(read("max 99\noom 4\noom_kill 3\n").has_more_than(before));

        let read = |kills: u64, peak: u64, peak_with_swap: u64| {
            for (file, text) in [
                ("memory.limit_in_bytes", "64000\n".to_owned()),
                ("memory.oom_control", format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")),
                ("memory.max_usage_in_bytes", format!("{peak}\n")),
                ("memory.memsw.max_usage_in_bytes", format!("{peak_with_swap}\n")),
            ] {
                fs::write(folder.path().join(file), text).unwrap();
            }
            MemoryKills::read(folder.path(), CgroupVersion::One)
        };
        let before = read(2, 9000, 9000);
        assert!(!read(3, 9000, 9000).has_more_than(before));
        assert!(!read(2, 64000, 64000).has_more_than(before));
        assert!(read(3, 64000, 64000).has_more_than(before));
        assert!(read(3, 30000, 63000).has_more_than(before), "with swap");
    }

    #[test]
    fn each_kill_is_taken_once() {
        let mut told = MemoryKills::default();
        let now = MemoryKills { limit_met: 9, kills: 2 };
        assert!(told.take_one(now) && told.take_one(now) && !told.take_one(now));
        assert!(!told.take_one(MemoryKills { limit_met: 9, kills: 3 }), "a kill for another reason");
        assert!(told.take_one(MemoryKills { limit_met: 10, kills: 4 }));
    }
}
