//! One invocation on a connection that carries many, which can be stopped.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use picofaas_frames::Sequence;
use tokio::time::Instant;

use super::gathered_body::GatheredBody;
use crate::context::InvocationHead;
use crate::handler::Handler;
use crate::invocation::{self, InvocationAnswer};
use crate::log;
use crate::panics::caught;
use crate::server::Instance;
use crate::standby::ConnectionKey;

/// An invocation as its connection knows it.
#[derive(Debug)]
pub(super) struct FramedInvocation {
    pub(super) body: GatheredBody,
    is_stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl FramedInvocation {
    pub(super) fn new(body: GatheredBody) -> Rc<Self> {
        Rc::new(Self { body, is_stopped: Cell::new(false), waker: RefCell::new(None) })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Has its handler dropped at its next turn, which comes at once.
    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Runs it; no answer where it was stopped before.
pub(super) async fn run<H, Args>(
    instance: Rc<Instance<H>>,
    invocation: Rc<FramedInvocation>,
    connection: ConnectionKey,
    sequence: Sequence,
    head: InvocationHead,
    arrived: Instant,
) -> (Sequence, Option<InvocationAnswer>)
where
    H: Handler<Args>,
{
    let work = invocation::invoke_framed(&*instance, connection, head, &invocation.body, arrived);
    let mut work = pin!(Some(work));
    let answer = poll_fn(|cx| {
        let running = work.as_mut().as_pin_mut().filter(|_| !invocation.is_stopped.get());
        let Some(running) = running else { return Poll::Ready(None) };
        let polled = running.poll(cx);
        if polled.is_pending() {
            invocation.waker.replace(Some(cx.waker().clone()));
        }
        polled.map(Some)
    })
    .await;
    // A handler that is stopped is dropped here, and its destructors may panic.
    if let Err(panic) = caught(|| work.set(None)) {
        log::line(&format!("error a handler panicked when it was stopped: {}", panic.message));
    }
    (sequence, answer)
}
