//! Allocations of the threads of the invoke path.
//!
//! A binary of its own, because the counting allocator is the whole process's. The control
//! plane runs in it as in `picofaas serve`, on its own threads and over real sockets.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::Parser;
use picofaas::internals::config::{ServeArgs, Settings};
use picofaas::internals::logs::Lines;
use picofaas::internals::shutdown::UnreadResults;
use picofaas::internals::spec::parse_function;
use picofaas::internals::startup::{self, Role};
use picofaas_frames::{AnswerHead, InstanceConnection, InstanceEvent, Settings as FrameSettings, UPGRADE};

/// Invocations that are counted.
const INVOCATIONS: u64 = 10_000;
/// Invocations before that, which fill every pool and buffer.
const WARM_UP: u64 = 500;
/// The most that a gateway may allocate per invocation, in allocations, where attempts go over HTTP/1.1. Lower it when
/// the code needs fewer; never raise it without a reason in the commit.
const HTTP_ALLOCATIONS_MAX: f64 = 3.1;
/// The same where they go over frames.
const FRAMES_ALLOCATIONS_MAX: f64 = 2.1;

/// Allocations and frees of one kind of thread.
struct Tally {
    allocations: AtomicU64,
    frees: AtomicU64,
}

static TALLIES: [Tally; 3] =
    [const { Tally { allocations: AtomicU64::new(0), frees: AtomicU64::new(0) } }; 3];
const OTHER: usize = 0;
const GATEWAY: usize = 1;
const SCHEDULER: usize = 2;

thread_local! {
    static ROLE: Cell<usize> = const { Cell::new(OTHER) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn tally() -> &'static Tally {
    // A thread that is ending has no role any more.
    &TALLIES[ROLE.try_with(Cell::get).unwrap_or(OTHER)]
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        tally().allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        tally().frees.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        tally().allocations.fetch_add(1, Ordering::Relaxed);
        tally().frees.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn take_role(role: Role) {
    ROLE.set(match role {
        Role::Gateway => GATEWAY,
        Role::Scheduler => SCHEDULER,
    });
}

fn counts(role: usize) -> (u64, u64) {
    (TALLIES[role].allocations.load(Ordering::Relaxed), TALLIES[role].frees.load(Ordering::Relaxed))
}

/// Calls of the function over HTTP/1.1.
static HTTP_CALLS: AtomicU64 = AtomicU64::new(0);

/// A function that answers everything with `true`, on threads of the test. It speaks frames where it is asked to.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            std::thread::spawn(move || while answer_one(&mut stream).is_some() {});
        }
    });
    address
}

fn answer_one(stream: &mut BufReader<TcpStream>) -> Option<()> {
    let (line, body) = read_message(stream)?;
    if line.starts_with("get ") {
        let accepted = format!("HTTP/1.1 101 -\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n");
        stream.get_mut().write_all(accepted.as_bytes()).ok()?;
        return answer_frames(stream.get_mut());
    }
    assert!(body.starts_with(b"{\"input\""), "the body is not what the client sent");
    HTTP_CALLS.fetch_add(1, Ordering::Relaxed);
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue").ok()
}

/// Answers attempts until the connection ends. Time stands still: nothing here is silent for long.
fn answer_frames(stream: &mut TcpStream) -> Option<()> {
    let mut frames = InstanceConnection::new(FrameSettings::default(), 0);
    let (mut input, mut bytes) = (BytesMut::new(), [0; 4096]);
    loop {
        while let Some(event) = frames.poll_event(0, &mut input) {
            if let InstanceEvent::Invoked { sequence, .. } = event {
                let head = AnswerHead { status: 200 };
                frames.answer(sequence, head, &[], &Bytes::from_static(b"true")).unwrap();
            }
        }
        let waiting = frames.outgoing();
        stream.write_all(waiting).ok()?;
        let written = waiting.len();
        frames.written(written);
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        input.extend_from_slice(&bytes[..read]);
    }
}

/// Reads a head and its body: the first line in lower case, and the body.
fn read_message(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if first.is_empty() {
            first = line;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

fn invoke(stream: &mut BufReader<TcpStream>, times: u64) {
    for n in 0..times {
        let body = format!("{{\"input\":{n}}}");
        let length = body.len();
        let request = format!(
            "POST /v1/functions/f:invoke HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(read_message(stream).unwrap().1).unwrap();
        assert!(answer.contains("\"status\":\"success\",\"output\":true"), "{answer}");
    }
}

/// The flags of `picofaas serve`.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Allocations and frees of the scheduler and of the gateway over the counted invocations, which go over frames or
/// over HTTP/1.1.
fn measure(flags: &[&str], frames: bool) -> [(u64, u64); 2] {
    let arguments = [
        "picofaas",
        "--listen",
        "127.0.0.1:0",
        "--management-listen",
        "127.0.0.1:0",
        "--runtime-listen",
        "127.0.0.1:0",
    ];
    let Flags { serve } = Flags::parse_from(arguments.iter().chain(flags));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let settings = Settings::new(serve).unwrap();
        let control_plane = startup::start(settings, Lines::to_log(), take_role).await.unwrap();
        let spec = format!(
            r#"{{"name":"f","executionMode":"POOL","endpointUrl":"http://{}/invoke","frames":{frames},"timeoutMs":10000}}"#,
            upstream()
        );
        control_plane.control.registry.put(parse_function(spec.as_bytes()).unwrap()).await.unwrap();
        let address = control_plane.address;
        let client = std::thread::spawn(move || {
            let stream = TcpStream::connect(address).unwrap();
            // An answer that does not come ends the test.
            stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
            let mut stream = BufReader::new(stream);
            invoke(&mut stream, WARM_UP);
            let (before, calls) = ([counts(SCHEDULER), counts(GATEWAY)], HTTP_CALLS.load(Ordering::Relaxed));
            invoke(&mut stream, INVOCATIONS);
            let (after, calls) =
                ([counts(SCHEDULER), counts(GATEWAY)], HTTP_CALLS.load(Ordering::Relaxed) - calls);
            assert_eq!(calls, if frames { 0 } else { INVOCATIONS }, "calls over HTTP/1.1");
            [0, 1].map(|at| (after[at].0 - before[at].0, after[at].1 - before[at].1))
        });
        while !client.is_finished() {
            // sleep: the control thread serves while the client's thread works.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        control_plane.stop(Duration::from_secs(5), UnreadResults::Drop).await.unwrap();
        client.join().unwrap()
    })
}

#[test]
fn the_scheduler_never_allocates_and_a_gateway_not_more_than_it_did() {
    for (frames, most) in [(false, HTTP_ALLOCATIONS_MAX), (true, FRAMES_ALLOCATIONS_MAX)] {
        for policy in POLICIES {
            assert_allocations(&policy, frames, most);
        }
    }
}

const POLICIES: [[&str; 4]; 3] = [
    // Every decision on the scheduler's own thread, awake and woken.
    ["--scheduler", "adaptive", "--gateway-ticks", "off"],
    ["--scheduler", "park", "--gateway-ticks", "off"],
    // And on the gateway's, where the scheduler's share counts as the gateway's.
    ["--scheduler", "park", "--gateway-ticks", "on"],
];

fn assert_allocations(policy: &[&str], frames: bool, most: f64) {
    let [scheduler, gateway] = measure(policy, frames);
    let per_invocation = gateway.0 as f64 / INVOCATIONS as f64;
    println!(
        "{policy:?}, frames {frames}: scheduler {scheduler:?} allocations and frees, gateway {per_invocation:.2} allocations per invocation (at most {most})"
    );
    assert_eq!(scheduler, (0, 0), "{policy:?}, frames {frames}: the scheduler used the allocator");
    assert!(
        per_invocation <= most,
        "{policy:?}, frames {frames}: a gateway allocates {per_invocation:.2} times per invocation"
    );
}
