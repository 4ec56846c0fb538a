//! A runtime that listens on a Unix socket.

use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::patience::{patience, until};
use crate::process::Process;
use crate::wire::Connection;

/// A process that listens on a Unix socket.
pub struct Instance {
    process: Process,
    directory: TempDir,
    /// The line with which it said that it listens.
    pub greeting: String,
}

impl Instance {
    /// Starts a program with an environment of nothing but `PATH`, its socket and `variables`,
    /// and waits until it says that it listens.
    pub fn start(program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(program).envs(variables.iter().copied()))
    }

    /// Starts a command with an environment of nothing but `PATH`, its socket and its own variables, and
    /// waits until it says that it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Process::spawn(command.env("PICOFAAS_SOCKET", socket_in(&directory)));
        let greeting = process.line_with("listening");
        Self { process, directory, greeting }
    }

    pub fn socket(&self) -> PathBuf {
        socket_in(&self.directory)
    }

    pub fn connect(&self) -> Connection<UnixStream> {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Connection::over(stream)
    }

    /// Asks for the metrics until they have this line.
    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        self.connect().wait_for_metric(line);
    }

    /// The children of the process, ended ones that nobody has reaped included.
    pub fn children(&self) -> Vec<String> {
        let pid = self.pid().as_raw_pid();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// Looks at the children until there are so many.
    #[track_caller]
    pub fn wait_for_children(&self, count: usize) {
        until(
            || format!("not {count} but {:?}", self.children()),
            || (self.children().len() == count).then_some(()),
        );
    }

    /// Waits for the end; the exit code, the rest of stderr and the directory of the socket.
    pub fn end(self) -> (i32, String, TempDir) {
        let (code, rest) = self.process.end();
        (code, rest, self.directory)
    }
}

fn socket_in(directory: &TempDir) -> PathBuf {
    directory.path().join("fn.sock")
}

impl Deref for Instance {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Instance {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
