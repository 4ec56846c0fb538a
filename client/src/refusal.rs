//! Refusals of the server: its error code, its message and every fault that it found.

use std::fmt;

use serde::Deserialize;

use crate::exit_status::ExitStatus;
use crate::printable::printable;

/// An answer that is not a 2xx, and not the end of an execution.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub error: RefusalError,
    /// Seconds after which it may work, where the server said so.
    pub retry_after_s: Option<u32>,
    /// Put before the fields of its faults, as in `spec.`.
    pub field_prefix: &'static str,
}

/// The member `error` of the body.
#[derive(Debug, Deserialize)]
pub(crate) struct RefusalError {
    /// Stable; one of the codes in openapi.yaml.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Faults of a body.
    #[serde(default)]
    pub details: Vec<FieldFault>,
}

/// A fault of one field.
#[derive(Debug, Deserialize)]
pub(crate) struct FieldFault {
    /// Such as `replicas.min`; empty for the whole.
    pub field: String,
    /// The fault, in words.
    pub message: String,
}

impl Refusal {
    /// The exit code.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self.status {
            404 => ExitStatus::NotFound,
            504 => ExitStatus::TimedOut,
            400 | 405 | 411 | 413 | 415 | 422 | 431 => ExitStatus::Usage,
            _ => ExitStatus::Unavailable,
        }
    }

    /// Next thing to do, beyond what the message says.
    pub(crate) fn remedy(&self, program: &str) -> Option<String> {
        if let Some(seconds) = self.retry_after_s {
            return Some(format!("try again in {seconds} s"));
        }
        match self.error.code.as_str() {
            "EXECUTION_NOT_FOUND" | "EXECUTION_EXPIRED" | "EXECUTION_LOST_ON_RESTART" => {
                Some(format!("`{program} get executions` lists those that are kept"))
            }
            "LOCAL_EXEC_DISABLED" => Some(
                "start the server with --allow-local-exec, or let it read the manifest: \
                 `picofaas build DIR && picofaas serve --functions DIR`"
                    .to_owned(),
            ),
            // Of the API server of a cluster.
            "Conflict" => Some("`--force` takes these fields over".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RefusalError { code, message, details } = &self.error;
        write!(out, "{} ({})", printable(message), printable(code))?;
        for FieldFault { field, message } in details {
            let message = printable(message);
            match field.as_str() {
                "" => write!(out, "\n  {message}")?,
                field => write!(out, "\n  {}{}: {message}", self.field_prefix, printable(field))?,
            }
        }
        Ok(())
    }
}
