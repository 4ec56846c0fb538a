//! One execution as its gateway knows it: stage, payload, result, waiters and running attempt.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::execution_error::ExecutionError;
use super::function_entry::FunctionEntry;
use super::idempotency::IdempotencyKey;
use super::running_attempt::RunningAttempt;
use super::time_limit::TimeLimit;
use super::timestamps::Timestamps;
use super::waiters::Waiters;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::cold_phases::ColdPhases;
use crate::error::ErrorSource;
use crate::id::Token;
use crate::instance::{InstanceKey, InstanceStart};
use crate::trace::Trace;
use crate::web_exchange::WebExchange;

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
pub(crate) enum Retention {
    /// The first to go when there is need of room.
    Evictable,
    /// A place, and bytes for the output, are reserved from its admission on, and it stays for its
    /// whole retention: a client was promised that it can be read, or has a key for it.
    Promised,
}

/// The stage of an execution, with the attempt that it has if it runs.
#[derive(Debug)]
pub(super) enum State {
    /// See [`Stage::Queued`].
    Queued,
    /// See [`Stage::Running`].
    Running(RunningAttempt),
    /// See [`Stage::Ended`].
    Ended(Status),
}

/// One execution, from its admission until its retention is over. Only the store changes it.
#[derive(Debug)]
pub struct Execution {
    /// The random part of its id.
    pub nonce: u64,
    /// The function's version it was admitted to, or last granted on.
    pub entry: Rc<FunctionEntry>,
    /// See [`State`].
    pub(super) state: State,
    /// The call that admitted it.
    pub invocation: Invocation,
    /// See [`Retention`].
    pub(super) retention: Retention,
    /// Bytes that are counted for it: its payload, or what is reserved for its output if that is
    /// more; after its end its output.
    pub(super) held: usize,
    /// The key that stands for it, while it is to be joined or replayed; passed on to the function.
    pub idempotency_key: Option<Rc<IdempotencyKey>>,
    /// The body as the client sent it; empty once it is not needed any more.
    pub payload: Bytes,
    /// The function's output, one JSON value, or the body of an answer that is kept as it came; empty where there is
    /// none.
    pub output: Bytes,
    /// The error that it ended with, or its last attempt did.
    pub error: Option<Box<ExecutionError>>,
    /// See [`Trace`].
    pub trace: Trace,
    /// Attempts begun.
    pub attempt: u8,
    /// Attempts granted: one that could not be sent is granted again, as the same attempt.
    pub dispatched: u8,
    /// The instance of the last attempt.
    pub instance: Option<InstanceKey>,
    /// The answer was the first of its instance.
    pub cold_start: bool,
    /// The instance of its last attempt had been started ahead, and was ready when it came.
    pub standby: bool,
    /// Duration of the start of its instance, as that one said (ns).
    pub init: Option<Nanos>,
    /// How the instance came to be whose first answer it had; none where that is not known.
    pub cold: Option<Arc<InstanceStart>>,
    /// It is among the slowest of its function, and its reply is not built yet.
    pub(super) awaits_reply: bool,
    /// The time by which the client must be answered.
    pub deadline: Nanos,
    /// Longest time that it may take, from its admission on, or from its first grant on where it is async.
    pub(super) time_limit: TimeLimit,
    /// The deadline from the first grant on (ns from then); 0: it stays.
    pub run_budget: Nanos,
    /// The time at which the first attempt was granted; 0: not yet.
    pub first_granted: Nanos,
    /// See [`Timestamps`].
    pub timestamps: Timestamps,
    /// The tokens of the processes of its attempts, the last one's last (`JOB` only).
    pub tokens: Vec<Token>,
    /// Its end was read.
    pub(super) read: bool,
    /// Its HTTP exchange, where its function answers requests as they are.
    pub(crate) web: Option<Box<WebExchange>>,
    /// The clients that wait for its end. An execution that is waited for stays in the store.
    pub(super) waiters: Waiters,
}

/// The parts of which an execution is made when it is admitted.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The function's version.
    pub entry: Rc<FunctionEntry>,
    /// The call that admitted it.
    pub invocation: Invocation,
    /// The body.
    pub payload: Bytes,
    /// The trace.
    pub trace: Trace,
    /// The key that stands for it from now on.
    pub idempotency_key: Option<Rc<IdempotencyKey>>,
    /// The time by which it must be answered, or first dispatched.
    pub deadline: Nanos,
    /// See [`Execution::time_limit`].
    pub time_limit: TimeLimit,
    /// Time that an async one may run from its first dispatch on (ns); 0: the deadline stays.
    pub run_budget: Nanos,
    /// The time at which its head was read.
    pub admitted: Nanos,
    /// See [`Execution::web`].
    pub web: Option<Box<WebExchange>>,
}

impl Admission {
    /// The way in which the execution will be kept.
    #[must_use]
    pub(crate) fn retention(&self) -> Retention {
        if self.invocation == Invocation::Async || self.idempotency_key.is_some() {
            Retention::Promised
        } else {
            Retention::Evictable
        }
    }

    /// Bytes of the request that the execution holds until it has ended.
    pub(super) fn bytes(&self) -> usize {
        self.payload.len() + self.web.as_ref().map_or(0, |web| web.head_bytes())
    }
}

impl Execution {
    /// An execution that waits for its first grant.
    pub(super) fn new(nonce: u64, admission: Admission, held: usize) -> Self {
        Self {
            nonce,
            retention: admission.retention(),
            held,
            idempotency_key: admission.idempotency_key,
            entry: admission.entry,
            state: State::Queued,
            invocation: admission.invocation,
            payload: admission.payload,
            output: Bytes::new(),
            error: None,
            trace: admission.trace,
            attempt: 0,
            dispatched: 0,
            instance: None,
            cold_start: false,
            standby: false,
            init: None,
            cold: None,
            awaits_reply: false,
            deadline: admission.deadline,
            time_limit: admission.time_limit,
            run_budget: admission.run_budget,
            first_granted: 0,
            timestamps: Timestamps { admitted: admission.admitted, ..Timestamps::default() },
            tokens: Vec::new(),
            read: false,
            web: admission.web,
            waiters: match admission.invocation {
                Invocation::Sync => Waiters::of_client(),
                Invocation::Async => Waiters::default(),
            },
        }
    }

    /// Its stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Queued => Stage::Queued,
            State::Running(_) => Stage::Running,
            State::Ended(status) => Stage::Ended(status),
        }
    }

    /// Whether it is terminal.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Whether its deadline is over for the scheduler alone: its answer has begun, or its request still comes.
    #[must_use]
    pub(crate) fn outlives_deadline(&self) -> bool {
        self.web.as_ref().is_some_and(|web| web.outlives_deadline)
    }

    /// Its output, where that is JSON or there is none.
    #[must_use]
    pub(crate) fn json_output(&self) -> &[u8] {
        if self.web.is_none() { &self.output } else { &[] }
    }

    /// Milliseconds that it may take.
    #[must_use]
    pub(crate) fn time_limit_ms(&self) -> u64 {
        (self.time_limit.ns() / NANOS_PER_MS).max(1)
    }

    /// Whether it runs, and its attempt has a process of its own.
    #[must_use]
    pub fn has_process(&self) -> bool {
        matches!(self.state, State::Running(RunningAttempt::Process { .. }))
    }

    /// The error of a running attempt that has posted what is no result, in case that it posts no other.
    #[must_use]
    pub(crate) fn error_of_no_result(&self) -> Option<&ExecutionError> {
        let posted_none =
            matches!(self.state, State::Running(RunningAttempt::Process { posted_none: true, .. }));
        self.error.as_deref().filter(|_| posted_none)
    }

    /// Whether a key replays it once it has ended: a success, or the function's own 4xx.
    pub(super) fn is_replayed(&self) -> bool {
        self.error
            .as_ref()
            .is_none_or(|error| error.source == ErrorSource::Function && (400..500).contains(&error.http))
    }

    /// Counts its end in the metrics of its function's version.
    pub(super) fn count_end(&self, status: Status) {
        let Timestamps { admitted, written, answered, ended, .. } = self.timestamps;
        self.entry.count_end(ended);
        let metrics = self.entry.metrics();
        match status {
            Status::Success => &metrics.success,
            Status::Error => &metrics.error,
            Status::Timeout => &metrics.timeout,
            Status::Cancelled => &metrics.cancelled,
        }
        .add_one();
        let latency = ended.saturating_sub(admitted);
        metrics.latency.observe(latency);
        if answered > 0 && written > 0 {
            let execution_ns = answered.saturating_sub(written);
            metrics.execution.observe(execution_ns);
            metrics.overhead.observe(latency.saturating_sub(execution_ns));
        }
    }

    /// Takes note that an attempt had the first answer of its instance.
    #[cold]
    pub(super) fn cold_started(&mut self, attempt: &RunningAttempt, init: Option<Nanos>) {
        let start = match attempt {
            // Its instance may be gone by now.
            RunningAttempt::SingleUse { start, .. } => start.clone(),
            RunningAttempt::Exchange(_)
            | RunningAttempt::Framed(_)
            | RunningAttempt::FramedStream(..)
            | RunningAttempt::Process { .. } => self.instance_start(),
        };
        self.cold_started_with(start, init);
    }

    /// Takes note of the start of its instance, where that was ready after the execution had come: a web application does
    /// not say which answer is its first.
    pub(super) fn note_awaited_start(&mut self) {
        let admitted = self.timestamps.admitted;
        if let Some(start) = self.instance_start().filter(|start| start.wanted > 0 && start.ready > admitted)
        {
            self.cold_started_with(Some(start), None);
        }
    }

    /// The start of the instance of the running attempt.
    fn instance_start(&self) -> Option<Arc<InstanceStart>> {
        let address = self.entry.function.address(self.instance?)?;
        Some(address.start.clone())
    }

    #[cold]
    fn cold_started_with(&mut self, start: Option<Arc<InstanceStart>>, init: Option<Nanos>) {
        self.cold_start = true;
        self.init = init;
        self.cold = start;
        let phases = self.cold_phases();
        self.entry.metrics().count_cold_start(init, phases);
    }

    /// The phases of the start of the instance that it waited for.
    #[must_use]
    pub(crate) fn cold_phases(&self) -> Option<ColdPhases> {
        self.cold.as_deref()?.cold_phases(self.timestamps.enqueued, self.timestamps.granted)
    }

    /// Whether an output of so many bytes needs more of them than were reserved for it.
    pub(super) fn needs_more_for(&self, output: usize) -> bool {
        self.retention == Retention::Promised && output > self.held
    }

    /// Milliseconds that its attempt may take from `now` on, at least 1.
    #[must_use]
    pub fn time_left_ms(&self, now: Nanos) -> u64 {
        let attempt_ms = u64::from(self.entry.function.spec.attempt_timeout_ms);
        let until = self.deadline.min(self.timestamps.granted.saturating_add(attempt_ms * NANOS_PER_MS));
        (until.saturating_sub(now) / NANOS_PER_MS).max(1)
    }
}
