//! An instance on a Unix socket, from the start of its process to its first answer.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::wire::Wire;
use crate::wait::{self, Stopwatch};

/// In the input, so that an answer made without reading it is told apart.
const INPUT_TEXT: &str = "an answer that was really asked for";

/// From the start of a process to its first answer.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// From SIGTERM to SIGKILL.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether a process that has made no socket is still there.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Room for some events of the folder of sockets.
const EVENTS_BYTES: usize = 4096;

/// A process that serves on a socket. Dropped, it is ended.
pub(super) struct Instance {
    child: Child,
    wire: Wire<UnixStream>,
}

/// Where instances make their socket.
pub(super) struct Place {
    folder: PathBuf,
    socket: PathBuf,
}

impl Place {
    /// In a folder of its own, so that nothing else happens in it.
    pub(super) fn new(folder: &Path, name: &str) -> Result<Self> {
        let folder = folder.join(format!("sockets-{name}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let socket = folder.join("fn.sock");
        Ok(Self { folder, socket })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts an instance. Gives how long it took from just before the process was made to its first
    /// answer.
    ///
    /// The kernel says when the socket's file appears; until it is listened on, a moment later, it is asked
    /// again and again. To look without a pause from the start would take a core from what is started, and
    /// where that began on the same one it would wait for the scheduler's next tick.
    pub(super) fn start(&self, command: &mut Command) -> Result<(Instance, Duration)> {
        match std::fs::remove_file(&self.socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", self.socket.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let folder = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context("inotify")?;
        inotify::add_watch(&folder, &self.folder, WatchFlags::CREATE).context("inotify")?;
        let program = command.get_program().to_string_lossy().into_owned();
        let began = Stopwatch::start();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut starting = Starting(Some(child));
        let stream = starting.connect(&folder, &self.socket, began)?;
        let mut wire = Wire::over_unix(stream)?;
        ask(&mut wire).context("the first answer")?;
        let took = began.elapsed();
        let child = starting.0.take().context("the process was waited for")?;
        Ok((Instance { child, wire }, took))
    }
}

impl Instance {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// One more call, on the same connection.
    pub(super) fn call(&mut self) -> Result<()> {
        ask(&mut self.wire)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A process that has not answered yet. Dropped, it is ended.
struct Starting(Option<Child>);

impl Starting {
    fn connect(&mut self, folder: &OwnedFd, socket: &Path, began: Stopwatch) -> Result<UnixStream> {
        let child = self.0.as_mut().context("the process was waited for")?;
        let mut events = [MaybeUninit::uninit(); EVENTS_BYTES];
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Ok(stream),
                // Bound and not listened on yet; it may be we who keep the process from that.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => thread::yield_now(),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let mut polled = [PollFd::new(folder, PollFlags::IN)];
                    poll(&mut polled, Some(&LOOK)).context("cannot wait for the socket")?;
                    // Connecting shows what exactly happened.
                    let mut reader = Reader::new(folder, &mut events);
                    while reader.next().is_ok() {}
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot connect to {}", socket.display()));
                }
            }
            if let Some(status) = child.try_wait().context("cannot look after the process")? {
                bail!("it ended before it listened, with {status}: see its log");
            }
            ensure!(
                began.elapsed() < START_PATIENCE,
                "it does not listen on {} after {} s: see its log",
                socket.display(),
                START_PATIENCE.as_secs()
            );
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Ends a process in good order, or by force.
fn end(child: &mut Child) {
    // It fails where it has ended already, which is what is wanted.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let ended = wait::until(STOP_PATIENCE, || Ok(child.try_wait()?));
    if !matches!(ended, Ok(Some(_))) {
        eprintln!("warning: process {} is there {} s after SIGTERM", child.id(), STOP_PATIENCE.as_secs());
        // Likewise.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// One call, whose answer must be its input.
pub(super) fn ask(wire: &mut Wire<UnixStream>) -> Result<()> {
    let body = format!("{{\"input\":{{\"text\":\"{INPUT_TEXT}\"}}}}");
    let head = format!(
        "POST /invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Execution-Id: bench\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.send(&head, body.as_bytes())?;
    let answer = wire.receive()?.context("the connection was closed")?;
    let output: Value = serde_json::from_slice(&answer.body)
        .with_context(|| format!("{}: {:?}", answer.start, String::from_utf8_lossy(&answer.body)))?;
    ensure!(
        answer.start.starts_with("HTTP/1.1 200") && output["text"] == INPUT_TEXT,
        "not the function's answer: {} {output}",
        answer.start
    );
    Ok(())
}
