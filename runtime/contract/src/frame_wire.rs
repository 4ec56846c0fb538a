//! Frames by hand, so that a test sees and sends every byte of docs/frames.md.

use std::io::{Read, Write};

use picofaas_frames::UPGRADE;

use crate::invocation::Invocation;
use crate::patience::{Stopwatch, patience};
use crate::wire::{Answer, Connection, SWITCHING_PROTOCOLS};

/// Kinds of frames.
pub mod kind {
    pub const HELLO: u8 = 1;
    pub const HEAD: u8 = 2;
    pub const DATA: u8 = 3;
    pub const WINDOW: u8 = 4;
    pub const CANCEL: u8 = 5;
    pub const DONE: u8 = 6;
    pub const PING: u8 = 7;
    pub const GO_AWAY: u8 = 8;
}

/// Flags of frames.
pub mod flag {
    pub const END: u8 = 1;
    pub const ACK: u8 = 1 << 1;
    pub const IGNORABLE: u8 = 1 << 7;
}

/// Bytes of a frame before its payload.
const HEAD_BYTES: usize = 12;
/// Longest payload, where no `HELLO` says less.
pub const PAYLOAD_BYTES_MAX: u32 = 20_480;
/// The window that an end has at first, usually.
pub const WINDOW_BYTES: u32 = 65_536;

/// A frame, which need not be one that may be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub sequence: u32,
    pub payload: Vec<u8>,
}

/// The limits of an instance.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub attempts_max: u32,
    pub window_bytes: u32,
    pub payload_bytes_max: u32,
}

/// A connection that speaks frames.
pub struct FrameConnection<S> {
    connection: Connection<S>,
}

/// The request that asks for frames, with more of a head.
pub fn opening(more: &str) -> String {
    format!(
        "GET /invoke HTTP/1.1\r\nHost: instance\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n{more}\r\n"
    )
}

/// Checks that an answer opens a connection.
#[track_caller]
pub fn assert_opens(answer: &Answer) {
    assert_eq!(answer.status, SWITCHING_PROTOCOLS, "{answer:?}");
    assert_eq!(answer.header("upgrade"), Some(UPGRADE), "{answer:?}");
    let connection = answer.header("connection").map(str::to_lowercase);
    assert_eq!(connection.as_deref(), Some("upgrade"), "{answer:?}");
    for name in ["content-length", "transfer-encoding"] {
        assert_eq!(answer.header(name), None, "it has no body: {answer:?}");
    }
}

impl Frame {
    pub fn new(kind: u8, sequence: u32, flags: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, sequence, payload: payload.into() }
    }

    /// The `HELLO` of a gateway.
    pub fn hello(window_bytes: u32, payload_bytes_max: u32) -> Self {
        let mut payload = vec![1, 0, 0, 0, 0, 0, 0, 0];
        payload.extend_from_slice(&window_bytes.to_le_bytes());
        payload.extend_from_slice(&payload_bytes_max.to_le_bytes());
        Self::new(kind::HELLO, 0, 0, payload)
    }

    /// The `HEAD` of a request with its body inside.
    pub fn request(sequence: u32, invocation: &Invocation) -> Self {
        let mut frame = Self::request_of(sequence, invocation, invocation.body.len() as u64);
        frame.flags = flag::END;
        frame.payload.extend_from_slice(&invocation.body);
        frame
    }

    /// The `HEAD` of a request whose body, which is said to have so many bytes, is to follow.
    pub fn request_of(sequence: u32, invocation: &Invocation, body_bytes: u64) -> Self {
        let mut fields = Vec::new();
        for field in invocation.fields() {
            fields.push(field.id);
            fields.extend_from_slice(&u16::try_from(field.value.len()).unwrap().to_le_bytes());
            fields.extend_from_slice(field.value);
        }
        let head = invocation.head();
        let mut payload = Vec::new();
        payload.extend_from_slice(&head.execution_id);
        payload.extend_from_slice(&head.trace_id);
        payload.extend_from_slice(&head.parent_span_id);
        payload.extend_from_slice(&[head.trace_flags, 0]);
        payload.extend_from_slice(&head.attempt.to_le_bytes());
        payload.extend_from_slice(&head.deadline_ms.to_le_bytes());
        payload.extend_from_slice(&body_bytes.to_le_bytes());
        payload.extend_from_slice(&u32::try_from(fields.len()).unwrap().to_le_bytes());
        payload.extend_from_slice(&fields);
        Self::new(kind::HEAD, sequence, 0, payload)
    }

    pub fn data(sequence: u32, bytes: impl Into<Vec<u8>>, ends: bool) -> Self {
        Self::new(kind::DATA, sequence, if ends { flag::END } else { 0 }, bytes)
    }

    pub fn window(sequence: u32, bytes: u32) -> Self {
        Self::new(kind::WINDOW, sequence, 0, bytes.to_le_bytes())
    }

    pub fn cancel(sequence: u32) -> Self {
        Self::new(kind::CANCEL, sequence, 0, [2])
    }

    pub fn ping(bytes: [u8; 8]) -> Self {
        Self::new(kind::PING, 0, 0, bytes)
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.payload.len());
        bytes.extend_from_slice(&u32::try_from(self.payload.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&[self.kind, self.flags, 0, 0]);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Of the `HEAD` of an answer with its body inside: status and body.
    #[track_caller]
    pub fn answer(&self) -> (u16, &[u8]) {
        assert_eq!((self.kind, self.has(flag::END)), (kind::HEAD, true), "no whole answer: {self:?}");
        let fields = u32::from_le_bytes(self.payload[12..16].try_into().unwrap()) as usize;
        (self.status(), &self.payload[16 + fields..])
    }

    /// The status of the `HEAD` of an answer.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.payload[0], self.payload[1]])
    }

    /// The code of a `GOAWAY`.
    pub fn code(&self) -> u16 {
        u16::from_le_bytes([self.payload[0], self.payload[1]])
    }
}

impl<S: Read + Write> FrameConnection<S> {
    /// Asks for frames over a fresh connection; the greeting is still to be said.
    #[track_caller]
    pub fn open(mut connection: Connection<S>) -> Self {
        connection.send(opening(""));
        assert_opens(&connection.receive());
        Self { connection }
    }

    /// Asks for frames and greets; the limits of the instance.
    #[track_caller]
    pub fn greet(connection: Connection<S>, hello: &Frame) -> (Self, Limits) {
        let mut this = Self::open(connection);
        this.send(&[hello]);
        let limits = this.limits();
        (this, limits)
    }

    /// Reads the `HELLO` of an instance.
    #[track_caller]
    pub fn limits(&mut self) -> Limits {
        let hello = self.next_frame().expect("a HELLO");
        assert_eq!((hello.kind, hello.sequence), (kind::HELLO, 0), "HELLO is the first frame: {hello:?}");
        let number = |at: usize| u32::from_le_bytes(hello.payload[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) & 0xffff, 1, "the version");
        Limits { attempts_max: number(4), window_bytes: number(8), payload_bytes_max: number(12) }
    }

    /// Sends frames with one write.
    pub fn send(&mut self, frames: &[&Frame]) {
        self.connection.send(frames.iter().flat_map(|frame| frame.bytes()).collect::<Vec<u8>>());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
    }

    /// The next frame, be it a sign of life; `None` where the instance closed between two frames.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.connection.is_closed() {
            return None;
        }
        let mut head = [0; HEAD_BYTES];
        self.connection.fill(&mut head);
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, flags, _, _] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        assert!(length <= PAYLOAD_BYTES_MAX, "a frame of {length} bytes: {head:?}");
        let mut payload = vec![0; length as usize];
        self.connection.fill(&mut payload);
        Some(Frame { kind, flags, sequence: u32::from_le_bytes([s0, s1, s2, s3]), payload })
    }

    /// The next frame about attempts or the end. Questions for a sign of life are answered meanwhile.
    #[track_caller]
    pub fn next_event(&mut self) -> Option<Frame> {
        let watch = Stopwatch::start();
        loop {
            assert!(watch.elapsed() < patience(), "nothing comes but signs of life");
            let frame = self.next_frame()?;
            match frame.kind {
                kind::PING if frame.has(flag::ACK) => {}
                kind::PING => self.send(&[&Frame::new(kind::PING, 0, flag::ACK, frame.payload)]),
                _ => return Some(frame),
            }
        }
    }

    /// Frames that come until nothing comes but answers to `PING`: all that the instance may send without more of
    /// us.
    #[track_caller]
    pub fn until_quiet(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let watch = Stopwatch::start();
        for round in 0_u64.. {
            let before = frames.len();
            self.send(&[&Frame::ping(round.to_le_bytes())]);
            loop {
                let frame = self.next_frame().expect("the connection goes on");
                assert!(watch.elapsed() < patience(), "it does not come to rest, or to answer");
                match frame.kind {
                    kind::PING if frame.has(flag::ACK) && frame.payload.starts_with(&round.to_le_bytes()) => {
                        break;
                    }
                    kind::PING if frame.has(flag::ACK) => {}
                    kind::PING => self.send(&[&Frame::new(kind::PING, 0, flag::ACK, frame.payload)]),
                    _ => frames.push(frame),
                }
            }
            if frames.len() == before {
                break;
            }
        }
        frames
    }

    /// Reads to the `GOAWAY` that ends the connection, and its end; the code, and the frames before.
    #[track_caller]
    pub fn violated(mut self) -> (u16, Vec<Frame>) {
        let mut frames = Vec::new();
        while let Some(frame) = self.next_frame() {
            if frame.kind == kind::GO_AWAY {
                assert_eq!(self.next_frame(), None, "it closes after its GOAWAY");
                return (frame.code(), frames);
            }
            frames.push(frame);
        }
        panic!("closed without GOAWAY, after {frames:?}");
    }

    /// Reads to the end.
    #[track_caller]
    pub fn rest(mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next_event()).collect()
    }
}
