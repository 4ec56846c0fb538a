//! `dispatch` and `complete`: a grant of the scheduler begins an attempt, and its result ends the execution
//! or lets it wait for the next attempt.
//!
//! The gateway is the only one who makes an execution terminal, so it becomes so once. For every
//! `GatewayCommand::Run` it answers one `GatewayEvent::AttemptEnded`, also where the execution is
//! over already.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Gateway;
use crate::api::listener::Listener;
use crate::attempt_end::AttemptEnd;
use crate::clock::NANOS_PER_MS;
use crate::dispatch::context::AttemptContext;
use crate::dispatch::job::job_attempt::JobAttempt;
use crate::dispatch::pool::attempt;
use crate::error::{ErrorCode, ErrorSource};
use crate::instance::InstanceKey;
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent};
use crate::spec::{EndpointUrl, ExecutionMode};
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::{Execution, Invocation, Stage, Status};
use crate::store::execution_error::ExecutionError;
use crate::store::function_entry::FunctionEntry;
use crate::store::running_attempt::RunningAttempt;
use crate::ticket::Ticket;

impl Gateway {
    /// Carries out the scheduler's commands, and those that come of the answers.
    pub fn take_commands(self: &Rc<Self>) {
        loop {
            let mut told = false;
            while let Some(command) = self.own_rings().commands.pop() {
                told |= match command {
                    GatewayCommand::Run { ticket, instance, attempt } => {
                        self.dispatch(ticket, instance, attempt)
                    }
                    GatewayCommand::Abort { ticket } => self.abort(ticket),
                    GatewayCommand::End { ticket, why } => self.ended_by_scheduler(ticket, why),
                };
            }
            if !told {
                return;
            }
            self.wake_or_tick();
        }
    }

    /// Begins an attempt that was granted. Answers whether the scheduler was told something.
    fn dispatch(self: &Rc<Self>, ticket: Ticket, instance: InstanceKey, attempt: u8) -> bool {
        let pools = self.versions.borrow().get(&instance.version).cloned();
        let now = self.clock.now();
        let mut store = self.store.borrow_mut();
        let live = store.get_mut(ticket).is_some_and(|execution| !execution.has_ended());
        let Some(pools) = pools.filter(|_| live) else {
            drop(store);
            debug_assert!(!live, "a grant for a version that this gateway was not told of");
            self.tell(GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Done });
            return true;
        };
        let entry = &pools.entry;
        store.queued -= 1;
        store.running += 1;
        store.reassign(ticket, entry);
        let metrics = self.metrics(entry);
        metrics.dispatched.add_one();
        if let Some(execution) = store.get_mut(ticket) {
            if execution.first_granted == 0 {
                execution.first_granted = now;
                metrics.queue_wait.observe(now.saturating_sub(execution.timestamps.admitted));
                if execution.run_budget > 0 {
                    // From here on it has its time to run; the scheduler does the same.
                    execution.deadline = now + execution.run_budget;
                }
            }
            if attempt > 1 && attempt > execution.attempt {
                metrics.retries.add_one();
            }
            execution.stage = Stage::Running;
            execution.attempt = attempt;
            execution.timestamps.granted = now;
            execution.timestamps.written = 0;
            execution.timestamps.answered = 0;
        }
        drop(store);
        if entry.function.spec.execution_mode == ExecutionMode::Job {
            self.start_job(entry, ticket);
            return false;
        }
        let gateway = self.clone();
        let task = tokio::task::spawn_local(async move {
            let result = attempt::run(gateway.attempt_context(), &pools, ticket, instance).await;
            gateway.complete_exchange(ticket, result);
        });
        self.with_execution(ticket, |execution| {
            execution.running_attempt = Some(RunningAttempt::Exchange(task.abort_handle()))
        });
        false
    }

    /// Begins an attempt that has a process of its own.
    fn start_job(self: &Rc<Self>, entry: &FunctionEntry, ticket: Ticket) {
        let Some(attempt) = JobAttempt::begin(self.attempt_context(), entry, ticket) else {
            debug_assert!(false, "an attempt of an execution that the store does not have");
            return;
        };
        let gateway = self.clone();
        tokio::task::spawn_local(async move {
            let stop_timeout = Duration::from_millis(gateway.settings.flags.stop_timeout_ms);
            let complete = |result| gateway.complete(ticket, result).map(|(_, how)| how);
            let how = attempt.run(gateway.attempt_context(), &gateway.control, stop_timeout, complete).await;
            gateway.close_attempt(ticket, how);
        });
    }

    /// The parts of this gateway that its attempts need.
    fn attempt_context(&self) -> AttemptContext<'_> {
        AttemptContext {
            store: &self.store,
            incarnation: self.incarnation,
            clock: self.clock,
            output_max: self.output_max(),
        }
    }

    /// An attempt's own time is over: its connection closes with its task, or its process is killed.
    fn abort(self: &Rc<Self>, ticket: Ticket) -> bool {
        let running = self.with_execution(ticket, |execution| {
            let running = execution.running_attempt.take()?;
            execution.error = Some(Box::new(ExecutionError::new(
                ErrorCode::HandlerTimeout,
                "the attempt took longer than attemptTimeoutMs",
            )));
            execution.stage = Stage::Queued;
            Some(running)
        });
        let Some(Some(running)) = running else {
            // Its end is on the event ring already, or its process is being waited for.
            return false;
        };
        let mut store = self.store.borrow_mut();
        store.running -= 1;
        store.queued += 1;
        drop(store);
        self.tell_stopped(ticket, running.stop(AttemptEnd::Failed))
    }

    /// Tells the scheduler of an attempt that was stopped, where nobody else will.
    fn tell_stopped(&self, ticket: Ticket, how: Option<AttemptEnd>) -> bool {
        if let Some(how) = how {
            self.tell(GatewayEvent::AttemptEnded { ticket, how });
        }
        how.is_some()
    }

    /// The scheduler has no more for an execution.
    fn ended_by_scheduler(self: &Rc<Self>, ticket: Ticket, why: EndReason) -> bool {
        let live = self.with_execution(ticket, |execution| {
            (!execution.has_ended()).then(|| execution.running_attempt.take())
        });
        let Some(Some(running)) = live else { return false };
        let told = self.tell_stopped(ticket, running.and_then(|running| running.stop(AttemptEnd::Done)));
        let now = self.clock.now();
        // An execution is read by clients, wherever it was asked for.
        let flags = &self.settings.flags;
        let with_lines = Listener::of_clients(flags).may_operate(flags);
        let ending = self.with_execution(ticket, |execution| {
            (ending(execution, why, now, with_lines), execution.error.take())
        });
        let Some(((status, error), last)) = ending else { return told };
        self.make_terminal(ticket, status, error.or(last));
        told
    }

    /// Completes an attempt whose exchange is through, and closes it.
    pub fn complete_exchange(self: &Rc<Self>, ticket: Ticket, result: AttemptResult) {
        if let Some((_, how)) = self.complete(ticket, result) {
            self.close_attempt(ticket, how);
        }
    }

    /// Closes an attempt whose connection is closed or back in its pool, or whose process is gone: its
    /// permit is free.
    pub fn close_attempt(self: &Rc<Self>, ticket: Ticket, how: AttemptEnd) {
        self.tell(GatewayEvent::AttemptEnded { ticket, how });
        self.poke();
    }

    /// Makes an attempt's outcome the execution's, or lets it wait for the next attempt. Answers
    /// what was under way and what the scheduler is to be told of it; `None` where the attempt
    /// was completed before, and this comes too late.
    pub fn complete(&self, ticket: Ticket, result: AttemptResult) -> Option<(RunningAttempt, AttemptEnd)> {
        let AttemptResult { outcome, cold_start, init_ns, answered } = result;
        let running = self.with_execution(ticket, |execution| {
            let running = execution.running_attempt.take()?;
            execution.timestamps.answered = answered;
            execution.cold_start |= cold_start;
            if cold_start {
                let metrics = self.metrics(&execution.entry);
                metrics.cold_starts.add_one();
                if let Some(ns) = init_ns {
                    metrics.cold_start.observe(ns);
                }
            }
            Some(running)
        });
        let Some(Some(running)) = running else {
            self.with_execution(ticket, |execution| self.metrics(&execution.entry).late_results.add_one());
            return None;
        };
        let how = match outcome {
            Outcome::Output(output) => {
                self.succeed(ticket, output);
                AttemptEnd::Done
            }
            Outcome::Refused(error) => {
                self.make_terminal(ticket, Status::Error, Some(Box::new(error)));
                AttemptEnd::Done
            }
            Outcome::Failed(error) => self.await_retry(ticket, error, AttemptEnd::Failed),
            Outcome::Unsent(error) => self.await_retry(ticket, error, AttemptEnd::Unsent),
        };
        Some((running, how))
    }

    fn succeed(&self, ticket: Ticket, output: Bytes) {
        let bytes = output.len();
        if self.store.borrow_mut().accommodate(ticket, bytes, &self.own_rings().signals) {
            self.with_execution(ticket, |execution| execution.output = output);
            self.make_terminal(ticket, Status::Success, None);
        } else {
            let text = format!(
                "the function succeeded, but there was no room to keep its output of {bytes} bytes (--reserved-output, --max-payload-bytes)"
            );
            self.make_terminal(
                ticket,
                Status::Error,
                Some(Box::new(ExecutionError::new(ErrorCode::RetentionFull, text))),
            );
        }
    }

    fn await_retry(&self, ticket: Ticket, error: ExecutionError, how: AttemptEnd) -> AttemptEnd {
        self.with_execution(ticket, |execution| {
            execution.error = Some(Box::new(error));
            execution.stage = Stage::Queued;
        });
        let mut store = self.store.borrow_mut();
        store.running -= 1;
        store.queued += 1;
        how
    }

    /// Makes an execution terminal, counts it, and wakes those who wait.
    pub(super) fn make_terminal(&self, ticket: Ticket, status: Status, error: Option<Box<ExecutionError>>) {
        let now = self.clock.now();
        let mut store = self.store.borrow_mut();
        let Some(execution) = store.get_mut(ticket) else { return };
        if execution.has_ended() {
            return;
        }
        let was = std::mem::replace(&mut execution.stage, Stage::Ended(status));
        execution.error = error;
        execution.timestamps.ended = now;
        let entry = execution.entry.clone();
        let timestamps = execution.timestamps;
        let wakers = execution.waiters.take_wakers();
        // A success and the function's own 4xx are what a key replays.
        let replays = execution
            .error
            .as_ref()
            .is_none_or(|error| error.source == ErrorSource::Function && (400..500).contains(&error.http));
        if execution.idempotency_key.is_some() && !replays {
            store.release_key(ticket);
        }
        match was {
            Stage::Queued => store.queued -= 1,
            Stage::Running => store.running -= 1,
            Stage::Ended(_) => {}
        }
        store.keep(ticket, now, &self.own_rings().signals);
        drop(store);

        entry.drain.count(now);
        let metrics = self.metrics(&entry);
        match status {
            Status::Success => &metrics.success,
            Status::Error => &metrics.error,
            Status::Timeout => &metrics.timeout,
            Status::Cancelled => &metrics.cancelled,
        }
        .add_one();
        let latency = now.saturating_sub(timestamps.admitted);
        metrics.latency.observe(latency);
        if timestamps.answered > 0 && timestamps.written > 0 {
            let execution_ns = timestamps.answered.saturating_sub(timestamps.written);
            metrics.execution.observe(execution_ns);
            metrics.overhead.observe(latency.saturating_sub(execution_ns));
        }
        self.publish_gauges();
        wakers.for_each(std::task::Waker::wake);
    }

    /// Lets a waiter leave that was answered, or is gone. A queued execution that nobody waits for
    /// and nobody was promised is cancelled; a running one finishes.
    pub fn waiter_left(self: &Rc<Self>, ticket: Ticket, who: u64) {
        let abandoned = self.with_execution(ticket, |execution| {
            execution.waiters.leave(who)
                && execution.invocation == Invocation::Sync
                && execution.stage == Stage::Queued
                && execution.idempotency_key.is_none()
        });
        if abandoned == Some(true) {
            self.cancel(ticket, "the client went away before the execution was dispatched");
        }
    }

    /// Ends an execution because nobody wants it any more.
    pub(super) fn cancel(self: &Rc<Self>, ticket: Ticket, why: &'static str) {
        self.stop(ticket);
        self.make_terminal(
            ticket,
            Status::Cancelled,
            Some(Box::new(ExecutionError::new(ErrorCode::Cancelled, why))),
        );
        self.poke();
    }

    /// Stops a running attempt, or takes a waiting execution out of its line. The caller makes it
    /// terminal, and pokes the scheduler.
    fn stop(self: &Rc<Self>, ticket: Ticket) {
        if let Some(running) =
            self.with_execution(ticket, |execution| execution.running_attempt.take()).flatten()
        {
            self.tell_stopped(ticket, running.stop(AttemptEnd::Done));
        } else {
            self.rings.signals(ticket).cancel(ticket.generation());
            self.tell(GatewayEvent::Cancelled { ticket });
        }
    }

    /// The end of the drain time: everything that is not over ends now.
    pub fn end_everything(self: &Rc<Self>) -> usize {
        let live = self.store.borrow().live();
        for ticket in &live {
            self.stop(*ticket);
            let error = ExecutionError::new(
                ErrorCode::ShuttingDown,
                "the control plane stopped before the execution had ended (--drain)",
            );
            self.make_terminal(*ticket, Status::Error, Some(Box::new(error)));
        }
        self.poke();
        live.len()
    }
}

/// Status and, where it is not the attempt's own, error of an execution that the scheduler
/// ended.
fn ending(
    execution: &Execution,
    why: EndReason,
    now: u64,
    with_lines: bool,
) -> (Status, Option<Box<ExecutionError>>) {
    let error = |code, message: String| Some(Box::new(ExecutionError::new(code, message)));
    let after_ms = now.saturating_sub(execution.timestamps.admitted) / NANOS_PER_MS;
    let problem = || {
        let function = &execution.entry.function;
        match function.problem.load().as_ref() {
            Some(problem) => problem.told(with_lines),
            None if function.spec.endpoint_urls.is_empty() => "none is running".to_owned(),
            // Control looks after them and will know why in a moment.
            None => unreachable_endpoints(&function.spec.endpoint_urls),
        }
    };
    match why {
        EndReason::Timeout if execution.first_granted == 0 && execution.invocation == Invocation::Async => {
            let text = format!("it waited {after_ms} ms for its first dispatch (maxQueueMs)");
            (Status::Timeout, error(ErrorCode::QueueTimeout, text))
        }
        EndReason::Timeout if execution.attempt == 0 => {
            let text = format!("no instance took it within {after_ms} ms (timeoutMs or X-Timeout-Ms)");
            (Status::Timeout, error(ErrorCode::Timeout, text))
        }
        EndReason::Timeout => {
            let text = format!("it did not end within {after_ms} ms (timeoutMs or X-Timeout-Ms)");
            (Status::Timeout, error(ErrorCode::Timeout, text))
        }
        EndReason::Exhausted => match &execution.error {
            Some(last) if last.http == 504 => (Status::Timeout, None),
            Some(_) => (Status::Error, None),
            None => {
                (Status::Error, error(ErrorCode::Internal, "an attempt failed without a reason".to_owned()))
            }
        },
        EndReason::NoInstance => {
            let text = match &execution.error {
                Some(last) => format!("no instance could be reached: {} ({})", last.message, problem()),
                None => format!("no instance could be reached: {}", problem()),
            };
            (Status::Error, error(ErrorCode::NoInstance, text))
        }
        EndReason::FunctionRemoved => {
            let text = match &execution.error {
                Some(last) => format!(
                    "the function was deleted before there was another attempt; the one before failed: {}: {}",
                    last.code, last.message
                ),
                None => "the function was deleted while the execution waited".to_owned(),
            };
            (Status::Error, error(ErrorCode::FunctionRemoved, text))
        }
    }
}

/// Says which endpoints there are; the first few, where there are many.
fn unreachable_endpoints(urls: &[EndpointUrl]) -> String {
    const NAMED_MAX: usize = 3;
    let named: Vec<String> = urls.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let others = match urls.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        others => format!(" and {others} others"),
    };
    format!("{}{others} did not accept a connection; that is tried again until it works", named.join(", "))
}
