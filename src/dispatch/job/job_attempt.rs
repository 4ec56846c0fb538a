//! An attempt with a process of its own: it fetches its input and posts its result on the runtime listener, and
//! control starts, watches and kills it.
//!
//! The answer is given at the post; the permit is free when the process is gone.

use std::time::Duration;

use crate::attempt_end::AttemptEnd;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, MessageSender, oneshot};
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::error::ErrorCode;
use crate::id::{ExecutionId, Token};
use crate::messages::control_message::{ControlMessage, JobEnd, JobStart, Kill};
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::{JobSignal, RunningAttempt};
use crate::ticket::Ticket;

/// Time that the post of a process that exited with 0 may still be on its way. Such a process says
/// that it has posted, and its post may not have been read off its socket yet.
const LAST_POST: Duration = Duration::from_millis(50);

/// Rest of an execution's time in which another attempt could only end as a time-out, which says
/// less than why this one failed.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// An attempt whose process is to be started.
#[derive(Debug)]
pub(crate) struct JobAttempt {
    ticket: Ticket,
    start: Box<JobStart>,
    signal: AnswerReceiver<JobSignal>,
    process: JobProcess,
}

/// The process of an attempt, as control tells of it.
#[derive(Debug)]
struct JobProcess {
    kill: AnswerSender<Kill>,
    end: AnswerReceiver<JobEnd>,
}

impl JobAttempt {
    /// An attempt of which a post with the `token` is the result, and the end by which it is told of that.
    #[must_use]
    pub(crate) fn new(
        id: ExecutionId,
        execution: &Execution,
        token: Token,
        now: Nanos,
    ) -> (Self, RunningAttempt) {
        let (answer, signal) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let mut trace = Vec::with_capacity(32);
        execution.trace.write_id(&mut trace);
        let start = JobStart {
            function: execution.entry.function.clone(),
            execution: id,
            attempt: execution.attempt,
            trace_id: String::from_utf8_lossy(&trace).into_owned(),
            token,
            time_left: Duration::from_millis(execution.time_left_ms(now)),
            killed,
            ended,
        };
        let attempt =
            Self { ticket: id.ticket, start: Box::new(start), signal, process: JobProcess { kill, end } };
        (attempt, RunningAttempt::Process { signal: answer, token, posted_none: false })
    }

    /// Has the process started, and waits until it is gone. Answers the end of the attempt, for the scheduler.
    ///
    /// `complete` takes the result of a process that has posted none; it answers `None` where the attempt was
    /// completed before.
    pub(crate) async fn run(
        self,
        context: AttemptContext<'_>,
        control: &MessageSender<ControlMessage>,
        stop_timeout: Duration,
        complete: impl FnOnce(AttemptResult) -> Option<AttemptEnd>,
    ) -> AttemptEnd {
        let Self { ticket, start, mut signal, mut process } = self;
        // Where control has stopped, `ended` is dropped and `end` says so.
        let _ = control.send(ControlMessage::StartJob(start)).await;
        // The result and the end of the process, whichever comes first.
        let told = tokio::select! {
            biased;
            told = &mut signal => told,
            end = &mut process.end => {
                let end = end.unwrap_or_else(|_| JobEnd::never_started());
                let last = match end.exited_with_0 {
                    true => tokio::time::timeout(LAST_POST, &mut signal).await.ok(),
                    false => None,
                };
                let told = match last {
                    Some(told) => told,
                    None => match complete(failed(context, ticket, end)) {
                        Some(how) => return how,
                        // Completed by somebody else, so the signal has been sent.
                        None => signal.await,
                    },
                };
                return told.map_or(AttemptEnd::Done, |(JobSignal::Posted(how) | JobSignal::Stop(how))| how);
            }
        };
        match told {
            Ok(JobSignal::Posted(how)) => {
                if tokio::time::timeout(stop_timeout, &mut process.end).await.is_err() {
                    tracing::warn!(patience = ?stop_timeout, "a process posted its result and is not known to have ended");
                    process.stop(Kill::Posted).await;
                }
                how
            }
            Ok(JobSignal::Stop(how)) => {
                process.stop(Kill::Unwanted).await;
                how
            }
            // The execution holds the other end for as long as the attempt is not completed.
            Err(_) => {
                debug_assert!(false, "an attempt was completed without a signal");
                process.stop(Kill::Unwanted).await;
                AttemptEnd::Done
            }
        }
    }
}

impl JobProcess {
    /// Has the process killed, and waits until it is gone.
    async fn stop(self, why: Kill) {
        channel::answer(self.kill, why);
        // Gone in any case, be it said or not.
        let _ = self.end.await;
    }
}

/// The result of an attempt whose process is gone and has posted no result.
fn failed(context: AttemptContext<'_>, ticket: Ticket, end: JobEnd) -> AttemptResult {
    let no_result = context.executions.with(ticket, |_, execution| execution.error_of_no_result().cloned());
    if let Some(error) = no_result.flatten() {
        let outcome = Outcome::Refused(error);
        return AttemptResult::without_answer(outcome);
    }
    let error = ExecutionError::new(end.code, end.reason);
    let now = context.clock.now();
    let is_last = context.executions.with(ticket, |_, execution| {
        u128::from(execution.deadline.saturating_sub(now)) <= LAST_MOMENT.as_nanos()
    });
    // The API server was away until the end of the attempt's time.
    let outcome = if end.code == ErrorCode::KubeUnavailable && is_last == Some(true) {
        Outcome::Refused(error)
    } else {
        Outcome::Failed(error)
    };
    AttemptResult::without_answer(outcome)
}

impl JobEnd {
    /// The end of a process that nobody was there to start.
    fn never_started() -> Self {
        Self {
            code: ErrorCode::NoInstance,
            reason: "the control plane is stopping and starts no more processes".to_owned(),
            exited_with_0: false,
        }
    }
}
