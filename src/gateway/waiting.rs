//! The future that waits for the end of an execution. Dropped, it may cancel the execution, and so it is the
//! gateway's.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::Response;

use super::Gateway;
use crate::api::response::Body;
use crate::api::response::receipt::invocation;
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::store::waiters::CLIENT;
use crate::ticket::Ticket;

/// Waits until an execution is terminal. Dropped before that, the client is gone.
#[derive(Debug)]
pub(super) struct Waiting {
    gateway: Rc<Gateway>,
    ticket: Ticket,
    /// Its number among the waiters.
    waiter: u64,
    /// Its reply was built, and with that it has left.
    has_left: bool,
}

impl Waiting {
    /// Enters the waiters of the execution, which must be in the store.
    #[must_use]
    pub(super) fn new(gateway: Rc<Gateway>, ticket: Ticket) -> Self {
        let waiter = gateway.executions.borrow_mut().wait(ticket).unwrap_or(0);
        Self { gateway, ticket, waiter, has_left: false }
    }

    /// The client of an execution that was just admitted for its `:invoke`.
    #[must_use]
    pub(super) fn of_client(gateway: Rc<Gateway>, ticket: Ticket) -> Self {
        Self { gateway, ticket, waiter: CLIENT, has_left: false }
    }

    /// Waits for the end, builds an answer and leaves. `None` where the record was lost.
    pub(super) async fn reply_with<T>(
        mut self,
        build: impl FnOnce(ExecutionId, &Execution) -> T,
    ) -> Option<T> {
        let mut build = Some(build);
        poll_fn(|cx| {
            let Gateway { executions, clock, .. } = &*self.gateway;
            let mut executions = executions.borrow_mut();
            let built = |id, execution: &_| build.take().map(|build| build(id, execution));
            let reply = executions.poll_reply(self.ticket, self.waiter, cx.waker(), clock, built);
            self.has_left = matches!(reply, Poll::Ready(Some(_)));
            reply.map(Option::flatten)
        })
        .await
    }

    /// Waits for the end, builds the answer to `:invoke` and leaves. `None` where the record was lost.
    pub(super) async fn reply(mut self) -> Option<Response<Body>> {
        poll_fn(|cx| {
            let Gateway { executions, clock, replies, .. } = &*self.gateway;
            let build = |id, execution: &_| invocation(&mut replies.borrow_mut(), id, execution);
            let mut executions = executions.borrow_mut();
            let reply = executions.poll_reply(self.ticket, self.waiter, cx.waker(), clock, build);
            self.has_left = matches!(reply, Poll::Ready(Some(_)));
            reply
        })
        .await
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.gateway.executions.borrow_mut().poll_end(self.ticket, self.waiter, cx.waker())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let is_abandoned = self.gateway.executions.borrow_mut().waiter_left(self.ticket, self.waiter);
        if is_abandoned {
            self.gateway.cancel(self.ticket, "the client went away before the execution was dispatched");
        }
    }
}
