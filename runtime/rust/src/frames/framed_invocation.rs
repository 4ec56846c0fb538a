//! One invocation on a connection that carries many, which can be stopped.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use hyper::Request;
use picofaas_frames::Sequence;
use tokio::time::Instant;

use super::framed_web::{self, Outlet, WebAnswer};
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
    /// The next piece of its answer may be handed over.
    may_send: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl FramedInvocation {
    pub(super) fn new(body: GatheredBody) -> Rc<Self> {
        Rc::new(Self {
            body,
            is_stopped: Cell::new(false),
            may_send: Cell::new(true),
            waker: RefCell::new(None),
        })
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Lets the next piece of its answer come.
    pub(super) fn allow_piece(&self) {
        self.may_send.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until the piece that was handed over last is on its way. Only in the task of [`run`], which has the waker.
    pub(super) async fn piece_sent(&self) {
        self.may_send.set(false);
        poll_fn(|_| if self.may_send.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Has its handler dropped at its next turn, which comes at once.
    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The thing that is asked of a handler.
pub(super) enum Asked {
    /// A call.
    Call(InvocationHead),
    /// A web request without its body; none where it is malformed.
    Web(Option<Box<Request<()>>>),
}

/// The answer of an invocation, before it is a frame.
#[derive(Debug)]
pub(super) enum FramedAnswer {
    Call(InvocationAnswer),
    /// A whole answer to a web request.
    Web(WebAnswer),
    /// All of the answer has gone to the [`Outlet`].
    Streamed,
}

/// Runs it; no answer where it was stopped before.
pub(super) async fn run<H, Args>(
    instance: Rc<Instance<H>>,
    invocation: Rc<FramedInvocation>,
    connection: ConnectionKey,
    sequence: Sequence,
    asked: Asked,
    arrived: Instant,
    outlet: Rc<Outlet>,
) -> (Sequence, Option<FramedAnswer>)
where
    H: Handler<Args>,
{
    let work = async {
        match asked {
            Asked::Call(head) => {
                let answer =
                    invocation::invoke_framed(&*instance, connection, head, &invocation.body, arrived);
                FramedAnswer::Call(answer.await)
            }
            // In a place of its own, so that the work for a call does not grow by it.
            Asked::Web(request) => {
                Box::pin(framed_web::run(&instance, &invocation, connection, sequence, request, &outlet))
                    .await
            }
        }
    };
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
