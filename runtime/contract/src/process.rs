//! A runtime, running as a process.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::control_plane::EXECUTION_ID;
use crate::patience::{Stopwatch, patience};

/// The token that a JOB shows the control plane.
pub const TOKEN: &str = "t0ken";

/// A process; killed on drop if it still runs. When it is dropped by a test that fails, the unread rest of
/// its stderr is written to ours.
pub struct Process {
    child: Child,
    stderr: BufReader<UnixStream>,
}

impl Process {
    /// Starts a program with an environment of nothing but `PATH` and `variables`.
    pub fn start(program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(program).envs(variables.iter().copied()))
    }

    /// Starts a command with an environment of nothing but `PATH` and its own variables.
    pub fn spawn(command: &mut Command) -> Self {
        let brought: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value.to_owned())))
            .collect();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(patience())).unwrap();
        let child = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(brought)
            .stdin(Stdio::null())
            .stderr(OwnedFd::from(theirs))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
        // The command keeps their end of stderr open, which would hide that the process closed it.
        command.stderr(Stdio::null());
        Self { child, stderr: BufReader::new(ours) }
    }

    /// The variables that make a process of a runtime a JOB of the control plane at `url`.
    pub fn job_variables(url: &str) -> [(&'static str, &str); 4] {
        [
            ("EXECUTION_MODE", "JOB"),
            ("EXECUTION_ID", EXECUTION_ID),
            ("PICOFAAS_RUNTIME_URL", url),
            ("PICOFAAS_TOKEN", TOKEN),
        ]
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The next line on stderr that contains `part`.
    #[track_caller]
    pub fn line_with(&mut self, part: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let bytes = self
                .stderr
                .read_line(&mut line)
                .unwrap_or_else(|e| panic!("no `{part}` on stderr ({e}), only:\n{seen}"));
            assert_ne!(bytes, 0, "stderr ended without `{part}`:\n{seen}");
            if line.contains(part) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// The number at the end of the next line that contains `part`.
    pub fn pid_after(&mut self, part: &str) -> Pid {
        let line = self.line_with(part);
        Pid::from_raw(line.trim_end().rsplit(' ').next().unwrap().parse().unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it has ended, without waiting for that.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end; the exit code (or minus the signal) and the rest of stderr.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        let watch = Stopwatch::start();
        loop {
            assert!(watch.elapsed() < patience(), "it goes on:\n{rest}");
            match self.stderr.read_line(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => panic!("the process, or what it started, does not end ({error}):\n{rest}"),
            }
        }
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or_else(|| -status.signal().unwrap()), rest)
    }

    /// Writes the unread rest of its stderr to ours.
    fn tell_the_rest(&mut self) {
        let mut rest = self.stderr.buffer().to_vec();
        // Processes that it started may hold stderr open, and are not waited for.
        if self.stderr.get_ref().set_nonblocking(true).is_ok() {
            // Ends in an error where there is nothing more yet; what came before it counts.
            let _ = self.stderr.get_mut().read_to_end(&mut rest);
        }
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        if !rest.is_empty() {
            eprintln!("{test}: the process had said, unread:\n{}", String::from_utf8_lossy(&rest));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.tell_the_rest();
        }
    }
}

/// Waits until a process has ended, if it has not already.
pub fn wait_for_end(pid: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let patience = Timespec::try_from(patience()).unwrap();
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).unwrap();
    assert_eq!(ended, 1, "{pid:?} lives on");
}
