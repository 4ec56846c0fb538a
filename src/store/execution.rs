//! One execution as its gateway knows it: stage, payload, result, waiters and running attempt.

use std::rc::Rc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use tokio::task::AbortHandle;

use super::idempotency::IdempotencyKey;
use super::waiters::Waiters;
use crate::api::response::{ExecutionError, Timestamps};
use crate::channel;
use crate::channel::AnswerSender;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::dispatch::FunctionEntry;
use crate::id::{Token, write_hex};
use crate::scheduler::message::AttemptEnd;

/// The way in which an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With an output.
    Success,
    /// Without.
    Error,
    /// By its deadline.
    Timeout,
    /// Cancelled: nobody wanted it any more.
    Cancelled,
}

/// The stage of an execution. `Ended` never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for its first dispatch, or its next.
    Queued,
    /// An attempt is with an instance.
    Running,
    /// Terminal.
    Ended(Status),
}

impl Stage {
    /// The stage as clients read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Running => "running",
            Stage::Ended(Status::Success) => "success",
            Stage::Ended(Status::Error) => "error",
            Stage::Ended(Status::Timeout) => "timeout",
            Stage::Ended(Status::Cancelled) => "cancelled",
        }
    }
}

/// The call that admitted an execution, which decides how long it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `:invoke`: the client waits for the answer; afterwards the execution is the first to go.
    Sync,
    /// `:enqueue`: the client was promised that the end can be read. Kept for the whole retention.
    Async,
}

/// The way in which an execution is kept after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// The first to go when there is need of room.
    Evictable,
    /// A place, and bytes for the output, are reserved from its admission on, and it stays for its
    /// whole retention: a client was promised that it can be read, or has a key for it.
    Promised,
}

/// The trace an invocation belongs to.
#[derive(Clone, Debug)]
pub struct Trace {
    /// `X-Trace-Id` as it came; otherwise made from `made`.
    pub id: Option<HeaderValue>,
    /// `traceparent` as it came; otherwise made from `made`.
    pub parent: Option<HeaderValue>,
    /// 128 bits for a trace id and 64 for a span id, where one had to be made.
    pub made: (u64, u64, u64),
}

impl Trace {
    /// Writes the trace id.
    pub fn write_id(&self, out: &mut Vec<u8>) {
        match (&self.id, &self.parent) {
            (Some(given), _) => out.extend_from_slice(given.as_bytes()),
            // `00-<32 hex of the trace id>-<16 hex of the span id>-<2 hex of flags>`
            (None, Some(parent)) => match parent.as_bytes().get(3..35) {
                Some(id) => out.extend_from_slice(id),
                None => out.extend_from_slice(&self.made_hex()[..32]),
            },
            (None, None) => out.extend_from_slice(&self.made_hex()[..32]),
        }
    }

    /// Writes the W3C trace context.
    pub fn write_parent(&self, out: &mut Vec<u8>) {
        match &self.parent {
            Some(given) => out.extend_from_slice(given.as_bytes()),
            None => {
                let hex = self.made_hex();
                out.extend_from_slice(b"00-");
                out.extend_from_slice(&hex[..32]);
                out.push(b'-');
                out.extend_from_slice(&hex[32..]);
                out.extend_from_slice(b"-01");
            }
        }
    }

    fn made_hex(&self) -> [u8; 48] {
        let (high, low, span) = self.made;
        let mut hex = [0; 48];
        write_hex(&mut hex[..16], high);
        write_hex(&mut hex[16..32], low);
        write_hex(&mut hex[32..], span);
        hex
    }
}

/// The attempt of a running execution, and how it is stopped.
#[derive(Debug)]
pub enum RunningAttempt {
    /// A task that exchanges a request with an instance: its connection closes with it.
    Exchange(AbortHandle),
    /// A process of its own (`JOB`), whose task waits for a signal and then for the process's end.
    Process(AnswerSender<JobSignal>),
}

/// A signal to the task of an attempt with a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    /// The attempt's result was posted: let the process end, then tell the scheduler this.
    Posted(AttemptEnd),
    /// The attempt is over without a result: kill the process, then tell the scheduler this.
    Stop(AttemptEnd),
}

impl RunningAttempt {
    /// Stops it. Answers what the scheduler is to be told at once; `None` where the attempt's own
    /// task tells it when its process has gone.
    #[must_use]
    pub fn stop(self, how: AttemptEnd) -> Option<AttemptEnd> {
        match self {
            RunningAttempt::Exchange(task) => {
                task.abort();
                Some(how)
            }
            RunningAttempt::Process(signal) => {
                channel::answer(signal, JobSignal::Stop(how));
                None
            }
        }
    }
}

/// One execution, from its admission until its retention is over.
#[derive(Debug)]
pub struct Execution {
    /// The random part of its id.
    pub nonce: u64,
    /// The function's version it was admitted to, or last granted on.
    pub entry: Rc<FunctionEntry>,
    /// See [`Stage`].
    pub stage: Stage,
    /// The call that admitted it.
    pub invocation: Invocation,
    /// See [`Retention`].
    pub retention: Retention,
    /// Bytes that are counted for it: its payload, or what is reserved for its output if that is
    /// more; after its end its output.
    pub held: usize,
    /// The key that stands for it, while it is to be joined or replayed.
    pub idempotency_key: Option<Rc<IdempotencyKey>>,
    /// The body as the client sent it; empty once it is not needed any more.
    pub payload: Bytes,
    /// The function's output, one JSON value; empty where there is none.
    pub output: Bytes,
    /// The error that it ended with, or its last attempt did.
    pub error: Option<Box<ExecutionError>>,
    /// See [`Trace`].
    pub trace: Trace,
    /// The client's `Idempotency-Key`, passed on to the function.
    pub key_header: Option<HeaderValue>,
    /// Attempts begun.
    pub attempt: u8,
    /// The answer was the first of its instance.
    pub cold_start: bool,
    /// The time by which the client must be answered.
    pub deadline: Nanos,
    /// The deadline from the first grant on (ns from then); 0: it stays.
    pub run_budget: Nanos,
    /// The time at which the first attempt was granted; 0: not yet.
    pub first_granted: Nanos,
    /// See [`Timestamps`].
    pub timestamps: Timestamps,
    /// The running attempt. Taken out by whoever completes or stops the attempt.
    pub running_attempt: Option<RunningAttempt>,
    /// The tokens of the processes of its attempts, the last one's last (`JOB` only).
    pub tokens: Vec<Token>,
    /// Its end was read.
    pub read: bool,
    /// The clients that wait for its end. An execution that is waited for stays in the store.
    pub waiters: Waiters,
}

/// The parts of which an execution is made when it is admitted.
#[derive(Debug)]
pub struct Admission {
    /// The function's version.
    pub entry: Rc<FunctionEntry>,
    /// The call that admitted it.
    pub invocation: Invocation,
    /// The body.
    pub payload: Bytes,
    /// The trace.
    pub trace: Trace,
    /// The client's `Idempotency-Key`.
    pub key_header: Option<HeaderValue>,
    /// The key that stands for it from now on.
    pub idempotency_key: Option<Rc<IdempotencyKey>>,
    /// The time by which it must be answered, or first dispatched.
    pub deadline: Nanos,
    /// Time that an async one may run from its first dispatch on (ns); 0: the deadline stays.
    pub run_budget: Nanos,
    /// The time at which its head was read.
    pub admitted: Nanos,
}

impl Admission {
    /// The way in which the execution will be kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        if self.invocation == Invocation::Async || self.idempotency_key.is_some() {
            Retention::Promised
        } else {
            Retention::Evictable
        }
    }
}

impl Execution {
    /// An execution that waits for its first grant.
    #[must_use]
    pub fn new(nonce: u64, admission: Admission, held: usize) -> Self {
        Self {
            nonce,
            retention: admission.retention(),
            held,
            idempotency_key: admission.idempotency_key,
            entry: admission.entry,
            stage: Stage::Queued,
            invocation: admission.invocation,
            payload: admission.payload,
            output: Bytes::new(),
            error: None,
            trace: admission.trace,
            key_header: admission.key_header,
            attempt: 0,
            cold_start: false,
            deadline: admission.deadline,
            run_budget: admission.run_budget,
            first_granted: 0,
            timestamps: Timestamps { admitted: admission.admitted, ..Timestamps::default() },
            running_attempt: None,
            tokens: Vec::new(),
            read: false,
            waiters: Waiters::default(),
        }
    }

    /// Whether it is terminal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Milliseconds that its attempt may take from `now` on, at least 1.
    #[must_use]
    pub fn time_left_ms(&self, now: Nanos) -> u64 {
        let attempt_ms = u64::from(self.entry.function.spec.effective_attempt_timeout_ms());
        let until = self.deadline.min(self.timestamps.granted.saturating_add(attempt_ms * NANOS_PER_MS));
        (until.saturating_sub(now) / NANOS_PER_MS).max(1)
    }
}
