//! The program behind the watchdog, as it is started.

use std::io;
use std::path::Path;
use std::process::Command;

use picofaas_runtime::{Context, HandlerError};
use rustix::fs::{Access, access};

/// What is said to the watchdog and not to its program: where to listen, and what shows the
/// control plane who asks.
const WITHHELD: [&str; 4] = ["PICOFAAS_TOKEN", "PICOFAAS_RUNTIME_URL", "PICOFAAS_SOCKET", "PORT"];

/// The program and its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    words: Vec<String>,
}

impl Program {
    /// Of a command, which has at least one word.
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Looks whether the program is there, so that one that is not is said at the start.
    pub(crate) fn find(&self) -> Result<(), HandlerError> {
        let name = &self.words[0];
        let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        if name.contains('/') {
            return match access(name, Access::EXEC_OK) {
                Ok(()) => Ok(()),
                Err(error) => Err(self.failed(&error.into())),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        if std::env::split_paths(&path).any(|folder| runs(&folder.join(name))) {
            return Ok(());
        }
        let message = format!("WATCHDOG_CMD names the program `{name}`, which is in no folder of PATH");
        Err(HandlerError::internal(message))
    }

    /// A command for it, with our environment but for what is not its business.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        for name in WITHHELD {
            command.env_remove(name);
        }
        command
    }

    /// The same, for one execution.
    pub(crate) fn command_for(&self, context: &Context) -> Command {
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
