//! The cgroups that a child enters, and the limits that it takes on, before its program begins.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The groups a child enters and the limits it takes on. The default has none.
#[derive(Debug, Default)]
pub struct Confinement {
    /// Files of cgroups, open for writing, in which a process that writes 0 enters.
    pub cgroups: Vec<OwnedFd>,
    /// Limits that it takes on.
    pub limits: Vec<ResourceLimit>,
    /// The text that is written to its `oom_score_adj`.
    pub oom_score: Option<String>,
}

/// One limit, ready to be set between fork and exec.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLimit {
    resource: Resource,
    rlimit: Rlimit,
}

impl ResourceLimit {
    /// A limit of `most`, or of this process's own where that is less.
    #[must_use]
    pub fn new(resource: Resource, most: u64) -> Self {
        let most = getrlimit(resource).maximum.map_or(most, |ours| most.min(ours));
        Self { resource, rlimit: Rlimit { current: Some(most), maximum: Some(most) } }
    }

    /// Sets it for the calling process. Async-signal-safe.
    ///
    /// # Errors
    /// Errors of the kernel.
    pub(crate) fn set(&self) -> io::Result<()> {
        Ok(setrlimit(self.resource, self.rlimit)?)
    }
}

impl Confinement {
    /// Enters the groups and takes on the limits. Async-signal-safe: it allocates nothing but the
    /// value of an error, which no error that the kernel gives has.
    ///
    /// # Errors
    /// Errors of the kernel: a function runs within its limits or not at all.
    pub(crate) fn enter(&self) -> io::Result<()> {
        for cgroup in &self.cgroups {
            rustix::io::write(cgroup, b"0")?;
        }
        if let Some(score) = &self.oom_score {
            // Where /proc is not mounted there is nothing to tell.
            if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
                let _ = rustix::io::write(&file, score.as_bytes());
            }
        }
        for limit in &self.limits {
            limit.set()?;
        }
        Ok(())
    }
}
