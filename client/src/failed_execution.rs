//! An execution that did not succeed, as its client is told.

use std::fmt;

use crate::exit_status::ExitStatus;
use crate::printable::printable;

/// Codes of errors that are not the function's own, as `GET /v1/executions/{id}` tells them.
const OF_THE_GATEWAY: [&str; 12] = [
    "ADMISSION_REFUSED",
    "CANCELLED",
    "EXECUTIONS_FULL",
    "FUNCTION_REMOVED",
    "INTERNAL",
    "KUBE_UNAVAILABLE",
    "NO_INSTANCE",
    "PAYLOAD_BYTES_FULL",
    "POD_EVICTED",
    "QUOTA_EXCEEDED",
    "RETENTION_FULL",
    "SHUTTING_DOWN",
];

/// Party to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The function.
    Function,
    /// The server, or whoever cancelled it.
    Gateway,
    /// The time was over.
    Time,
}

/// An end that is no success.
#[derive(Debug)]
pub(crate) struct FailedExecution {
    /// Name of the function.
    pub function: String,
    /// Id of the execution.
    pub id: String,
    /// Code of the error, the function's own or one of the server.
    pub code: String,
    /// Its message.
    pub message: String,
    /// Party to blame.
    pub blame: Blame,
}

impl Blame {
    /// By the code of an execution that has ended with `status`.
    pub(crate) fn of_end(status: &str, code: &str) -> Self {
        match status {
            "timeout" => Self::Time,
            "cancelled" => Self::Gateway,
            _ if OF_THE_GATEWAY.contains(&code) => Self::Gateway,
            _ => Self::Function,
        }
    }

    /// By an answer to `:invoke`.
    pub(crate) fn of_answer(http_status: u16, source: Option<&str>) -> Self {
        match (http_status, source) {
            (504, _) => Self::Time,
            (_, Some("function")) => Self::Function,
            (_, Some(_) | None) => Self::Gateway,
        }
    }
}

impl FailedExecution {
    /// The exit code.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self.blame {
            Blame::Function => ExitStatus::FunctionFailed,
            Blame::Gateway => ExitStatus::Unavailable,
            Blame::Time => ExitStatus::TimedOut,
        }
    }

    /// Where there is more about it.
    pub(crate) fn remedy(&self, program: &str) -> Option<String> {
        match self.blame {
            Blame::Function => Some(format!("`{program} logs {}` has what it wrote", self.id)),
            Blame::Gateway | Blame::Time => {
                Some(format!("`{program} describe execution {}` has its stages", self.id))
            }
        }
    }
}

impl fmt::Display for FailedExecution {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, code, message, .. } = self;
        let (function, code, message) = (printable(function), printable(code), printable(message));
        write!(out, "{function} failed: {code}: {message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_blamed_on_the_function_on_the_gateway_or_on_the_time() {
        assert_eq!(Blame::of_end("timeout", "TIMEOUT"), Blame::Time);
        assert_eq!(Blame::of_end("cancelled", "CANCELLED"), Blame::Gateway);
        assert_eq!(Blame::of_end("error", "NO_INSTANCE"), Blame::Gateway);
        assert_eq!(Blame::of_end("error", "BAD_INPUT"), Blame::Function);
        assert_eq!(Blame::of_answer(503, Some("function")), Blame::Function);
        assert_eq!(Blame::of_answer(504, Some("function")), Blame::Time);
        assert_eq!(Blame::of_answer(502, Some("gateway")), Blame::Gateway);
    }
}
