//! The thread of a gateway: its runtime, its listener, its messages, the scheduler's commands, its sleep.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::LocalOptions;
use tokio::task::AbortHandle;

use super::Gateway;
use super::calls::{answer, answer_told, serve_routed};
use super::web;
use super::web::is_web;
use crate::api::listener::{Listener, ListenerKind};
use crate::channel;
use crate::channel::{AnswerSender, MessageReceiver};
use crate::clock::{Clock, Nanos};
use crate::gateway::context::GatewayContext;
use crate::messages::gateway_message::GatewayMessage;
use crate::scheduler::rings::Rings;
use crate::server::connections::{Connections, SWEEP_PERIOD};

/// Period in which kept executions are looked through for those whose time is over.
const EXPIRE_PERIOD: Duration = Duration::from_secs(1);

/// Period of the looks whether the connections are through, at the end of the process alone.
const END_LOOK: Duration = Duration::from_millis(5);
/// Time for clients to close at the end, and for requests that are still being read.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A gateway polls instead of sleeping where for this long (ns) there was no second execution
/// beside another.
const LONELY: Nanos = 10_000_000;

/// The parts that a gateway's thread is started with.
#[derive(Debug)]
pub(crate) struct Start {
    /// The surroundings of the gateway.
    pub context: GatewayContext,
    /// The listener of clients.
    pub listener: StdListener,
    /// The listener of processes of `JOB` functions: one gateway serves them all.
    pub runtime_listener: Option<StdListener>,
    /// Messages to this gateway.
    pub messages: MessageReceiver<GatewayMessage>,
}

/// The world of the park hook; it has no argument, so it finds this in its thread.
struct Hook {
    rings: Arc<Rings>,
    index: usize,
    clock: Clock,
    spin: Nanos,
    poll_spin: Nanos,
    /// The gateway's activity when it last changed, and the time of that.
    last_activity: Cell<(u64, Nanos)>,
    /// The gateway's count of being crowded when it last changed, and the time of that.
    last_crowd: Cell<(u64, Nanos)>,
    gateway: RefCell<Option<Rc<Gateway>>>,
}

thread_local! {
    static HOOK: RefCell<Option<Rc<Hook>>> = const { RefCell::new(None) };
}

/// Runs a gateway until it was told to finish.
///
/// # Errors
/// If the runtime cannot be made, or the listener not be polled.
pub(crate) fn run(start: Start) -> std::io::Result<()> {
    let hook = Rc::new(Hook {
        rings: start.context.rings.clone(),
        index: start.context.index,
        clock: start.context.clock,
        spin: start.context.settings.flags.grant_spin_us * 1000,
        poll_spin: start.context.settings.poll_spin(),
        last_activity: Cell::new((0, 0)),
        last_crowd: Cell::new((0, 0)),
        gateway: RefCell::new(None),
    });
    HOOK.set(Some(hook.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(|| {
            HOOK.with_borrow(|hook| hook.as_ref().map(|hook| hook.before_park())).unwrap_or(())
        })
        .on_thread_unpark(|| {
            HOOK.with_borrow(|hook| hook.as_ref().map(|hook| hook.after_park())).unwrap_or(())
        })
        .build_local(LocalOptions::default())?;
    let result = runtime.block_on(serve(start, &hook));
    HOOK.set(None);
    hook.gateway.replace(None);
    result
}

impl Hook {
    /// The gateway is about to sleep in its poll: it says so, and looks once more.
    fn before_park(&self) {
        let end = &self.rings.gateways[self.index];
        let alone = self.gateway.borrow().as_ref().is_some_and(|gateway| {
            gateway.flush_unsent();
            gateway.waits_for_grants_only()
        });
        if alone && self.spin > 0 {
            let until = self.clock.now() + self.spin;
            while end.commands.is_empty() && self.clock.now() < until {
                std::hint::spin_loop();
            }
        }
        if self.polls_on() {
            // With a task to run, the runtime polls without sleeping and comes back here.
            self.wake_grants();
            return;
        }
        end.doorbell.fall_asleep();
        if !end.commands.is_empty() {
            end.doorbell.wake_up();
            self.wake_grants();
        }
    }

    /// Whether to poll once more instead of falling asleep: something happened a moment ago, and
    /// for a while there has been no more than one execution at once. A lone request then costs no
    /// sleep and no wake on its way; among several, polling would take the CPU from those who are
    /// waited for.
    fn polls_on(&self) -> bool {
        if self.poll_spin == 0 {
            return false;
        }
        let gateway = self.gateway.borrow();
        let Some(gateway) = gateway.as_ref() else { return false };
        let now = self.clock.now();
        let crowd = last_change(&self.last_crowd, gateway.crowded.get(), now);
        let activity = last_change(&self.last_activity, gateway.activity.get(), now);
        now - crowd > LONELY && now - activity < self.poll_spin
    }

    fn wake_grants(&self) {
        if let Some(gateway) = self.gateway.borrow().as_ref() {
            gateway.wake_turn();
        }
    }

    fn after_park(&self) {
        self.rings.gateways[self.index].doorbell.wake_up();
    }
}

/// The time at which a count was last seen to have changed.
fn last_change(known: &Cell<(u64, Nanos)>, count: u64, now: Nanos) -> Nanos {
    let (seen, since) = known.get();
    if seen == count {
        return since;
    }
    known.set((count, now));
    now
}

async fn serve(start: Start, hook: &Rc<Hook>) -> std::io::Result<()> {
    let Start { context, listener, runtime_listener, messages } = start;
    let (clock, settings) = (context.clock, context.settings.clone());
    let flags = &settings.flags;
    let connections = Connections::new(clock, flags, settings.share(flags.max_connections, context.index));
    let runtimes = Connections::new(clock, flags, flags.max_connections);
    let gateway = Rc::new(Gateway::new(context));
    hook.gateway.replace(Some(gateway.clone()));

    tokio::task::spawn_local(gateway.clone().take_turns()?);
    tokio::task::spawn_local(sweep(gateway.clone(), connections.clone(), runtimes.clone()));
    let accepting = accept(&gateway, &connections, ListenerKind::Clients, listener)?;
    if let Some(listener) = runtime_listener {
        accept(&gateway, &runtimes, ListenerKind::Runtimes, listener)?;
    }
    take_messages(&gateway, &connections, messages).await;
    accepting.abort();
    Ok(())
}

/// Serves who comes in by one listener.
fn accept(
    gateway: &Rc<Gateway>,
    connections: &Rc<Connections>,
    kind: ListenerKind,
    socket: StdListener,
) -> std::io::Result<AbortHandle> {
    let listener = Listener::new(kind, socket.local_addr()?.ip());
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let gateway = gateway.clone();
    let is_told = kind == ListenerKind::Clients && gateway.settings.request_line.is_some();
    let handle = move |request, peer| {
        let gateway = gateway.clone();
        async move {
            if kind == ListenerKind::Clients && is_web(&gateway, &request) {
                // In a box, so that a call has no more to carry.
                Box::pin(web::answer(gateway, listener, peer, request, is_told)).await
            } else if is_told {
                // In a box, so that where nobody looks on a request has no more to carry.
                Box::pin(answer_told(&gateway, listener, request)).await
            } else {
                answer(&gateway, listener, request).await
            }
        }
    };
    Ok(tokio::task::spawn_local(connections.clone().serve(socket, handle)).abort_handle())
}

async fn sweep(gateway: Rc<Gateway>, connections: Rc<Connections>, runtimes: Rc<Connections>) {
    let mut tick = tokio::time::interval(SWEEP_PERIOD);
    let mut since_expiry = Duration::ZERO;
    loop {
        tick.tick().await;
        connections.sweep();
        runtimes.sweep();
        gateway.take_commands();
        gateway.tell_untold(gateway.clock.now());
        gateway.own_rings().gauges.connections.store(connections.count(), Ordering::Relaxed);
        since_expiry += SWEEP_PERIOD;
        if since_expiry >= EXPIRE_PERIOD {
            since_expiry = Duration::ZERO;
            let now = gateway.clock.now();
            while gateway.executions.borrow_mut().expire(now) {
                tokio::task::yield_now().await;
            }
            gateway.publish_gauges();
            let versions = gateway.versions.borrow();
            gateway.idle_connections.sweep(gateway.clock.now(), |version| versions.get(&version).cloned());
        }
    }
}

/// Handles messages until control says to stop. None is waited over: another gateway's client may
/// wait for the next one.
async fn take_messages(
    gateway: &Rc<Gateway>,
    connections: &Rc<Connections>,
    mut messages: MessageReceiver<GatewayMessage>,
) {
    // Bytes held by a function are counted over its versions.
    let mut bytes: HashMap<String, Rc<Cell<usize>>> = HashMap::new();
    while let Some(message) = messages.recv().await {
        match message {
            GatewayMessage::Learn { function, slowest, done } => {
                let held = bytes.entry(function.spec.name.to_string()).or_default().clone();
                gateway.learn(function, held, slowest[gateway.index].clone());
                channel::answer(done, ());
            }
            GatewayMessage::Publish { name, version, done } => {
                gateway.publish(name, version);
                channel::answer(done, ());
            }
            GatewayMessage::Withdraw { name, done } => {
                let entry = gateway.functions.borrow_mut().remove(&name);
                if let Some(entry) = entry {
                    entry.web_connections.close();
                }
                gateway.executions.borrow_mut().forget_keys(&name);
                gateway.upgrade_places.borrow_mut().remove(&name);
                bytes.remove(&name);
                channel::answer(done, ());
            }
            GatewayMessage::Await { name, reason, done } => {
                gateway.await_function(name, reason);
                channel::answer(done, ());
            }
            GatewayMessage::Forget { version } => {
                gateway.versions.borrow_mut().remove(&version);
            }
            GatewayMessage::Serve { request, answer } => {
                let gateway = gateway.clone();
                tokio::task::spawn_local(async move {
                    channel::answer_with(answer, serve_routed(&gateway, *request)).await;
                });
            }
            GatewayMessage::List { search, answer } => {
                channel::answer(answer, gateway.executions.borrow().list(&search))
            }
            GatewayMessage::Watch { id, found, ended } => gateway.watch(&id, found, ended),
            GatewayMessage::Drain { done } => {
                gateway.draining.set(true);
                gateway.close_web_connections();
                gateway.publish_gauges();
                channel::answer(done, ());
            }
            GatewayMessage::Finish { answers, done } => {
                tokio::task::spawn_local(finish(gateway.clone(), connections.clone(), answers, done));
            }
            GatewayMessage::Stop => return,
        }
    }
}

/// Looks again and again whether something holds.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(END_LOOK).await;
    }
}

/// The end of the drain: who still waits is answered, and the connections close. One that takes its answer slowly
/// has as long as `answers` for the rest of it.
async fn finish(
    gateway: Rc<Gateway>,
    connections: Rc<Connections>,
    answers: Duration,
    done: AnswerSender<()>,
) {
    let ended = gateway.end_everything();
    if ended > 0 {
        tracing::warn!(executions = ended, "ended as SHUTTING_DOWN at the end of the drain time");
    }
    connections.finish();
    // Answers that were just given still have to be written. Connections that are not through by the end of each
    // patience are closed as they are.
    let _ = tokio::time::timeout(LAST_WORDS, until(|| connections.count() == 0)).await;
    let _ = tokio::time::timeout(answers, until(|| !connections.is_writing())).await;
    connections.close();
    channel::answer(done, ());
}
