//! The future that waits for the end of an execution. Dropped, it may cancel the execution, and so it is the
//! gateway's.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Gateway;
use crate::ticket::Ticket;

/// Waits until an execution is terminal. Dropped before that, the client is gone.
#[derive(Debug)]
pub struct Waiting {
    gateway: Rc<Gateway>,
    ticket: Ticket,
    /// Its number among the waiters.
    who: u64,
}

impl Waiting {
    /// Enters the waiters of the execution, which must be in the store.
    #[must_use]
    pub fn new(gateway: Rc<Gateway>, ticket: Ticket) -> Self {
        let who = gateway.with_execution(ticket, |execution| execution.waiters.enter()).unwrap_or(0);
        Self { gateway, ticket, who }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self.gateway.with_execution(self.ticket, |execution| {
            if execution.has_ended() {
                return true;
            }
            execution.waiters.wait(self.who, cx.waker());
            false
        });
        // An execution that someone waits for is not removed; were it gone, there is nothing to wait for.
        if ready.unwrap_or(true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gateway.waiter_left(self.ticket, self.who);
    }
}
