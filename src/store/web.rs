//! The steps of an execution whose function answers an HTTP request as it is.

use std::time::Duration;

use hyper::body::Incoming;

use super::execution_store::ExecutionStore;
use crate::channel::AnswerSender;
use crate::clock::Nanos;
use crate::ticket::Ticket;
use crate::web_exchange::{UpgradePlace, WebExchange, WebReply};

/// The part of an exchange that is kept with its execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebRecord {
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Bytes of the request's body that were passed on.
    pub request_bytes: u64,
    /// Bytes of the answer's body that were passed on.
    pub answer_bytes: u64,
}

impl WebRecord {
    /// The record of an exchange.
    #[must_use]
    pub(super) fn of(web: &WebExchange) -> Self {
        let WebExchange { status, request_bytes, answer_bytes, .. } = *web;
        Self { status, request_bytes, answer_bytes }
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
        if let Some(count) = execution.entry.metrics().web_responses.get(usize::from(status / 100) - 1) {
            count.add_one();
        }
        let Some(web) = &mut execution.web else { return };
        web.status = status;
        web.outlives_deadline = true;
    }

    /// Bytes of the bodies of request and answer were passed on.
    pub(crate) fn web_passed(&mut self, ticket: Ticket, request_bytes: u64, answer_bytes: u64) {
        if let Some(web) = self.web_mut(ticket) {
            web.request_bytes += request_bytes;
            web.answer_bytes += answer_bytes;
        }
    }

    /// Time in which the head of the answer has to come, once the body of the request has gone.
    #[must_use]
    pub(crate) fn head_patience(&self, ticket: Ticket) -> Duration {
        self.get(ticket).map_or(Duration::ZERO, |execution| Duration::from_nanos(execution.time_limit.ns()))
    }
}
