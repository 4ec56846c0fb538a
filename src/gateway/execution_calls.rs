//! The look-up of an execution by its id: reading it, `GET /v1/executions/{id}`, or its output, and cancelling it,
//! `DELETE`.

use std::rc::Rc;
use std::time::Duration;

use hyper::Response;

use super::Gateway;
use super::waiting::Waiting;
use crate::api::query::{OF_READ, parameters, unknown_parameter};
use crate::api::response;
use crate::api::response::Body;
use crate::api::response::output::output;
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::store::execution_store::IdLookup;

/// Longest that a read can wait for the end, in seconds.
const WAIT_S_MAX: u64 = 60;

impl Gateway {
    /// Answers as soon as the execution is terminal, or after `wait` seconds as it stands.
    pub async fn execution(self: &Rc<Self>, id: &str, query: Option<&str>) -> Response<Body> {
        let read = self.read(id, query).await;
        if read.is_ok() && !self.has_kept(id) {
            self.mark_read(id);
        }
        read.unwrap_or_else(|error| response::error(&error))
    }

    /// The same to `HEAD`, which is not told the result, so that it stays unread.
    pub(super) async fn execution_head(self: &Rc<Self>, id: &str, query: Option<&str>) -> Response<Body> {
        self.read(id, query).await.unwrap_or_else(|error| response::error(&error))
    }

    /// Answers the output and nothing around it, or the error of an execution that has none.
    #[cold]
    pub(super) async fn output(
        self: &Rc<Self>,
        id: &str,
        query: Option<&str>,
        is_head: bool,
    ) -> Response<Body> {
        let read = self.look(id, query, output).await.flatten();
        if read.is_ok() && !is_head {
            self.mark_read(id);
        }
        read.unwrap_or_else(|error| response::error(&error))
    }

    /// Whether the answer of its function is kept beside the record, which does not show it.
    fn has_kept(&self, id: &str) -> bool {
        let kept = |execution: &Execution| execution.web.as_ref().is_some_and(|web| web.kept.is_some());
        self.find(id).is_ok_and(|id| self.executions.with(id.ticket, |_, it| kept(it)) == Some(true))
    }

    fn mark_read(&self, id: &str) {
        if let Ok(id) = self.find(id) {
            self.executions.borrow_mut().mark_read(id.ticket);
            self.publish_gauges();
        }
    }

    /// Ends an execution that is not over: a queued one never runs, a running one's connection is
    /// closed.
    pub(super) fn cancel_execution(self: &Rc<Self>, id: &str) -> Response<Body> {
        let cancelled = self.find(id).and_then(|id| {
            if self.executions.with(id.ticket, |_, execution| execution.has_ended()) == Some(true) {
                let message = "the execution has ended already; GET it to see how";
                return Err(ApiError::new(ErrorCode::AlreadyTerminal, message));
            }
            self.cancel(id.ticket, "the execution was cancelled by a client");
            Ok(response::json(202, format!("{{\"executionId\":\"{id}\",\"status\":\"cancelled\"}}")))
        });
        cancelled.unwrap_or_else(|error| response::error(&error))
    }

    async fn read(self: &Rc<Self>, text: &str, query: Option<&str>) -> Result<Response<Body>, ApiError> {
        self.look(text, query, |id, execution| response::execution(id, execution, &self.clock)).await
    }

    /// Looks at an execution when it is terminal, or after `wait` seconds.
    async fn look<T>(
        self: &Rc<Self>,
        text: &str,
        query: Option<&str>,
        build: impl FnOnce(ExecutionId, &Execution) -> T,
    ) -> Result<T, ApiError> {
        let wait_s = wait(query)?;
        let id = self.find(text)?;
        if wait_s > 0 {
            let waiting = Waiting::new(self.clone(), id.ticket);
            // Not terminal in time is an answer too: the execution as it stands.
            let _ = tokio::time::timeout(Duration::from_secs(wait_s), waiting).await;
        }
        self.executions.with(id.ticket, build).ok_or_else(expired)
    }

    /// The execution that a client names, where the store still has it.
    pub(super) fn find(&self, text: &str) -> Result<ExecutionId, ApiError> {
        let unknown =
            || ApiError::new(ErrorCode::ExecutionNotFound, format!("there was never an execution {text:?}"));
        let id = ExecutionId::parse(text).ok_or_else(unknown)?;
        if id.incarnation != self.incarnation {
            return Err(if id.incarnation < self.incarnation {
                ApiError::new(
                    ErrorCode::ExecutionLostOnRestart,
                    "the control plane was restarted since; executions do not outlive it",
                )
            } else {
                unknown()
            });
        }
        if id.ticket.gateway() != self.index {
            return Err(unknown());
        }
        match self.executions.borrow().look_up(id) {
            IdLookup::Here => Ok(id),
            IdLookup::Gone => Err(expired()),
            IdLookup::Unknown => Err(unknown()),
        }
    }
}

pub(super) fn expired() -> ApiError {
    ApiError::new(
        ErrorCode::ExecutionExpired,
        "the execution ended and is not kept any more (--retention, --max-executions)",
    )
}

fn wait(query: Option<&str>) -> Result<u64, ApiError> {
    let mut wait = 0;
    for (name, value) in parameters(query) {
        if name != "wait" {
            return Err(unknown_parameter(name, OF_READ));
        }
        wait = value.parse().ok().filter(|seconds| *seconds <= WAIT_S_MAX).ok_or_else(|| {
            ApiError::new(
                ErrorCode::BadRequest,
                format!("wait={value} is not a number of seconds, 0 … {WAIT_S_MAX}"),
            )
        })?;
    }
    Ok(wait)
}
