//! The socket: requests out, answers in.

use std::io::{self, IoSlice, Write as _};
use std::net::{TcpStream as StdTcpStream, ToSocketAddrs as _};

use bytes::{Buf as _, BufMut as _, BytesMut};
use httparse::Status;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

use super::head::{Head, Length, Parsed, malformed, parse};
use crate::limits::{ANSWER_HEAD_BYTES_MAX, CONNECT_MAX, RESET_WAIT};

/// Room that is made for each read, in bytes.
const READ_BYTES: usize = 4096;

/// An open connection, which takes one request after the other: [`send`](Self::send),
/// [`head`](Self::head), [`body`](Self::body), and again while it
/// [`is_reusable`](Self::is_reusable). Dropped at any point it is closed.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes that were read and not yet used.
    read: BytesMut,
    /// The error for which the last request could not be sent whole. Its answer may be there all the
    /// same.
    unsent: Option<io::Error>,
    /// An answer of which not even a part is missing, and which leaves the connection open.
    reusable: bool,
}

/// Connects and sends a request, waiting for both; for a process that has no event loop yet.
/// Only the first address of a name is tried.
pub(crate) fn send_at_once(host: &str, port: u16, request: &[u8]) -> io::Result<StdTcpStream> {
    let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = StdTcpStream::connect_timeout(&address, CONNECT_MAX)?;
    // Requests are written whole, so waiting to fill a segment only adds latency.
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Refuses a connection to itself. If nobody listens at a port that the kernel gives to clients, it may
/// give that very port to a client of it, which is connected to itself then. A client that tries often
/// enough meets this, and keeps the port from the server that is to listen there.
fn refuse_itself(stream: &TcpStream) -> io::Result<()> {
    if stream.local_addr()? != stream.peer_addr()? {
        return Ok(());
    }
    // The port is free again at once.
    stream.set_zero_linger()?;
    Err(io::ErrorKind::ConnectionRefused.into())
}

impl Connection {
    /// Connects, within 5 s.
    ///
    /// # Errors
    /// Errors of the system, and [`io::ErrorKind::TimedOut`].
    pub async fn open(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = timeout(CONNECT_MAX, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        refuse_itself(&stream)?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Goes on with what [`send_at_once`] opened.
    pub(crate) fn resume(stream: StdTcpStream) -> io::Result<Self> {
        Ok(Self::over(TcpStream::from_std(stream)?))
    }

    fn over(stream: TcpStream) -> Self {
        Self { stream, read: BytesMut::with_capacity(READ_BYTES), unsent: None, reusable: true }
    }

    /// Whether nothing has come since the last answer, not even the end. This is what the event
    /// loop knows, so the kernel is asked only where something has happened.
    pub fn is_quiet(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0]);
        self.read.is_empty() && matches!(nothing, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request, in one write where the socket takes it. A peer that answers before it
    /// has read everything, or that closes, is no error here: [`Self::head`] finds its answer or
    /// says why there is none.
    pub async fn send(&mut self, pieces: &mut [IoSlice<'_>]) {
        self.unsent = self.write(pieces).await.err();
    }

    async fn write(&mut self, mut rest: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Also drops empty pieces at the front.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.stream.try_write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => IoSlice::advance_slices(&mut rest, sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until more can be written; fails once the answer has begun, or cannot come.
    async fn writable(&mut self) -> io::Result<()> {
        loop {
            let ready = self.stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
            if ready.is_readable() {
                match self.stream.try_read_buf(&mut self.read) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => return Err(io::Error::other("it was answered before it was read")),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            if ready.is_writable() {
                return Ok(());
            }
        }
    }

    /// Reads the head of the answer and shows its headers to `each`. Interim answers are skipped.
    ///
    /// # Errors
    /// Errors of the connection, [`io::ErrorKind::UnexpectedEof`] where it ended, and
    /// [`io::ErrorKind::InvalidData`] for what is not HTTP/1.1.
    pub async fn head(&mut self, mut each: impl FnMut(&str, &[u8])) -> io::Result<Head> {
        self.reusable = false;
        loop {
            let parsed = if self.read.is_empty() { Parsed::Partial } else { parse(&self.read, &mut each)? };
            match parsed {
                Parsed::Whole(head, size) => {
                    self.read.advance(size);
                    return Ok(head);
                }
                Parsed::Interim(size) => self.read.advance(size),
                Parsed::Partial if self.read.len() >= ANSWER_HEAD_BYTES_MAX => {
                    return Err(malformed("a head that is too long"));
                }
                Parsed::Partial => self.fill().await?,
            }
        }
    }

    /// Reads the body that belongs to `head`; `None` where it is longer than `max` bytes.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub async fn body(&mut self, head: Head, max: usize) -> io::Result<Option<Vec<u8>>> {
        let body = match head.length {
            Length::Known(length) if length > max => None,
            Length::Known(length) => {
                let mut body = Vec::with_capacity(length);
                self.append(&mut body, length).await?;
                Some(body)
            }
            Length::Chunked => self.chunked(max).await?,
            Length::UntilClose => self.until_close(max).await?,
        };
        self.reusable = head.persistent && head.length != Length::UntilClose && body.is_some();
        Ok(body)
    }

    /// Whether another request may be sent: the last answer was read whole, nothing came after
    /// it, and neither side ends the connection with it.
    pub fn is_reusable(&self) -> bool {
        self.reusable && self.unsent.is_none() && self.read.is_empty()
    }

    /// Whether an `error` of [`Self::head`] means that the peer had closed before it had read
    /// all of the request, so that it cannot have acted on all of it. The peer's kernel resets
    /// the connection then; an end without that is the peer's own choice.
    pub async fn was_left_unread(&self, error: &io::Error) -> bool {
        let is_reset = |kind| [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&kind);
        let was_reset = || matches!(self.stream.take_error(), Ok(Some(error)) if is_reset(error.kind()));
        if !self.read.is_empty() {
            return false;
        }
        if is_reset(error.kind()) || was_reset() {
            return true;
        }
        // It follows an end that had been on its way when the request was sent.
        error.kind() == io::ErrorKind::UnexpectedEof
            && timeout(RESET_WAIT, self.stream.ready(Interest::ERROR)).await.is_ok()
            && was_reset()
    }

    /// Appends `length` bytes.
    async fn append(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let end = body.len() + length;
        body.reserve_exact(length);
        loop {
            let ready = self.read.len().min(end - body.len());
            body.extend_from_slice(&self.read[..ready]);
            self.read.advance(ready);
            let missing = end - body.len();
            if missing == 0 {
                return Ok(());
            }
            if missing < READ_BYTES {
                self.fill().await?;
            } else {
                // A long body is read to its place.
                let read = self.stream.read_buf(&mut body.limit(missing)).await;
                self.came(read)?;
            }
        }
    }

    async fn chunked(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.read) {
                    // A size has a digit at least; the parser takes none for the last chunk.
                    Ok(_) if self.read.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) => {
                        return Err(malformed("a chunk without a size"));
                    }
                    Ok(Status::Complete((line, size))) => {
                        self.read.advance(line);
                        break usize::try_from(size).unwrap_or(usize::MAX);
                    }
                    Ok(Status::Partial) if self.read.len() < ANSWER_HEAD_BYTES_MAX => self.fill().await?,
                    Ok(Status::Partial) | Err(_) => return Err(malformed("a chunk without a size")),
                }
            };
            if size == 0 {
                self.skip_trailers().await?;
                return Ok(Some(body));
            }
            if size > max - body.len() {
                return Ok(None);
            }
            self.append(&mut body, size).await?;
            while self.read.len() < 2 {
                self.fill().await?;
            }
            if !self.read.starts_with(b"\r\n") {
                return Err(malformed("a chunk that is longer than its size"));
            }
            self.read.advance(2);
        }
    }

    async fn skip_trailers(&mut self) -> io::Result<()> {
        let mut skipped = 0;
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let blank = self.read[..end].trim_ascii().is_empty();
                self.read.advance(end + 1);
                skipped += end + 1;
                if blank {
                    return Ok(());
                }
            } else {
                self.fill().await?;
            }
            if skipped + self.read.len() > ANSWER_HEAD_BYTES_MAX {
                return Err(malformed("trailers that are too long"));
            }
        }
    }

    async fn until_close(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            body.extend_from_slice(&self.read);
            self.read.clear();
            if body.len() > max {
                return Ok(None);
            }
            match self.fill().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(body)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads some more.
    async fn fill(&mut self) -> io::Result<()> {
        self.read.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.read).await;
        self.came(read)
    }

    /// Judges the result of a read.
    fn came(&mut self, read: io::Result<usize>) -> io::Result<()> {
        match (read, self.unsent.take()) {
            (Ok(1..), unsent) => {
                self.unsent = unsent;
                Ok(())
            }
            // Nothing failed: the answer came first, and this is its end.
            (Ok(0), Some(unsent)) if unsent.kind() == io::ErrorKind::Other => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            (_, Some(unsent)) => Err(unsent),
            (Ok(0), None) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpSocket;
    use tokio::runtime::Builder;

    use super::*;

    /// Answers and how a client reads each, for every client that is written by hand.
    const ANSWERS: &str = include_str!("../../../contract/answers.txt");

    /// Reads one answer and tells it as the table does.
    async fn read(answer: &str) -> String {
        let (text, ends) = answer.strip_suffix("<end>").map_or((answer, false), |text| (text, true));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        let peer = listener.accept().unwrap().0;
        peer.set_nonblocking(true).unwrap();
        let mut peer = TcpStream::from_std(peer).unwrap();
        peer.write_all(text.replace("\\r", "\r").replace("\\n", "\n").as_bytes()).await.unwrap();
        if ends {
            peer.shutdown().await.unwrap();
        }
        let head = match connection.head(|_, _| {}).await {
            Ok(head) => head,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return "refused".to_owned(),
            Err(error) => return format!("lost: {error}"),
        };
        match connection.body(head, 1 << 20).await {
            Ok(Some(body)) => {
                let kept = if connection.is_reusable() { "kept" } else { "closed" };
                format!("{kept} {} {:?}", head.status, String::from_utf8(body).unwrap())
            }
            Ok(None) => "too large".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => "refused".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => "cut".to_owned(),
            Err(error) => format!("lost: {error}"),
        }
    }

    #[test]
    fn an_answer_ends_where_http_says_and_what_is_none_is_refused() {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let mut wrong = Vec::new();
            for line in ANSWERS.lines().filter(|line| !line.starts_with('#')) {
                let (outcome, answer) = line.split_once(" | ").unwrap();
                let read = timeout(std::time::Duration::from_secs(60), read(answer)).await;
                if read.as_deref() != Ok(outcome) {
                    wrong.push(format!("{read:?} and not {outcome}: {answer}"));
                }
            }
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        });
    }

    #[test]
    fn a_connection_to_itself_is_none_and_leaves_the_port_to_who_listens() {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let address = socket.local_addr().unwrap();
            let itself = socket.connect(address).await.unwrap();
            let refused = refuse_itself(&itself).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            drop(itself);
            // A socket of its own, as it must not count on being let in beside a port's last user.
            TcpSocket::new_v4().unwrap().bind(address).unwrap();
            let listener = TcpListener::bind(address).unwrap();
            let other = TcpStream::connect(address).await.unwrap();
            refuse_itself(&other).unwrap();
            drop(listener);
        });
    }
}
