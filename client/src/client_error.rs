//! Everything that can go wrong in a command: the message, the remedy and the exit code of each.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::duration::in_words;
use crate::exit_status::ExitStatus;
use crate::failed_execution::FailedExecution;
use crate::printable::printable;
use crate::refusal::Refusal;

/// Why a command did not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Something that was given is wrong; the message has the field, the value and the remedy.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{}: cannot be {verb}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("no server at {server}: {reason}")]
    NoServer {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// The certificate of the server is not trusted.
    #[error("the certificate of {server} is not trusted: {reason}")]
    Untrusted {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// An answer that picofaas does not give.
    #[error("{server} does not answer as picofaas does: {what}")]
    NotPicofaas {
        /// Its URL.
        server: String,
        /// The answer, in words.
        what: String,
    },
    /// A connection that ended before the answer did.
    #[error("the connection to {server} broke off before the end of the answer: {reason}")]
    BrokenOff {
        /// Its URL.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server said no.
    #[error("{0}")]
    Refused(Refusal),
    /// A program that was run for the command failed.
    #[error("{command}: {how}{}", set_in(output))]
    Program {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        how: String,
        /// The last lines that it wrote.
        output: String,
        /// How the command ends.
        status: ExitStatus,
    },
    /// A function of a folder is not such that the command can be done with it. Others may be.
    #[error("{0}")]
    UnfitFunction(String),
    /// Something that the command needs is not on this machine.
    #[error("{0}")]
    Missing(String),
    /// A function that was deployed does not get ready.
    #[error("{name} is not ready{}: {why}", within.map(|limit| format!(" within {}", in_words(limit))).unwrap_or_default())]
    NotReady {
        /// The function's name.
        name: String,
        /// Reason, as its status has it.
        why: String,
        /// Flags by which other commands go there, each with a space before it.
        flags: String,
        /// The time that was over; `None` where it failed before.
        within: Option<Duration>,
    },
    /// The execution did not succeed.
    #[error("{0}")]
    Failed(FailedExecution),
    /// There is no such function.
    #[error("there is no function {name:?} on {server}")]
    NoFunction {
        /// The name that was asked for.
        name: String,
        /// Names that there are, and that may have been meant.
        near: Vec<String>,
        /// The server's URL.
        server: String,
    },
    /// There is no such context.
    #[error("{}: has no context {name:?}", path.display())]
    NoContext {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
        /// The file of contexts.
        path: PathBuf,
    },
    /// A time was over.
    #[error("{what} within {}", in_words(*limit))]
    TimedOut {
        /// Thing that did not happen, as in `no answer from http://…`.
        what: String,
        /// The time.
        limit: Duration,
    },
    /// Ctrl-C or SIGTERM.
    #[error("interrupted{0}")]
    Interrupted(&'static str),
    /// The reader of the output has read enough.
    #[error("standard output is closed")]
    OutputClosed,
    /// The output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// Some of several were refused, and each was told.
    #[error("{failed} of {all} failed")]
    Several {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// How the first of them ends the command.
        status: ExitStatus,
    },
}

impl ClientError {
    /// The exit code.
    pub(crate) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Usage(_) | Self::File { .. } => ExitStatus::Usage,
            Self::NoServer { .. }
            | Self::Untrusted { .. }
            | Self::NotPicofaas { .. }
            | Self::BrokenOff { .. }
            | Self::Output(_) => ExitStatus::Unavailable,
            Self::Missing(_) => ExitStatus::Unavailable,
            Self::UnfitFunction(_) => ExitStatus::Usage,
            Self::Program { status, .. } => *status,
            Self::NotReady { within: None, .. } => ExitStatus::FunctionFailed,
            Self::NotReady { within: Some(_), .. } => ExitStatus::TimedOut,
            Self::Refused(refusal) => refusal.exit_status(),
            Self::Failed(failed) => failed.exit_status(),
            Self::NoFunction { .. } | Self::NoContext { .. } => ExitStatus::NotFound,
            Self::TimedOut { .. } => ExitStatus::TimedOut,
            Self::Interrupted(_) => ExitStatus::Interrupted,
            // As far as somebody wanted to read, all was there.
            Self::OutputClosed => ExitStatus::Success,
            Self::Several { status, .. } => *status,
        }
    }

    /// Next thing to do. `program` is how a person calls this program.
    pub(crate) fn remedy(&self, program: &str) -> Option<String> {
        match self {
            Self::NoServer { .. } => Some(format!(
                "start one with `picofaas dev`, or name another with --server (see `{program} config`)"
            )),
            Self::Untrusted { .. } => Some(
                "name the certificate of its authority with --certificate-authority FILE, or in the context"
                    .to_owned(),
            ),
            Self::NotPicofaas { .. } => Some(
                "is this the server's URL, or does a proxy answer for it? --server names another".to_owned(),
            ),
            Self::BrokenOff { .. } => {
                Some("try again; what was begun may have gone on without you".to_owned())
            }
            Self::Refused(refusal) => refusal.remedy(program),
            Self::Failed(failed) => failed.remedy(program),
            Self::NotReady { name, flags, .. } => Some(format!(
                "`{program} logs {name}{flags}` shows what it wrote, `{program} describe function {name}{flags}` its state"
            )),
            Self::NoFunction { near, .. } => {
                let list = format!("`{program} get functions` lists those there are");
                Some(match near.as_slice() {
                    [] => list,
                    near => format!("did you mean {}? {list}", near.join(" or ")),
                })
            }
            Self::NoContext { known, .. } => Some(match known.as_slice() {
                [] => format!("`{program} config set-context NAME --server URL` makes one"),
                known => format!("it has {}", known.join(", ")),
            }),
            Self::Usage(_)
            | Self::File { .. }
            | Self::Program { .. }
            | Self::Missing(_)
            | Self::UnfitFunction(_)
            | Self::TimedOut { .. }
            | Self::Interrupted(_)
            | Self::OutputClosed
            | Self::Output(_)
            | Self::Several { .. } => None,
        }
    }

    /// The whole message for a person.
    pub(crate) fn report(&self, program: &str) -> String {
        match self.remedy(program) {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }
}

/// Lines of others below a message, set in.
fn set_in(text: &str) -> String {
    printable(text).lines().map(|line| format!("\n    {line}")).collect()
}
