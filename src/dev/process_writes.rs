//! Evidence that a function's own processes wrote a file.
//!
//! The kernel does not tell an unprivileged process who changed a file. It does tell which files a process has
//! open, and how many bytes each has written so far (`/proc/PID/io`, with its children that have ended). Both
//! are looked at here, the second again and again, so that a change of a file can be held against what was
//! written at its time.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::content::{FileState, beginning_of};
use crate::clock::{Clock, NANOS_PER_MS, Nanos};
use crate::instances::local::host::ProcessHost;

/// Period of the samples.
const PERIOD: Nanos = 40 * NANOS_PER_MS;
/// Samples that are kept, some seconds: a change is looked at within half a second.
const SAMPLES_MAX: usize = 100;
/// Samples after which descendants are looked for again.
const DESCENDANTS_EVERY: u32 = 20;
/// Coarseness of the times of files.
const COARSE: Duration = Duration::from_millis(10);
/// Time after the end of a process within which a file that is gone may have been removed by it: a change is
/// looked at within half a second, on a busy machine later.
const REMOVED_WITHIN: Duration = Duration::from_secs(3);
/// Beginning of a file that is searched for a zero byte, as text has none.
const SNIFFED_BYTES: u64 = 4096;

/// A suspicion about a change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// A process of the function has it open for writing.
    Open,
    /// Its processes wrote enough bytes at that time, or one lived then that has ended or had just begun. For what
    /// takes no bytes, such as a removal, it is enough that one lived.
    Likely,
    /// Nothing is left to look at: the file came and went between two looks.
    Passing,
    /// Somebody else's.
    Foreign,
}

/// Bytes that each process had written at a time.
#[derive(Debug)]
struct Sample {
    at: Duration,
    written: BTreeMap<u32, u64>,
}

/// The writes of all processes of functions.
#[derive(Debug)]
pub(crate) struct ProcessWrites {
    host: Rc<ProcessHost>,
    clock: Clock,
    /// Processes by number, with the function that each is of.
    processes: BTreeMap<u32, Rc<str>>,
    samples: VecDeque<Sample>,
    next: Nanos,
    until_descendants: u32,
}

impl ProcessWrites {
    /// No process was looked at yet.
    #[must_use]
    pub(crate) fn of(host: Rc<ProcessHost>, clock: Clock) -> Self {
        let (processes, samples) = (BTreeMap::new(), VecDeque::new());
        Self { host, clock, processes, samples, next: 0, until_descendants: 0 }
    }

    /// Takes a sample, where it is time for one.
    pub(crate) fn sample(&mut self) {
        let now = self.clock.now();
        if now < self.next {
            return;
        }
        self.next = now + PERIOD;
        self.take_sample();
    }

    fn take_sample(&mut self) {
        let roots = self.host.running.live();
        let is_new = roots.iter().any(|(pid, _)| !self.processes.contains_key(pid));
        if is_new || self.until_descendants == 0 {
            self.processes.clear();
            for (pid, life) in &roots {
                add_with_descendants(*pid, &life.function, &mut self.processes);
            }
            self.until_descendants = DESCENDANTS_EVERY;
        }
        self.until_descendants -= 1;
        let at = self.clock.unix(self.clock.now());
        let written = self.processes.keys().filter_map(|pid| Some((*pid, written_by(*pid)?))).collect();
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at, written });
    }

    /// Whether this function's processes made the change of a file to its present state.
    pub(crate) fn evidence(&mut self, function: &str, path: &Path, before: Option<FileState>) -> Evidence {
        self.until_descendants = 0;
        self.take_sample();
        // A link that leads nowhere is there, too.
        let Ok(metadata) = fs::metadata(path).or_else(|_| fs::symlink_metadata(path)) else {
            return self.evidence_of_removal(function, before);
        };
        if self.of_function(function).any(|pid| has_open(pid, path)) {
            return Evidence::Open;
        }
        let needed = if metadata.is_symlink() { 0 } else { bytes_needed(path, metadata.len(), before) };
        // A rename, a link or another mode leaves the time of the last write as it was.
        let times = [(metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec())];
        let is_likely = times.into_iter().any(|(seconds, nanos)| {
            let changed = since_1970(seconds, nanos);
            self.host.running.ended_after(function, changed)
                || self.began_unmeasured(function, changed)
                || (self.lived_at(function, changed) && self.written_at(function, changed) >= needed)
        });
        if is_likely { Evidence::Likely } else { Evidence::Foreign }
    }

    /// Whether this function's processes removed a file. Nobody knows when that was, only that it was of late.
    fn evidence_of_removal(&self, function: &str, before: Option<FileState>) -> Evidence {
        let now = self.clock.unix(self.clock.now());
        if before.is_none() {
            Evidence::Passing
        } else if self.lived_at(function, now)
            || self.host.running.ended_since(function, now.saturating_sub(REMOVED_WITHIN))
        {
            Evidence::Likely
        } else {
            Evidence::Foreign
        }
    }

    /// Whether a process of the function lived at this time and still does.
    fn lived_at(&self, function: &str, at: Duration) -> bool {
        let live = self.host.running.live();
        live.iter().any(|(_, life)| *life.function == *function && life.begun <= at)
    }

    /// Whether a process of the function lived at this time of which no sample had been taken yet: nobody knows what
    /// it has written, least of all where it is over before it is found to have ended.
    fn began_unmeasured(&self, function: &str, at: Duration) -> bool {
        let is_measured =
            |pid: u32| self.samples.iter().any(|sample| sample.at <= at && sample.written.contains_key(&pid));
        self.host
            .running
            .live()
            .iter()
            .any(|(pid, life)| *life.function == *function && life.begun <= at && !is_measured(*pid))
    }

    fn of_function(&self, function: &str) -> impl Iterator<Item = u32> {
        self.processes.iter().filter(move |(_, name)| ***name == *function).map(|(pid, _)| *pid)
    }

    /// Bytes that a function's processes wrote between the samples around a time.
    fn written_at(&self, function: &str, at: Duration) -> u64 {
        let before = self.samples.iter().rev().find(|sample| sample.at + COARSE <= at);
        let after = self.samples.iter().find(|sample| sample.at >= at).or(self.samples.back());
        let (Some(before), Some(after)) = (before, after) else { return 0 };
        let by = |pid: u32| {
            let until = after.written.get(&pid).copied().unwrap_or(0);
            until.saturating_sub(before.written.get(&pid).copied().unwrap_or(0))
        };
        self.of_function(function).map(by).sum()
    }
}

fn since_1970(seconds: i64, nanos: i64) -> Duration {
    Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
}

/// The least that somebody has to write for a change: what was appended, a part of what is no text, or else the
/// whole, as editors do.
fn bytes_needed(path: &Path, bytes: u64, before: Option<FileState>) -> u64 {
    if let Some(before) = before.filter(|before| before.bytes < bytes && before.bytes > 0)
        && beginning_of(path, before.bytes) == Some(before)
    {
        return bytes - before.bytes;
    }
    if is_text(path) { bytes } else { 1 }
}

fn is_text(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SNIFFED_BYTES).read_to_end(&mut beginning));
    read.is_ok() && !beginning.contains(&0)
}

/// Bytes that a process has written, with those of its children that have ended.
fn written_by(pid: u32) -> Option<u64> {
    let counts = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    counts.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()
}

fn add_with_descendants(pid: u32, function: &Rc<str>, processes: &mut BTreeMap<u32, Rc<str>>) {
    let mut found = vec![pid];
    while let Some(pid) = found.pop() {
        if processes.insert(pid, function.clone()).is_some() {
            continue;
        }
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
}

/// Whether a process has a file open for writing.
fn has_open(pid: u32, path: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|open| open == path)
            && is_for_writing(pid, &descriptor.file_name().to_string_lossy())
    })
}

fn is_for_writing(pid: u32, descriptor: &str) -> bool {
    /// Bits of the flags that say how a file was opened; 0 is for reading alone.
    const ACCESS_MODE: u32 = 0o3;
    let state = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = state.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & ACCESS_MODE != 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::content::state_of;
    use super::*;

    #[test]
    fn what_was_appended_is_enough_for_it_and_a_text_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        let before = state_of(&path);
        assert_eq!(bytes_needed(&path, 10, None), 10);
        fs::write(&path, "0123456789ab").unwrap();
        assert_eq!(bytes_needed(&path, 12, before), 2);
        fs::write(&path, "1123456789ab").unwrap();
        assert_eq!(bytes_needed(&path, 12, before), 12);
        fs::write(&path, "a database\0of pages").unwrap();
        assert_eq!(bytes_needed(&path, 19, before), 1);
        // Nothing is written for an empty one.
        fs::write(&path, "").unwrap();
        assert_eq!(bytes_needed(&path, 0, before), 0);
    }

    #[test]
    fn a_file_that_this_process_has_open_for_writing_is_found_and_one_that_it_reads_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = File::create(&path).unwrap();
        let before = written_by(std::process::id()).unwrap();
        log.write_all(&[b'x'; 1000]).unwrap();
        assert!(written_by(std::process::id()).unwrap() >= before + 1000);
        assert!(has_open(std::process::id(), &path));
        drop(log);
        let _reader = File::open(&path).unwrap();
        assert!(!has_open(std::process::id(), &path));
    }
}
