//! The threads of the invoke path: the gateways and the scheduler.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Context as _;

use crate::channel::{AnswerReceiver, MessageSender, oneshot};
use crate::clock::Clock;
use crate::config::Settings;
use crate::cpu;
use crate::gateway::context::GatewayContext;
use crate::gateway::thread::{self as gateway_thread, Start};
use crate::id::Entropy;
use crate::messages::control_message::ControlMessage;
use crate::messages::gateway_senders::GatewaySenders;
use crate::scheduler::rings::Rings;
use crate::scheduler::thread as scheduler_thread;
use crate::scheduler::tick::Scheduler;

/// The role of a thread; told to [`ThreadHook`] on the thread itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves clients.
    Gateway,
    /// Decides.
    Scheduler,
}

/// Called first on each thread, e.g. by a test that counts what the thread allocates.
pub(crate) type ThreadHook = fn(Role);

/// A thread that was started.
pub(crate) struct Thread<T> {
    handle: JoinHandle<T>,
    /// Dropped by the thread at its end.
    ended: AnswerReceiver<()>,
}

impl<T: Send + 'static> Thread<T> {
    /// Starts one. A panic on it ends the process: without its scheduler or its gateway that is worth
    /// nothing, and better restarted.
    fn start(name: &str, run: impl FnOnce() -> T + Send + 'static) -> std::io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _end = end;
            let _fatal = AbortOnPanic;
            run()
        })?;
        Ok(Self { handle, ended })
    }

    /// Waits for its end and returns its result.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn join(self) -> std::thread::Result<T> {
        // An error, as nothing is sent.
        let _ = self.ended.await;
        self.handle.join()
    }
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// The thread of a gateway.
pub(crate) type GatewayThread = Thread<std::io::Result<()>>;

/// Parts of a gateway that all of them share.
pub(super) struct GatewayParts {
    pub(super) rings: Arc<Rings>,
    pub(super) clock: Clock,
    pub(super) settings: Arc<Settings>,
    pub(super) incarnation: u32,
    pub(super) control: MessageSender<ControlMessage>,
}

impl GatewayParts {
    /// Starts a gateway for each listener. Returns their threads, and the ways to send them messages.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(
        &self,
        listeners: Vec<TcpListener>,
        runtime: TcpListener,
        hook: ThreadHook,
    ) -> anyhow::Result<(Vec<GatewayThread>, GatewaySenders)> {
        let (senders, receivers) = GatewaySenders::new(listeners.len());
        let mut threads = Vec::with_capacity(listeners.len());
        // The first gateway takes what processes of `JOB` functions ask for, and passes it on.
        let mut runtime_listener = Some(runtime);
        for (index, (listener, messages)) in listeners.into_iter().zip(receivers).enumerate() {
            let context = GatewayContext {
                index,
                rings: self.rings.clone(),
                clock: self.clock,
                settings: self.settings.clone(),
                incarnation: self.incarnation,
                gateways: senders.clone(),
                control: self.control.clone(),
            };
            let start = Start { context, listener, runtime_listener: runtime_listener.take(), messages };
            threads.push(start_gateway(start, hook)?);
        }
        Ok((threads, senders))
    }
}

fn start_gateway(start: Start, hook: ThreadHook) -> anyhow::Result<GatewayThread> {
    let name = format!("gateway-{}", start.context.index);
    let thread = Thread::start(&name, move || {
        hook(Role::Gateway);
        let ended = gateway_thread::run(start);
        if let Err(error) = &ended {
            tracing::error!(%error, "a gateway could not serve");
            std::process::abort();
        }
        ended
    });
    thread.with_context(|| format!("the thread {name} could not be started"))
}

/// The thread of the scheduler.
pub(crate) struct SchedulerThread {
    thread: Thread<()>,
    stop: Arc<AtomicBool>,
}

impl SchedulerThread {
    /// Starts it.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(
        rings: &Arc<Rings>,
        settings: &Settings,
        clock: Clock,
        hook: ThreadHook,
    ) -> anyhow::Result<Self> {
        if let Some(core) = settings.scheduler_core {
            cpu::stay_off(core);
        }
        let scheduler = Scheduler::new(rings.clone(), Entropy::new().u64());
        let (spin, core) = (settings.spin(), settings.scheduler_core);
        let stop = Arc::new(AtomicBool::new(false));
        let (its_rings, its_stop) = (rings.clone(), stop.clone());
        let thread = Thread::start("scheduler", move || {
            // Set before the first park, so that whoever finds it asleep can wake it.
            let _ = its_rings.thread.set(std::thread::current());
            hook(Role::Scheduler);
            scheduler_thread::run(&its_rings, scheduler, clock, spin, core, &its_stop);
        });
        Ok(Self { thread: thread.context("the scheduler's thread could not be started")?, stop })
    }

    /// Stops it and waits for its end.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn stop(self) -> std::thread::Result<()> {
        self.stop.store(true, Ordering::Release);
        // Once is enough: a park that begins after this returns at once, and is followed by a look at `stop`.
        self.thread.handle.thread().unpark();
        self.thread.join().await
    }
}
