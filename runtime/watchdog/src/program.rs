//! The program behind the watchdog, as it is started.

use std::cell::OnceCell;
use std::io;
use std::path::Path;

use picofaas_runtime::{Context, HandlerError};
use rustix::fs::{Access, access};

use crate::command::Command;

/// What is said to the watchdog and not to its program: where to listen, and what shows the
/// control plane who asks.
const WITHHELD: [&str; 4] = ["PICOFAAS_TOKEN", "PICOFAAS_RUNTIME_URL", "PICOFAAS_SOCKET", "PORT"];

/// The program and its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    words: Vec<String>,
    /// With the environment that each start has, once it was found.
    found: OnceCell<picofaas_child::Program>,
}

impl Program {
    /// Of a command, which has at least one word.
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words, found: OnceCell::new() }
    }

    /// Looks whether the program is there, so that one that is not is said at the start.
    pub(crate) fn find(&self) -> Result<(), HandlerError> {
        let program = self.found().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let name = &self.words[0];
                let message =
                    format!("WATCHDOG_CMD names the program `{name}`, which is in no folder of PATH");
                HandlerError::internal(message)
            }
            _ => self.failed(&error),
        })?;
        access(program.file(), Access::EXEC_OK).map_err(|error| self.failed(&error.into()))
    }

    /// A command for it, with our environment but for what is not its business.
    pub(crate) fn command(&self) -> Command<'_> {
        Command::new(self.found())
    }

    /// Where it is, looked up in PATH once.
    fn found(&self) -> io::Result<&picofaas_child::Program> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let environment =
            std::env::vars_os().filter(|(name, _)| !WITHHELD.iter().any(|hidden| name == hidden));
        let name = Path::new(&self.words[0]);
        let program = picofaas_child::Program::new(name, &self.words[1..], environment.collect(), None)?;
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

    /// Why it could not be started.
    pub(crate) fn failed(&self, error: &io::Error) -> HandlerError {
        HandlerError::internal(format!(
            "the program `{}` (WATCHDOG_CMD) cannot be started: {error}",
            self.words[0]
        ))
    }
}
