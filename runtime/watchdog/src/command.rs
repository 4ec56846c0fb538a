//! A start of the program behind the watchdog: its differences from the others.

use std::ffi::OsStr;
use std::io;

use picofaas_child::{Child, Confinement, EnvironmentChanges, Program, Stream, Streams};

/// The program, and the environment and streams of one child.
pub(crate) struct Command<'a> {
    /// Or why there is none.
    program: io::Result<&'a Program>,
    changes: EnvironmentChanges,
    streams: Streams,
    /// The first change that could not be made; it is told by the start.
    fault: Option<io::Error>,
}

impl<'a> Command<'a> {
    pub(crate) fn new(program: io::Result<&'a Program>) -> Self {
        Self { program, changes: EnvironmentChanges::default(), streams: Streams::OUTPUT, fault: None }
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        if let Err(error) = self.changes.set(name, value) {
            self.fault.get_or_insert(error);
        }
        self
    }

    pub(crate) fn env_remove(&mut self, name: &str) -> &mut Self {
        self.changes.remove(name);
        self
    }

    /// Sets its standard input, which is empty otherwise. Its output comes to us.
    pub(crate) fn stdin(&mut self, stream: Stream) -> &mut Self {
        self.streams.stdin = stream;
        self
    }

    /// Starts it in a process group of its own, which the kernel kills when we die.
    pub(crate) fn spawn(&mut self) -> io::Result<Child> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let program =
            self.program.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        Child::spawn(program, &self.changes, self.streams, &Confinement::default())
    }
}
