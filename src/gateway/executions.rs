//! Reading one execution: `GET /v1/executions/{id}`.

use std::rc::Rc;
use std::time::Duration;

use hyper::Response;

use super::Gateway;
use super::reply::{self, Body, Waiting};
use crate::error::{Code, Refusal};
use crate::id::ExecutionId;

/// Longest that a read can wait for the end, in seconds.
pub const WAIT_S_MAX: u64 = 60;

impl Gateway {
    /// Answers as soon as the execution is terminal, or after `wait` seconds as it stands.
    pub async fn execution(self: &Rc<Self>, id: &str, query: Option<&str>) -> Response<Body> {
        match self.find(id, query).await {
            Ok(response) => response,
            Err(refusal) => reply::refusal(&refusal),
        }
    }

    async fn find(self: &Rc<Self>, text: &str, query: Option<&str>) -> Result<Response<Body>, Refusal> {
        let wait_s = wait(query)?;
        let unknown =
            || Refusal::new(Code::ExecutionNotFound, format!("there was never an execution {text:?}"));
        let id = ExecutionId::parse(text).ok_or_else(unknown)?;
        if id.boot != self.boot {
            return Err(if id.boot < self.boot {
                Refusal::new(
                    Code::ExecutionLostOnRestart,
                    "the control plane was restarted since; executions do not outlive it",
                )
            } else {
                unknown()
            });
        }
        if id.ticket.gateway() != self.index {
            return Err(unknown());
        }
        let here = self.with_record(id.ticket, |record| record.nonce == id.nonce);
        match here {
            Some(true) => {}
            Some(false) => return Err(unknown()),
            None if self.cargo.borrow().was_used(id.ticket) => {
                return Err(Refusal::new(
                    Code::ExecutionExpired,
                    "the execution ended and is not kept any more (--retention, --max-executions)",
                ));
            }
            None => return Err(unknown()),
        }
        if wait_s > 0 {
            let waiting = Waiting::new(self.clone(), id.ticket);
            // Not terminal in time is an answer too: the execution as it stands.
            let _ = tokio::time::timeout(Duration::from_secs(wait_s), waiting).await;
        }
        self.cargo.borrow_mut().mark_read(id.ticket);
        self.publish_gauges();
        self.with_record(id.ticket, |record| reply::execution(id, record, &self.clock)).ok_or_else(unknown)
    }
}

fn wait(query: Option<&str>) -> Result<u64, Refusal> {
    let mut wait = 0;
    for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "wait" {
            return Err(Refusal::new(
                Code::BadRequest,
                format!("unknown parameter {name:?}; there is `wait`"),
            ));
        }
        wait = value.parse().ok().filter(|seconds| *seconds <= WAIT_S_MAX).ok_or_else(|| {
            Refusal::new(
                Code::BadRequest,
                format!("wait={value} is not a number of seconds, 0 … {WAIT_S_MAX}"),
            )
        })?;
    }
    Ok(wait)
}
