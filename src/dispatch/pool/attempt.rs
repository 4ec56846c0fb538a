//! The task of one attempt, keyed by its ticket: the same for `:invoke` and `:enqueue`.

use std::borrow::Cow;
use std::future::{Future as _, poll_fn};
use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection::{Connection, ExchangeError, InstanceResponse};
use super::instance_pools::InstancePools;
use crate::api::json;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::dispatch::context::AttemptContext;
use crate::dispatch::function_error::{Finality, beginning, named_error, outcome_of_error, unnamed_error};
use crate::error::ErrorCode;
use crate::exit::{Exit, describe};
use crate::id::ExecutionId;
use crate::instance::{Address, InstanceKey, Target};
use crate::spec::ExecutionMode;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::ticket::Ticket;

/// Sends one attempt to an instance and reads the answer.
pub(crate) async fn run(
    context: AttemptContext<'_>,
    pools: &InstancePools,
    ticket: Ticket,
    instance: InstanceKey,
) -> AttemptResult {
    match exchange(context, pools, ticket, instance).await {
        Ok((response, AnswerTimes { first_byte, answered })) => AttemptResult {
            first_byte,
            answered,
            cold_start: response.cold_start,
            init_ns: response.init_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS)),
            outcome: judge(response),
        },
        Err(error) => {
            let outcome = match out_of_memory(pools, instance, &error).await {
                Some(error) => Outcome::Failed(error),
                None => excuse(&error),
            };
            AttemptResult { outcome, cold_start: false, init_ns: None, first_byte: 0, answered: 0 }
        }
    }
}

/// The times of an answer.
#[derive(Clone, Copy, Debug)]
struct AnswerTimes {
    /// Its beginning had been read, and the rest was waited for; 0: there was nothing to wait for.
    first_byte: Nanos,
    /// It was complete.
    answered: Nanos,
}

/// Writes the request on a pooled connection, or a new one, and reads the answer, with its times.
async fn exchange(
    context: AttemptContext<'_>,
    pools: &InstancePools,
    ticket: Ticket,
    instance: InstanceKey,
) -> Result<(InstanceResponse, AnswerTimes), ExchangeError> {
    let refused = || ExchangeError::Connect(std::io::ErrorKind::NotConnected.into());
    let address = pools.address(instance).ok_or_else(refused)?;
    loop {
        let mut now = context.clock.now();
        let pooled = pools.take(instance, now);
        let fresh = pooled.is_none();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => {
                let connection = Connection::open(&address.target).await?;
                now = context.clock.now();
                connection
            }
        };
        let payload = context.executions.with(ticket, |id, execution| {
            let left_ms = execution.time_left_ms(now);
            write_head(&mut connection.head, &address, execution, id, left_ms);
            execution.payload.clone()
        });
        // The execution stays in the store until its attempt has ended.
        let payload = payload.ok_or_else(refused)?;
        match connection.send(&payload).await {
            Ok(()) => {}
            // A pooled connection that was closed meanwhile is replaced; a fresh one is not.
            Err(ExchangeError::Stale) if !fresh => continue,
            Err(error) => return Err(error),
        }
        drop(payload);
        let written = context.clock.now();
        // Written down at once: an attempt that is aborted tells nothing afterwards.
        context.executions.borrow_mut().written(ticket, now, written);
        let (response, first_byte) = receive(&mut connection, &context).await?;
        let answered = context.clock.now();
        if response.reusable {
            pools.put(instance, connection, answered);
        }
        return Ok((response, AnswerTimes { first_byte, answered }));
    }
}

/// Reads the answer, with when its beginning had been read where the rest has to be waited for. The clock is not
/// asked where it has not: of an answer that comes at once, the first byte is as late as the last.
async fn receive(
    connection: &mut Connection,
    context: &AttemptContext<'_>,
) -> Result<(InstanceResponse, Nanos), ExchangeError> {
    connection.first_bytes().await?;
    let mut first_byte = 0;
    let mut rest = pin!(connection.receive(context.output_max));
    let response = poll_fn(|cx| {
        let polled = rest.as_mut().poll(cx);
        if polled.is_pending() && first_byte == 0 {
            first_byte = context.clock.now();
        }
        polled
    })
    .await?;
    Ok((response, first_byte))
}

/// Writes the head of the request into memory that is used again.
pub fn write_head(
    head: &mut Vec<u8>,
    address: &Address,
    execution: &Execution,
    id: ExecutionId,
    left_ms: u64,
) {
    head.clear();
    head.extend_from_slice(&address.preamble);
    // Writes to a vector do not fail.
    let _ = write!(head, "Content-Length: {}\r\nX-Execution-Id: ", execution.payload.len());
    head.extend_from_slice(&id.text());
    head.extend_from_slice(b"\r\nX-Trace-Id: ");
    execution.trace.write_id(head);
    head.extend_from_slice(b"\r\ntraceparent: ");
    execution.trace.write_parent(head);
    if let Some(state) = execution.trace.state() {
        head.extend_from_slice(b"\r\ntracestate: ");
        head.extend_from_slice(state.as_bytes());
    }
    let _ = write!(head, "\r\nX-Attempt: {}\r\nX-Deadline-Ms: {left_ms}\r\n", execution.attempt);
    if let Some(key) = &execution.idempotency_key {
        head.extend_from_slice(b"Idempotency-Key: ");
        head.extend_from_slice(&key.key);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

/// The outcome that an instance's answer means.
fn judge(response: InstanceResponse) -> Outcome {
    match response.status {
        200..=299 if response.body.is_empty() && response.status == 204 => {
            Outcome::Output(Bytes::from_static(b"null"))
        }
        200..=299 if json::is_one_value(&response.body) => Outcome::Output(response.body),
        status @ 200..=299 => Outcome::Refused(ExecutionError::new(
            ErrorCode::OutputNotJson,
            format!(
                "the function answered {status} with a body that is not one JSON value but begins with {}; answer JSON, or 204 for none",
                beginning(&response.body)
            ),
        )),
        status @ 400..=599 => outcome_of_error(status, |http| own_error(&response, http)),
        status => Outcome::Refused(ExecutionError::new(
            ErrorCode::InvalidAnswer,
            format!("the function answered with status {status}, which is neither a success nor an error"),
        )),
    }
}

/// Bytes that are repeated of a body that is no error of the contract.
const EXCERPT_BYTES_MAX: usize = 200;

/// The error that a function gave itself: `{"error":{"code","message","retryable"}}`, or what it sent.
fn own_error(response: &InstanceResponse, http: u16) -> (ExecutionError, Finality) {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        error: Inner<'a>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, default)]
        code: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        message: Cow<'a, str>,
        #[serde(borrow, default)]
        retryable: Option<&'a RawValue>,
    }
    let finality = match serde_json::from_slice::<Outer<'_>>(&response.body) {
        Ok(Outer { error: Inner { code: Some(code), message, retryable } }) => {
            return (named_error(&code, &message, http), Finality::read(retryable));
        }
        Ok(Outer { error: Inner { code: None, retryable, .. } }) => Finality::read(retryable),
        Err(_) => Finality::ByStatus,
    };
    let text = String::from_utf8_lossy(&response.body[..response.body.len().min(EXCERPT_BYTES_MAX)]);
    let said = format!("the function answered {}: {}", response.status, text.trim());
    (unnamed_error(http, said), finality)
}

/// Period of the looks whether control has said how an instance ended.
const ENDING_LOOK: Duration = Duration::from_millis(1);
/// After so many looks the connection alone was lost, or control is too busy to say why.
const ENDING_LOOKS_MAX: u32 = 50;
/// Period of the looks at a pod, whose node tells of its end about once a second, and then the API server does.
const POD_ENDING_LOOK: Duration = Duration::from_millis(10);
/// See [`POD_ENDING_LOOK`].
const POD_ENDING_LOOKS_MAX: u32 = 500;
/// After so many looks a process that was killed does not take connections any more, and its successor
/// does not yet.
const POD_GONE_LOOKS: u32 = 5;

/// The error of an attempt whose instance was killed for want of memory. Its connection ends
/// before control can know why, so that is waited for; but only after a loss, and only where there
/// is a limit that may have been the reason. A pod that still takes connections was not killed.
async fn out_of_memory(
    pools: &InstancePools,
    instance: InstanceKey,
    error: &ExchangeError,
) -> Option<ExecutionError> {
    let spec = &pools.entry.function.spec;
    let is_warm = spec.execution_mode == ExecutionMode::Warm;
    if !matches!(error, ExchangeError::Lost(_)) || !is_warm || spec.resources.limits.memory_bytes().is_none()
    {
        return None;
    }
    let ending = pools.entry.function.endings.get(usize::from(instance.place))?;
    let address = pools.address(instance);
    let pod = address.as_ref().map(|address| &address.target).filter(|it| matches!(it, Target::Tcp(_)));
    let (looks, look) = match pod {
        Some(_) => (POD_ENDING_LOOKS_MAX, POD_ENDING_LOOK),
        None => (ENDING_LOOKS_MAX, ENDING_LOOK),
    };
    for at in 0..looks {
        let known =
            ending.load().as_ref().filter(|ending| ending.generation == instance.generation).map(|e| e.exit);
        match known {
            Some(exit @ Exit::OutOfMemory { .. }) => {
                return Some(ExecutionError::new(
                    ErrorCode::OutOfMemory,
                    format!("the instance was killed: {}", describe(exit)),
                ));
            }
            Some(Exit::Code(_) | Exit::Signal(_)) => return None,
            None => {}
        }
        if at == POD_GONE_LOOKS
            && let Some(pod) = pod
            && Connection::open(pod).await.is_ok()
        {
            return None;
        }
        tokio::time::sleep(look).await;
    }
    None
}

/// The outcome that an exchange without an answer means.
fn excuse(error: &ExchangeError) -> Outcome {
    let message = error.to_string();
    match error {
        ExchangeError::Connect(_) | ExchangeError::Stale => {
            Outcome::Unsent(ExecutionError::new(ErrorCode::NoInstance, format!("an instance {message}")))
        }
        ExchangeError::Lost(_) => Outcome::Failed(ExecutionError::new(
            ErrorCode::InstanceCrashed,
            format!("the instance went away: {message}"),
        )),
        ExchangeError::Garbage(_) => Outcome::Refused(ExecutionError::new(ErrorCode::InvalidAnswer, message)),
        ExchangeError::TooLarge(_) => Outcome::Refused(ExecutionError::new(
            ErrorCode::OutputTooLarge,
            format!("{message}; return less, or raise --max-output"),
        )),
    }
}
