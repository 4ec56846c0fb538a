//! What a child does to itself before its program begins.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The groups a child enters and the limits it takes on. The default holds nobody to anything.
#[derive(Debug, Default)]
pub struct Gate {
    /// Files of cgroups, open for writing, in which a process that writes 0 enters.
    pub entrances: Vec<OwnedFd>,
    /// Limits that it takes on.
    pub bounds: Vec<Bound>,
    /// What is written to its `oom_score_adj`.
    pub oom_score: Option<String>,
}

/// One limit, ready to be set between fork and exec.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    resource: Resource,
    rlimit: Rlimit,
}

impl Bound {
    /// Of at most `most`, or of what this process may have where that is less.
    #[must_use]
    pub fn new(resource: Resource, most: u64) -> Self {
        let most = getrlimit(resource).maximum.map_or(most, |ours| most.min(ours));
        Self { resource, rlimit: Rlimit { current: Some(most), maximum: Some(most) } }
    }

    /// Sets it for the calling process. Async-signal-safe.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set(&self) -> io::Result<()> {
        Ok(setrlimit(self.resource, self.rlimit)?)
    }
}

impl Gate {
    /// Enters the groups and takes on the limits. Async-signal-safe: it allocates nothing but the
    /// value of an error, which no error that the kernel gives has.
    ///
    /// # Errors
    /// What the kernel says: a function runs within its limits or not at all.
    pub(crate) fn pass(&self) -> io::Result<()> {
        for entrance in &self.entrances {
            rustix::io::write(entrance, b"0")?;
        }
        if let Some(score) = &self.oom_score {
            // Where /proc is not mounted there is nothing to tell.
            if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
                let _ = rustix::io::write(&file, score.as_bytes());
            }
        }
        for bound in &self.bounds {
            bound.set()?;
        }
        Ok(())
    }
}
