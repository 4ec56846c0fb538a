//! The steps of an execution whose function answers an HTTP request as it is.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName};
use tokio::task::AbortHandle;

use super::execution::State;
use super::execution_error::ExecutionError;
use super::execution_store::ExecutionStore;
use super::running_attempt::RunningAttempt;
use super::transitions::no_room;
use crate::channel::AnswerSender;
use crate::clock::Nanos;
use crate::ticket::Ticket;
use crate::web_exchange::{UpgradePlace, WebExchange, WebReply};

/// Headers of an answer that are kept with it: those that say how its body is to be read.
const KEPT_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE];
/// Bytes of the largest value of a header that is kept. They are not counted.
const KEPT_VALUE_BYTES_MAX: usize = 1024;

/// The part of an exchange that is kept with its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebRecord {
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Bytes of the request's body that were passed on.
    pub request_bytes: u64,
    /// Bytes of the answer's body that were passed on, or are kept.
    pub answer_bytes: u64,
    /// The answer is kept.
    pub is_kept: bool,
}

impl WebRecord {
    /// The record of an exchange.
    #[must_use]
    pub(super) fn of(web: &WebExchange) -> Self {
        let WebExchange { status, request_bytes, answer_bytes, .. } = *web;
        Self { status, request_bytes, answer_bytes, is_kept: web.kept.is_some() }
    }
}

impl ExecutionStore {
    fn web_mut(&mut self, ticket: Ticket) -> Option<&mut WebExchange> {
        self.get_mut(ticket)?.web.as_deref_mut()
    }

    /// The body of the request, for the attempt that passes it on. From here on the execution's deadline counts no more.
    pub(crate) fn take_upload(&mut self, ticket: Ticket) -> Option<Incoming> {
        let web = self.web_mut(ticket)?;
        let upload = web.upload.take()?;
        web.outlives_deadline = true;
        Some(upload)
    }

    /// The place of a connection whose protocol was changed.
    pub(crate) fn take_upgrade_place(&mut self, ticket: Ticket) -> Option<UpgradePlace> {
        self.web_mut(ticket)?.place.take()
    }

    /// The time of the running attempt is over, and it is the last.
    pub(crate) fn attempt_is_late(&mut self, ticket: Ticket) {
        if let Some(execution) = self.get_mut(ticket) {
            execution.error = Some(Box::new(execution.attempt_timeout()));
        }
    }

    /// The way to the client, which is gone then.
    pub(crate) fn take_web_reply(&mut self, ticket: Ticket) -> Option<AnswerSender<WebReply>> {
        self.web_mut(ticket)?.reply.take()
    }

    /// The head of the answer has come, with this status.
    pub(crate) fn web_answered(&mut self, ticket: Ticket, status: u16, now: Nanos) {
        let Some(execution) = self.get_mut(ticket) else { return };
        execution.timestamps.first_byte = now;
        execution.note_awaited_start();
        if let Some(count) = execution.entry.metrics().web_responses.get(usize::from(status / 100) - 1) {
            count.add_one();
        }
        let Some(web) = &mut execution.web else { return };
        web.status = status;
        web.outlives_deadline = true;
    }

    /// The head of an answer over frames has come, and this task passes the body on: it is stopped with the attempt.
    pub(crate) fn web_begun(&mut self, ticket: Ticket, task: AbortHandle) {
        let Some(execution) = self.get_mut(ticket) else { return };
        if let State::Running(RunningAttempt::Framed(key)) = execution.state {
            execution.state = State::Running(RunningAttempt::FramedStream(key, task));
        }
    }

    /// Bytes of the bodies of request and answer were passed on.
    pub(crate) fn web_passed(&mut self, ticket: Ticket, request_bytes: u64, answer_bytes: u64) {
        if let Some(web) = self.web_mut(ticket) {
            web.request_bytes += request_bytes;
            web.answer_bytes += answer_bytes;
        }
    }

    /// Whether the answer is to be kept with the execution, as no client waits for it.
    #[must_use]
    pub(crate) fn keeps_answer(&self, ticket: Ticket) -> bool {
        self.get(ticket).and_then(|execution| execution.web.as_deref()).is_some_and(|web| web.keeps_answer)
    }

    /// Keeps an answer, its body as the output of the execution. The attempt ends with it.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn keep_answer(
        &mut self,
        ticket: Ticket,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(), ExecutionError> {
        let bytes = body.len();
        let needs_more = self.get(ticket).is_some_and(|execution| execution.needs_more_for(bytes));
        if needs_more && !self.accommodate(ticket, bytes) {
            return Err(no_room(bytes));
        }
        let Some(execution) = self.get_mut(ticket) else { return Ok(()) };
        let Some(web) = &mut execution.web else { return Ok(()) };
        let kept = KEPT_HEADERS.iter().flat_map(|name| {
            let values =
                headers.get_all(name).into_iter().filter(|value| value.len() <= KEPT_VALUE_BYTES_MAX);
            values.map(|value| (name.clone(), value.clone()))
        });
        web.kept = Some(kept.collect());
        web.answer_bytes = bytes as u64;
        execution.output = body;
        Ok(())
    }

    /// Time in which the head of the answer has to come, once the body of the request has gone.
    #[must_use]
    pub(crate) fn head_patience(&self, ticket: Ticket) -> Duration {
        self.get(ticket).map_or(Duration::ZERO, |execution| Duration::from_nanos(execution.time_limit.ns()))
    }
}
