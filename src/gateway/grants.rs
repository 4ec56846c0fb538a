//! `dispatch` and `complete`: a grant of the scheduler begins an attempt, and its result ends the execution
//! or lets it wait for the next attempt.
//!
//! The gateway is the only one who makes an execution terminal, so it becomes so once. For every
//! `GatewayCommand::Run` it answers one `GatewayEvent::AttemptEnded`, also where the execution is
//! over already.

use std::rc::Rc;
use std::time::Duration;

use super::Gateway;
use crate::api::listener::Listener;
use crate::attempt_end::AttemptEnd;
use crate::clock::NANOS_PER_MS;
use crate::dispatch::context::AttemptContext;
use crate::dispatch::job::job_attempt::JobAttempt;
use crate::dispatch::pool::attempt;
use crate::dispatch::pool::instance_pools::InstancePools;
use crate::error::ErrorCode;
use crate::instance::InstanceKey;
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent};
use crate::spec::{EndpointUrl, ExecutionMode};
use crate::store::attempt_result::AttemptResult;
use crate::store::execution::{Execution, Invocation, Status};
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::RunningAttempt;
use crate::store::transitions::{Completed, Ended};
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
        let versions = self.versions.borrow();
        let now = self.clock.now();
        let has_begun = match versions.get(&instance.version) {
            Some(pools) => {
                let is_job = pools.entry.function.spec.execution_mode == ExecutionMode::Job;
                let token = is_job.then(|| self.executions.new_token());
                let start = |id, execution: &Execution| match token {
                    Some(token) => {
                        let (job, attempt) = JobAttempt::new(id, execution, token, now);
                        self.start_job(job, ticket);
                        attempt
                    }
                    None => self.start_exchange(pools.clone(), ticket, instance),
                };
                self.executions.borrow_mut().begin_attempt(ticket, &pools.entry, attempt, now, start)
            }
            None => {
                let has_ended = self.executions.with(ticket, |_, execution| execution.has_ended());
                debug_assert!(
                    has_ended != Some(false),
                    "a grant for a version that this gateway does not know"
                );
                false
            }
        };
        if !has_begun {
            self.tell(GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Done });
        }
        !has_begun
    }

    /// Starts the task of an attempt at an instance.
    fn start_exchange(
        self: &Rc<Self>,
        pools: Rc<InstancePools>,
        ticket: Ticket,
        instance: InstanceKey,
    ) -> RunningAttempt {
        let gateway = self.clone();
        let task = tokio::task::spawn_local(async move {
            let result = attempt::run(gateway.attempt_context(), &pools, ticket, instance).await;
            gateway.complete_exchange(ticket, result);
        });
        RunningAttempt::Exchange(task.abort_handle())
    }

    /// Starts the task of an attempt that has a process of its own.
    fn start_job(self: &Rc<Self>, attempt: JobAttempt, ticket: Ticket) {
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
        AttemptContext { executions: &self.executions, clock: self.clock, output_max: self.output_max() }
    }

    /// An attempt's own time is over: its connection closes with its task, or its process is killed.
    fn abort(&self, ticket: Ticket) -> bool {
        let error =
            ExecutionError::new(ErrorCode::HandlerTimeout, "the attempt took longer than attemptTimeoutMs");
        let attempt = self.executions.borrow_mut().abort_attempt(ticket, error);
        // Without one its end is on the event ring already, or its process is being waited for.
        attempt.is_some_and(|attempt| self.tell_stopped(ticket, attempt.stop(AttemptEnd::Failed)))
    }

    /// Tells the scheduler of an attempt that was stopped, where nobody else will.
    fn tell_stopped(&self, ticket: Ticket, how: Option<AttemptEnd>) -> bool {
        if let Some(how) = how {
            self.tell(GatewayEvent::AttemptEnded { ticket, how });
        }
        how.is_some()
    }

    /// The scheduler has no more for an execution.
    fn ended_by_scheduler(&self, ticket: Ticket, why: EndReason) -> bool {
        let now = self.clock.now();
        // An execution is read by clients, wherever it was asked for.
        let flags = &self.settings.flags;
        let with_lines = Listener::of_clients(flags).may_operate(flags);
        let ended = self.end(ticket, |execution| ending(execution, why, now, with_lines));
        let Some(Ended { attempt, wakers }) = ended else { return false };
        let told = self.tell_stopped(ticket, attempt.and_then(|attempt| attempt.stop(AttemptEnd::Done)));
        wakers.wake();
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
        let now = self.clock.now();
        let Completed { attempt, how, wakers } =
            self.executions.borrow_mut().complete(ticket, result, now)?;
        if let Some(wakers) = wakers {
            self.publish_gauges();
            wakers.wake();
        }
        Some((attempt, how))
    }

    /// Makes an execution terminal. The caller stops its attempt, and then wakes those who wait.
    pub(super) fn end(
        &self,
        ticket: Ticket,
        decide: impl FnOnce(&Execution) -> (Status, Option<Box<ExecutionError>>),
    ) -> Option<Ended> {
        let ended = self.executions.borrow_mut().end(ticket, self.clock.now(), decide)?;
        self.publish_gauges();
        Some(ended)
    }

    /// Ends an execution because nobody wants it any more.
    pub(super) fn cancel(self: &Rc<Self>, ticket: Ticket, why: &'static str) {
        self.stop(ticket, Status::Cancelled, ExecutionError::new(ErrorCode::Cancelled, why));
        self.poke();
    }

    /// Ends an execution, and stops its attempt or takes it out of its line. The caller pokes the scheduler.
    fn stop(&self, ticket: Ticket, status: Status, error: ExecutionError) {
        let ended = self.end(ticket, |_| (status, Some(Box::new(error))));
        let Some(Ended { attempt, wakers }) = ended else { return };
        if let Some(attempt) = attempt {
            self.tell_stopped(ticket, attempt.stop(AttemptEnd::Done));
        } else {
            self.rings.signals(ticket).cancel(ticket.generation());
            self.tell(GatewayEvent::Cancelled { ticket });
        }
        wakers.wake();
    }

    /// The end of the drain time: everything that is not over ends now.
    pub fn end_everything(self: &Rc<Self>) -> usize {
        let live = self.executions.borrow().live();
        for ticket in &live {
            let error = ExecutionError::new(
                ErrorCode::ShuttingDown,
                "the control plane stopped before the execution had ended (--drain)",
            );
            self.stop(*ticket, Status::Error, error);
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
