//! A process that we started, until it has been reaped.

use std::io;
use std::process::ExitStatus;
use std::rc::Rc;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use crate::children::{Children, MARK};
use crate::command::Command;
use crate::limits::TERM_GRACE;

/// A process with a group of its own. Dropped while it runs, its group gets SIGTERM, and
/// [`TERM_GRACE`] later SIGKILL. When it has ended, by itself or not, the rest of its group
/// is killed.
pub(crate) struct Child {
    process: Rc<Process>,
}

/// Our ends of a child's streams; absent where its command does not pipe them.
pub(crate) struct Pipes {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
}

struct Process {
    child: picofaas_child::Child,
    /// The number of its group, which is its own until it is reaped.
    group: Pid,
    children: Rc<Children>,
}

impl Child {
    /// Starts a command in a process group of its own, which the kernel kills when we die.
    pub(crate) fn start(command: &mut Command<'_>, children: &Rc<Children>) -> io::Result<(Self, Pipes)> {
        let mark = children.next_mark();
        let mut child = command.env(MARK, &mark).spawn()?;
        let group = child.pid().ok_or_else(|| io::Error::other("it was reaped by somebody else"))?;
        children.began(group, mark);
        let pipes =
            Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
        Ok((Self { process: Rc::new(Process { child, group, children: Rc::clone(children) }) }, pipes))
    }

    /// Waits until it has ended; the rest of its group has then been killed.
    pub(crate) async fn ended(&self) -> io::Result<ExitStatus> {
        self.process.ended().await
    }

    /// Ends it as dropping it does, and waits until it has ended.
    pub(crate) async fn end(&self) {
        self.process.end().await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.process.child.pid().is_none() {
            return;
        }
        let process = Rc::clone(&self.process);
        if !self.process.children.end_with(async move { process.end().await }) {
            self.process.kill(Signal::KILL);
        }
    }
}

impl Process {
    async fn ended(&self) -> io::Result<ExitStatus> {
        loop {
            self.child.ended().await?;
            let was_there = self.child.pid().is_some();
            if was_there {
                // It is a zombie still, so the number of the group is its own.
                self.kill(Signal::KILL);
            }
            if let Some(status) = self.child.reap()? {
                if was_there {
                    self.children.ended(self.group);
                }
                return Ok(status);
            }
        }
    }

    async fn end(&self) {
        self.kill(Signal::TERM);
        if timeout(TERM_GRACE, self.ended()).await.is_err() {
            self.kill(Signal::KILL);
            self.children.count_killed();
            // It fails where somebody else has waited for it; it has ended then, too.
            let _ = self.ended().await;
        }
    }

    fn kill(&self, signal: Signal) {
        // It fails where no process of the group is left, which is what is wanted.
        let _ = kill_process_group(self.group, signal);
    }
}
