//! An endpoint of a `POOL` function that speaks frames, played by the test: frame by frame, right or wrong.
//!
//! A thread answers calls over HTTP/1.1, with the output `"http"`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use crossbeam_queue::ArrayQueue;
use picofaas_frames::{
    AnswerHead, DoneReason, Fields, InstanceConnection, InstanceEvent, NotAnswered, RequestHead, Sequence,
    Settings,
};
use serde_json::Value;

use super::patience::{PATIENCE, Stopwatch, eventually};
use super::server::Server;

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a read waits before the protocol is asked what it wants.
const READ_WAIT: Duration = Duration::from_millis(20);

/// Numbers of the protocol that raw frames have.
pub(crate) const HEAD: u8 = 2;
pub(crate) const DATA: u8 = 3;
pub(crate) const PING: u8 = 7;
pub(crate) const GO_AWAY: u8 = 8;
pub(crate) const END: u8 = 1;
const ACK: u8 = 2;
const HELLO_BYTES: usize = 28;
const PING_BYTES: usize = 20;

/// A listener that takes connections of both kinds.
pub(crate) struct FramedEndpoint {
    address: SocketAddr,
    framed: Arc<ArrayQueue<TcpStream>>,
    /// Calls that came over HTTP/1.1.
    calls: Arc<AtomicU64>,
}

/// A connection on which frames are spoken.
pub(crate) struct FramedPeer {
    pub stream: TcpStream,
    pub frames: InstanceConnection,
    input: BytesMut,
    clock: Stopwatch,
    /// Whether the other end has closed.
    pub is_closed: bool,
}

/// An attempt that came.
pub(crate) struct FramedAttempt {
    pub sequence: Sequence,
    pub head: RequestHead,
    pub fields: Fields,
    pub body: Bytes,
}

impl FramedEndpoint {
    /// Listens, and accepts frames where they are asked for.
    pub(crate) fn listen() -> Self {
        Self::listen_at(LOOPBACK)
    }

    /// The same at an address; port 0 takes a free one.
    pub(crate) fn listen_at(address: SocketAddr) -> Self {
        Self::accepting(address, true)
    }

    /// Listens, and answers the question for frames as a server that does not know them.
    pub(crate) fn declining() -> Self {
        Self::accepting(LOOPBACK, false)
    }

    fn accepting(address: SocketAddr, frames: bool) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (framed, calls) = (Arc::new(ArrayQueue::new(64)), Arc::new(AtomicU64::new(0)));
        let (to, count) = (framed.clone(), calls.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (to, count) = (to.clone(), count.clone());
                std::thread::spawn(move || serve(stream.unwrap(), frames.then_some(&to), &count));
            }
        });
        Self { address, framed, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/invoke", self.address)
    }

    pub(crate) fn http_calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits for the next connection on which frames are spoken, before its greeting.
    pub(crate) fn opened(&self) -> TcpStream {
        eventually("frames are asked for", || self.framed.pop())
    }

    /// Whether frames were asked for, and nobody has taken the connection.
    pub(crate) fn was_asked(&self) -> bool {
        !self.framed.is_empty()
    }

    /// Waits for the next connection, and greets.
    pub(crate) fn greeted(&self) -> FramedPeer {
        self.greeted_with(Settings::default())
    }

    /// The same with limits of the test's own.
    pub(crate) fn greeted_with(&self, settings: Settings) -> FramedPeer {
        let stream = self.opened();
        let frames = InstanceConnection::new(settings, 0);
        let mut peer = FramedPeer {
            stream,
            frames,
            input: BytesMut::new(),
            clock: Stopwatch::start(),
            is_closed: false,
        };
        peer.flush();
        // The answer to a PING says that the greeting before it was read: what is invoked from now on comes here.
        peer.send(&frame(PING, 0, 0, b"greeting"));
        let mut bytes = [0; HELLO_BYTES + PING_BYTES];
        peer.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes[HELLO_BYTES..], frame(PING, ACK, 0, b"greeting"));
        peer.input.extend_from_slice(&bytes);
        peer.stream.set_read_timeout(Some(READ_WAIT)).unwrap();
        peer
    }
}

/// Registers a function, has it called once over HTTP/1.1, and takes the connection for which that was the reason.
pub(crate) fn opened(server: &Server, specification: &Value, endpoint: &FramedEndpoint) -> FramedPeer {
    server.register(specification);
    let name = specification["name"].as_str().unwrap();
    assert_eq!(server.invoke(name, 1).output(), "http");
    endpoint.greeted()
}

/// Serves a connection: what is asked over HTTP/1.1 is answered, and one that asks for frames is handed over.
fn serve(stream: TcpStream, framed: Option<&ArrayQueue<TcpStream>>, calls: &AtomicU64) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if let Some(value) = head[from..].to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let asks = head.contains("Upgrade: picofaas-frames/1\r\n");
        assert_eq!(asks, head.starts_with("GET /invoke "), "{head}");
        if let Some(framed) = framed.filter(|_| asks) {
            let accepted = "HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: picofaas-frames/1\r\n\r\n";
            stream.get_mut().write_all(accepted.as_bytes()).ok()?;
            framed.push(stream.into_inner()).unwrap();
            return None;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        calls.fetch_add(u64::from(!asks && head.starts_with("POST")), Ordering::SeqCst);
        let answer = if asks {
            "HTTP/1.1 405 -\r\ncontent-length: 0\r\n\r\n"
        } else {
            "HTTP/1.1 200 -\r\ncontent-length: 6\r\n\r\n\"http\""
        };
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

impl FramedPeer {
    /// Writes what the protocol wants to be written.
    pub(crate) fn flush(&mut self) {
        while !self.frames.outgoing().is_empty() {
            let bytes = self.frames.outgoing().to_vec();
            if self.stream.write_all(&bytes).is_err() {
                return;
            }
            self.frames.written(bytes.len());
        }
    }

    /// Waits a moment for bytes, and answers the next event, if one has come.
    pub(crate) fn event(&mut self) -> Option<InstanceEvent> {
        let now = |clock: Stopwatch| u64::try_from(clock.elapsed().as_nanos()).unwrap();
        if let Some(event) = self.frames.poll_event(now(self.clock), &mut self.input) {
            self.flush();
            return Some(event);
        }
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.is_closed = true,
            Ok(read) => self.input.extend_from_slice(&bytes[..read]),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => self.is_closed = true,
        }
        let event = self.frames.poll_event(now(self.clock), &mut self.input);
        self.flush();
        event
    }

    /// Waits for the next event.
    pub(crate) fn next(&mut self) -> InstanceEvent {
        let watch = Stopwatch::start();
        loop {
            if let Some(event) = self.event() {
                return event;
            }
            assert!(!self.is_closed, "the connection was closed");
            assert!(watch.elapsed() < PATIENCE, "nothing came");
        }
    }

    /// Waits for the next attempt, whose body is whole.
    pub(crate) fn attempt(&mut self) -> FramedAttempt {
        let event = self.next();
        let InstanceEvent::Invoked { sequence, head, fields, body, ends: true, .. } = event else {
            panic!("{event:?}");
        };
        FramedAttempt { sequence, head, fields, body }
    }

    /// Waits until an attempt is cancelled.
    pub(crate) fn cancelled(&mut self) -> Sequence {
        let event = self.next();
        let InstanceEvent::Cancelled { sequence, .. } = event else { panic!("{event:?}") };
        sequence
    }

    pub(crate) fn answer(&mut self, sequence: Sequence, status: u16, body: &str) -> Result<(), NotAnswered> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answered = self.frames.answer(sequence, AnswerHead { status }, &[], &body);
        self.flush();
        answered
    }

    pub(crate) fn done(&mut self, sequence: Sequence, reason: DoneReason) {
        assert!(self.frames.done(sequence, reason));
        self.flush();
    }

    /// Writes bytes of the test's own.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits until the other side closes the connection, and answers the last frame that it sent.
    pub(crate) fn until_closed(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A reset is a close, too.
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&[kind, flags, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}
