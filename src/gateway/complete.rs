//! `complete`: the result of an attempt ends its execution or lets it wait for the next attempt; and the other ends
//! that an execution can have, with their texts.
//!
//! Only the gateway makes an execution terminal, and its store does that once. Whether there is another attempt is
//! for the scheduler to decide, in `scheduler::tick::retry`.

use std::rc::Rc;

use super::Gateway;
use crate::api::listener::Listener;
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::error::ErrorCode;
use crate::scheduler::message::{EndReason, GatewayEvent};
use crate::spec::EndpointUrl;
use crate::store::attempt_result::AttemptResult;
use crate::store::execution::{Execution, Status};
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::RunningAttempt;
use crate::store::transitions::{Completed, Ended};
use crate::ticket::Ticket;

impl Gateway {
    /// Makes an attempt's outcome the execution's, or lets it wait for the next attempt. Answers the attempt and
    /// the end of it that the scheduler is to be told; `None` where the attempt was completed before, and this
    /// comes too late.
    pub(super) fn complete(
        &self,
        ticket: Ticket,
        result: AttemptResult,
    ) -> Option<(RunningAttempt, AttemptEnd)> {
        // An answer that was read is not older than this turn of the thread.
        let now = if result.answered > 0 { result.answered } else { self.clock.now() };
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

    /// The scheduler has no more for an execution.
    pub(super) fn ended_by_scheduler(&self, ticket: Ticket, why: EndReason) -> bool {
        let goes_on = self.executions.with(ticket, |_, execution| execution.outlives_deadline());
        if why == EndReason::Timeout && goes_on == Some(true) {
            // Its end is told when it comes.
            return false;
        }
        // An execution is read by clients, wherever it was asked for.
        let flags = &self.settings.flags;
        let with_lines = Listener::of_clients(flags).may_operate(flags);
        let now = self.clock.now();
        let ended = self.end(ticket, |execution| {
            if let EndReason::Unreachable { needed_ms } = why {
                execution.entry.metrics().unreachable.add_one();
                let shortage = execution.shortage(needed_ms, now);
                execution.entry.function.queue.overload.note(shortage, now);
            }
            ending(execution, why, now, with_lines)
        });
        let Some(Ended { attempt, wakers }) = ended else { return false };
        let told = attempt.is_some_and(|attempt| self.stop_attempt(ticket, attempt, AttemptEnd::Done));
        wakers.wake();
        told
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
            self.stop_attempt(ticket, attempt, AttemptEnd::Done);
        } else {
            self.rings.signals(ticket).cancel(ticket.generation());
            self.tell(GatewayEvent::Cancelled { ticket });
        }
        wakers.wake();
    }

    /// The end of the drain time: everything that is not over ends now.
    pub(super) fn end_everything(self: &Rc<Self>) -> usize {
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
    now: Nanos,
    with_lines: bool,
) -> (Status, Option<Box<ExecutionError>>) {
    let error = |code, message: String| Some(Box::new(ExecutionError::new(code, message)));
    let problem = || {
        let function = &execution.entry.function;
        match function.problem.load().as_ref() {
            Some(problem) => problem.told(with_lines),
            None if function.spec.endpoint_urls.is_empty() => "none is running".to_owned(),
            // Control looks after them and will know why in a moment.
            None => unreachable_endpoints(&function.spec.endpoint_urls),
        }
    };
    match (why, &execution.error) {
        (EndReason::Timeout, _) => (Status::Timeout, execution.timeout().map(Box::new)),
        (EndReason::Exhausted, Some(last)) if last.http == 504 => (Status::Timeout, None),
        (EndReason::Exhausted, Some(_)) => (Status::Error, None),
        // Its attempts before this one found no instance.
        (EndReason::NoInstance, _) | (EndReason::Exhausted, None) => {
            let text = match &execution.error {
                Some(last) => format!("no instance could be reached: {} ({})", last.message, problem()),
                None => format!("no instance could be reached: {}", problem()),
            };
            (Status::Error, error(ErrorCode::NoInstance, text))
        }
        (EndReason::Unreachable { needed_ms }, _) => {
            (Status::Error, Some(Box::new(execution.unreachable(needed_ms, now))))
        }
        (EndReason::FunctionRemoved, _) => {
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
