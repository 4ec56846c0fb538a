//! The watchdog, running as a process.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

use crate::control_plane::{ControlPlane, EXECUTION_ID};
use crate::wire::Connection;

/// A test that waits longer than this for something has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A process; killed on drop if it still runs.
pub struct Process {
    child: Child,
    stderr: BufReader<UnixStream>,
}

/// A process that listens on a Unix socket.
pub struct Instance {
    process: Process,
    directory: TempDir,
}

/// The command of a shell that runs `script`.
pub fn shell(script: &str) -> String {
    serde_json::to_string(&["sh", "-c", script]).unwrap()
}

impl Process {
    /// Starts the watchdog with an environment of nothing but `PATH` and `variables`.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_picofaas-watchdog"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        Self { child, stderr: BufReader::new(ours) }
    }

    /// Starts it as a JOB of a control plane.
    pub fn job(control_plane: &ControlPlane, variables: &[(&str, &str)]) -> Self {
        let url = format!("http://127.0.0.1:{}", control_plane.port());
        let mut all = vec![
            ("EXECUTION_MODE", "JOB"),
            ("EXECUTION_ID", EXECUTION_ID),
            ("PICOFAAS_RUNTIME_URL", &url),
            ("PICOFAAS_TOKEN", "t0ken"),
        ];
        all.extend(variables);
        Self::start(&all)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The next line on stderr that contains `part`.
    pub fn line_with(&mut self, part: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.stderr.read_line(&mut line).unwrap_or_else(|e| panic!("{e} after:\n{seen}"));
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

    /// Waits for the end; the exit code (or minus the signal) and the rest of stderr.
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        let began = SystemTime::now();
        while self.stderr.read_line(&mut rest).expect("the process ends") > 0 {
            assert!(began.elapsed().unwrap() < PATIENCE, "it goes on:\n{rest}");
        }
        let status = self.child.wait().unwrap();
        (status.code().unwrap_or_else(|| -status.signal().unwrap()), rest)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Instance {
    /// Starts the watchdog in a mode, with a shell's script as its program.
    pub fn of(mode: &str, script: &str) -> Self {
        Self::with(mode, script, &[])
    }

    /// The same with more of an environment.
    pub fn with(mode: &str, script: &str, more: &[(&str, &str)]) -> Self {
        Self::running(mode, &shell(script), more)
    }

    /// The same with any command.
    pub fn running(mode: &str, command: &str, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("fn.sock");
        let mut variables = vec![
            ("PICOFAAS_SOCKET", socket.to_str().unwrap()),
            ("WATCHDOG_MODE", mode),
            ("WATCHDOG_CMD", command),
        ];
        variables.extend(more);
        let mut process = Process::start(&variables);
        process.line_with("listening");
        Self { process, directory }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("fn.sock")
    }

    pub fn connect(&self) -> Connection<UnixStream> {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Connection::over(stream)
    }

    pub fn line_with(&mut self, part: &str) -> String {
        self.process.line_with(part)
    }

    pub fn pid_after(&mut self, part: &str) -> Pid {
        self.process.pid_after(part)
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks for the metrics until they have this line.
    pub fn wait_for(&self, line: &str) {
        let mut observer = self.connect();
        let began = SystemTime::now();
        loop {
            let answer = observer.get("/metrics");
            if answer.text().lines().any(|found| found == line) {
                break;
            }
            assert!(began.elapsed().unwrap() < PATIENCE, "no `{line}` in\n{}", answer.text());
        }
    }

    /// The children of the process, ended ones that nobody has reaped included.
    pub fn children(&self) -> Vec<String> {
        let pid = self.process.pid().as_raw_pid();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// Looks at the children until there are so many.
    pub fn wait_for_children(&self, count: usize) {
        let began = SystemTime::now();
        while self.children().len() != count {
            assert!(began.elapsed().unwrap() < PATIENCE, "not {count} but {:?}", self.children());
        }
    }

    /// Waits for the end; the exit code and the rest of stderr.
    pub fn end(self) -> (i32, String) {
        self.process.end()
    }
}

/// Waits until a process has ended, if it has not already.
pub fn wait_for_end(pid: Pid) {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).unwrap(),
        1,
        "{pid:?} lives on"
    );
}
