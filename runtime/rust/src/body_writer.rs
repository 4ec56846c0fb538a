//! A body that is written piece by piece, and its writer.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug, Display};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use crate::handler_error::HandlerError;
use crate::response_body::AnyError;

/// The writer of a body; see [`ResponseBody::written`](crate::ResponseBody::written). Dropping it does not end the body:
/// it ends when the function that writes it does.
#[derive(Debug)]
pub struct BodyWriter(Weak<Piece>);

/// The piece between a writer and the connection: one, so that a writer is as fast as its reader.
#[derive(Default)]
pub(crate) struct Piece {
    bytes: RefCell<Option<Bytes>>,
    /// The task that has the writer. It may be another one than that of the connection.
    writer: Cell<Option<Waker>>,
    reader: Cell<Option<Waker>>,
}

impl BodyWriter {
    pub(crate) fn new() -> (Self, Rc<Piece>) {
        let piece = Rc::new(Piece::default());
        (Self(Rc::downgrade(&piece)), piece)
    }

    /// Waits until the connection has room, and gives it a piece, which is sent at once. An empty one is none.
    ///
    /// # Errors
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where nobody reads the body any more.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> io::Result<()> {
        let mut bytes = Some(piece.into()).filter(|bytes| !bytes.is_empty());
        poll_fn(|cx| {
            let Some(piece) = self.0.upgrade() else {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::BrokenPipe,
                    "nobody reads the body any more",
                )));
            };
            if piece.bytes.borrow().is_some() {
                piece.writer.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            // Ready only when it was taken: then the writer knows that its last piece is on its way.
            let Some(bytes) = bytes.take() else { return Poll::Ready(Ok(())) };
            piece.bytes.replace(Some(bytes));
            piece.writer.set(Some(cx.waker().clone()));
            wake(&piece.reader, cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl Piece {
    fn take(&self, own: &Waker) -> Option<Bytes> {
        let bytes = self.bytes.take()?;
        wake(&self.writer, own);
        Some(bytes)
    }
}

impl Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Wakes the other side, unless it is in the task of `own`, which goes on anyway.
fn wake(other: &Cell<Option<Waker>>, own: &Waker) {
    if let Some(waker) = other.take().filter(|waker| !waker.will_wake(own)) {
        waker.wake();
    }
}

/// A body whose writer runs when the connection asks for its next piece.
pub(crate) struct WrittenBody<W> {
    writing: Option<Pin<Box<W>>>,
    piece: Rc<Piece>,
}

impl<W> WrittenBody<W> {
    pub(crate) fn new(writing: Pin<Box<W>>, piece: Rc<Piece>) -> Self {
        Self { writing: Some(writing), piece }
    }
}

impl<W: Future<Output = Result<(), HandlerError>>> Body for WrittenBody<W> {
    type Data = Bytes;
    type Error = AnyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        let this = &mut *self;
        if let Some(bytes) = this.piece.take(cx.waker()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(writing) = &mut this.writing else { return Poll::Ready(None) };
        let ended = writing.as_mut().poll(cx);
        if ended.is_ready() {
            this.writing = None;
        }
        // Before the end: it was written before.
        if let Some(bytes) = this.piece.take(cx.waker()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match ended {
            Poll::Ready(Ok(())) => Poll::Ready(None),
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(Box::new(WriterError(error))))),
            Poll::Pending => {
                this.piece.reader.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// The failure of a writer.
#[derive(Debug)]
pub(crate) struct WriterError(pub(crate) HandlerError);

impl Display for WriterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl std::error::Error for WriterError {}
