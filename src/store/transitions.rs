//! The transitions of an execution: `queued → running → queued | ended`.
//!
//! Each looks its execution up once, moves it where that is legal, and keeps the numbers of the store and the
//! metrics of the function's version. A transition that comes too late changes nothing and says so.

use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use super::attempt_result::{AttemptResult, Outcome};
use super::execution::{Execution, Invocation, State, Status};
use super::execution_error::ExecutionError;
use super::execution_store::{ExecutionStore, find};
use super::function_entry::FunctionEntry;
use super::running_attempt::RunningAttempt;
use super::time_limit::is_handler_timeout;
use super::timestamps::Timestamps;
use super::waiters::Wakers;
use crate::attempt_end::AttemptEnd;
use crate::clock::{Clock, Nanos};
use crate::error::ErrorCode;
use crate::id::ExecutionId;
use crate::instance::InstanceKey;
use crate::ticket::Ticket;

/// An attempt whose result was taken.
#[derive(Debug)]
#[must_use]
pub(crate) struct Completed {
    /// The attempt, which is not stopped.
    pub attempt: RunningAttempt,
    /// The end that the scheduler is to be told once the attempt is closed.
    pub how: AttemptEnd,
    /// The waiters, where the execution has ended with it.
    pub wakers: Option<Wakers>,
}

/// An execution that was ended.
#[derive(Debug)]
#[must_use]
pub(crate) struct Ended {
    /// The attempt that it had, which is to be stopped.
    pub attempt: Option<RunningAttempt>,
    /// Its waiters.
    pub wakers: Wakers,
}

impl ExecutionStore {
    /// Takes note that a new execution's ticket is put on its ring, which is that of the entry.
    pub(crate) fn enqueue(&mut self, ticket: Ticket, now: Nanos) -> Option<Rc<FunctionEntry>> {
        let execution = self.get_mut(ticket)?;
        debug_assert!(matches!(execution.state, State::Queued), "{:?} is enqueued", execution.state);
        execution.timestamps.enqueued = now;
        execution.entry.metrics().enqueued.add_one();
        Some(execution.entry.clone())
    }

    /// Queued → running: the `nth` attempt was granted, at an instance of this version. `start` starts it, and is not called
    /// where the execution has ended. Answers whether it was called.
    pub(crate) fn begin_attempt(
        &mut self,
        ticket: Ticket,
        entry: &Rc<FunctionEntry>,
        nth: u8,
        instance: InstanceKey,
        now: Nanos,
        start: impl FnOnce(ExecutionId, &Execution) -> RunningAttempt,
    ) -> bool {
        let incarnation = self.incarnation();
        let Some(execution) = find(&mut self.executions, &self.generations, ticket) else { return false };
        match execution.state {
            State::Queued => {}
            State::Running(_) => {
                debug_assert!(false, "an attempt is granted to an execution that has one");
                return false;
            }
            State::Ended(_) => return false,
        }
        let metrics = entry.metrics();
        metrics.dispatched.add_one();
        if !Rc::ptr_eq(&execution.entry, entry) {
            execution.entry.let_go(execution.held);
            entry.hold(execution.held);
            execution.entry = entry.clone();
        }
        if execution.first_granted == 0 {
            execution.first_granted = now;
            metrics.queue_wait.observe(now.saturating_sub(execution.timestamps.admitted));
            if execution.run_budget > 0 {
                // From here on it has its time to run; the scheduler does the same.
                execution.deadline = now + execution.run_budget;
            }
        }
        if nth > 1 && nth > execution.attempt {
            metrics.retries.add_one();
        }
        execution.attempt = nth;
        execution.dispatched = execution.dispatched.saturating_add(1);
        execution.instance = Some(instance);
        let Timestamps { admitted, enqueued, .. } = execution.timestamps;
        execution.timestamps = Timestamps { admitted, enqueued, granted: now, ..Timestamps::default() };
        let attempt = start(ExecutionId { incarnation, ticket, nonce: execution.nonce }, execution);
        if let RunningAttempt::Process { token, .. } = &attempt {
            execution.tokens.push(*token);
        }
        execution.state = State::Running(attempt);
        self.queued -= 1;
        self.running += 1;
        true
    }

    /// Takes note that the request of the running attempt is written, on a connection that there was at
    /// `connected`; 0: it came by a connection of the instance's.
    pub(crate) fn written(&mut self, ticket: Ticket, connected: Nanos, now: Nanos) {
        if let Some(execution) = self.get_mut(ticket) {
            execution.timestamps.connected = connected;
            execution.timestamps.written = now;
        }
    }

    /// Running → ended | queued: an attempt's outcome is the execution's, or it waits for the next attempt.
    /// `None` where the attempt was completed before, and this comes too late.
    pub(crate) fn complete(
        &mut self,
        ticket: Ticket,
        result: AttemptResult,
        now: Nanos,
    ) -> Option<Completed> {
        let AttemptResult { outcome, cold_start, standby, init_ns, first_byte, answered } = result;
        let execution = self.get_mut(ticket)?;
        let Some(attempt) = take_attempt(execution) else {
            execution.entry.metrics().late_results.add_one();
            return None;
        };
        execution.timestamps.first_byte = first_byte;
        execution.timestamps.answered = answered;
        execution.standby = standby;
        if cold_start && !execution.cold_start {
            execution.cold_started(&attempt, init_ns);
        }
        let (how, status) = match outcome {
            Outcome::Output(output) if execution.needs_more_for(output.len()) => {
                (AttemptEnd::Answered, Some(self.take_large_output(ticket, output)))
            }
            Outcome::Output(output) => {
                execution.output = output;
                execution.error = None;
                (AttemptEnd::Answered, Some(Status::Success))
            }
            outcome @ (Outcome::Answered(_)
            | Outcome::Abandoned
            | Outcome::Refused(_)
            | Outcome::Failed(_)
            | Outcome::Unsent(_)) => end_without_output(execution, outcome, answered),
        };
        self.count_requeued();
        let wakers = status.and_then(|status| self.settle(ticket, status, now));
        Some(Completed { attempt, how, wakers })
    }

    /// Takes note of what is wrong with the result that the process of the running attempt has posted, in case
    /// that it posts no other.
    pub(crate) fn posted_none(&mut self, ticket: Ticket, error: ExecutionError) {
        if let Some(execution) = self.get_mut(ticket)
            && let State::Running(RunningAttempt::Process { posted_none, .. }) = &mut execution.state
        {
            *posted_none = true;
            execution.error = Some(Box::new(error));
        }
    }

    /// Running → queued: the attempt has taken too long. Answers the attempt, which is to be stopped; `None`
    /// where its end is known already, or its process is being waited for.
    pub(crate) fn abort_attempt(&mut self, ticket: Ticket) -> Option<RunningAttempt> {
        let execution = self.get_mut(ticket)?;
        let attempt = take_attempt(execution)?;
        execution.error = Some(Box::new(execution.attempt_timeout()));
        self.count_requeued();
        Some(attempt)
    }

    /// Queued | running → ended, with what `decide` says: a status, and an error where it is not that of the
    /// last attempt. `None` where the execution has ended.
    pub(crate) fn end(
        &mut self,
        ticket: Ticket,
        now: Nanos,
        decide: impl FnOnce(&Execution) -> (Status, Option<Box<ExecutionError>>),
    ) -> Option<Ended> {
        let execution = self.get_mut(ticket).filter(|execution| !execution.has_ended())?;
        let (status, error) = decide(execution);
        if error.is_some() {
            execution.error = error;
        }
        let attempt = take_attempt(execution);
        if attempt.is_some() {
            self.count_requeued();
        }
        let wakers = self.settle(ticket, status, now)?;
        Some(Ended { attempt, wakers })
    }

    /// Enters a waiter for the end. Answers its number.
    pub(crate) fn wait(&mut self, ticket: Ticket) -> Option<u64> {
        self.get_mut(ticket).map(|execution| execution.waiters.enter())
    }

    /// Whether the execution has ended, or is not there; where it has not, `waker` is woken at its end.
    pub(crate) fn poll_end(&mut self, ticket: Ticket, waiter: u64, waker: &Waker) -> Poll<()> {
        match self.get_mut(ticket) {
            Some(execution) if !execution.has_ended() => {
                execution.waiters.wait(waiter, waker);
                Poll::Pending
            }
            // An execution that someone waits for is not removed; were it gone, there is nothing to wait for.
            Some(_) | None => Poll::Ready(()),
        }
    }

    /// Builds the reply to a waiter of an execution that has ended, and lets the waiter leave; before that,
    /// `waker` is woken at its end.
    pub(crate) fn poll_reply<T>(
        &mut self,
        ticket: Ticket,
        waiter: u64,
        waker: &Waker,
        clock: &Clock,
        build: impl FnOnce(ExecutionId, &Execution) -> T,
    ) -> Poll<Option<T>> {
        let incarnation = self.incarnation();
        let Some(execution) = self.get_mut(ticket) else { return Poll::Ready(None) };
        if !execution.has_ended() {
            execution.waiters.wait(waiter, waker);
            return Poll::Pending;
        }
        execution.timestamps.replied = clock.now();
        execution.waiters.leave(waiter);
        let id = ExecutionId { incarnation, ticket, nonce: execution.nonce };
        if execution.awaits_reply {
            execution.record_reply(id);
        }
        Poll::Ready(Some(build(id, execution)))
    }

    /// Lets a waiter leave that was answered, or is gone. Answers whether the execution is to be cancelled: it
    /// is queued, and nobody waits for it and nobody was promised it. A running one finishes.
    pub(crate) fn waiter_left(&mut self, ticket: Ticket, waiter: u64) -> bool {
        let Some(execution) = self.get_mut(ticket) else { return false };
        execution.waiters.leave(waiter)
            && execution.invocation == Invocation::Sync
            && matches!(execution.state, State::Queued)
            && execution.idempotency_key.is_none()
    }

    /// Takes an output for which bytes have to be found. Answers the status that the execution ends with.
    #[cold]
    fn take_large_output(&mut self, ticket: Ticket, output: Bytes) -> Status {
        let bytes = output.len();
        let fits = self.accommodate(ticket, bytes);
        let Some(execution) = self.get_mut(ticket) else { return Status::Error };
        if fits {
            execution.output = output;
            execution.error = None;
            return Status::Success;
        }
        execution.error = Some(Box::new(no_room(bytes)));
        Status::Error
    }

    /// An execution that had an attempt is queued.
    fn count_requeued(&mut self) {
        self.running -= 1;
        self.queued += 1;
    }
}

/// Ends an attempt that has no output, with the status that its execution ends with; `None`: another attempt may help.
#[cold]
fn end_without_output(
    execution: &mut Execution,
    outcome: Outcome,
    answered: Nanos,
) -> (AttemptEnd, Option<Status>) {
    let has_failed = matches!(outcome, Outcome::Failed(_));
    let outcome = match outcome {
        Outcome::Failed(error) => execution.outcome_of_failure(error, answered),
        outcome @ (Outcome::Output(_)
        | Outcome::Answered(_)
        | Outcome::Abandoned
        | Outcome::Refused(_)
        | Outcome::Unsent(_)) => outcome,
    };
    let (end, status, error) = match outcome {
        Outcome::Output(_) => unreachable!("an output is no outcome without one"),
        Outcome::Answered(status) => {
            let ended = if status < 500 { Status::Success } else { Status::Error };
            (AttemptEnd::Answered, Some(ended), error_of_status(status))
        }
        Outcome::Abandoned => {
            let text = "the client went away while it was answered";
            let error = ExecutionError::new(ErrorCode::Cancelled, text);
            (AttemptEnd::Done, Some(Status::Cancelled), Some(error))
        }
        Outcome::Refused(error) => {
            // A failure is refused another attempt where the time is over; a 504 of the function's own may come early.
            let end = if has_failed { AttemptEnd::Late } else { AttemptEnd::Answered };
            let status = if error.http == 504 { Status::Timeout } else { Status::Error };
            (end, Some(status), Some(error))
        }
        Outcome::Failed(error) => {
            let is_over = is_handler_timeout(&error) && error == execution.attempt_timeout();
            (if is_over { AttemptEnd::TimedOut } else { AttemptEnd::Failed }, None, Some(error))
        }
        Outcome::Unsent(error) => (AttemptEnd::Unsent, None, Some(error)),
    };
    execution.error = error.map(Box::new);
    (end, status)
}

/// The error of an output for which no bytes were found.
#[cold]
pub(super) fn no_room(bytes: usize) -> ExecutionError {
    let text = format!(
        "the function succeeded, but there was no room to keep its output of {bytes} bytes (--reserved-output, --max-payload-bytes)"
    );
    ExecutionError::new(ErrorCode::RetentionFull, text)
}

/// The error of a web request that was answered with this status; a 4xx is none.
fn error_of_status(status: u16) -> Option<ExecutionError> {
    let text = || format!("the function answered {status}");
    (status >= 500)
        .then(|| ExecutionError { http: status, ..ExecutionError::new(ErrorCode::HandlerError, text()) })
}

/// Takes the attempt of an execution that runs, which is queued then; the caller counts that.
fn take_attempt(execution: &mut Execution) -> Option<RunningAttempt> {
    match std::mem::replace(&mut execution.state, State::Queued) {
        State::Running(attempt) => Some(attempt),
        state @ (State::Queued | State::Ended(_)) => {
            execution.state = state;
            None
        }
    }
}
