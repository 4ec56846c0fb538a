//! The stream of a connection to an instance: TCP or a Unix socket.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::{TcpStream, UnixStream};

use crate::instance::Target;

/// Time that an instance may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time after which the system asks a peer that has been quiet whether it is there.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// Period of its further questions.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// Questions without an answer that end the connection.
const PROBES_MAX: u32 = 3;

/// A stream to an instance.
#[derive(Debug)]
pub(super) enum InstanceStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl InstanceStream {
    /// Connects.
    ///
    /// # Errors
    /// As the system says, or `TimedOut` after two seconds.
    pub(super) async fn connect(target: &Target) -> io::Result<Self> {
        let connect = async {
            Ok(match target {
                Target::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Self::Tcp(stream)
                }
                Target::Unix(path) => Self::Unix(UnixStream::connect(path).await?),
            })
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// One that is connected already, and does not block.
    ///
    /// # Errors
    /// The event loop does not take it.
    pub(super) fn of_unix(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        UnixStream::from_std(stream).map(Self::Unix)
    }

    /// Whether nothing has come on it, not even its end.
    ///
    /// The kernel is asked, which costs a system call: what the last poll saw may be older than
    /// the end, and a request that meets the end costs an attempt.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = [const { MaybeUninit::uninit() }; 1];
        matches!(self.socket().peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Writes as much as the socket takes now.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` where it takes nothing.
    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    /// The same without asking the event loop, which does not know of a new one yet that it takes something.
    ///
    /// # Errors
    /// As the system says; `WouldBlock` where it takes nothing.
    pub(super) fn write_at_once(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket().send_vectored(slices)
    }

    /// Waits until it may take more.
    ///
    /// # Errors
    /// As the system says.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Appends bytes, as many as there is room for; 0 is the end. Where there are none, the task is woken when some
    /// come.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        // The future keeps nothing from one poll to the next.
        pin!(self.read_buf(buffer)).poll(cx)
    }

    /// Writes as much as the socket takes now; where it takes nothing, the task is woken when it does.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Writes as much of several slices as the socket takes now; where it takes nothing, the task is woken when it does.
    pub(super) fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Says that nothing more is written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Has the system look after a peer that may vanish without a word while nothing is asked of it. A setting that it
    /// refuses is only not there.
    ///
    /// `TCP_USER_TIMEOUT` is not for this: it also ends a connection whose peer lives, and acknowledges everything, but
    /// has not read for that long what fills its buffer.
    pub(super) fn watch_peer(&self) {
        if let Self::Tcp(stream) = self {
            let probes =
                TcpKeepalive::new().with_time(QUIET_MAX).with_interval(PROBE_PERIOD).with_retries(PROBES_MAX);
            let _ = SockRef::from(stream).set_tcp_keepalive(&probes);
        }
    }

    /// Waits for bytes and appends them, as many as there is room for; 0 is the end.
    ///
    /// # Errors
    /// As the system says.
    pub(super) async fn read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(buffer).await,
            Self::Unix(stream) => stream.read_buf(buffer).await,
        }
    }
}
