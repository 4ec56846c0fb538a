//! An attempt with a process of its own: it fetches its input and posts its result on the runtime
//! listener (`gateway::jobs`), and control starts, watches and kills it (`backend::local::job_processes`).
//!
//! The answer is given at the post; the permit is free when the process is gone.

use std::rc::Rc;
use std::time::Duration;

use crate::attempt_end::AttemptEnd;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::dispatch::pool::attempt::{AttemptResult, Outcome};
use crate::error::ErrorCode;
use crate::gateway::Gateway;
use crate::messages::control_message::{ControlMessage, JobEnd, JobStart, Kill};
use crate::store::execution_error::ExecutionError;
use crate::store::function_entry::FunctionEntry;
use crate::store::running_attempt::{JobSignal, RunningAttempt};
use crate::ticket::Ticket;

/// Time that the post of a process that exited with 0 may still be on its way. Such a process says
/// that it has posted, and its post may not have been read off its socket yet.
const LAST_POST: Duration = Duration::from_millis(50);

/// Rest of an execution's time in which another attempt could only end as a time-out, which says
/// less than why this one failed.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// Begins an attempt: from here on a post with its token is its result.
pub fn begin(gateway: &Rc<Gateway>, entry: &FunctionEntry, ticket: Ticket) {
    let (answer, signal) = oneshot::channel();
    let token = gateway.new_token();
    let (kill, killed) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    let now = gateway.clock.now();
    let start = gateway.with_execution(ticket, |execution| {
        execution.running_attempt = Some(RunningAttempt::Process(answer));
        execution.tokens.push(token);
        let mut trace = Vec::with_capacity(32);
        execution.trace.write_id(&mut trace);
        JobStart {
            function: entry.function.clone(),
            execution: gateway.id(ticket, execution),
            attempt: execution.attempt,
            trace_id: String::from_utf8_lossy(&trace).into_owned(),
            token,
            time_left: Duration::from_millis(execution.time_left_ms(now)),
            killed,
            ended,
        }
    });
    let Some(start) = start else {
        debug_assert!(false, "an attempt of an execution that the store does not have");
        return;
    };
    tokio::task::spawn_local(run(gateway.clone(), ticket, Box::new(start), signal, kill, end));
}

async fn run(
    gateway: Rc<Gateway>,
    ticket: Ticket,
    start: Box<JobStart>,
    signal: AnswerReceiver<JobSignal>,
    kill: AnswerSender<Kill>,
    end: AnswerReceiver<JobEnd>,
) {
    // Where control has stopped, `ended` is dropped and `end` says so.
    let _ = gateway.control.send(ControlMessage::StartJob(start)).await;
    let how = watch(&gateway, ticket, signal, kill, end).await;
    gateway.close_attempt(ticket, how);
}

/// Waits for the attempt's result and for the end of its process, whichever comes first.
async fn watch(
    gateway: &Rc<Gateway>,
    ticket: Ticket,
    mut signal: AnswerReceiver<JobSignal>,
    kill: AnswerSender<Kill>,
    mut end: AnswerReceiver<JobEnd>,
) -> AttemptEnd {
    let told = tokio::select! {
        biased;
        told = &mut signal => told,
        end = &mut end => {
            let end = end.unwrap_or_else(|_| JobEnd::never_started());
            let last = match end.exited_with_0 {
                true => tokio::time::timeout(LAST_POST, &mut signal).await.ok(),
                false => None,
            };
            let told = match last {
                Some(told) => told,
                None => match fail(gateway, ticket, end) {
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
            let patience = Duration::from_millis(gateway.settings.flags.stop_timeout_ms);
            if tokio::time::timeout(patience, &mut end).await.is_err() {
                tracing::warn!(?patience, "a process posted its result and is not known to have ended");
                stop(kill, Kill::Posted, end).await;
            }
            how
        }
        Ok(JobSignal::Stop(how)) => {
            stop(kill, Kill::Unwanted, end).await;
            how
        }
        // The execution holds the other end for as long as the attempt is not completed.
        Err(_) => {
            debug_assert!(false, "an attempt was completed without a signal");
            stop(kill, Kill::Unwanted, end).await;
            AttemptEnd::Done
        }
    }
}

/// Has the process killed, and waits until it is gone.
async fn stop(kill: AnswerSender<Kill>, why: Kill, end: AnswerReceiver<JobEnd>) {
    channel::answer(kill, why);
    // Gone in any case, be it said or not.
    let _ = end.await;
}

/// The process is gone and has posted nothing: a failed attempt. Answers what the scheduler is to be
/// told, where the attempt was not completed before.
fn fail(gateway: &Rc<Gateway>, ticket: Ticket, end: JobEnd) -> Option<AttemptEnd> {
    let error = ExecutionError::new(end.code, end.reason);
    let now = gateway.clock.now();
    let is_last = gateway.with_execution(ticket, |execution| {
        u128::from(execution.deadline.saturating_sub(now)) <= LAST_MOMENT.as_nanos()
    });
    // The API server was away until the end of the attempt's time.
    let outcome = match end.code {
        ErrorCode::KubeUnavailable if is_last == Some(true) => Outcome::Refused(error),
        _ => Outcome::Failed(error),
    };
    let result = AttemptResult { outcome, cold_start: false, init_ns: None, answered: 0 };
    gateway.complete(ticket, result).map(|(_, how)| how)
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
