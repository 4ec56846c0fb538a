//! One HTTP/1.1 connection to an instance, written by hand for the invoke path: the request
//! goes out in one write, the answer is parsed where it was read, and there is no task of its
//! own behind a connection.

use std::io::{self, IoSlice};

use bytes::{Bytes, BytesMut};
use httparse::Status;

use super::instance_stream::InstanceStream;
use super::response_head::{BodyLength, ParsedHead, parse_head};
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::{ConnectionAhead, Target};

/// Largest head of an answer, in bytes.
pub(crate) const RESPONSE_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes that are read at once at least.
const READ_BYTES_MIN: usize = 4 * 1024;
/// A body of at least this size keeps the buffer it was read into; a smaller one is copied out,
/// so that a kept output does not hold a larger buffer.
const KEEP_BUFFER_BYTES_MIN: usize = 64 * 1024;

/// The reason why an exchange gave no answer, and with it whether another attempt may help.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing was sent: the instance could not be reached.
    #[error("could not connect: {0}")]
    Connect(io::Error),
    /// A pooled connection had been closed before anything was sent on it.
    #[error("the connection was closed before the request was written")]
    Stale,
    /// The connection ended before the answer was complete.
    #[error("the connection ended before the answer was complete: {0}")]
    Lost(io::Error),
    /// Bytes came that are not an HTTP/1.1 answer.
    #[error("the answer is not HTTP: {0}")]
    Garbage(String),
    /// The body is larger than outputs may be.
    #[error("the output is larger than {0} bytes")]
    TooLarge(usize),
}

/// The answer of an instance.
#[derive(Debug)]
pub(crate) struct InstanceResponse {
    /// The HTTP status.
    pub status: u16,
    /// `X-Cold-Start: true` was there.
    pub cold_start: bool,
    /// `X-Init-Duration-Ms`, where it was there.
    pub init_ms: Option<u64>,
    /// The body.
    pub body: Bytes,
    /// The connection can take another request.
    pub reusable: bool,
}

impl InstanceResponse {
    /// The duration of the instance's start (ns), where it was told.
    pub(crate) fn init_ns(&self) -> Option<Nanos> {
        self.init_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS))
    }
}

/// A connection to an instance.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: InstanceStream,
    /// Bytes that came and were not taken yet.
    pub(super) read: BytesMut,
    /// Nothing has been written, and the event loop has not told yet that something can be.
    is_new: bool,
    /// `100 Continue` has come.
    pub acknowledged: bool,
    /// The head of the request, built anew for each one in the same memory.
    pub head: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`ExchangeError::Connect`].
    pub(crate) async fn open(target: &Target) -> Result<Self, ExchangeError> {
        InstanceStream::connect(target).await.map(Self::over).map_err(ExchangeError::Connect)
    }

    /// The connection that was opened ahead of the one request to an instance, where there is one that can be used.
    pub(crate) fn ahead(connection: &ConnectionAhead) -> Option<Self> {
        let stream = InstanceStream::of_unix(connection.take()?).ok()?;
        stream.is_quiet().then(|| Self { is_new: true, ..Self::over(stream) })
    }

    fn over(stream: InstanceStream) -> Self {
        Self {
            stream,
            read: BytesMut::with_capacity(READ_BYTES_MIN),
            is_new: false,
            acknowledged: false,
            head: Vec::with_capacity(512),
        }
    }

    /// Whether a pooled connection can still be used: nothing has come on it, not even its end.
    pub(crate) fn is_quiet(&self) -> bool {
        self.read.is_empty() && self.stream.is_quiet()
    }

    /// Sends `self.head` and `payload`, in one write where the socket takes it.
    ///
    /// # Errors
    /// [`ExchangeError::Stale`] where not one byte could be written, [`ExchangeError::Lost`]
    /// where some were.
    pub(crate) async fn send(&mut self, payload: &[u8]) -> Result<(), ExchangeError> {
        let mut sent = 0;
        let whole = self.head.len() + payload.len();
        while sent < whole {
            let head = self.head.get(sent..).unwrap_or_default();
            let rest = &payload[sent.saturating_sub(self.head.len())..];
            let parts = [IoSlice::new(head), IoSlice::new(rest)];
            let written = match std::mem::take(&mut self.is_new) {
                true => self.stream.write_at_once(&parts),
                false => self.stream.try_write_vectored(&parts),
            };
            match written {
                Ok(0) => return Err(lost(sent, io::ErrorKind::WriteZero.into())),
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await.map_err(|error| lost(sent, error))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // An instance may answer and close without reading all of it.
                Err(_) if sent > 0 => return Ok(()),
                Err(error) => return Err(lost(sent, error)),
            }
        }
        Ok(())
    }

    /// Waits for the beginning of the answer, and reads it.
    ///
    /// # Errors
    /// [`ExchangeError::Lost`].
    pub(crate) async fn first_bytes(&mut self) -> Result<(), ExchangeError> {
        self.fill(READ_BYTES_MIN).await
    }

    /// Reads the answer, or the rest of it, whose body may have at most `body_max` bytes.
    ///
    /// # Errors
    /// [`ExchangeError::Lost`], [`ExchangeError::Garbage`] or [`ExchangeError::TooLarge`].
    pub(crate) async fn receive(&mut self, body_max: usize) -> Result<InstanceResponse, ExchangeError> {
        let head = loop {
            match parse_head(&self.read)? {
                ParsedHead::Interim { length, status } => {
                    self.acknowledged |= status == 100;
                    drop(self.read.split_to(length));
                }
                ParsedHead::Whole(head) => break head,
                ParsedHead::Partial => {
                    if self.read.len() >= RESPONSE_HEAD_BYTES_MAX {
                        return Err(ExchangeError::Garbage(format!(
                            "its head is larger than {RESPONSE_HEAD_BYTES_MAX} bytes"
                        )));
                    }
                    self.fill(READ_BYTES_MIN).await?;
                }
            }
        };
        let _ = self.read.split_to(head.length);
        let body = match head.body {
            BodyLength::Known(length) if length > body_max => return Err(ExchangeError::TooLarge(body_max)),
            BodyLength::Known(length) => self.take_known(length).await?,
            BodyLength::Chunked => self.take_chunked(body_max).await?,
            BodyLength::UntilClose => self.take_until_close(body_max).await?,
        };
        let reusable = head.keep_alive && head.body != BodyLength::UntilClose && self.read.is_empty();
        if reusable && body.len() >= KEEP_BUFFER_BYTES_MIN {
            // It may be idle for ever, and what it came in would stay as long.
            self.read = BytesMut::new();
        }
        Ok(InstanceResponse {
            status: head.status,
            cold_start: head.cold_start,
            init_ms: head.init_ms,
            body,
            reusable,
        })
    }

    async fn take_known(&mut self, length: usize) -> Result<Bytes, ExchangeError> {
        while self.read.len() < length {
            self.fill((length - self.read.len()).max(1)).await?;
        }
        Ok(self.take(length))
    }

    async fn take_chunked(&mut self, body_max: usize) -> Result<Bytes, ExchangeError> {
        let mut body = BytesMut::new();
        loop {
            let (head, size) = loop {
                match httparse::parse_chunk_size(&self.read) {
                    // A size has a digit at least; the parser takes none for the last chunk.
                    Ok(_) if self.read.first().is_some_and(|byte| !byte.is_ascii_hexdigit()) => {
                        return Err(ExchangeError::Garbage("a chunk has no size".to_owned()));
                    }
                    Ok(Status::Complete(chunk)) => break chunk,
                    Ok(Status::Partial) if self.read.len() < RESPONSE_HEAD_BYTES_MAX => {
                        self.fill(READ_BYTES_MIN).await?;
                    }
                    Ok(Status::Partial) | Err(_) => {
                        return Err(ExchangeError::Garbage("a chunk has no valid size".to_owned()));
                    }
                }
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > body_max - body.len() {
                return Err(ExchangeError::TooLarge(body_max));
            }
            let _ = self.read.split_to(head);
            if size == 0 {
                self.skip_trailers().await?;
                // One chunk is as long as what it was copied into; after several, that had grown by doubling.
                let is_tight = body.capacity() - body.len() <= body.len() / 8;
                return Ok(if is_tight { body.freeze() } else { Bytes::copy_from_slice(&body) });
            }
            while self.read.len() < size + 2 {
                self.fill(size + 2 - self.read.len()).await?;
            }
            body.extend_from_slice(&self.read[..size]);
            if &self.read[size..size + 2] != b"\r\n" {
                return Err(ExchangeError::Garbage("a chunk is longer than its size".to_owned()));
            }
            let _ = self.read.split_to(size + 2);
        }
    }

    async fn skip_trailers(&mut self) -> Result<(), ExchangeError> {
        let mut skipped = 0;
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                skipped += end + 2;
                let _ = self.read.split_to(end + 2);
                if end == 0 {
                    return Ok(());
                }
            } else {
                self.fill(READ_BYTES_MIN).await?;
            }
            if skipped + self.read.len() > RESPONSE_HEAD_BYTES_MAX {
                return Err(ExchangeError::Garbage("its trailers are too large".to_owned()));
            }
        }
    }

    async fn take_until_close(&mut self, body_max: usize) -> Result<Bytes, ExchangeError> {
        loop {
            if self.read.len() > body_max {
                return Err(ExchangeError::TooLarge(body_max));
            }
            match self.fill(READ_BYTES_MIN).await {
                Ok(()) => {}
                Err(ExchangeError::Lost(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(self.take(self.read.len()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, length: usize) -> Bytes {
        if length >= KEEP_BUFFER_BYTES_MIN {
            return self.read.split_to(length).freeze();
        }
        let body = Bytes::copy_from_slice(&self.read[..length]);
        if self.read.len() == length {
            self.read.clear();
        } else {
            let _ = self.read.split_to(length);
        }
        body
    }

    /// Reads some bytes, with room for `room`.
    async fn fill(&mut self, room: usize) -> Result<(), ExchangeError> {
        self.read.reserve(room);
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(ExchangeError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(ExchangeError::Lost(error)),
        }
    }
}

fn lost(sent: usize, error: io::Error) -> ExchangeError {
    if sent == 0 { ExchangeError::Stale } else { ExchangeError::Lost(error) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    /// Answers and how a client reads each, for every client that is written by hand.
    const ANSWERS: &str = include_str!("../../../runtime/contract/answers.txt");

    /// Reads one answer and tells it as the table does.
    async fn read(answer: &str) -> String {
        let (text, ends) = answer.strip_suffix("<end>").map_or((answer, false), |text| (text, true));
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut connection = Connection {
            stream: InstanceStream::Unix(ours),
            read: BytesMut::new(),
            is_new: false,
            acknowledged: false,
            head: Vec::new(),
        };
        let text = text.replace("\\r", "\r").replace("\\n", "\n");
        theirs.write_all(text.as_bytes()).await.expect("the answer was written");
        if ends {
            theirs.shutdown().await.expect("it is connected");
        }
        match connection.receive(1 << 20).await {
            Ok(response) => {
                let kept = if response.reusable { "kept" } else { "closed" };
                format!("{kept} {} {:?}", response.status, String::from_utf8_lossy(&response.body))
            }
            Err(ExchangeError::Garbage(_)) => "refused".to_owned(),
            Err(ExchangeError::TooLarge(_)) => "too large".to_owned(),
            Err(ExchangeError::Lost(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "cut".to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_answer_ends_where_http_says_and_what_is_none_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut wrong = Vec::new();
            for line in ANSWERS.lines().filter(|line| !line.starts_with('#')) {
                let (outcome, answer) = line.split_once(" | ").expect("an outcome and an answer");
                let read = tokio::time::timeout(Duration::from_secs(60), read(answer)).await;
                if read.as_deref() != Ok(outcome) {
                    wrong.push(format!("{read:?} and not {outcome}: {answer}"));
                }
            }
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        });
    }

    /// Exchanges one answer over a pair of sockets; the connection is left as it would be pooled.
    fn receive(response: &[u8]) -> (InstanceResponse, Connection) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
            let mut connection = Connection {
                stream: InstanceStream::Unix(ours),
                read: BytesMut::new(),
                is_new: false,
                acknowledged: false,
                head: Vec::new(),
            };
            let (received, sent) =
                tokio::join!(connection.receive(1 << 20), async { theirs.write_all(response).await });
            sent.expect("the answer was written");
            (received.expect("it is an answer"), connection)
        })
    }

    #[test]
    fn a_connection_that_was_opened_ahead_takes_one_request_at_once_and_none_where_it_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let pair = || {
                let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
                ours.set_nonblocking(true).expect("it is open");
                (ConnectionAhead::new(ours), theirs)
            };
            let (ahead, mut theirs) = pair();
            let mut connection = Connection::ahead(&ahead).expect("it is open");
            assert!(Connection::ahead(&ahead).is_none(), "it was taken");
            connection.head.extend_from_slice(b"head ");
            let mut send = std::pin::pin!(connection.send(b"body"));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(send.as_mut().poll(&mut context).is_ready(), "it waits for the event loop");
            let mut request = [0; 9];
            std::io::Read::read_exact(&mut theirs, &mut request).expect("all was written");
            assert_eq!(&request, b"head body");
            let (ended, theirs) = pair();
            drop(theirs);
            assert!(Connection::ahead(&ended).is_none(), "it has ended");
        });
    }

    #[test]
    fn an_idle_connection_holds_nothing_of_a_large_output_that_came_on_it() {
        let body = vec![b'1'; 700_000];
        let known =
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
        let chunk = format!("{:x}\r\n", body.len() / 7);
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in body.chunks(body.len() / 7) {
            chunked.extend_from_slice(&[chunk.as_bytes(), part, b"\r\n"].concat());
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        for response in [known, chunked] {
            let (response, connection) = receive(&response);
            assert!(response.reusable && response.body == body);
            assert!(response.body.is_unique(), "the connection holds the output, too");
            assert!(
                connection.read.capacity() <= READ_BYTES_MIN,
                "{} bytes are kept",
                connection.read.capacity()
            );
            let whole = response.body.try_into_mut().expect("nobody else has it");
            assert!(whole.capacity() < body.len() + body.len() / 8, "it takes {} bytes", whole.capacity());
        }
    }
}
