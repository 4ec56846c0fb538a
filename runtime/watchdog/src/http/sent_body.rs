//! The body of a web request on its way to the server.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use picofaas_runtime::RequestBody;
use tokio::time::{Sleep, sleep};

use crate::limits::CONTINUE_WAIT;

/// Pieces that are taken from the caller when the connection to the server has room, one at a time.
pub(crate) struct SentBody {
    /// Absent, there are no bytes.
    body: Option<RequestBody>,
    /// Whether its end was sent.
    is_sent: Rc<Cell<bool>>,
    /// Until the server has asked for the body, or did not for a while.
    gate: Option<Gate>,
}

/// The wait for a `100 Continue`.
struct Gate {
    continued: Arc<Continued>,
    /// Made when it is waited for the first time.
    limit: Option<Pin<Box<Sleep>>>,
}

/// Whether a `100 Continue` has come. It is made for several threads, as hyper asks for that, and is on one.
#[derive(Debug, Default)]
pub(crate) struct Continued {
    /// Relaxed: one thread reads and writes it.
    has_come: AtomicBool,
    /// The task that sends the body: the same each time that it asks.
    waker: OnceLock<Waker>,
}

impl Continued {
    /// Tells that it has come.
    pub(crate) fn tell(&self) {
        self.has_come.store(true, Ordering::Relaxed);
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Whether the end of a body was sent.
#[derive(Clone, Debug)]
pub(crate) struct SentEnd(Rc<Cell<bool>>);

impl SentBody {
    /// A body without bytes.
    pub(crate) fn empty() -> (Self, SentEnd) {
        let is_sent = Rc::new(Cell::new(true));
        (Self { body: None, is_sent: Rc::clone(&is_sent), gate: None }, SentEnd(is_sent))
    }

    /// The body of a caller, with where a `100 Continue` is told if it has to wait for one.
    pub(crate) fn new(body: RequestBody, continued: Option<Arc<Continued>>) -> (Self, SentEnd) {
        let is_sent = Rc::new(Cell::new(body.is_end_stream()));
        let gate = continued.map(|continued| Gate { continued, limit: None });
        (Self { body: Some(body), is_sent: Rc::clone(&is_sent), gate }, SentEnd(is_sent))
    }
}

impl SentEnd {
    pub(crate) fn is_sent(&self) -> bool {
        self.0.get()
    }
}

impl Gate {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.continued.waker.get_or_init(|| cx.waker().clone());
        if self.continued.has_come.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let limit = self.limit.get_or_insert_with(|| Box::pin(sleep(CONTINUE_WAIT)));
        limit.as_mut().poll(cx)
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll(cx));
            self.gate = None;
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        // A failed one ends nothing: the server's connection is broken off.
        if frame.is_none() || matches!(&frame, Some(Ok(_))) && body.is_end_stream() {
            self.is_sent.set(true);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
