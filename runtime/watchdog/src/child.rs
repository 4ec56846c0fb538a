//! A process that we started, until it has been reaped.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::rc::Rc;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_open,
    set_parent_process_death_signal, waitid, waitpid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use crate::children::{Children, MARK};
use crate::limits::TERM_GRACE;

/// A process with a group of its own. Dropped while it runs, its group gets SIGTERM, and
/// [`TERM_GRACE`] later SIGKILL. When it has ended, by itself or not, the rest of its group
/// is killed.
pub(crate) struct Child {
    process: Rc<Process>,
}

/// Our ends of what a child was given; those that its command does not pipe are absent.
pub(crate) struct Pipes {
    pub(crate) stdin: Option<Sender>,
    pub(crate) stdout: Option<Receiver>,
    pub(crate) stderr: Option<Receiver>,
}

struct Process {
    pid: Pid,
    /// Readable when the process has ended.
    pidfd: AsyncFd<OwnedFd>,
    status: Cell<Option<ExitStatus>>,
    children: Rc<Children>,
}

impl Child {
    /// Starts a command in a process group of its own, which the kernel kills when we die.
    #[expect(
        unsafe_code,
        reason = "the death signal is asked for by the child itself; tokio trusts us with its descriptor"
    )]
    pub(crate) fn start(command: &mut Command, children: &Rc<Children>) -> io::Result<(Self, Pipes)> {
        let mark = children.next_mark();
        command.env(MARK, &mark).process_group(0);
        // SAFETY: between fork and exec it makes one system call and nothing else.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let mut started = command.spawn()?;
        let pid = Pid::from_child(&started);
        children.began(pid, mark);
        let made = (|| {
            let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
            // SAFETY: the descriptor is owned by what is registered, and closed with it.
            let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
            let stdin = started.stdin.take().map(|end| Sender::from_owned_fd(end.into())).transpose()?;
            let stdout = started.stdout.take().map(|end| Receiver::from_owned_fd(end.into())).transpose()?;
            let stderr = started.stderr.take().map(|end| Receiver::from_owned_fd(end.into())).transpose()?;
            let status = Cell::new(None);
            let process = Process { pid, pidfd, status, children: Rc::clone(children) };
            Ok((Self { process: Rc::new(process) }, Pipes { stdin, stdout, stderr }))
        })();
        if made.is_err() {
            // Out of file descriptors, say. Killed, it ends at once.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
            children.ended(pid);
        }
        made
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
        if self.process.status.get().is_some() {
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
            if let Some(status) = self.status.get() {
                return Ok(status);
            }
            let mut readable = self.pidfd.readable().await?;
            if self.status.get().is_some() {
                continue;
            }
            // It is left a zombie for now, so that the number of the group stays its own.
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if waitid(WaitId::Pid(self.pid), look)?.is_none() {
                readable.clear_ready();
                continue;
            }
            self.kill(Signal::KILL);
            if let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)? {
                self.status.set(Some(ExitStatus::from_raw(status.as_raw())));
                self.children.ended(self.pid);
            }
        }
    }

    async fn end(&self) {
        self.kill(Signal::TERM);
        if timeout(TERM_GRACE, self.ended()).await.is_err() {
            self.kill(Signal::KILL);
            self.children.count_killed();
            // Where somebody else has waited for it, it has ended, too.
            let _ = self.ended().await;
        }
    }

    fn kill(&self, signal: Signal) {
        // It fails where no process of the group is left, which is what is wanted.
        let _ = kill_process_group(self.pid, signal);
    }
}
