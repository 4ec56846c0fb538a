//! The instance behind the gateway, and the clock: both in this thread.

#![expect(unsafe_code, reason = "the clock of libc is replaced by one that nothing but the program moves")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
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

/// Starts the instance; the path of its socket.
pub(crate) fn start(runtime: &LocalRuntime) -> PathBuf {
    let path = socket();
    let bind = async { UnixListener::bind(&path).unwrap() };
    runtime.spawn_local(serve(runtime.block_on(bind)));
    path
}

/// A path of the same length in every run.
fn socket() -> PathBuf {
    let path = PathBuf::from(format!("/tmp/picofaas-instructions-{:010}.sock", std::process::id()));
    if path.exists() {
        std::fs::remove_file(&path).unwrap();
    }
    path
}

/// The other end of the instance's connections, one after the other.
async fn serve(listener: UnixListener) {
    let path = listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // The gateway keeps its connection, and comes with no other.
        std::fs::remove_file(&path).unwrap();
        let mut read = [0; 4096];
        loop {
            stream.readable().await.unwrap();
            if super::outside(|| answer(&stream, &mut read)) == 0 {
                break;
            }
        }
    }
}

/// Answers what has come; the bytes of it.
fn answer(stream: &UnixStream, read: &mut [u8]) -> usize {
    match stream.try_read(read) {
        Ok(bytes) => {
            if bytes > 0 {
                assert!(read[..bytes].ends_with(&INPUT), "the instance got something else");
                assert_eq!(stream.try_write(ANSWER).unwrap(), ANSWER.len());
            }
            bytes
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 1,
        Err(error) => panic!("{error}"),
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
