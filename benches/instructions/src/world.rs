//! A gateway with one function, the scheduler and the clock, all in this thread.

#![expect(unsafe_code, reason = "the clock of libc is replaced by one that nothing but the program moves")]

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use clap::Parser;
use picofaas::internals::channel::{MESSAGES_MAX, MessageReceiver, mpsc};
use picofaas::internals::clock::Clock;
use picofaas::internals::config::{ServeArgs, Settings};
use picofaas::internals::function_version::FunctionVersion;
use picofaas::internals::gateway::{Gateway, GatewayContext};
use picofaas::internals::instance::{Address, InstanceKey, Target, VersionIndex};
use picofaas::internals::messages::{ControlMessage, GatewaySenders};
use picofaas::internals::metrics::MetricsByGateway;
use picofaas::internals::registry::{limits, version};
use picofaas::internals::scheduler::{Capacity, Rings, ScheduledVersion, Scheduler, SchedulerCommand};
use picofaas::internals::spec::parse_function;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::LocalRuntime;

/// The function's name.
pub(crate) const FUNCTION: &str = "echo";
/// The body of each call: 40 bytes.
pub(crate) const INPUT: Bytes = Bytes::from_static(br#"{"input":{"text":"hello", "number":1234}}"#);
/// Result that a process posts.
pub(crate) const OUTPUT: Bytes =
    Bytes::from_static(br#"{"success":true,"output":{"text":"hello"},"status":200}"#);
/// Answer of an instance.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"text\":\"hello\"}";

/// A function with a warm instance.
pub(crate) const WARM: &str =
    r#"{"name":"echo","executionMode":"WARM","local":{"command":["./echo"]},"timeoutMs":10000}"#;
/// A function with a process for each call.
pub(crate) const JOB: &str =
    r#"{"name":"echo","executionMode":"JOB","local":{"command":["./echo"]},"timeoutMs":10000}"#;

const VERSION: VersionIndex = 0;

/// Parts of a control plane that the cases drive.
pub(crate) struct World {
    /// It knows the function, and runs the scheduler.
    pub gateway: Rc<Gateway>,
    /// Requests of the gateway to control.
    pub messages: MessageReceiver<ControlMessage>,
}

/// The flags of `picofaas serve`.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

impl World {
    /// With the function that `spec` describes and, where it is to be warm, its instance.
    pub(crate) fn new(runtime: &LocalRuntime, spec: &str) -> Self {
        let flags = Flags::parse_from(["picofaas", "--scheduler", "park", "--gateway-ticks", "on"]).serve;
        let settings = Arc::new(Settings::new(flags).unwrap());
        let capacity = Capacity { gateways: 1, slots: settings.flags.max_executions, versions: 16 };
        let rings = Arc::new(Rings::new(capacity).unwrap());
        let (gateways, _) = GatewaySenders::new(1);
        let (control, messages) = mpsc::channel(MESSAGES_MAX);
        let gateway = Gateway::new(GatewayContext {
            index: 0,
            rings: rings.clone(),
            clock: Clock::start(),
            settings,
            incarnation: 1,
            gateways,
            control,
        });
        let function = Arc::new(version(
            parse_function(spec.as_bytes()).unwrap(),
            VERSION,
            Arc::new(MetricsByGateway::new(1)),
        ));
        gateway.learn(function.clone(), Rc::default());
        gateway.publish(FUNCTION.to_owned(), VERSION);
        let instance = InstanceKey { version: VERSION, place: 0, generation: 1 };
        if function.spec.execution_mode == picofaas::internals::spec::ExecutionMode::Warm {
            let path = socket();
            let address =
                Address::new(instance.generation, Target::Unix(path.clone()), "localhost", "/invoke");
            function.addresses[0].store(Some(Arc::new(address)));
            let bind = async { UnixListener::bind(path).unwrap() };
            runtime.spawn_local(serve(runtime.block_on(bind)));
        }
        leave_idle_scheduler(&rings, &function, instance);
        Self { gateway: Rc::new(gateway), messages }
    }
}

/// Leaves a scheduler that has the function open in the rings, as its thread does before it parks.
fn leave_idle_scheduler(rings: &Arc<Rings>, function: &FunctionVersion, instance: InstanceKey) {
    let mut scheduler = Box::new(Scheduler::new(rings.clone(), 1));
    let version = Box::new(ScheduledVersion::new(VERSION, function.queue.clone(), limits(&function.spec)));
    for command in [SchedulerCommand::Open { version }, SchedulerCommand::Ready { instance, started: false }]
    {
        rings.send_command(command).unwrap();
    }
    while scheduler.tick(1).more {}
    // Its thread is not there to be woken for a timer, and so is never asked to.
    rings.wakes_at.store(0, Ordering::Relaxed);
    rings.idle_scheduler.store(Some(scheduler));
    rings.doorbell.fall_asleep();
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
