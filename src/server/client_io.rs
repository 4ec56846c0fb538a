//! The socket of a client: it sees when a head begins, and gives hyper's own errors a body.
//!
//! A head that cannot be read never reaches our code: hyper answers 400, 414 or 431 by itself,
//! with a head and nothing else. Every error of ours says what is wrong and what would be right,
//! so such an answer is replaced where it is written.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::connections::{ConnectionState, Connections};
use crate::api::response;
use crate::error::{ApiError, ErrorCode};

/// The stream of a client, as hyper reads and writes it.
pub(crate) struct ClientIo {
    io: TokioIo<TcpStream>,
    state: Rc<ConnectionState>,
    connections: Rc<Connections>,
    /// The answer written in the place of hyper's own, and how much of it has gone.
    instead: Option<(Vec<u8>, usize)>,
    /// The end of what we write was told, and how much came and was dropped since.
    lingering: Option<usize>,
    /// The kernel watches whether the client takes something.
    is_watched: bool,
}

/// Bytes that are read and dropped of a client that was answered before it had sent everything.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// Bytes of the largest answer that is written in one piece: below some kilobytes, to copy them costs less than what
/// the kernel does to gather them.
const JOINED_BYTES_MAX: usize = 4096;

impl ClientIo {
    /// Over a connected socket.
    #[must_use]
    pub(crate) fn new(stream: TcpStream, state: Rc<ConnectionState>, connections: Rc<Connections>) -> Self {
        Self {
            io: TokioIo::new(stream),
            state,
            connections,
            instead: None,
            lingering: None,
            is_watched: false,
        }
    }

    /// The socket, for another protocol.
    #[must_use]
    pub(crate) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    /// The client takes an answer more slowly than it is written. One that is made has all its bytes here, so a client
    /// that takes none for a while is given up; one that is still being made, as of a reader that follows a log, costs
    /// little and may pause.
    fn blocked(&mut self) {
        if !self.is_watched && self.state.is_writing() {
            self.watch(Some(self.connections.stall));
        }
    }

    /// Whether the client has left while it is served. hyper would find that by a read, into another buffer, as the
    /// request is still in its own. This leaves bytes where they are.
    fn has_left(&self, cx: &mut Context<'_>) -> bool {
        if !self.state.may_leave() {
            return false;
        }
        let mut byte = [0];
        match self.io.inner().poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => true,
            Poll::Ready(Ok(_)) => {
                self.state.has_more();
                false
            }
            Poll::Pending => false,
        }
    }

    fn watch(&mut self, stall: Option<Duration>) {
        // Refused only by a socket that is closed already.
        let _ = SockRef::from(self.io.inner()).set_tcp_user_timeout(stall);
        self.is_watched = stall.is_some();
    }

    /// Reads and drops until the client closes, too. Closing with bytes of it unread would make the
    /// kernel send a reset, which can take the answer away from a client that has not read it yet.
    /// The sweep ends it after a while.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connections.is_finishing() {
            return Poll::Ready(Ok(()));
        }
        self.state.linger(&self.connections);
        let mut dropped = self.lingering.unwrap_or(0);
        let mut scratch = [0; 4096];
        while dropped < LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut scratch);
            // An error is an end, too.
            let read = ready!(Pin::new(self.io.inner_mut()).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            dropped += buffer.filled().len();
            self.lingering = Some(dropped);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is left of the answer that stands in for hyper's.
    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, written)) = &mut self.instead {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &text[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => *written += n,
            }
            if *written == text.len() {
                self.instead = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.state.something_came(&self.connections);
        }
        read
    }
}

impl Write for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_instead(cx))?;
        let Some((before, status)) = bare_error(buf) else {
            let written = Pin::new(&mut self.io).poll_write(cx, buf);
            if written.is_pending() {
                self.blocked();
            }
            return written;
        };
        if before > 0 {
            // The bytes before it go as they are; hyper comes again with the rest.
            return Pin::new(&mut self.io).poll_write(cx, &buf[..before]);
        }
        let error = explain(status, self.connections.head_bytes_max);
        self.instead = Some((response::error_text(&error, date_line(buf)), 0));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_instead(cx))?;
        // hyper comes by here whenever it is polled.
        if self.has_left(cx) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        // hyper flushes when it has given everything that it had.
        self.state.all_written(&self.connections);
        if self.is_watched {
            self.watch(None);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_instead(cx))?;
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.lingering = Some(0);
        }
        self.linger(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        if let Some(last) = filled.clone().next_back()
            && ends_with_a_head(last)
            && let Some(first) = filled.next()
        {
            // One at a time: a writer may always take less than it was given.
            return self.poll_write(cx, first);
        }
        ready!(self.write_instead(cx))?;
        let written = if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= JOINED_BYTES_MAX {
            let Self { io, connections, .. } = &mut *self;
            let mut joined = connections.joined.borrow_mut();
            joined.clear();
            bufs.iter().for_each(|buf| joined.extend_from_slice(buf));
            Pin::new(io).poll_write(cx, &joined)
        } else {
            Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
        };
        if written.is_pending() {
            self.blocked();
        }
        written
    }
}

/// Cheap, and false for all answers with a body.
fn ends_with_a_head(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\n\r\n")
}

/// Offset and status of an error of hyper's own, if it is the last answer in `bytes`. Ours have a body,
/// always.
fn bare_error(bytes: &[u8]) -> Option<(usize, u16)> {
    const START: &[u8] = b"HTTP/1.1 ";
    if !ends_with_a_head(bytes) {
        return None;
    }
    let at = bytes.windows(START.len()).rposition(|window| window == START)?;
    let head = std::str::from_utf8(&bytes[at..]).ok()?;
    let status = head[START.len()..].split(' ').next()?.parse().ok()?;
    let is_bare = matches!(status, 400 | 414 | 431) && head.contains("\r\ncontent-length: 0\r\n");
    is_bare.then_some((at, status))
}

/// The line in which an answer of hyper's own says when it was made.
fn date_line(answer: &[u8]) -> &str {
    let text = std::str::from_utf8(answer).unwrap_or_default();
    text.split_inclusive("\r\n").find(|line| line.starts_with("date: ")).unwrap_or_default()
}

/// The error that hyper's status stands for.
fn explain(status: u16, head_bytes_max: usize) -> ApiError {
    /// hyper's own limit.
    const HEADERS_MAX: usize = 100;
    let error = if status == 400 {
        ApiError::new(
            ErrorCode::BadRequest,
            "the request is not HTTP/1.1: its request line or a header is malformed",
        )
    } else {
        ApiError::new(
            ErrorCode::HeadTooLarge,
            format!(
                "the request line and the headers have more than {head_bytes_max} bytes (--max-head-bytes), or there are more than {HEADERS_MAX} headers"
            ),
        )
    };
    error.closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_without_a_body_is_taken_for_hypers_own() {
        let bare =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bare_error(bare.as_bytes()), Some((0, 431)));
        let behind = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n17{bare}");
        assert_eq!(bare_error(behind.as_bytes()), Some((behind.len() - bare.len(), 431)));
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(bare_error(other.as_bytes()), None, "{other}");
        }
    }
}
