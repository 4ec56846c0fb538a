//! A stream that tells when the kernel has all that was given to it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The flushes of a stream. Both of its ends are on one thread; it is made of atomics as an upgraded stream has to be
/// one that could change threads.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    /// Whether somebody waits for the next. Relaxed: one thread reads and writes it.
    is_awaited: AtomicBool,
    waker: AtomicWaker,
    /// Whether the stream was dropped. Relaxed, too.
    has_ended: AtomicBool,
    end_waker: AtomicWaker,
}

/// A stream whose flushes can be waited for.
pub(crate) struct FlushedStream<S> {
    stream: S,
    flushes: Arc<Flushes>,
    _end: StreamEnd,
}

/// Tells, when it is dropped, that its stream was.
struct StreamEnd(Arc<Flushes>);

impl Drop for StreamEnd {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
        self.0.end_waker.wake();
    }
}

impl Flushes {
    /// Waits until a flush ends that begins after this call: then the kernel has all that hyper had to write, a
    /// `100 Continue` included. hyper flushes whenever a service has nothing more to do.
    pub(crate) async fn next(&self) {
        self.ask();
        poll_fn(|cx| self.poll_asked(cx)).await;
    }

    /// Begins to wait for the next flush.
    pub(crate) fn ask(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
    }

    /// Waits for the flush that was asked for.
    pub(crate) fn poll_asked(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_awaited.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Waits until nobody has the stream any more, also not one who speaks another protocol over it.
    pub(crate) async fn stream_ended(&self) {
        poll_fn(|cx| {
            self.end_waker.register(cx.waker());
            if self.has_ended.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl<S> FlushedStream<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<Flushes>) {
        let flushes = Arc::new(Flushes::default());
        let end = StreamEnd(Arc::clone(&flushes));
        (Self { stream, flushes: Arc::clone(&flushes), _end: end }, flushes)
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FlushedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, bytes)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FlushedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        if self.flushes.is_awaited.load(Ordering::Relaxed) {
            self.flushes.is_awaited.store(false, Ordering::Relaxed);
            self.flushes.waker.wake();
        }
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
