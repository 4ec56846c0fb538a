//! The context of an invocation, which a handler may take besides the input.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use picofaas_frames::{Fields, RequestHead};
use tokio::time::Instant;

use crate::caller::{Caller, FramedCaller, Ids, execution_header};
use crate::clock;
use crate::failure::Failure;
use crate::limits::{DEADLINE_MS_MAX, EXECUTION_ID_BYTES_MAX};
use crate::log;

const ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");
const DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");

/// The circumstances of one invocation: a handler's optional second argument.
#[derive(Clone, Debug)]
pub struct Context {
    caller: Caller,
    attempt: u32,
    deadline: Option<Instant>,
    metadata: BTreeMap<String, String>,
    /// Bytes.
    output_max: usize,
}

impl Context {
    /// The execution's id; the same in every attempt of it.
    #[must_use]
    pub fn execution_id(&self) -> &str {
        self.caller.execution_id()
    }

    /// The trace id: the one that the caller or the gateway gave, or else that of [`Self::traceparent`].
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.caller.trace_id()
    }

    /// The W3C trace context, to be passed on in calls the handler makes. One that is not valid is none.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.caller.traceparent()
    }

    /// The members of tracing systems that go with [`Self::traceparent`], to be passed on with it.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.caller.tracestate()
    }

    /// The number of the attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The client's idempotency key.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.caller.idempotency_key()
    }

    /// Time at which the handler will be dropped if it is still waiting; `None` is never.
    #[must_use]
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.deadline.map(Instant::into_std)
    }

    /// Time until the deadline, zero once it has passed; `None` if there is none.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at.saturating_duration_since(clock::now()))
    }

    /// The client's `metadata`; empty if it sent none.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Largest output in bytes, as JSON (`MAX_OUTPUT`).
    #[must_use]
    pub fn output_bytes_max(&self) -> usize {
        self.output_max
    }

    /// A writer of log lines of this execution for where the context itself is not at hand.
    #[must_use]
    pub fn logger(&self) -> Logger {
        Logger { ids: self.caller.ids() }
    }

    /// Writes lines of this execution to stderr. Each line of `message` carries its
    /// ids, so that the control plane can tell it from the lines of other executions in the
    /// same process; a line that was written otherwise belongs to the function only.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use picofaas_runtime::Context;
    /// async fn count(words: Vec<String>, context: Context) -> Result<usize, Infallible> {
    ///     context.log(format_args!("{} words", words.len()));
    ///     Ok(words.len())
    /// }
    /// ```
    ///
    /// writes `info executionId=0018… traceId=4bf9… 3 words`. A line over 8 KiB is
    /// continued on the next one.
    pub fn log(&self, message: impl Display) {
        self.logger().log(message);
    }
}

/// Writes log lines of one execution, also after its end; see [`Context::log`].
#[derive(Clone, Debug)]
pub struct Logger {
    ids: Ids,
}

impl Logger {
    /// The id of the execution that the lines belong to.
    #[must_use]
    pub fn execution_id(&self) -> &str {
        self.ids.execution()
    }

    /// Does what [`Context::log`] does.
    pub fn log(&self, message: impl Display) {
        log::with_ids(&self.ids, "info", &message.to_string());
    }
}

/// The head of an invocation, checked.
pub(crate) struct InvocationHead {
    caller: Caller,
    attempt: u32,
    /// Time at which the handler is stopped.
    pub(crate) deadline: Option<Instant>,
}

impl InvocationHead {
    /// Checks the headers of a request that arrived at `arrived`.
    pub(crate) fn read(headers: HeaderMap, arrived: Instant) -> Result<Self, Failure> {
        check_execution(&headers)?;
        let (attempt, deadline) = numbers(&headers, arrived)?;
        Ok(Self { caller: Caller::of_headers(headers), attempt, deadline })
    }

    /// Checks the headers of a web request that arrived at `arrived`, which are its handler's.
    pub(crate) fn of_web(headers: &HeaderMap, arrived: Instant) -> Result<Self, Failure> {
        check_execution(headers)?;
        let (attempt, deadline) = numbers(headers, arrived)?;
        Ok(Self { caller: Caller::of_web(headers), attempt, deadline })
    }

    /// Takes the head of a frame that arrived at `arrived`.
    pub(crate) fn of_frame(head: &RequestHead, fields: &Fields, arrived: Instant) -> Self {
        let left_ms = u64::from(head.deadline_ms).min(DEADLINE_MS_MAX);
        Self {
            caller: Caller::Framed(Box::new(FramedCaller::new(head, fields))),
            attempt: u32::from(head.attempt.max(1)),
            deadline: Some(arrived + Duration::from_millis(left_ms)),
        }
    }

    /// The ids that log lines carry.
    pub(crate) fn ids(&self) -> Ids {
        self.caller.ids()
    }

    pub(crate) fn into_context(self, metadata: BTreeMap<String, String>, output_max: usize) -> Context {
        Context { caller: self.caller, attempt: self.attempt, deadline: self.deadline, metadata, output_max }
    }
}

/// Refuses a request without an execution that can be told.
pub(crate) fn check_execution(headers: &HeaderMap) -> Result<(), Failure> {
    match execution_header(headers).map(HeaderValue::to_str) {
        None | Some(Ok("")) => Err(Failure::MissingExecutionId),
        Some(Ok(id)) if id.len() <= EXECUTION_ID_BYTES_MAX => Ok(()),
        Some(_) => {
            Err(Failure::BadHeader { name: "X-Execution-Id", rule: "at most 256 bytes of visible ASCII" })
        }
    }
}

/// Reads the number of the attempt and the deadline of a request that arrived at `arrived`.
fn numbers(headers: &HeaderMap, arrived: Instant) -> Result<(u32, Option<Instant>), Failure> {
    let attempt = match headers.get(ATTEMPT) {
        None => 1,
        Some(value) => number(value)
            .and_then(|attempt| u32::try_from(attempt).ok())
            .filter(|attempt| *attempt > 0)
            .ok_or(Failure::BadHeader { name: "X-Attempt", rule: "a whole number from 1" })?,
    };
    let deadline = match headers.get(DEADLINE_MS) {
        None => None,
        Some(value) => {
            let rule = "a whole number of milliseconds that are left";
            let left_ms = number(value).ok_or(Failure::BadHeader { name: "X-Deadline-Ms", rule })?;
            Some(arrived + Duration::from_millis(left_ms.min(DEADLINE_MS_MAX)))
        }
    };
    Ok((attempt, deadline))
}

fn number(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}
