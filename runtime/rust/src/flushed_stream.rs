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
}

/// A stream whose flushes can be waited for.
pub(crate) struct FlushedStream<S> {
    stream: S,
    flushes: Arc<Flushes>,
}

impl Flushes {
    /// Waits until a flush ends that begins after this call: then the kernel has all that hyper had to write, a
    /// `100 Continue` included. hyper flushes whenever a service has nothing more to do.
    pub(crate) async fn next(&self) {
        self.is_awaited.store(true, Ordering::Relaxed);
        poll_fn(|cx| {
            self.waker.register(cx.waker());
            if self.is_awaited.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl<S> FlushedStream<S> {
    pub(crate) fn new(stream: S) -> (Self, Arc<Flushes>) {
        let flushes = Arc::new(Flushes::default());
        (Self { stream, flushes: Arc::clone(&flushes) }, flushes)
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
