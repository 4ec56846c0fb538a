//! The group of one instance in one hierarchy.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use picofaas_child::cgroup::MemoryKills;
use rustix::process::{Pid, Signal, kill_process};

use super::{CgroupLimits, CgroupVersion, Controller};

/// The period over which CPU time is counted (µs), the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// The longest period there can be (µs), for shares that are less than the least of one period.
const PERIOD_US_MAX: u64 = 1_000_000;
/// The least time in one period (µs).
const QUOTA_US_MIN: u64 = 1_000;
/// Rounds of looking for the members of a group and killing them.
const KILL_ROUNDS_MAX: u32 = 3;
/// A group that still holds more memory than this when its last process has gone is not used
/// again: it would count against the next instance (bytes).
const RESIDUE_BYTES_MAX: u64 = 4 << 20;

/// A group.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    version: CgroupVersion,
    controllers: Vec<Controller>,
    /// Limits in its files now.
    written: CgroupLimits,
    /// Kills for want of memory, before the instance that has it now.
    kills_before: MemoryKills,
}

impl Folder {
    /// Makes a group that bounds nothing yet.
    ///
    /// # Errors
    /// An error of the kernel.
    pub(crate) fn make(
        path: PathBuf,
        version: CgroupVersion,
        controllers: &[Controller],
    ) -> io::Result<Self> {
        fs::create_dir(&path)?;
        // No number of processes is this large, so the first limits are always written.
        let written = CgroupLimits { memory_bytes: None, cpu_millicores: None, pids: u64::MAX };
        Ok(Self {
            path,
            version,
            controllers: controllers.to_vec(),
            written,
            kills_before: MemoryKills::default(),
        })
    }

    /// Whether it bounds just that already.
    #[must_use]
    pub(crate) fn is_set_to(&self, limits: &CgroupLimits) -> bool {
        self.written == *limits
    }

    /// Bounds the next instance.
    ///
    /// # Errors
    /// An error of the kernel, with the file.
    pub(crate) fn set(&mut self, limits: &CgroupLimits) -> io::Result<()> {
        for controller in self.controllers.clone() {
            match controller {
                Controller::Memory if limits.memory_bytes != self.written.memory_bytes => {
                    self.set_memory(limits.memory_bytes)?;
                }
                Controller::Pids if limits.pids != self.written.pids => self.set_pids(limits.pids)?,
                Controller::Cpu if limits.cpu_millicores != self.written.cpu_millicores => {
                    self.set_cpu(limits.cpu_millicores)?;
                }
                Controller::Memory | Controller::Pids | Controller::Cpu => {}
            }
        }
        self.written = *limits;
        if limits.memory_bytes.is_some() {
            self.kills_before = self.kills();
        }
        Ok(())
    }

    fn set_memory(&self, bytes: Option<u64>) -> io::Result<()> {
        match self.version {
            CgroupVersion::One => {
                // Memory with swap may never be less than memory alone, so it goes up first and
                // down last. Where swap is not counted, the file is not there.
                let (memory, with_swap) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
                let bytes = bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
                let counted = self.path.join(with_swap).exists();
                if counted && self.written.memory_bytes.is_some() {
                    self.write(with_swap, "-1")?;
                }
                self.write(memory, &bytes)?;
                if counted { self.write(with_swap, &bytes) } else { Ok(()) }
            }
            CgroupVersion::Two => {
                let limit = bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
                self.write("memory.max", &limit)?;
                for (file, value) in [("memory.swap.max", "0"), ("memory.oom.group", "1")] {
                    if self.path.join(file).exists() {
                        self.write(file, if bytes.is_some() { value } else { unset(file) })?;
                    }
                }
                Ok(())
            }
        }
    }

    fn set_pids(&self, most: u64) -> io::Result<()> {
        self.write("pids.max", &most.to_string())
    }

    fn set_cpu(&self, millicores: Option<u64>) -> io::Result<()> {
        let quota = millicores.map(quota);
        match (self.version, quota) {
            (CgroupVersion::One, None) => self.write("cpu.cfs_quota_us", "-1"),
            (CgroupVersion::One, Some((quota, period))) => {
                self.write("cpu.cfs_quota_us", "-1")?;
                self.write("cpu.cfs_period_us", &period.to_string())?;
                self.write("cpu.cfs_quota_us", &quota.to_string())
            }
            (CgroupVersion::Two, None) => self.write("cpu.max", "max"),
            (CgroupVersion::Two, Some((quota, period))) => {
                self.write("cpu.max", &format!("{quota} {period}"))
            }
        }
    }

    /// The file to which a process writes `0` to become a member.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn entrance(&self) -> io::Result<OwnedFd> {
        // In version 1 a thread may enter alone, and a new process has only one. That spares the
        // lock over every process of the machine that a whole process takes.
        let file = match self.version {
            CgroupVersion::One => "tasks",
            CgroupVersion::Two => "cgroup.procs",
        };
        let path = self.path.join(file);
        let file = OpenOptions::new().write(true).open(&path).map_err(|error| about(&path, &error))?;
        Ok(file.into())
    }

    /// Whether the kernel killed something of this instance for its limit of memory.
    #[must_use]
    pub(crate) fn was_out_of_memory(&self) -> bool {
        self.controllers.contains(&Controller::Memory)
            && self.written.memory_bytes.is_some()
            && self.kills().has_more_than(self.kills_before)
    }

    fn kills(&self) -> MemoryKills {
        MemoryKills::read(&self.path, self.version)
    }

    /// Whether no process is in it.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        members(&self.path).is_empty()
    }

    /// Kills whatever is in it. They need a moment to be gone.
    pub(crate) fn kill(&mut self) {
        // Nothing new may begin while one after the other is killed.
        if self.version == CgroupVersion::One
            && self.controllers.contains(&Controller::Pids)
            && self.set_pids(0).is_ok()
        {
            self.written.pids = 0;
        }
        kill_members(&self.path);
    }

    /// Whether the next instance finds it as good as new.
    #[must_use]
    pub(crate) fn is_clean(&self) -> bool {
        if self.written.memory_bytes.is_none() || !self.controllers.contains(&Controller::Memory) {
            return true;
        }
        let file = match self.version {
            CgroupVersion::One => "memory.usage_in_bytes",
            CgroupVersion::Two => "memory.current",
        };
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.trim().parse::<u64>().is_ok_and(|bytes| bytes <= RESIDUE_BYTES_MAX)
    }

    /// Removes it, which fails while something is in it.
    ///
    /// # Errors
    /// An error of the kernel.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.path)
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let path = self.path.join(file);
        fs::write(&path, value).map_err(|error| about(&path, &error))
    }
}

/// Value of a file that bounds nothing.
fn unset(file: &str) -> &'static str {
    if file == "memory.swap.max" { "max" } else { "0" }
}

/// Quota and period (µs) of a share in thousandths of a CPU.
fn quota(millicores: u64) -> (u64, u64) {
    let quota = millicores * (PERIOD_US / 1000);
    if quota >= QUOTA_US_MIN {
        (quota, PERIOD_US)
    } else {
        ((millicores * (PERIOD_US_MAX / 1000)).max(QUOTA_US_MIN), PERIOD_US_MAX)
    }
}

/// The processes in a group.
#[must_use]
pub(crate) fn members(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Kills the processes in a group, as far as they are found now.
pub(crate) fn kill_members(folder: &Path) {
    // Of version 2 and some ten years of kernels younger than version 1: all at once.
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..KILL_ROUNDS_MAX {
        let members = members(folder);
        if members.is_empty() {
            return;
        }
        // 0 stands for a process of another namespace, which is none of ours.
        for pid in members.into_iter().filter(|pid| *pid > 0).filter_map(Pid::from_raw) {
            // It fails where the process has just ended, which is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file)).unwrap()
    }

    #[test]
    fn a_share_of_cpu_is_never_less_time_than_the_kernel_takes() {
        assert_eq!(quota(200), (20_000, PERIOD_US));
        assert_eq!(quota(2_500), (250_000, PERIOD_US));
        assert_eq!(quota(10), (1_000, PERIOD_US));
        assert_eq!(quota(9), (9_000, PERIOD_US_MAX));
        assert_eq!(quota(1), (1_000, PERIOD_US_MAX));
    }

    #[test]
    fn an_allowance_is_written_into_the_files_of_its_version_and_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("i1");
        let mut folder = Folder::make(path.clone(), CgroupVersion::Two, &Controller::ALL).unwrap();
        for file in ["memory.swap.max", "memory.oom.group"] {
            fs::write(path.join(file), "").unwrap();
        }
        fs::write(path.join("memory.events"), "oom 3\noom_kill 2\noom_group_kill 0\n").unwrap();
        let limits = CgroupLimits { memory_bytes: Some(64 << 20), cpu_millicores: Some(200), pids: 9 };
        folder.set(&limits).unwrap();
        assert!(folder.is_set_to(&limits) && !folder.was_out_of_memory());
        let files = ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"];
        assert_eq!(
            files.map(|file| read(&path, file)),
            ["67108864", "0", "1", "20000 100000", "9"].map(str::to_owned)
        );
        fs::write(path.join("memory.events"), "oom 4\noom_kill 3\n").unwrap();
        assert!(folder.was_out_of_memory());

        folder.set(&CgroupLimits { memory_bytes: None, cpu_millicores: None, pids: 9 }).unwrap();
        assert_eq!(files.map(|file| read(&path, file)), ["max", "max", "0", "max", "9"].map(str::to_owned));
    }
}
