//! A gateway with one function, and the scheduler that it talks to, without threads: whoever drives them
//! says when each has its turn.

#![allow(dead_code, reason = "each program that drives it uses a part")]

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use clap::Parser;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::{Builder, Parts};
use picofaas::internals::api::{Listener, ListenerKind, route};
use picofaas::internals::channel::{MESSAGES_MAX, MessageReceiver, mpsc};
use picofaas::internals::clock::Clock;
use picofaas::internals::config::{ServeArgs, Settings};
use picofaas::internals::function_version::FunctionVersion;
use picofaas::internals::gateway::{Gateway, GatewayContext, RequestHead};
use picofaas::internals::instance::{Address, InstanceKey, InstanceStart, Target, VersionIndex};
use picofaas::internals::messages::{ControlMessage, GatewaySenders};
use picofaas::internals::metrics::MetricsByGateway;
use picofaas::internals::registry::{limits, version};
use picofaas::internals::scheduler::{Capacity, Rings, ScheduledVersion, Scheduler, SchedulerCommand};
use picofaas::internals::spec::{ExecutionMode, parse_function};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The function's name.
pub(crate) const FUNCTION: &str = "echo";
/// A function with warm instances.
pub(crate) const WARM: &str =
    r#"{"name":"echo","executionMode":"WARM","local":{"command":["./echo"]},"timeoutMs":10000}"#;
/// A function with a process for each call.
pub(crate) const JOB: &str =
    r#"{"name":"echo","executionMode":"JOB","local":{"command":["./echo"]},"timeoutMs":10000}"#;

/// The listener at which calls come in.
pub(crate) const CLIENTS: Listener = Listener { kind: ListenerKind::Clients, is_loopback: true };

const VERSION: VersionIndex = 0;
const INSTANCE: InstanceKey = InstanceKey { version: VERSION, place: 0, generation: 1 };

/// Parts of a control plane.
pub(crate) struct World {
    /// It knows the function.
    pub gateway: Rc<Gateway>,
    /// Requests of the gateway to control.
    pub messages: MessageReceiver<ControlMessage>,
    /// It has the function to open, and the instance to take, at its next tick.
    pub scheduler: Box<Scheduler>,
    pub rings: Arc<Rings>,
    pub function: Arc<FunctionVersion>,
    pub clock: Clock,
}

/// The flags of `picofaas serve`.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

impl World {
    /// With the function that `spec` describes, and further `flags` of `picofaas serve`.
    pub(crate) fn new(spec: &str, flags: &[&str]) -> Self {
        let whole = [&["picofaas", "--scheduler", "park", "--gateway-ticks", "on"], flags].concat();
        let settings = Arc::new(Settings::new(Flags::parse_from(whole).serve).expect("settings"));
        let capacity = Capacity { gateways: 1, slots: settings.flags.max_executions, versions: 16 };
        let rings = Arc::new(Rings::new(capacity).expect("rings"));
        let (gateways, _) = GatewaySenders::new(1);
        let (control, messages) = mpsc::channel(MESSAGES_MAX);
        let clock = Clock::start();
        let gateway = Gateway::new(GatewayContext {
            index: 0,
            rings: rings.clone(),
            clock,
            settings,
            incarnation: 1,
            gateways,
            control,
        });
        let function = Arc::new(version(
            parse_function(spec.as_bytes()).expect("a function"),
            VERSION,
            Arc::new(MetricsByGateway::new(1)),
        ));
        gateway.learn(function.clone(), Rc::default(), Arc::default());
        gateway.publish(FUNCTION.to_owned(), VERSION);
        let scheduler = Box::new(Scheduler::new(rings.clone(), 1));
        let version =
            Box::new(ScheduledVersion::new(VERSION, function.queue.clone(), limits(&function.spec)));
        rings.send_command(SchedulerCommand::Open { version }).expect("room for a command");
        let world = Self { gateway: Rc::new(gateway), messages, scheduler, rings, function, clock };
        if world.function.spec.execution_mode == ExecutionMode::Job {
            // A place that is always there, in which each attempt has its process.
            world.ready();
        }
        world
    }

    /// Gives the function an instance that listens on a Unix socket.
    pub(crate) fn start_instance(&self, socket: PathBuf) {
        let address = Address::new(
            INSTANCE.generation,
            InstanceStart::default(),
            Target::Unix(socket),
            "localhost",
            "/invoke",
        );
        self.function.addresses[0].store(Some(Arc::new(address)));
        self.ready();
    }

    fn ready(&self) {
        let ready = SchedulerCommand::Ready { instance: INSTANCE, started: false };
        self.rings.send_command(ready).expect("room for a command");
    }

    /// Leaves the scheduler in the rings, as its thread does before it parks: the gateway ticks from now on.
    pub(crate) fn leave_idle_scheduler(self) -> (Rc<Gateway>, MessageReceiver<ControlMessage>) {
        let Self { gateway, messages, mut scheduler, rings, .. } = self;
        while scheduler.tick(1).more {}
        // Its thread is not there to be woken for a timer, and so is never asked to.
        rings.wakes_at.store(0, Ordering::Relaxed);
        rings.idle_scheduler.store(Some(scheduler));
        rings.doorbell.fall_asleep();
        (gateway, messages)
    }

    /// Has the scheduler do all that there is to do.
    pub(crate) fn tick(&mut self) {
        while self.scheduler.tick(self.clock.now()).more {}
    }
}

/// The head of a call, as a client of usual habits sends it.
pub(crate) fn head(verb: &str) -> Builder {
    Request::post(format!("/v1/functions/{FUNCTION}{verb}"))
        .header(HOST, "127.0.0.1:8080")
        .header(CONTENT_TYPE, "application/json")
        .header("user-agent", "instructions/1")
        .header("accept", "*/*")
}

/// A head that was built.
pub(crate) fn parts(head: Builder) -> Parts {
    head.body(()).expect("a request").into_parts().0
}

/// The head with its call.
pub(crate) fn routed(parts: &Parts) -> RequestHead<'_> {
    let call = route(&parts.method, parts.uri.path()).expect("a call");
    RequestHead { listener: CLIENTS, call, parts }
}

/// Polls a future that nobody will be woken for.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
