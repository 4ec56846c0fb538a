//! An attempt at an instance that was started ahead and takes this attempt alone.
//!
//! The request is written before control is told, and the answer is given when it comes. Whatever else ends the
//! attempt ends the instance first, so that no two attempts of an execution run at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::attempt_end::AttemptEnd;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, MessageSender, oneshot};
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::dispatch::pool::attempt::send;
use crate::dispatch::pool::connection::{Connection, ExchangeError, InstanceResponse};
use crate::dispatch::pool::outcome::{excuse, judge};
use crate::error::ErrorCode;
use crate::id::ExecutionId;
use crate::instance::{Address, InstanceKey};
use crate::messages::control_message::{ControlMessage, JobEnd, Kill, StandbyTake};
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::store::function_entry::FunctionEntry;
use crate::store::running_attempt::{JobSignal, RunningAttempt};
use crate::ticket::Ticket;

/// Time for which an instance that nobody waits for is idle before its grant, at least (ns).
const IDLE_NS: Nanos = 5_000_000;
/// Part of the wait for an instance for which it may be idle then and still be what was waited for: on a busy machine its
/// grant comes late.
const IDLE_PART: Nanos = 4;
/// Time that the answer of an instance that has ended may still be on its way.
const LAST_ANSWER: Duration = Duration::from_millis(50);
/// Time in which the end of an instance whose connection was lost is waited for, to say why. It is killed then.
const LAST_WORD: Duration = Duration::from_millis(500);

/// An attempt that is to be sent.
#[derive(Debug)]
pub(crate) struct StandbyAttempt {
    ticket: Ticket,
    /// Where the instance listens; `None` where it has gone since it was granted.
    address: Option<Arc<Address>>,
    /// The execution came before the instance was ready.
    waited: bool,
    take: Box<StandbyTake>,
    signal: AnswerReceiver<JobSignal>,
    instance: SingleInstance,
}

/// The instance, as control tells of it.
#[derive(Debug)]
struct SingleInstance {
    kill: AnswerSender<Kill>,
    end: AnswerReceiver<JobEnd>,
}

/// An exchange that gave no answer.
#[derive(Debug)]
struct NoAnswer {
    error: ExchangeError,
    /// The handler had not begun.
    is_unsent: bool,
}

impl StandbyAttempt {
    /// An attempt at this instance, and the end by which it is stopped.
    #[must_use]
    pub(crate) fn new(
        id: ExecutionId,
        execution: &Execution,
        entry: &FunctionEntry,
        instance: InstanceKey,
        now: Nanos,
    ) -> (Self, RunningAttempt) {
        let (answer, signal) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let take = StandbyTake {
            instance,
            execution: id,
            granted: now,
            time_left: Duration::from_millis(execution.time_left_ms(now)),
            killed,
            ended,
        };
        let address = entry.function.address(instance);
        let admitted = execution.timestamps.admitted;
        // One that was ready when the execution came, or for a while before it was granted, made nobody wait.
        let waited = address.as_ref().is_none_or(|address| has_waited(admitted, address.start.ready, now));
        let metrics = entry.metrics();
        if waited { &metrics.standby_missed } else { &metrics.standby_taken }.add_one();
        let start = address.as_ref().map(|address| address.start.clone());
        let attempt = Self {
            ticket: id.ticket,
            address,
            waited,
            take: Box::new(take),
            signal,
            instance: SingleInstance { kill, end },
        };
        (attempt, RunningAttempt::SingleUse { signal: answer, start })
    }

    /// Sends it, and waits for its answer. Answers the end of the attempt, for the scheduler.
    ///
    /// `complete` takes the result; it answers `None` where the attempt was completed before.
    pub(crate) async fn run(
        self,
        context: AttemptContext<'_>,
        control: &MessageSender<ControlMessage>,
        complete: impl FnOnce(AttemptResult) -> Option<AttemptEnd>,
    ) -> AttemptEnd {
        let Self { ticket, address, waited, take, mut signal, mut instance } = self;
        let mut exchange = pin!(exchange(context, address, ticket));
        // The request goes out first: the rest is off its way.
        let early = std::future::poll_fn(|cx| Poll::Ready(exchange.as_mut().poll(cx))).await;
        // Where control has stopped, `ended` is dropped and `end` says so.
        let _ = control.send(ControlMessage::TakeStandby(take)).await;
        let ended = match early {
            Poll::Ready(done) => StandbyEnd::Exchange(done),
            Poll::Pending => tokio::select! {
                biased;
                signal = &mut signal => StandbyEnd::Signal(signal.ok()),
                done = &mut exchange => StandbyEnd::Exchange(done),
                end = &mut instance.end => match tokio::time::timeout(LAST_ANSWER, &mut exchange).await {
                    Ok(Ok(answer)) => StandbyEnd::Exchange(Ok(answer)),
                    Ok(Err(no_answer)) => StandbyEnd::Instance(end.ok(), no_answer.is_unsent),
                    Err(_) => StandbyEnd::Instance(end.ok(), false),
                },
            },
        };
        let result = match ended {
            StandbyEnd::Signal(told) => {
                instance.stop().await;
                return how(told);
            }
            StandbyEnd::Exchange(Ok((response, answered))) => {
                let told = complete(answered_result(response, answered, waited));
                // Its client has the answer before anybody is woken for the instance.
                tokio::task::yield_now().await;
                return instance.ended_with(told, signal).await;
            }
            StandbyEnd::Exchange(Err(NoAnswer { error, is_unsent })) => {
                let end = instance.last_word(&error).await;
                AttemptResult::without_answer(outcome(&error, is_unsent, end))
            }
            StandbyEnd::Instance(end, is_unsent) => {
                let error = ExchangeError::Lost(std::io::ErrorKind::UnexpectedEof.into());
                AttemptResult::without_answer(outcome(&error, is_unsent, end))
            }
        };
        match complete(result) {
            Some(how) => how,
            // Completed by somebody else, so the signal has been sent.
            None => how(signal.await.ok()),
        }
    }
}

/// The end of an attempt.
#[derive(Debug)]
enum StandbyEnd {
    Exchange(Result<(InstanceResponse, Nanos), NoAnswer>),
    /// The instance is gone; with whether its handler had not begun.
    Instance(Option<JobEnd>, bool),
    Signal(Option<JobSignal>),
}

impl SingleInstance {
    /// Lets it end that has answered; where another attempt follows, that one begins when it is gone.
    async fn ended_with(self, told: Option<AttemptEnd>, signal: AnswerReceiver<JobSignal>) -> AttemptEnd {
        match told {
            Some(how @ (AttemptEnd::Answered | AttemptEnd::Late | AttemptEnd::Done)) => {
                channel::answer(self.kill, Kill::Answered);
                how
            }
            Some(how @ (AttemptEnd::TimedOut | AttemptEnd::Failed | AttemptEnd::Unsent)) => {
                self.stop().await;
                how
            }
            // Completed by somebody else, so the signal has been sent.
            None => {
                self.stop().await;
                how(signal.await.ok())
            }
        }
    }

    /// Has it killed, and waits until it is gone.
    async fn stop(self) {
        channel::answer(self.kill, Kill::Unwanted);
        // Gone in any case, be it said or not.
        let _ = self.end.await;
    }

    /// The end of an instance whose connection was lost. Where it is not about to end, it is killed.
    async fn last_word(mut self, error: &ExchangeError) -> Option<JobEnd> {
        if matches!(error, ExchangeError::Lost(_))
            && let Ok(end) = tokio::time::timeout(LAST_WORD, &mut self.end).await
        {
            return end.ok();
        }
        self.stop().await;
        None
    }
}

/// Writes the request and reads the answer, with when it was complete.
async fn exchange(
    context: AttemptContext<'_>,
    address: Option<Arc<Address>>,
    ticket: Ticket,
) -> Result<(InstanceResponse, Nanos), NoAnswer> {
    let unsent = |error| NoAnswer { error, is_unsent: true };
    let Some(address) = address else {
        return Err(unsent(ExchangeError::Connect(std::io::ErrorKind::NotConnected.into())));
    };
    let mut connection = match address.ahead.as_deref().and_then(Connection::ahead) {
        Some(connection) => connection,
        None => Connection::open(&address.target).await.map_err(unsent)?,
    };
    let connected = context.clock.now();
    let sent = send(context, &address, &mut connection, ticket, connected).await;
    let received = match sent {
        Ok(()) => connection.receive(context.output_max).await,
        Err(error) => Err(error),
    };
    match received {
        Ok(response) if !connection.acknowledged && is_already_used(&response) => {
            let error = ExchangeError::Garbage("it has had an invocation before".to_owned());
            Err(NoAnswer { error, is_unsent: true })
        }
        Ok(response) => Ok((response, context.clock.now())),
        Err(error) => {
            let is_written = matches!(error, ExchangeError::Lost(_)) && address.acknowledges;
            let is_unsent = matches!(error, ExchangeError::Stale) || is_written && !connection.acknowledged;
            Err(NoAnswer { error, is_unsent })
        }
    }
}

/// Whether an execution that was admitted at this time has waited for an instance that was ready at that time.
fn has_waited(admitted: Nanos, ready: Nanos, granted: Nanos) -> bool {
    let (wait, idle) = (ready.saturating_sub(admitted), granted.saturating_sub(ready));
    wait > 0 && idle < IDLE_NS.max(wait / IDLE_PART)
}

/// Whether a single-use instance says that it is used up, and has run no handler.
fn is_already_used(response: &InstanceResponse) -> bool {
    const CODE: &[u8] = b"\"ALREADY_USED\"";
    response.status == 503 && response.body.windows(CODE.len()).any(|part| part == CODE)
}

fn answered_result(response: InstanceResponse, answered: Nanos, waited: bool) -> AttemptResult {
    AttemptResult {
        first_byte: 0,
        answered,
        cold_start: waited,
        standby: !waited,
        init_ns: response.init_ns().filter(|_| waited),
        outcome: judge(response),
    }
}

/// The outcome of an attempt without an answer. How its instance ended says more than how its connection did.
fn outcome(error: &ExchangeError, is_unsent: bool, end: Option<JobEnd>) -> Outcome {
    if is_unsent {
        let text = format!("a standby instance went away before it had begun: {error}");
        return Outcome::Unsent(ExecutionError::new(ErrorCode::NoInstance, text));
    }
    match end.filter(|_| matches!(error, ExchangeError::Lost(_))) {
        Some(end) => Outcome::Failed(ExecutionError::new(end.code, end.reason)),
        None => excuse(error),
    }
}

fn how(told: Option<JobSignal>) -> AttemptEnd {
    told.map_or(AttemptEnd::Done, |(JobSignal::Posted(how) | JobSignal::Stop(how))| how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_was_waited_for_though_its_grant_came_late_and_not_where_it_was_idle_for_long() {
        const MS: Nanos = 1_000_000;
        for (admitted, ready, granted, waited) in [
            (10, 9, 10, false),
            (10, 11, 15, true),
            (10, 11, 16, false),
            (0, 1000, 1249, true),
            (0, 1000, 1250, false),
        ] {
            let told = has_waited(admitted * MS, ready * MS, granted * MS);
            assert_eq!(told, waited, "{admitted} {ready} {granted}");
        }
    }
}
