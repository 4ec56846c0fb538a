//! The bytes of a connection whose protocol was changed, as to that of a WebSocket: from socket to socket, both ways.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::super::connection::Connection;
use super::super::instance_stream::InstanceStream;
use super::idle_timer::IdleTimer;
use super::web_socket::{FrameTracker, GOING_AWAY};
use crate::channel::AnswerReceiver;
use crate::clock::Clock;
use crate::web_exchange::ClientStream;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Time in which both ends of a connection may close it, once that is wanted.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A connection to an instance that belongs to one client from now on.
#[derive(Debug)]
pub(crate) struct Tunnel {
    connection: Connection,
    /// The client's stream, once it has the head by which the protocol changes.
    client: AnswerReceiver<ClientStream>,
    idle: Duration,
    is_web_socket: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// Bytes that were read and not written yet.
    left: BytesMut,
    has_ended: bool,
    is_shut: bool,
    /// Where it is in the frames that are to be closed between two of them; none where they are no business of ours.
    frames: Option<FrameTracker>,
    close: Closing,
}

/// The end of a WebSocket that its server does not want any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Closing {
    #[default]
    No,
    /// Between two frames, as soon as that is.
    Wanted,
    /// It was said, and nothing more is passed on.
    Said,
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
    /// Whether the close is to be said now.
    fn says_close(&mut self) -> bool {
        let is_time =
            self.close == Closing::Wanted && self.frames.as_ref().is_some_and(FrameTracker::is_between);
        if is_time {
            self.close = Closing::Said;
        }
        is_time
    }

    /// The part of these bytes that is passed on.
    fn let_through<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(frames) = &mut self.frames else { return bytes };
        let was_between = frames.is_between();
        let complete = frames.pass(bytes);
        match self.close {
            Closing::No => bytes,
            // The rest of the frame that is half through, and no other.
            Closing::Wanted if complete > 0 || was_between => {
                *frames = FrameTracker::default();
                &bytes[..complete]
            }
            Closing::Wanted => bytes,
            Closing::Said => &[],
        }
    }

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
            if self.says_close() {
                self.left.extend_from_slice(&GOING_AWAY);
                continue;
            }
            let mut read = ReadBuf::new(&mut scratch);
            ready!(from.poll_read(cx, &mut read))?;
            *has_moved = true;
            let bytes = read.filled();
            if bytes.is_empty() {
                self.has_ended = true;
            }
            let bytes = self.let_through(bytes);
            if bytes.is_empty() {
                continue;
            }
            match to.poll_write(cx, bytes) {
                Poll::Ready(written) => self.left.extend_from_slice(&bytes[written?..]),
                Poll::Pending => self.left.extend_from_slice(bytes),
            }
        }
    }
}

impl Tunnel {
    /// The tunnel between an instance and a client that is about to have the head.
    #[must_use]
    pub(super) fn new(
        connection: Connection,
        client: AnswerReceiver<ClientStream>,
        idle: Duration,
        is_web_socket: bool,
    ) -> Self {
        Self { connection, client, idle, is_web_socket }
    }

    /// Passes bytes on until both ends are through, either fails, or nothing has come for as long as that may be. When
    /// `closing` returns, the client of a WebSocket is told that its server goes away, and both ends have a while.
    pub(crate) async fn run(self, clock: Clock, closing: impl Future<Output = ()>) {
        let Self { connection, client, idle, is_web_socket } = self;
        // Where the client has gone before it had the head, the instance sees the connection close.
        let Ok(ClientStream { stream: mut client, read }) = client.await else { return };
        let Connection { stream: mut instance, read: of_instance, .. } = connection;
        let mut out = Direction { left: BytesMut::from(&read[..]), ..Direction::default() };
        let mut frames = is_web_socket.then(FrameTracker::default);
        if let Some(frames) = &mut frames {
            frames.pass(&of_instance);
        }
        let mut back = Direction { left: of_instance, frames, ..Direction::default() };
        let mut timer = IdleTimer::new(clock, idle);
        let mut closing = pin!(closing);
        let mut patience = pin!(tokio::time::sleep(Duration::MAX));
        let mut is_closing = false;
        poll_fn(|cx| {
            if !is_closing && closing.as_mut().poll(cx).is_ready() {
                is_closing = true;
                back.close = Closing::Wanted;
                patience.set(tokio::time::sleep(CLOSE_PATIENCE));
            }
            if is_closing && patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut has_moved = false;
            let sent = out.poll_pass(cx, &mut client, &mut instance, &mut has_moved);
            let came = back.poll_pass(cx, &mut instance, &mut client, &mut has_moved);
            if has_moved {
                timer.progress();
            }
            match (sent, came) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
                (Poll::Pending, _) | (_, Poll::Pending) => timer.poll_over(cx).map(|_| ()),
            }
        })
        .await;
    }
}
