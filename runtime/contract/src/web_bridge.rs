//! Web requests of HTTP/1.1, byte by byte, that go to an instance in frames: a test sees the same of both.
//!
//! A thread of its own has both connections. It holds at most one window of an answer that its caller does not read.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use picofaas_frames::{
    AnswerHead, CancelReason, Field, FieldList, Fields, GatewayConnection, GatewayEvent, Refused, Sequence,
    Settings, WebHead,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::frame_wire::{assert_opens, opening};
use crate::invocation::{Invocation, Trace};
use crate::patience::{Stopwatch, patience};
use crate::wire::Connection;

/// Bytes of an answer that the instance may send before its caller has taken some.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Opens frames over a fresh connection, for a caller that sends one request after the other to `/web/…`.
///
/// # Panics
/// Where the instance does not answer with frames.
#[track_caller]
pub fn open<S>(connection: Connection<S>) -> UnixStream
where
    S: Read + Write + AsFd + Send + 'static,
{
    let (caller, bridged) = UnixStream::pair().unwrap();
    caller.set_read_timeout(Some(patience())).unwrap();
    let bridge = Bridge::new(connection, bridged);
    std::thread::spawn(move || bridge.run());
    caller
}

/// Whether the instance says over frames that it takes web requests there.
///
/// # Panics
/// Where the instance does not answer with frames.
#[track_caller]
pub fn is_offered<S: Read + Write + AsFd>(connection: Connection<S>) -> bool {
    let mut bridge = Bridge::new(connection, UnixStream::pair().unwrap().1);
    loop {
        let web = WebHead { method: b"GET", target: b"/", answer_window: None };
        let head = Invocation::of("1").head();
        match bridge.gateway.begin_web(0, &head, &web, &FieldList::new(), &Bytes::new()) {
            Err(Refused::NotOpen) => {}
            Err(Refused::NotTaken) => return false,
            other => return other.is_ok(),
        }
        bridge.write();
        bridge.sleep();
        bridge.read_instance();
        bridge.take_events();
    }
}

struct Bridge<S> {
    instance: S,
    caller: UnixStream,
    gateway: GatewayConnection,
    input: BytesMut,
    watch: Stopwatch,
    from_caller: Vec<u8>,
    to_caller: Vec<u8>,
    exchange: Exchange,
    caller_has_gone: bool,
    is_over: bool,
}

/// The request that is under way.
enum Exchange {
    None,
    Waiting { sequence: Sequence, is_head: bool },
    Streaming { sequence: Sequence, is_chunked: bool, held: usize },
}

impl<S: Read + Write + AsFd> Bridge<S> {
    #[track_caller]
    fn new(mut connection: Connection<S>, caller: UnixStream) -> Self {
        connection.send(opening(""));
        assert_opens(&connection.receive());
        let (instance, read) = connection.into_stream();
        rustix::io::ioctl_fionbio(&instance, true).unwrap();
        caller.set_nonblocking(true).unwrap();
        Self {
            instance,
            caller,
            gateway: GatewayConnection::new(Settings::default(), 0),
            input: BytesMut::from(&read[..]),
            watch: Stopwatch::start(),
            from_caller: Vec::new(),
            to_caller: Vec::new(),
            exchange: Exchange::None,
            caller_has_gone: false,
            is_over: false,
        }
    }

    fn run(mut self) {
        loop {
            self.take_events();
            self.begin();
            self.write();
            let is_idle = matches!(self.exchange, Exchange::None);
            if is_idle && self.to_caller.is_empty() && (self.is_over || self.caller_has_gone) {
                return;
            }
            self.sleep();
            self.read_instance();
            self.read_caller();
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Begins the next request, where there is one and none is under way.
    fn begin(&mut self) {
        if !matches!(self.exchange, Exchange::None) || self.is_over {
            return;
        }
        let Some(request) = BridgedRequest::take(&self.from_caller) else { return };
        let web = WebHead {
            method: request.method.as_bytes(),
            target: request.target.as_bytes(),
            answer_window: Some(WINDOW_BYTES),
        };
        let (now_ns, body) = (self.now_ns(), Bytes::from(request.invocation.body.clone()));
        match self.gateway.begin_web(now_ns, &request.invocation.head(), &web, &request.fields, &body) {
            Ok(sequence) => {
                self.exchange = Exchange::Waiting { sequence, is_head: request.method == "HEAD" };
                self.from_caller.drain(..request.bytes);
            }
            Err(Refused::NotOpen) => {}
            Err(Refused::GoingAway | Refused::Closed) => self.is_over = true,
            Err(refused) => panic!("{} {} cannot begin: {refused:?}", request.method, request.target),
        }
    }

    fn take_events(&mut self) {
        loop {
            let now_ns = self.now_ns();
            let Some(event) = self.gateway.poll_event(now_ns, &mut self.input) else { return };
            match event {
                GatewayEvent::Open { .. } | GatewayEvent::Stuck { .. } | GatewayEvent::GoingAway { .. } => {}
                GatewayEvent::Answer { head, fields, body_bytes, body, ends, .. } => {
                    self.answer(head, &fields, body_bytes, &body, ends);
                }
                GatewayEvent::Data { bytes, ends, .. } => self.data(&bytes, ends),
                GatewayEvent::Released { .. } => self.exchange = Exchange::None,
                GatewayEvent::Failed { .. } | GatewayEvent::Unsent { .. } | GatewayEvent::Lost { .. } => {
                    self.exchange = Exchange::None;
                    self.is_over = true;
                }
                GatewayEvent::Closed { .. } => self.is_over = true,
            }
        }
    }

    fn answer(
        &mut self,
        head: AnswerHead,
        fields: &Fields,
        body_bytes: Option<u64>,
        body: &[u8],
        ends: bool,
    ) {
        let Exchange::Waiting { sequence, is_head } = self.exchange else { panic!("a second answer") };
        let mut text = format!("HTTP/1.1 {} -\r\n", head.status).into_bytes();
        let mut has_length = false;
        for header in fields.headers() {
            let (name, value) = header.expect("a header is well-formed");
            has_length |= name.eq_ignore_ascii_case(b"content-length");
            for part in [name, b": ", value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        let is_bodiless = is_head || matches!(head.status, 204 | 304);
        assert!(!is_bodiless || ends && body.is_empty(), "an answer without a body has one");
        match body_bytes {
            Some(bytes) if !has_length && !is_bodiless => {
                text.extend_from_slice(format!("content-length: {bytes}\r\n").as_bytes());
            }
            Some(_) => {}
            None => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        self.to_caller.extend_from_slice(&text);
        let is_chunked = body_bytes.is_none();
        self.exchange =
            if ends { Exchange::None } else { Exchange::Streaming { sequence, is_chunked, held: 0 } };
    }

    fn data(&mut self, bytes: &[u8], ends: bool) {
        let Exchange::Streaming { is_chunked, held, .. } = &mut self.exchange else {
            panic!("a piece without an answer")
        };
        *held += bytes.len();
        assert!(*held <= WINDOW_BYTES as usize, "{held} bytes are beyond the window");
        match *is_chunked {
            true => {
                if !bytes.is_empty() {
                    self.to_caller.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
                    self.to_caller.extend_from_slice(bytes);
                    self.to_caller.extend_from_slice(b"\r\n");
                }
                if ends {
                    self.to_caller.extend_from_slice(b"0\r\n\r\n");
                }
            }
            false => self.to_caller.extend_from_slice(bytes),
        }
        if ends {
            self.exchange = Exchange::None;
        }
    }

    /// Writes what can be written, and lets more come of an answer when all of it was.
    fn write(&mut self) {
        while !self.to_caller.is_empty() {
            match self.caller.write(&self.to_caller) {
                Ok(written) => drop(self.to_caller.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.to_caller.clear();
                    self.caller_leaves();
                }
            }
        }
        if self.to_caller.is_empty()
            && let Exchange::Streaming { sequence, held, .. } = &mut self.exchange
        {
            self.gateway.consume(*sequence, std::mem::take(held));
        }
        while self.gateway.has_outgoing() {
            let bytes = self.gateway.outgoing();
            match self.instance.write(bytes) {
                Ok(written) if written > 0 => self.gateway.written(written),
                // One that has ended is seen when it is read.
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn caller_leaves(&mut self) {
        if std::mem::replace(&mut self.caller_has_gone, true) {
            return;
        }
        if let Exchange::Waiting { sequence, .. } | Exchange::Streaming { sequence, .. } = self.exchange {
            self.gateway.cancel(self.now_ns(), sequence, CancelReason::ClientGone);
        }
    }

    /// Waits for bytes, room for bytes, or the time.
    fn sleep(&mut self) {
        let deadline_ns = self.gateway.next_deadline_ns();
        let timeout = deadline_ns.map(|at| Duration::from_nanos(at.saturating_sub(self.now_ns())));
        let timeout = timeout.map(|time| Timespec::try_from(time).expect("it is short"));
        let wanted = |has_more| if has_more { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let to_instance = wanted(self.gateway.has_outgoing());
        let mut fds = vec![PollFd::new(&self.instance, to_instance)];
        if !self.caller_has_gone {
            fds.push(PollFd::new(&self.caller, wanted(!self.to_caller.is_empty())));
        }
        // A signal ends it early, which does no harm.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    fn read_instance(&mut self) {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.instance.read(&mut bytes) {
                Ok(count @ 1..) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => break,
            }
        }
        self.take_events();
        self.gateway.disconnected();
    }

    fn read_caller(&mut self) {
        let mut bytes = [0; 64 * 1024];
        while !self.caller_has_gone {
            match self.caller.read(&mut bytes) {
                Ok(count @ 1..) => self.from_caller.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.caller_leaves(),
            }
        }
    }
}

/// A request with its body, as a frame has it.
struct BridgedRequest {
    method: String,
    target: String,
    invocation: Invocation,
    fields: FieldList,
    /// Bytes of it.
    bytes: usize,
}

impl BridgedRequest {
    /// The request that bytes begin with, where all of it is there.
    fn take(bytes: &[u8]) -> Option<Self> {
        let head_bytes = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..head_bytes]).expect("a head is a text");
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let target = target.strip_prefix("/web").expect("it is a web request").to_owned();
        let (mut invocation, mut fields) = (Invocation::with_body(""), FieldList::new());
        let mut body_bytes = 0;
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header has a value");
            match name.to_lowercase().as_str() {
                // The test's own is none of a frame.
                "x-execution-id" => {}
                "x-attempt" => invocation.attempt = value.parse().ok(),
                "x-deadline-ms" => invocation.deadline_ms = value.parse().ok(),
                "traceparent" => invocation.trace = Some(Trace::of_header(value)),
                "tracestate" => fields.push(Field::TRACESTATE, value.as_bytes()),
                "x-trace-id" => fields.push(Field::TRACE_NAME, value.as_bytes()),
                name => {
                    if name == "content-length" {
                        body_bytes = value.parse().expect("a length is a number");
                    }
                    fields.push_header(name.as_bytes(), value.as_bytes());
                }
            }
        }
        let body = bytes.get(head_bytes..head_bytes + body_bytes)?;
        invocation.body = body.to_vec();
        Some(Self { method, target, invocation, fields, bytes: head_bytes + body_bytes })
    }
}
