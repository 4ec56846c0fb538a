//! The task of one attempt, keyed by its ticket: the same for `:invoke` and `:enqueue`.

use std::future::{Future as _, poll_fn};
use std::io::Write as _;
use std::pin::pin;

use super::connection::{Connection, ExchangeError, InstanceResponse};
use super::instance_pools::InstancePools;
use super::outcome::{excuse, judge, out_of_memory};
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::id::ExecutionId;
use crate::instance::{Address, InstanceKey};
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
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
            standby: false,
            init_ns: response.init_ns(),
            outcome: judge(response),
        },
        Err(error) => lost(pools, instance, &error).await,
    }
}

/// The result of an attempt without an answer. Where the instance may have been killed, that is waited for.
pub(crate) async fn lost(
    pools: &InstancePools,
    instance: InstanceKey,
    error: &ExchangeError,
) -> AttemptResult {
    let outcome = match out_of_memory(pools, instance, error).await {
        Some(error) => Outcome::Failed(error),
        None => excuse(error),
    };
    AttemptResult::without_answer(outcome)
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
        match send(context, &address, &mut connection, ticket, now).await {
            Ok(()) => {}
            // A pooled connection that was closed meanwhile is replaced; a fresh one is not.
            Err(ExchangeError::Stale) if !fresh => continue,
            Err(error) => return Err(error),
        }
        let (response, first_byte) = receive(&mut connection, &context).await?;
        let answered = context.clock.now();
        if response.reusable {
            pools.put(instance, connection, answered);
        }
        return Ok((response, AnswerTimes { first_byte, answered }));
    }
}

/// Writes the request on a connection that there was at `connected`, and takes note of that.
pub(crate) async fn send(
    context: AttemptContext<'_>,
    address: &Address,
    connection: &mut Connection,
    ticket: Ticket,
    connected: Nanos,
) -> Result<(), ExchangeError> {
    let payload = context.executions.with(ticket, |id, execution| {
        let left_ms = execution.time_left_ms(connected);
        write_head(&mut connection.head, address, execution, id, left_ms);
        execution.payload.clone()
    });
    // The execution stays in the store until its attempt has ended.
    let payload = payload.ok_or_else(|| ExchangeError::Connect(std::io::ErrorKind::NotConnected.into()))?;
    connection.send(&payload).await?;
    drop(payload);
    let written = context.clock.now();
    // Written down at once: an attempt that is aborted tells nothing afterwards.
    context.executions.borrow_mut().written(ticket, connected, written);
    Ok(())
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
    let _ = write!(head, "Content-Length: {}\r\n", execution.payload.len());
    write_attempt(head, execution, id, left_ms);
    if let Some(key) = &execution.idempotency_key {
        head.extend_from_slice(b"Idempotency-Key: ");
        head.extend_from_slice(&key.key);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

/// Writes the headers that say which attempt it is.
#[inline]
pub(super) fn write_attempt(head: &mut Vec<u8>, execution: &Execution, id: ExecutionId, left_ms: u64) {
    head.extend_from_slice(b"X-Execution-Id: ");
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
}
