//! An HTTP/1.1 connection to the control plane, written by hand: a JOB makes two requests
//! in its life, and the first of them leaves before there is an event loop.

use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpStream as StdTcpStream, ToSocketAddrs as _};

use bytes::Bytes;
use httparse::{ParserConfig, Status};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::failure::Failure;
use crate::limits::{ANSWER_HEAD_BYTES_MAX, ANSWER_HEADERS_MAX, CONNECT_MAX};

/// An open connection at rest.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Fails only as too large; then the rest of it was not read.
    pub(crate) body: Result<Bytes, Failure>,
    /// When its head was there.
    pub(crate) arrived: Instant,
    /// The connection can take another request.
    pub(crate) reusable: bool,
}

/// How the end of a body is known.
enum Length {
    Known(usize),
    Chunked,
    UntilClose,
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

impl Connection {
    pub(crate) async fn open(host: &str, port: u16) -> io::Result<Self> {
        let stream = timeout(CONNECT_MAX, TcpStream::connect((host, port)))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Goes on with what [`send_at_once`] opened.
    pub(crate) fn resume(stream: StdTcpStream) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(TcpStream::from_std(stream)?) })
    }

    /// Sends a request in one write, where the socket takes it.
    pub(crate) async fn send(&mut self, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut rest = pieces;
        // Also drops what is empty at the front.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let sent = self.stream.get_mut().write_vectored(rest).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// Reads an answer, whose body may have `body_max` bytes.
    pub(crate) async fn receive(&mut self, body_max: usize) -> io::Result<Answer> {
        let (status, headers, persistent) = loop {
            let head = self.head().await?;
            let (status, headers, persistent) = parse(&head)?;
            // An interim answer is followed by the real one.
            if !status.is_informational() {
                break (status, headers, persistent);
            }
        };
        let arrived = clock::now();
        let length = length(status, &headers)?;
        let reusable = persistent && !matches!(length, Length::UntilClose);
        let body = match length {
            Length::Known(length) => self.known(length, body_max).await,
            Length::Chunked => self.chunked(body_max).await,
            Length::UntilClose => self.until_close(body_max).await,
        };
        let body = match body? {
            Some(body) => Ok(body.into()),
            None => Err(Failure::BodyTooLarge { max: body_max }),
        };
        Ok(Answer { status, headers, reusable: reusable && body.is_ok(), body, arrived })
    }

    async fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(1024);
        loop {
            let line = self.line(&mut head, ANSWER_HEAD_BYTES_MAX).await?;
            if head[line..].iter().all(|byte| b"\r\n".contains(byte)) {
                return Ok(head);
            }
        }
    }

    /// Appends a line with its end, up to `max` bytes in all, and says where it begins.
    async fn line(&mut self, text: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let begin = text.len();
        let room = (max - begin) as u64;
        (&mut self.stream).take(room).read_until(b'\n', text).await?;
        match text.last() {
            Some(b'\n') if text.len() > begin => Ok(begin),
            _ if text.len() == max => Err(malformed("a head that is too long")),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Appends `length` bytes.
    async fn bytes(&mut self, body: &mut Vec<u8>, length: usize) -> io::Result<()> {
        body.reserve_exact(length);
        let read = (&mut self.stream).take(length as u64).read_to_end(body).await?;
        if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// `None` is too large, here and below.
    async fn known(&mut self, length: usize, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        if length > max {
            return Ok(None);
        }
        self.bytes(&mut body, length).await?;
        Ok(Some(body))
    }

    async fn chunked(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            self.line(&mut line, ANSWER_HEAD_BYTES_MAX).await?;
            let Ok(Status::Complete((_, size))) = httparse::parse_chunk_size(&line) else {
                return Err(malformed("a chunk without a size"));
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size == 0 {
                // Trailers, which end as a head does.
                self.head().await?;
                return Ok(Some(body));
            }
            if size > max - body.len() {
                return Ok(None);
            }
            self.bytes(&mut body, size).await?;
            let mut end = Vec::new();
            self.bytes(&mut end, 2).await?;
            if end != b"\r\n" {
                return Err(malformed("a chunk that is longer than its size"));
            }
        }
    }

    async fn until_close(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut body = Vec::new();
        (&mut self.stream).take(max as u64 + 1).read_to_end(&mut body).await?;
        Ok((body.len() <= max).then_some(body))
    }
}

/// Status, headers, and whether the connection stays open.
fn parse(head: &[u8]) -> io::Result<(StatusCode, HeaderMap, bool)> {
    let mut headers = [const { MaybeUninit::uninit() }; ANSWER_HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut answer, head, &mut headers);
    if !matches!(parsed, Ok(Status::Complete(_))) {
        return Err(malformed("a head that is not HTTP"));
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| malformed("an unknown status"))?;
    let mut map = HeaderMap::with_capacity(answer.headers.len());
    for header in answer.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| malformed("a bad header"))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| malformed("a bad header"))?;
        map.append(name, value);
    }
    let closes = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"close");
    let persistent = answer.version == Some(1) && !map.get_all(CONNECTION).iter().any(closes);
    Ok((status, map, persistent))
}

fn length(status: StatusCode, headers: &HeaderMap) -> io::Result<Length> {
    if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
        return Ok(Length::Known(0));
    }
    if let Some(encoding) = headers.get(TRANSFER_ENCODING) {
        let chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
        return if chunked { Ok(Length::Chunked) } else { Err(malformed("an unknown Transfer-Encoding")) };
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(Length::UntilClose) };
    match first.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(length) if lengths.all(|other| other == first) => Ok(Length::Known(length)),
        Some(_) | None => Err(malformed("an unclear Content-Length")),
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has {what}"))
}
