//! A client of a gateway without a socket: hyper reads the bytes of a request, and its answer's are taken.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use picofaas::internals::gateway::{Gateway, answer};
use tokio::runtime::LocalRuntime;

use super::instance::INPUT;
use super::world::{CLIENTS, FUNCTION};

/// Both ends of a connection.
#[derive(Default)]
struct Wire {
    /// Of the request, what hyper has not read.
    request: Vec<u8>,
    answer: Vec<u8>,
    reader: Option<Waker>,
    client: Option<Waker>,
}

/// The end that hyper has.
struct Server(Rc<RefCell<Wire>>);

/// The end that asks.
pub(crate) struct Client {
    wire: Rc<RefCell<Wire>>,
    request: Vec<u8>,
}

impl Client {
    /// Has the gateway serve a connection, with hyper's settings of a real one.
    pub(crate) fn connect(runtime: &LocalRuntime, gateway: Rc<Gateway>) -> Self {
        let wire = Rc::new(RefCell::new(Wire::default()));
        let server = Server(wire.clone());
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, std::convert::Infallible>(answer(&gateway, CLIENTS, request).await) }
        });
        runtime.spawn_local(async move {
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .half_close(true)
                .serve_connection(server, service);
            connection.await.unwrap();
        });
        let request = format!(
            "POST /v1/functions/{FUNCTION}:invoke HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: instructions/1\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            INPUT.len(),
            str::from_utf8(&INPUT).unwrap(),
        );
        Self { wire, request: request.into_bytes() }
    }

    /// Sends a request; the bytes of its answer, which hyper writes at once.
    pub(crate) async fn invoke(&mut self) -> Vec<u8> {
        super::outside(|| {
            let mut wire = self.wire.borrow_mut();
            wire.request.extend_from_slice(&self.request);
            if let Some(reader) = wire.reader.take() {
                reader.wake();
            }
        });
        poll_fn(|cx| {
            let mut wire = self.wire.borrow_mut();
            if wire.answer.is_empty() {
                wire.client = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut wire.answer))
        })
        .await
    }
}

impl Read for Server {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.request.is_empty() {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = wire.request.len().min(buf.remaining());
        buf.put_slice(&wire.request[..bytes]);
        wire.request.drain(..bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Server {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        wire.answer.extend_from_slice(buf);
        if let Some(client) = wire.client.take() {
            client.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        bufs.iter().for_each(|buf| wire.answer.extend_from_slice(buf));
        if let Some(client) = wire.client.take() {
            client.wake();
        }
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }
}
