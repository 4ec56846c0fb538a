//! The program behind the watchdog, as it is started.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use picofaas_child::locale::default_to_utf8;
use picofaas_runtime::{Context, HandlerError};
use rustix::fs::{Access, access};

use crate::command::Command;
use crate::frame::{FRAMES_OFFERED, FRAMES_VARIABLE};
use crate::named_command::NamedCommand;

/// Variables for the watchdog that its program does not get: where to listen, and the proof of who
/// asks the control plane; and that it takes one invocation, which it sees to itself.
///
/// An offer of a watchdog around this one is not ours to make.
const WITHHELD: [&str; 6] = [
    "PICOFAAS_TOKEN",
    "PICOFAAS_RUNTIME_URL",
    "PICOFAAS_SOCKET",
    "PORT",
    "PICOFAAS_STANDBY",
    FRAMES_VARIABLE,
];

/// The program and its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    command: NamedCommand,
    /// Whether it is offered the newest frames.
    is_worker: bool,
    /// The program with the environment of each start, once it was found.
    found: OnceCell<picofaas_child::Program>,
}

impl Program {
    /// The program of a command, which has at least one word.
    pub(crate) fn new(command: NamedCommand) -> Self {
        Self { command, is_worker: false, found: OnceCell::new() }
    }

    /// The same for one that speaks in frames.
    pub(crate) fn of_worker(command: NamedCommand) -> Self {
        Self { is_worker: true, ..Self::new(command) }
    }

    /// Checks that the program is there, so that a missing one is named at the start.
    pub(crate) fn find(&self) -> Result<(), HandlerError> {
        let program = self.found().map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let NamedCommand { words, source } = &self.command;
                HandlerError::internal(format!(
                    "{source} names the program `{}`, which is in no folder of PATH: {}",
                    words[0],
                    source.remedy()
                ))
            } else {
                self.failed(&error)
            }
        })?;
        access(program.file(), Access::EXEC_OK).map_err(|error| self.failed(&error.into()))
    }

    /// A command for it, with our environment except for the variables that are withheld, and UTF-8 where it says nothing of
    /// the character set.
    pub(crate) fn command(&self) -> Command<'_> {
        Command::new(self.found())
    }

    /// The file, looked up in PATH once.
    fn found(&self) -> io::Result<&picofaas_child::Program> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let mut environment: BTreeMap<OsString, OsString> =
            std::env::vars_os().filter(|(name, _)| !WITHHELD.iter().any(|hidden| name == hidden)).collect();
        default_to_utf8(&mut environment);
        if self.is_worker {
            environment.insert(FRAMES_VARIABLE.into(), FRAMES_OFFERED.into());
        }
        let words = &self.command.words;
        let program = picofaas_child::Program::new(Path::new(&words[0]), &words[1..], environment, None)?;
        Ok(self.found.get_or_init(|| program))
    }

    /// The same, for one execution.
    pub(crate) fn command_for(&self, context: &Context) -> Command<'_> {
        let mut command = self.command();
        command.env("EXECUTION_ID", context.execution_id());
        command.env("ATTEMPT", context.attempt().to_string());
        let left_ms = context.time_left().map(|left| left.as_millis().to_string());
        for (name, value) in [
            ("TRACE_ID", context.trace_id()),
            ("TRACEPARENT", context.traceparent()),
            ("TRACESTATE", context.tracestate()),
            ("IDEMPOTENCY_KEY", context.idempotency_key()),
            ("DEADLINE_MS", left_ms.as_deref()),
        ] {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// The failure of a start.
    pub(crate) fn failed(&self, error: &io::Error) -> HandlerError {
        HandlerError::internal(format!(
            "the program `{}` ({}) cannot be started: {error}",
            self.command.words[0], self.command.source
        ))
    }
}
