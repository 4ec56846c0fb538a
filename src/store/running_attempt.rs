//! The attempt of a running execution, and how it is stopped.

use tokio::task::AbortHandle;

use crate::attempt_end::AttemptEnd;
use crate::channel;
use crate::channel::AnswerSender;
use crate::id::Token;

/// The attempt of a running execution, and how it is stopped.
#[derive(Debug)]
pub(crate) enum RunningAttempt {
    /// A task that exchanges a request with an instance: its connection closes with it.
    Exchange(AbortHandle),
    /// A process of its own (`JOB`), whose task waits for a signal and then for the process's end.
    Process {
        /// Wakes the task.
        signal: AnswerSender<JobSignal>,
        /// The process's secret, which is good for this attempt.
        token: Token,
        /// Whether it has posted what is no result; the execution's error says what.
        posted_none: bool,
    },
}

/// A signal to the task of an attempt with a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobSignal {
    /// The attempt's result was posted: let the process end, then tell the scheduler this.
    Posted(AttemptEnd),
    /// The attempt is over without a result: kill the process, then tell the scheduler this.
    Stop(AttemptEnd),
}

impl RunningAttempt {
    /// Lets it end after its result was posted. Its own task then tells the scheduler `how`.
    pub(crate) fn posted(self, how: AttemptEnd) {
        match self {
            // Its result comes over its connection, and nobody else has a token for it.
            RunningAttempt::Exchange(_) => debug_assert!(false, "a result was posted for an exchange"),
            RunningAttempt::Process { signal, .. } => channel::answer(signal, JobSignal::Posted(how)),
        }
    }

    /// Stops it. Answers what the scheduler is to be told at once; `None` where the attempt's own
    /// task tells it when its process has gone.
    #[must_use]
    pub(crate) fn stop(self, how: AttemptEnd) -> Option<AttemptEnd> {
        match self {
            RunningAttempt::Exchange(task) => {
                task.abort();
                Some(how)
            }
            RunningAttempt::Process { signal, .. } => {
                channel::answer(signal, JobSignal::Stop(how));
                None
            }
        }
    }
}
