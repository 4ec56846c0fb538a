//! The instance behind the gateway, and the clock: both in this thread.

#![expect(unsafe_code, reason = "the clock of libc is replaced by one that nothing but the program moves")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::{Bytes, BytesMut};
use picofaas_frames::{AnswerHead, InstanceConnection, InstanceEvent, Settings, UPGRADE};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::LocalRuntime;

/// The body of each call: 40 bytes.
pub(crate) const INPUT: Bytes = Bytes::from_static(br#"{"input":{"text":"hello", "number":1234}}"#);
/// Result that a process posts.
pub(crate) const OUTPUT: Bytes =
    Bytes::from_static(br#"{"success":true,"output":{"text":"hello"},"status":200}"#);
/// Answer of an instance.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"text\":\"hello\"}";

/// The same over frames.
const FRAMED_OUTPUT: Bytes = Bytes::from_static(b"{\"text\":\"hello\"}");
/// Whether an attempt came over frames.
static HAS_FRAMED: AtomicBool = AtomicBool::new(false);

/// Starts the instance; the path of its socket.
pub(crate) fn start(runtime: &LocalRuntime) -> PathBuf {
    let path = socket();
    let bind = async { UnixListener::bind(&path).unwrap() };
    let listener = runtime.block_on(bind);
    runtime.spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(serve(stream));
        }
    });
    path
}

/// Whether an attempt has come over frames.
pub(crate) fn has_framed() -> bool {
    HAS_FRAMED.load(Ordering::Relaxed)
}

/// Removes the instance's socket, where the case had one.
pub(crate) fn remove() {
    if socket().exists() {
        std::fs::remove_file(socket()).unwrap();
    }
}

/// A path of the same length in every run.
fn socket() -> PathBuf {
    PathBuf::from(format!("/tmp/picofaas-instructions-{:010}.sock", std::process::id()))
}

/// The other end of a connection.
async fn serve(stream: UnixStream) {
    let mut protocol = Protocol::Http;
    let mut read = [0; 16 * 1024];
    loop {
        stream.readable().await.unwrap();
        if super::outside(|| protocol.answer(&stream, &mut read)) == 0 {
            break;
        }
    }
}

/// The protocol of a connection.
enum Protocol {
    Http,
    Frames { frames: Box<InstanceConnection>, input: BytesMut },
}

impl Protocol {
    /// Answers what has come; the bytes of it.
    fn answer(&mut self, stream: &UnixStream, read: &mut [u8]) -> usize {
        let bytes = match stream.try_read(read) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return 1,
            Err(error) => panic!("{error}"),
        };
        match self {
            Self::Http if read[..bytes].starts_with(b"GET ") => {
                let accepted = format!("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n");
                assert_eq!(stream.try_write(accepted.as_bytes()).unwrap(), accepted.len());
                let frames = Box::new(InstanceConnection::new(Settings::default(), 0));
                *self = Self::Frames { frames, input: BytesMut::new() };
                self.answer_frames(stream, &[]);
            }
            Self::Http if bytes > 0 => {
                assert!(read[..bytes].ends_with(&INPUT), "the instance got something else");
                assert_eq!(stream.try_write(ANSWER).unwrap(), ANSWER.len());
            }
            Self::Http => {}
            Self::Frames { .. } => self.answer_frames(stream, &read[..bytes]),
        }
        bytes
    }

    /// Answers the attempts of these bytes. Its time stands still.
    fn answer_frames(&mut self, stream: &UnixStream, bytes: &[u8]) {
        let Self::Frames { frames, input } = self else { return };
        input.extend_from_slice(bytes);
        while let Some(event) = frames.poll_event(0, input) {
            if let InstanceEvent::Invoked { sequence, body, ends, .. } = event {
                HAS_FRAMED.store(true, Ordering::Relaxed);
                assert!(ends && body == INPUT, "the instance got something else");
                frames.answer(sequence, AnswerHead { status: 200 }, &[], &FRAMED_OUTPUT).unwrap();
            }
        }
        let waiting = frames.outgoing();
        let written = waiting.len();
        assert_eq!(stream.try_write(waiting).unwrap(), written, "the gateway does not read");
        frames.written(written);
    }
}

/// How far time is at the next look at it, in ns.
static NOW_NS: AtomicI64 = AtomicI64::new(1_000_000_000);
/// How far it goes with each look, in ns: an invocation has about a dozen.
const STEP_NS: i64 = 1000;

/// `struct timespec` where its members are 64 bits wide.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Stands in for the one of libc, for the standard library and every crate that this program links: each look
/// finds the time a step further, on every clock, however long the run really takes.
///
/// # Safety
/// `at` points to a timespec that may be written, as POSIX asks of who calls this.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(_clock: i32, at: *mut Timespec) -> i32 {
    let now = NOW_NS.fetch_add(STEP_NS, Ordering::Relaxed);
    // SAFETY: see above.
    unsafe { at.write(Timespec { seconds: now / 1_000_000_000, nanoseconds: now % 1_000_000_000 }) };
    0
}
