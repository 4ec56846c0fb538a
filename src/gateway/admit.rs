//! `admit` and `enqueue`: a request becomes an execution or is refused, and its ticket goes on the queue of its
//! function. The client is answered by `waiting`.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;

use super::Gateway;
use super::body::{BodySource, body_refusal};
use super::calls::RequestHead;
use super::waiting::Waiting;
use crate::api::call_headers::CallHeaders;
use crate::api::json;
use crate::api::response;
use crate::api::response::Body;
use crate::api::response::receipt;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::{ApiError, ErrorCode};
use crate::metrics::RejectReason;
use crate::store::execution::{Admission, Invocation, Status};
use crate::store::execution_error::ExecutionError;
use crate::store::execution_store::Full;
use crate::store::function_entry::FunctionEntry;
use crate::store::idempotency::{IdempotencyKey, KeyLookup, owner_of};
use crate::store::time_limit::TimeLimit;
use crate::ticket::Ticket;
use crate::trace::Trace;
use crate::web_exchange::WebExchange;

/// A request that nothing is wrong with.
pub(super) struct Checked {
    pub(super) payload: Bytes,
    pub(super) timeout_ms: Option<u64>,
    pub(super) key_header: Option<HeaderValue>,
    /// See [`Admission::web`].
    pub(super) web: Option<Box<WebExchange>>,
}

/// The execution of a request that was let in.
#[derive(Clone, Debug)]
pub(super) enum Admitted {
    /// An execution of its own.
    New(Ticket),
    /// The execution that its key stands for already, until when it may be waited for (ns), and by which limit.
    Known(Ticket, Nanos, TimeLimit),
    /// Its key is another gateway's, which takes it as it came at this time, with this body.
    Elsewhere(usize, Arrived, Bytes),
}

/// The time at which the head of a request was read that another gateway has handed on: its own time runs
/// from then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived(Nanos);

impl Gateway {
    /// `POST /v1/functions/{name}:invoke`.
    pub async fn invoke(
        self: &Rc<Self>,
        name: &str,
        head: RequestHead<'_>,
        body: BodySource,
    ) -> Response<Body> {
        let ticket = match self.admit(name, head.parts, body, Invocation::Sync).await {
            Ok(Admitted::New(ticket)) => ticket,
            Ok(Admitted::Known(ticket, deadline, limit)) => return self.join(ticket, deadline, limit).await,
            Ok(Admitted::Elsewhere(owner, arrived, body)) => {
                return self.hand_on(owner, head, arrived, body).await;
            }
            Err(error) => return response::error(&error),
        };
        let waiting = Waiting::of_client(self.clone(), ticket);
        self.enqueue(ticket);
        waiting.reply().await.unwrap_or_else(lost)
    }

    /// Has the gateway that its key belongs to take a request.
    async fn hand_on(
        &self,
        owner: usize,
        head: RequestHead<'_>,
        arrived: Arrived,
        body: Bytes,
    ) -> Response<Body> {
        let mut parts = head.parts.clone();
        parts.extensions.insert(arrived);
        self.ask_gateway(owner, RequestHead { parts: &parts, ..head }, body).await
    }

    /// Waits for an execution that somebody else's request with the same key began, or replays it.
    async fn join(self: &Rc<Self>, ticket: Ticket, deadline: Nanos, limit: TimeLimit) -> Response<Body> {
        let waiting = Waiting::new(self.clone(), ticket);
        let patience = Duration::from_nanos(deadline.saturating_sub(self.clock.now()));
        // Not over in time is an answer, too; the execution stays in the store while it is waited for.
        let in_time = tokio::time::timeout(patience, waiting).await.is_ok();
        if in_time {
            self.executions.borrow_mut().mark_read(ticket);
            self.publish_gauges();
        }
        let answer = self.executions.with(ticket, |id, execution| {
            let memory = &mut self.replies.borrow_mut();
            if execution.has_ended() {
                receipt::invocation(memory, id, execution)
            } else {
                receipt::unfinished(memory, id, execution, limit)
            }
        });
        answer.map_or_else(lost, response::replayed)
    }

    /// `POST /v1/functions/{name}:enqueue`.
    pub async fn enqueue_only(
        self: &Rc<Self>,
        name: &str,
        head: RequestHead<'_>,
        body: BodySource,
    ) -> Response<Body> {
        let (ticket, is_new) = match self.admit(name, head.parts, body, Invocation::Async).await {
            Ok(Admitted::New(ticket)) => (ticket, true),
            Ok(Admitted::Known(ticket, ..)) => (ticket, false),
            Ok(Admitted::Elsewhere(owner, arrived, body)) => {
                return self.hand_on(owner, head, arrived, body).await;
            }
            Err(error) => return response::error(&error),
        };
        let accepted = self.executions.with(ticket, response::accepted);
        if is_new {
            self.enqueue(ticket);
            accepted.unwrap_or_else(lost)
        } else {
            let promised = self.executions.borrow_mut().promise(ticket);
            self.publish_gauges();
            match promised {
                Ok(()) => accepted.map_or_else(lost, response::replayed),
                Err(full) => response::error(&no_room(full).1),
            }
        }
    }

    /// Parses, validates, resolves the name, takes a credit, makes an execution, sets the deadline.
    pub(super) async fn admit(
        self: &Rc<Self>,
        name: &str,
        parts: &Parts,
        body: BodySource,
        invocation: Invocation,
    ) -> Result<Admitted, ApiError> {
        let admitted = parts.extensions.get().map_or_else(|| self.clock.now(), |Arrived(admitted)| *admitted);
        let entry = self.resolve(name)?;
        let refused = |(reason, error): (RejectReason, ApiError)| {
            entry.metrics().rejected[reason as usize].add_one();
            error
        };
        let headers = CallHeaders::read(&parts.headers);
        let request = self.check(&headers, body).await.map_err(refused)?;
        if let Some(key) = &request.key_header {
            let owner = owner_of(name, key.as_bytes(), self.settings.gateways);
            if owner != self.index {
                return Ok(Admitted::Elsewhere(owner, Arrived(admitted), request.payload));
            }
        }
        // The function may have been replaced or deleted while the body came. From here to the
        // push of the ticket nothing is awaited, so the queue that is found now is still used.
        let entry = self.resolve(name)?;
        let refused = |(reason, error): (RejectReason, ApiError)| {
            entry.metrics().rejected[reason as usize].add_one();
            error
        };
        self.check_draining().map_err(refused)?;
        let idempotency_key = request
            .key_header
            .as_ref()
            .map(|key| IdempotencyKey { function: name.into(), key: key.as_bytes().into() });
        if let Some(key) = &idempotency_key
            && let Some(ticket) = self.execution_of_key(key, &request.payload).map_err(refused)?
        {
            let limit = TimeLimit::new(entry.function.spec.timeout_ms, request.timeout_ms).of_waiting();
            return Ok(Admitted::Known(ticket, admitted + limit.ns(), limit));
        }
        self.create_execution(&entry, &headers, request, idempotency_key, invocation, admitted)
            .map(Admitted::New)
            .map_err(refused)
    }

    /// The execution that a key stands for.
    fn execution_of_key(
        &self,
        key: &IdempotencyKey,
        payload: &[u8],
    ) -> Result<Option<Ticket>, (RejectReason, ApiError)> {
        match self.executions.borrow().look_up_key(key, payload) {
            KeyLookup::Free => Ok(None),
            KeyLookup::Same(ticket) => Ok(Some(ticket)),
            KeyLookup::Other => {
                let message = "this Idempotency-Key stands for a request with another body; send the same bytes, or another key";
                Err((RejectReason::Invalid, ApiError::new(ErrorCode::IdempotencyMismatch, message)))
            }
        }
    }

    pub(super) fn resolve(&self, name: &str) -> Result<Rc<FunctionEntry>, ApiError> {
        self.functions.borrow().get(name).cloned().ok_or_else(|| self.unknown(name))
    }

    #[cold]
    fn unknown(&self, name: &str) -> ApiError {
        if self.rings.registry_unread.load(Ordering::Acquire) {
            return ApiError::unread_function(name);
        }
        if let Some(reason) = self.awaited.borrow().get(name) {
            return ApiError::clone(reason);
        }
        ApiError::unknown_function(name)
    }

    pub(super) fn check_draining(&self) -> Result<(), (RejectReason, ApiError)> {
        if !self.draining.get() {
            return Ok(());
        }
        let error = ApiError::new(ErrorCode::Draining, "the control plane is stopping; try again elsewhere");
        Err((RejectReason::Draining, error.retry_after(1).closing()))
    }

    /// Checks all that can be found wrong before there is an execution.
    async fn check(
        &self,
        headers: &CallHeaders<'_>,
        body: BodySource,
    ) -> Result<Checked, (RejectReason, ApiError)> {
        let invalid = |error| (RejectReason::Invalid, error);
        self.check_draining()?;
        headers.check_content_type().map_err(|error| invalid(error.closing()))?;
        let timeout_ms = headers.timeout_ms().map_err(|error| invalid(error.closing()))?;
        let key_header = headers.idempotency_key().map_err(|error| invalid(error.closing()))?.cloned();
        let payload = self.read_body(body).await.map_err(body_refusal)?;
        json::check_invocation(&payload).map_err(invalid)?;
        Ok(Checked { payload, timeout_ms, key_header, web: None })
    }

    /// Takes a credit, makes an execution in the store, and sets the deadline.
    pub(super) fn create_execution(
        self: &Rc<Self>,
        entry: &Rc<FunctionEntry>,
        headers: &CallHeaders<'_>,
        request: Checked,
        idempotency_key: Option<IdempotencyKey>,
        invocation: Invocation,
        admitted: Nanos,
    ) -> Result<Ticket, (RejectReason, ApiError)> {
        let Checked { payload, timeout_ms, web, .. } = request;
        let spec = &entry.function.spec;
        let time_limit = TimeLimit::new(spec.timeout_ms, timeout_ms);
        let (deadline, run_budget, time_limit) = match invocation {
            Invocation::Sync => {
                let time_limit = time_limit.of_waiting();
                (admitted + time_limit.ns(), 0, time_limit)
            }
            Invocation::Async => {
                (admitted + u64::from(spec.max_queue_ms) * NANOS_PER_MS, time_limit.ns(), time_limit)
            }
        };
        let queue = &entry.function.queue;
        if invocation == Invocation::Sync
            && let Some(wait) = queue.wait_beyond(time_limit.ns(), deadline)
        {
            let (wait_ms, limit_ms) = (wait.div_ceil(NANOS_PER_MS), time_limit.ns() / NANOS_PER_MS);
            queue.overload.note_line(wait_ms, limit_ms, admitted);
            return Err(self.unreachable(entry, time_limit, wait));
        }
        // A queue may be full only because the scheduler has not had its turn.
        let has_credit = queue.take_credit() || (self.poke_if_due() && queue.take_credit());
        if !has_credit {
            let depth = queue.depth();
            queue.overload.note_full(spec.queue_size.into(), admitted);
            let error = ApiError::new(
                ErrorCode::QueueFull,
                format!("{depth} executions of this function wait already (queueSize {})", spec.queue_size),
            );
            return Err((RejectReason::QueueFull, error.retry_after(self.retry_after_s(entry))));
        }
        let trace = Trace::new(
            headers.trace_id(),
            headers.trace_context(),
            &mut self.executions.borrow_mut().trace_bits,
        );
        let admission = Admission {
            entry: entry.clone(),
            invocation,
            payload,
            trace,
            idempotency_key: idempotency_key.map(Rc::new),
            deadline,
            time_limit,
            run_budget,
            admitted,
            web,
        };
        let mut room = self.executions.borrow_mut().make_room(&admission);
        // So may the store: what the scheduler has not released is not evicted.
        if room.is_err() && self.poke_if_due() {
            room = self.executions.borrow_mut().make_room(&admission);
        }
        let room = room.map_err(|full| {
            queue.return_credit();
            let (reason, error) = no_room(full);
            (reason, error.retry_after(self.retry_after_s(entry)))
        })?;
        Ok(self.executions.borrow_mut().insert(admission, room))
    }

    /// The refusal of an invocation that would wait in line for `wait` ns, which is longer than it may take.
    #[cold]
    fn unreachable(
        &self,
        entry: &FunctionEntry,
        time_limit: TimeLimit,
        wait: Nanos,
    ) -> (RejectReason, ApiError) {
        let error = ApiError::new(
            ErrorCode::DeadlineUnreachable,
            format!(
                "{} executions of this function wait already, and so it would wait for about {} ms, and it has {time_limit}; nothing was begun, so it may be sent again",
                entry.function.queue.depth(),
                wait.div_ceil(NANOS_PER_MS),
            ),
        );
        (RejectReason::DeadlineUnreachable, error.retry_after(self.retry_after_s(entry)))
    }

    /// Puts the ticket on its function's ring and tells the scheduler.
    pub(super) fn enqueue(self: &Rc<Self>, ticket: Ticket) {
        let now = self.clock.now();
        let entry = self.executions.borrow_mut().enqueue(ticket, now);
        let Some(entry) = entry else { return };
        self.publish_gauges();
        match entry.function.queue.push(ticket) {
            Ok(true) => {
                // Each version is announced once at a time, and the ring has a place for each twice.
                let announced = self.rings.ready.push(entry.function.index);
                debug_assert!(announced.is_ok(), "the ready ring is full");
            }
            Ok(false) => {}
            Err(_) => {
                debug_assert!(false, "a credit was held, but the ring was full");
                let error = ExecutionError::new(
                    ErrorCode::Internal,
                    "the queue had no place for a credit that it gave",
                );
                if let Some(ended) = self.end(ticket, |_| (Status::Error, Some(Box::new(error)))) {
                    ended.wakers.wake();
                }
            }
        }
        self.poke_soon();
    }
}

/// The answer where the store has no room for an execution.
fn no_room(full: Full) -> (RejectReason, ApiError) {
    let (reason, code, message) = match full {
        Full::Executions => (
            RejectReason::ExecutionsFull,
            ErrorCode::ExecutionsFull,
            "every execution record is in use (--max-executions)",
        ),
        Full::Retention => (
            RejectReason::RetentionFull,
            ErrorCode::RetentionFull,
            "too many results are kept for those who were promised them, or too many bytes reserved (--max-executions, --max-payload-bytes, --reserved-output, --retention)",
        ),
        Full::Bytes => (
            RejectReason::PayloadBytesFull,
            ErrorCode::PayloadBytesFull,
            "the payloads and outputs held leave no room for this one (--max-payload-bytes)",
        ),
    };
    (reason, ApiError::new(code, message))
}

pub(super) fn lost() -> Response<Body> {
    response::error(&ApiError::new(ErrorCode::Internal, "the record of the execution was lost"))
}
