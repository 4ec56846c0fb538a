//! The attempt of a running execution, and how it is stopped.

use std::sync::Arc;

use picofaas_frames::Sequence;
use tokio::task::AbortHandle;

use crate::attempt_end::AttemptEnd;
use crate::channel;
use crate::channel::AnswerSender;
use crate::id::Token;
use crate::instance::InstanceStart;

/// The attempt of a running execution, and how it is stopped.
#[derive(Debug)]
pub(crate) enum RunningAttempt {
    /// A task that exchanges a request with an instance: its connection closes with it.
    Exchange(AbortHandle),
    /// One of many on a connection of this gateway.
    Framed(FramedKey),
    /// The same with an answer to a web request whose body a task passes on.
    FramedStream(FramedKey, AbortHandle),
    /// An instance that takes this attempt alone, whose task waits for its answer, for a signal, and for its end.
    SingleUse {
        /// Wakes the task.
        signal: AnswerSender<JobSignal>,
        /// How the instance came to be.
        start: Option<Arc<InstanceStart>>,
    },
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

/// Where an attempt is that shares its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FramedKey {
    /// The connection's number on its gateway; used again once the connection is over.
    pub connection: usize,
    /// The attempt's number on it.
    pub sequence: Sequence,
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
            RunningAttempt::Exchange(_)
            | RunningAttempt::Framed(_)
            | RunningAttempt::FramedStream(..)
            | RunningAttempt::SingleUse { .. } => {
                debug_assert!(false, "a result was posted for an exchange");
            }
            RunningAttempt::Process { signal, .. } => channel::answer(signal, JobSignal::Posted(how)),
        }
    }

    /// Stops it. Answers what the scheduler is to be told at once; `None` where that is told when its process has gone,
    /// or its instance has let go of it. `stop_framed` stops one that shares its connection, and answers whether there
    /// was something to stop.
    #[must_use]
    pub(crate) fn stop(
        self,
        how: AttemptEnd,
        stop_framed: impl FnOnce(FramedKey) -> bool,
    ) -> Option<AttemptEnd> {
        match self {
            RunningAttempt::Framed(key) => (!stop_framed(key)).then_some(how),
            RunningAttempt::FramedStream(key, task) => {
                task.abort();
                (!stop_framed(key)).then_some(how)
            }
            RunningAttempt::Exchange(task) => {
                task.abort();
                Some(how)
            }
            RunningAttempt::Process { signal, .. } | RunningAttempt::SingleUse { signal, .. } => {
                channel::answer(signal, JobSignal::Stop(how));
                None
            }
        }
    }
}
