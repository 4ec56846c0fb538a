//! The processes that are our children: those that we started, and those that were left to us.
//!
//! A process that outlives its parent becomes a child of ours, because we are a subreaper. So what
//! a function starts cannot get away: when its instance has ended, whatever carries the mark of
//! that instance in its environment is killed, and every one that was left to us is reaped.
//! Processes that we started are reaped by who started them and are never touched here.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use picofaas_child::ProcessEnd;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

use crate::id::Entropy;

/// The variable that marks the processes of an instance.
pub(crate) const MARK: &str = "PICOFAAS_INSTANCE";
/// Part of an environment that is searched for the mark, in bytes.
const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;
/// Environments that are read in one pass; the others are read in the next one.
const ENVIRONMENTS_PER_PASS_MAX: u32 = 256;
/// Processes whose end is awaited before the next pass. Each takes a file descriptor meanwhile.
const AWAITED_MAX: usize = 64;
/// The pause before a pass where there is no end to wait for.
const PAUSE: Duration = Duration::from_millis(1);
/// Longest wait of one pass for the ends of those that it killed.
const ENDS_WAIT: Duration = Duration::from_millis(10);
/// Time for which pass follows pass; after that there is one with each tick of the house-keeping.
const PURSUIT_MAX: Duration = Duration::from_millis(500);

/// The number of an instance, within one control plane.
pub(crate) type InstanceNumber = u64;

/// Our children.
#[derive(Debug)]
pub struct Children {
    /// Prefix of the marks of our instances.
    prefix: String,
    /// File in which the kernel lists the children of this thread; `None` where it does not.
    list: Option<PathBuf>,
    last: Cell<InstanceNumber>,
    /// Instances that run.
    live: RefCell<HashSet<InstanceNumber>>,
    /// Processes that we started and that somebody waits for; true when nobody does any more.
    started: RefCell<HashMap<i32, bool>>,
    /// Processes that were left to us, with their instance where they are marked. Until it is reaped,
    /// a number stays the same process.
    strangers: RefCell<HashMap<i32, Option<InstanceNumber>>>,
    pursuing: Cell<bool>,
}

/// A process that we started and wait for.
#[derive(Debug)]
pub struct Started {
    children: Rc<Children>,
    pid: i32,
    reaped: bool,
}

/// The processes that are still to go after a pass.
#[derive(Debug, Default)]
#[must_use]
pub struct Remains {
    /// Processes that were killed and are not reaped yet.
    killed: Vec<Pid>,
    /// There are others, which the next pass is to look at.
    others: bool,
}

impl Remains {
    /// Whether nothing is to go any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.killed.is_empty() && !self.others
    }

    /// Returns when the next pass may find more: when those that were killed have ended, for their children
    /// are ours then. Must be awaited right after the pass, while nobody has reaped any.
    pub async fn ended(self) {
        let awaited = self.killed.iter().take(AWAITED_MAX).map(|process| ProcessEnd::of(*process));
        let awaited: Vec<_> = awaited.collect();
        let ends = async {
            for end in &awaited {
                let reached = match end {
                    Ok(end) => end.reached().await.is_ok(),
                    // There is no descriptor left, perhaps.
                    Err(_) => false,
                };
                if !reached {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        // One that the kernel holds up must not keep the pass from the others.
        let _ = tokio::time::timeout(ENDS_WAIT, ends).await;
        if awaited.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Selection among the processes that were left to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// Processes of instances that have ended.
    Orphaned,
    /// Processes of every instance of ours.
    Marked,
}

impl Children {
    /// The children of the calling thread, which must be the main one: to it the kernel gives what is left.
    ///
    /// # Errors
    /// This process cannot be made a subreaper.
    pub fn adopt() -> io::Result<Rc<Self>> {
        set_child_subreaper(Some(getpid()))?;
        let thread = rustix::thread::gettid().as_raw_pid();
        let list = PathBuf::from(format!("/proc/self/task/{thread}/children"));
        let list = fs::read(&list).is_ok().then_some(list);
        if list.is_none() {
            tracing::warn!(
                "/proc does not list children (CONFIG_PROC_CHILDREN): what escapes a function is found more slowly"
            );
        }
        let nonce = Entropy::new().u64();
        Ok(Rc::new(Self {
            prefix: format!("{}-{nonce:016x}-", std::process::id()),
            list,
            last: Cell::new(0),
            live: RefCell::default(),
            started: RefCell::default(),
            strangers: RefCell::default(),
            pursuing: Cell::new(false),
        }))
    }

    /// The number of a new instance, and the mark of its processes.
    #[must_use]
    pub fn begin(&self) -> (InstanceNumber, String) {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.live.borrow_mut().insert(number);
        (number, format!("{}{number}", self.prefix))
    }

    /// Takes note of a process that we started. Until then, and while this is kept, somebody else
    /// must wait for it.
    #[must_use]
    pub fn started(self: &Rc<Self>, pid: Option<u32>) -> Started {
        // 0 is nobody's number; a process that has been waited for already has none.
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        self.started.borrow_mut().insert(pid, false);
        Started { children: self.clone(), pid, reaped: false }
    }

    /// An instance has ended: what carries its mark goes, too. Answers whether there may be more
    /// of it; then somebody is to call [`Children::pursue`], or the next [`Children::tidy`] will.
    pub fn end(&self, number: InstanceNumber) -> bool {
        self.live.borrow_mut().remove(&number);
        // To look through all processes of the machine takes long: once for many ends.
        self.list.is_none() || !self.pass(Whom::Orphaned).is_empty()
    }

    /// Reaps what was left to us, and kills what should not be there.
    pub fn tidy(self: &Rc<Self>) {
        if !self.pass(Whom::Orphaned).is_empty() {
            self.pursue();
        }
    }

    /// Kills what is left of every instance, as far as it is found now; there may be more
    /// when that has ended.
    pub fn end_all(&self) -> Remains {
        self.pass(Whom::Marked)
    }

    /// Looks again soon: what was killed has to be reaped, and has children of its own, perhaps.
    pub fn pursue(self: &Rc<Self>) {
        if self.pursuing.replace(true) {
            return;
        }
        let children = self.clone();
        tokio::task::spawn_local(async move {
            let pursuit = async {
                loop {
                    if children.list.is_none() {
                        // One pass for many ends, as it looks at all processes of the machine.
                        tokio::time::sleep(PAUSE).await;
                    }
                    let remains = children.pass(Whom::Orphaned);
                    if remains.is_empty() {
                        break;
                    }
                    remains.ended().await;
                }
            };
            // Only the kernel can delay the end of what was killed. It is looked for again later.
            let _ = tokio::time::timeout(PURSUIT_MAX, pursuit).await;
            children.pursuing.set(false);
        });
    }

    /// One look at all of our children, which kills those that are to go.
    fn pass(&self, whom: Whom) -> Remains {
        let ours = self.listed();
        let mut started = self.started.borrow_mut();
        if started.values().any(|abandoned| *abandoned) {
            started.retain(|pid, abandoned| !*abandoned || ours.contains(pid));
        }
        let mut strangers = self.strangers.borrow_mut();
        let (mut remains, mut read) = (Remains::default(), 0);
        for pid in ours.into_iter().filter(|pid| !started.contains_key(pid)) {
            let Some(process) = Pid::from_raw(pid) else { continue };
            if !matches!(waitpid(Some(process), WaitOptions::NOHANG), Ok(None)) {
                // Reaped, or not there.
                strangers.remove(&pid);
                continue;
            }
            let instance = match strangers.get(&pid) {
                Some(Some(number)) => Some(*number),
                // A process has the environment of its parent until it has become another program.
                Some(None) | None if read == ENVIRONMENTS_PER_PASS_MAX => {
                    remains.others = true;
                    continue;
                }
                Some(None) | None => {
                    read += 1;
                    let number = self.instance_of(pid);
                    strangers.insert(pid, number);
                    number
                }
            };
            let goes = instance.is_some_and(|number| match whom {
                Whom::Orphaned => !self.live.borrow().contains(&number),
                Whom::Marked => true,
            });
            if goes {
                // It fails where the process has just ended, which is what is wanted.
                let _ = kill_process(process, Signal::KILL);
                remains.killed.push(process);
            }
        }
        remains
    }

    /// The processes whose parent we are.
    fn listed(&self) -> Vec<i32> {
        match &self.list {
            Some(list) => {
                let text = fs::read_to_string(list).unwrap_or_default();
                text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
            }
            None => listed_by_parent(),
        }
    }

    /// The instance whose mark a process carries.
    fn instance_of(&self, pid: i32) -> Option<InstanceNumber> {
        let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
        let mut environment = Vec::new();
        file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment).ok()?;
        let value = environment.split(|byte| *byte == 0).find_map(|variable| {
            variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?.strip_prefix(self.prefix.as_bytes())
        })?;
        str::from_utf8(value).ok()?.parse().ok()
    }
}

/// The same without the kernel's list, from the parent of every process there is.
fn listed_by_parent() -> Vec<i32> {
    let ours = getpid().as_raw_pid();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything; after it come state and parent.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(ours)
    })
    .collect()
}

impl Started {
    /// It has been waited for.
    pub fn reaped(mut self) {
        self.reaped = true;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let mut started = self.children.started.borrow_mut();
        if self.reaped {
            started.remove(&self.pid);
        } else {
            // The runtime will wait for it.
            started.insert(self.pid, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_children_are_found_without_the_kernels_list_as_well() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = listed_by_parent();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&pid), "{found:?}");
        assert!(!listed_by_parent().contains(&pid));
    }
}
