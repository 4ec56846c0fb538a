//! The bytes of a connection whose protocol was changed, as to that of a WebSocket: from socket to socket, both ways.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::super::connection::Connection;
use super::super::instance_stream::InstanceStream;
use super::idle_timer::IdleTimer;
use crate::channel::AnswerReceiver;
use crate::clock::Clock;
use crate::web_exchange::ClientStream;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// A connection to an instance that belongs to one client from now on.
#[derive(Debug)]
pub(crate) struct Tunnel {
    connection: Connection,
    /// The client's stream, once it has the head by which the protocol changes.
    client: AnswerReceiver<ClientStream>,
    idle: Duration,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// Bytes that were read and not written yet.
    left: BytesMut,
    has_ended: bool,
    is_shut: bool,
}

/// A stream of which the end of either direction can be told.
trait Side {
    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Side for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(cx, scratch)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, bytes)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }
}

impl Side for InstanceStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, scratch: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, scratch),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, scratch),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        InstanceStream::poll_write(self, cx, bytes)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        InstanceStream::poll_shutdown(self, cx)
    }
}

impl Direction {
    /// Passes on what there is. Ready when this direction is over, and that is told. Answers whether something moved
    /// through `has_moved`.
    fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        to: &mut impl Side,
        has_moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        let mut scratch = [0; READ_BYTES];
        loop {
            while !self.left.is_empty() {
                let written = ready!(to.poll_write(cx, &self.left))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.left.advance(written);
                *has_moved = true;
            }
            // An idle connection holds no memory.
            self.left = BytesMut::new();
            if self.has_ended {
                if !self.is_shut {
                    ready!(to.poll_shutdown(cx))?;
                    self.is_shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut read = ReadBuf::new(&mut scratch);
            ready!(from.poll_read(cx, &mut read))?;
            *has_moved = true;
            match read.filled() {
                [] => self.has_ended = true,
                bytes => match to.poll_write(cx, bytes) {
                    Poll::Ready(written) => self.left.extend_from_slice(&bytes[written?..]),
                    Poll::Pending => self.left.extend_from_slice(bytes),
                },
            }
        }
    }
}

impl Tunnel {
    /// The tunnel between an instance and a client that is about to have the head.
    #[must_use]
    pub(super) fn new(connection: Connection, client: AnswerReceiver<ClientStream>, idle: Duration) -> Self {
        Self { connection, client, idle }
    }

    /// Passes bytes on until both ends are through, either fails, or nothing has come for as long as that may be.
    pub(crate) async fn run(self, clock: Clock) {
        let Self { connection, client, idle } = self;
        // Where the client has gone before it had the head, the instance sees the connection close.
        let Ok(ClientStream { stream: mut client, read }) = client.await else { return };
        let Connection { stream: mut instance, read: of_instance, .. } = connection;
        let mut out = Direction { left: BytesMut::from(&read[..]), ..Direction::default() };
        let mut back = Direction { left: of_instance, ..Direction::default() };
        let mut timer = IdleTimer::new(clock, idle);
        poll_fn(|cx| {
            let mut has_moved = false;
            let sent = out.poll_pass(cx, &mut client, &mut instance, &mut has_moved);
            let came = back.poll_pass(cx, &mut instance, &mut client, &mut has_moved);
            if has_moved {
                timer.progress();
            }
            match (sent, came) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
                (Poll::Pending, _) | (_, Poll::Pending) => timer.poll_over(cx),
            }
        })
        .await;
    }
}
