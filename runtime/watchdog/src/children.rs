//! The processes that are our children: started by us, or orphaned and left to us.
//!
//! The watchdog is a subreaper, so a process that outlives its parent becomes a child of ours,
//! however it left its group. When a child that we started has ended, its group is killed and
//! so is every orphan that carries its mark, or none that is known. Processes that we started are
//! reaped where their end is waited for and are never touched here.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_local};

use crate::limits::ENVIRONMENT_BYTES_MAX;
use crate::log;
use crate::memory::Memory;

/// The variable that marks the processes of a child.
pub(crate) const MARK: &str = "WATCHDOG_CHILD";

/// Our children.
pub(crate) struct Children {
    /// The kernel's list of the children of this thread, which must be the main one.
    list: PathBuf,
    /// The mark of each child that we started and that has not been reaped.
    live: RefCell<HashMap<i32, String>>,
    /// Orphans that have got SIGKILL, until they are reaped.
    kill_sent: RefCell<HashSet<i32>>,
    /// Tasks that end the children that nobody needs any more.
    ending: RefCell<Vec<JoinHandle<()>>>,
    started: Cell<u64>,
    killed: Cell<u64>,
    strangers_killed: Cell<u64>,
    closed: Cell<bool>,
    /// The memory that they share with us.
    memory: Memory,
}

impl Children {
    pub(crate) fn new() -> Rc<Self> {
        let thread = rustix::thread::gettid().as_raw_pid();
        Rc::new(Self {
            list: PathBuf::from(format!("/proc/self/task/{thread}/children")),
            live: RefCell::default(),
            kill_sent: RefCell::default(),
            ending: RefCell::default(),
            started: Cell::new(0),
            killed: Cell::new(0),
            strangers_killed: Cell::new(0),
            closed: Cell::new(false),
            memory: Memory::find(),
        })
    }

    /// Makes every process that outlives its parent a child of ours, and reaps orphans from now on.
    /// Must be called inside the runtime.
    pub(crate) fn become_subreaper(self: &Rc<Self>) -> io::Result<()> {
        set_child_subreaper(Some(getpid()))?;
        if let Err(error) = fs::read(&self.list) {
            log::line(&format!("warning what leaves its process group is not found: /proc: {error}"));
        }
        let mut ended = signal(SignalKind::child())?;
        let children = Rc::clone(self);
        spawn_local(async move {
            while ended.recv().await.is_some() {
                children.reap_orphans();
            }
        });
        let children = Rc::clone(self);
        spawn_local(async move { children.memory.watch().await });
        Ok(())
    }

    /// The memory that they share with us.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The mark of the next child.
    pub(crate) fn next_mark(&self) -> String {
        self.started.set(self.started.get() + 1);
        format!("{}-{}", std::process::id(), self.started.get())
    }

    /// Takes note of a child that was started with a mark.
    pub(crate) fn began(&self, pid: Pid, mark: String) {
        self.live.borrow_mut().insert(pid.as_raw_pid(), mark);
    }

    /// Forgets a child that was reaped, and ends its orphans.
    pub(crate) fn ended(&self, pid: Pid) {
        self.live.borrow_mut().remove(&pid.as_raw_pid());
        self.reap_orphans();
    }

    /// Counts a child that did not end by itself and was killed.
    pub(crate) fn count_killed(&self) {
        self.killed.set(self.killed.get() + 1);
    }

    /// Has a child ended beside everything else. False where it is too late for that.
    pub(crate) fn end_with(&self, work: impl Future<Output = ()> + 'static) -> bool {
        if self.closed.get() {
            return false;
        }
        let mut ending = self.ending.borrow_mut();
        ending.retain(|task| !task.is_finished());
        ending.push(spawn_local(work));
        true
    }

    /// Waits for the children that are being ended, and kills the orphans.
    pub(crate) async fn stop(&self) {
        loop {
            let Some(task) = self.ending.borrow_mut().pop() else { break };
            // It fails only where it panicked, which was written by the hook.
            let _ = task.await;
        }
        self.closed.set(true);
        self.reap_orphans();
    }

    /// Reaps the orphans that have ended, and kills the others whose child has ended. Their end is
    /// another signal, so this comes again until there are none.
    fn reap_orphans(&self) {
        // Without the list nothing can be found; `become_subreaper` has said so.
        let Ok(list) = fs::read_to_string(&self.list) else { return };
        for pid in list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            let Some(pid) =
                Pid::from_raw(pid).filter(|pid| !self.live.borrow().contains_key(&pid.as_raw_pid()))
            else {
                continue;
            };
            // A number of a child stays the same process until it is reaped, which only we do.
            let reaped = matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)) | Err(_));
            if reaped {
                self.kill_sent.borrow_mut().remove(&pid.as_raw_pid());
            } else if !self.is_live(&mark(pid)) && self.kill_sent.borrow_mut().insert(pid.as_raw_pid()) {
                // It fails only where it has just ended.
                let _ = kill_process(pid, Signal::KILL);
                self.strangers_killed.set(self.strangers_killed.get() + 1);
            }
        }
    }

    fn is_live(&self, mark: &Option<String>) -> bool {
        mark.as_ref().is_some_and(|mark| self.live.borrow().values().any(|live| live == mark))
    }

    /// The metrics, as Prometheus' text.
    pub(crate) fn write_metrics(&self, text: &mut String) {
        let running = u64::try_from(self.live.borrow().len()).unwrap_or(u64::MAX);
        for (name, kind, help, value) in [
            ("children_started_total", "counter", "Processes that were started.", self.started.get()),
            ("children_running", "gauge", "Processes that were started and not yet reaped.", running),
            ("children_killed_total", "counter", "Processes that did not end on SIGTERM.", self.killed.get()),
            (
                "strangers_killed_total",
                "counter",
                "Processes that left their group and outlived the child they came from.",
                self.strangers_killed.get(),
            ),
        ] {
            let name = format!("picofaas_watchdog_{name}");
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
                .expect("a String takes everything");
        }
    }
}

/// The mark in the environment of a process.
fn mark(pid: Pid) -> Option<String> {
    let mut environment = Vec::new();
    let file = fs::File::open(format!("/proc/{}/environ", pid.as_raw_pid())).ok()?;
    file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}
