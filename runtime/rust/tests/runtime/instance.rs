//! An example of this crate, running as a process.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
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
    /// The line with which it said that it listens.
    pub greeting: String,
}

impl Process {
    /// Starts an example with an environment of nothing but `variables`.
    pub fn start(example: &str, variables: &[(&str, &str)]) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(built(example))
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(OwnedFd::from(theirs))
            .spawn()
            .unwrap();
        Self { child, stderr: BufReader::new(ours) }
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

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; the exit code (or minus the signal) and the rest of stderr.
    pub fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        while self.stderr.read_line(&mut rest).expect("the process ends") > 0 {}
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
    /// Starts `faulty` with a handler.
    pub fn of(handler: &str) -> Self {
        Self::with(handler, &[])
    }

    /// Starts `faulty` with a handler and more of an environment.
    pub fn with(handler: &str, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("fn.sock");
        let mut variables = vec![("PICOFAAS_SOCKET", socket.to_str().unwrap()), ("HANDLER", handler)];
        variables.extend(more);
        let mut process = Process::start("faulty", &variables);
        let greeting = process.line_with("listening");
        Self { process, directory, greeting }
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

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end; the exit code and the directory of the socket.
    pub fn end(self) -> (i32, TempDir) {
        (self.process.end().0, self.directory)
    }
}

impl ControlPlane {
    /// Starts `faulty` with a handler as a JOB of this control plane.
    pub fn job(&self, handler: &str, more: &[(&str, &str)]) -> Process {
        start_job(self.port(), handler, more)
    }
}

/// Starts `faulty` with a handler as a JOB of a control plane at `port`.
pub fn start_job(port: u16, handler: &str, more: &[(&str, &str)]) -> Process {
    let url = format!("http://127.0.0.1:{port}");
    let mut variables = vec![
        ("EXECUTION_MODE", "JOB"),
        ("HANDLER", handler),
        ("EXECUTION_ID", EXECUTION_ID),
        ("PICOFAAS_RUNTIME_URL", &url),
        ("PICOFAAS_TOKEN", "t0ken"),
    ];
    variables.extend(more);
    Process::start("faulty", &variables)
}

/// The path of an example as it is now. `cargo test` builds the examples along, but not
/// when it is told to run this test alone; asking once more costs nothing then.
fn built(example: &str) -> &'static Path {
    static FAULTY: OnceLock<PathBuf> = OnceLock::new();
    static ECHO: OnceLock<PathBuf> = OnceLock::new();
    let place = match example {
        "faulty" => &FAULTY,
        "echo" => &ECHO,
        other => panic!("`{other}` is not an example of this crate"),
    };
    place.get_or_init(|| {
        // <target directory>/<profile>/deps/<this test>
        let this = std::env::current_exe().unwrap();
        let profile_directory = this.ancestors().nth(2).unwrap();
        let profile = match profile_directory.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", env!("CARGO_PKG_NAME"), "--example", example])
            .args(["--profile", profile, "--target-dir"])
            .arg(profile_directory.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "cannot build the example {example}");
        profile_directory.join("examples").join(example)
    })
}
