//! A gateway: one thread that admits, sends and answers invocations, and owns their executions.
//!
//! | file | holds |
//! |---|---|
//! | `thread` | the thread: its runtime, listeners, messages, sweep and drain, and what it does before it sleeps |
//! | `context` | its surroundings: rings, settings, the ways to the other gateways and to control |
//! | `calls` | the checks of a request by its listener, and who answers it: this gateway, another one, or control |
//! | `admit` | `admit`, `enqueue`: a request becomes an execution or is refused (full queue, idempotency key), and its ticket goes on the queue |
//! | `body` | the body of a request, from wherever it came |
//! | `dispatch` | `dispatch`: commands of the scheduler, and the attempts that they begin and stop |
//! | `frames` | attempts over connections that carry many: the offer to an instance, and the task of a connection |
//! | `complete` | `complete`: results of attempts, and the other ends of executions |
//! | `job_calls` | the calls of a `JOB`'s process: it fetches its input and posts its result |
//! | `announcements` | the call of a pod that listens, passed on to control |
//! | `execution_calls` | an execution by its id: read or cancelled |
//! | `request_lines` | a line for each request, for a person who looks on |
//! | `waiting` | `reply`: the wait of a client for the end of an execution; dropped, the client has left |
//! | `web` | requests for functions at `/fn/{name}`, as they are |
//! | `watch` | for readers of logs: the function of an execution, and when it has ended |

mod admit;
mod announcements;
pub(crate) mod body;
pub(crate) mod calls;
mod complete;
pub(crate) mod context;
mod dispatch;
mod execution_calls;
mod frames;
mod job_calls;
mod request_lines;
pub(crate) mod thread;
mod waiting;
mod watch;
mod web;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};

use fnv::FnvHashMap;
use slab::Slab;

use crate::api::host::KnownHost;
use crate::api::response::receipt::ReplyMemory;
use crate::channel::MessageSender;
use crate::clock::Clock;
use crate::config::Settings;
use crate::dispatch::pool::frames::frame_connection::FrameConnection;
use crate::dispatch::pool::instance_pools::{IdleConnections, InstancePools};
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::gateway::context::GatewayContext;
use crate::instance::VersionIndex;
use crate::messages::control_message::ControlMessage;
use crate::messages::gateway_senders::GatewaySenders;
use crate::scheduler::message::GatewayEvent;
use crate::scheduler::rings::{GatewayRings, Rings};
use crate::slowest::Slowest;
use crate::store::execution_store::{ExecutionStore, StoreCounts, StoreLimits};
use crate::store::executions::Executions;
use crate::store::function_entry::FunctionEntry;
use crate::store::slow_execution::SlowExecution;

use crate::server::request_body::Reading;

/// One gateway's world. It never leaves its thread; nothing in it is locked.
///
/// A `RefCell` here is borrowed for a few lines at a time and never across an `await`.
#[derive(Debug)]
pub struct Gateway {
    index: usize,
    rings: Arc<Rings>,
    clock: Clock,
    settings: Arc<Settings>,
    incarnation: u32,
    gateways: GatewaySenders,
    control: MessageSender<ControlMessage>,
    /// No new invocation is admitted.
    draining: Cell<bool>,
    /// Counts what happened to executions: the park hook polls on for a while after it changed.
    activity: Cell<u64>,
    /// Counts how often more than one execution was under way at once.
    crowded: Cell<u64>,
    /// See [`Reading`].
    reading: Reading,
    /// See [`KnownHost`].
    known_host: KnownHost,
    /// The executions that it owns.
    pub executions: Executions,
    /// By name. The keys of these maps are operators' and control's, so that a plain hash will do: a client can only
    /// look for one of its choice.
    functions: RefCell<FnvHashMap<String, Rc<FunctionEntry>>>,
    /// Functions that are to come, and the answer to their calls until then.
    awaited: RefCell<FnvHashMap<String, Box<ApiError>>>,
    versions: RefCell<FnvHashMap<VersionIndex, Rc<InstancePools>>>,
    idle_connections: Rc<IdleConnections>,
    /// Connections that carry many attempts.
    frame_connections: RefCell<Slab<Rc<FrameConnection>>>,
    /// See [`request_lines`].
    request_lines: request_lines::RequestLines,
    /// Memory for answers to `:invoke`.
    replies: RefCell<ReplyMemory>,
    /// Events that found their ring full; sent before any other.
    unsent: RefCell<std::collections::VecDeque<GatewayEvent>>,
    /// Wakes the task of [`Self::take_turns`].
    turn: RefCell<Option<Waker>>,
    /// The task was woken to poke the scheduler.
    is_poke_due: Cell<bool>,
    /// Connections whose protocol was changed, and that are open.
    web_connections: Cell<usize>,
    /// How many are open or asked for, over all versions of a function, by its name.
    upgrade_places: RefCell<FnvHashMap<String, Rc<Cell<u32>>>>,
}

impl Gateway {
    /// A gateway that knows no function yet.
    #[must_use]
    pub fn new(context: GatewayContext) -> Self {
        let GatewayContext { index, rings, clock, settings, incarnation, gateways, control } = context;
        let flags = &settings.flags;
        let retention = u64::try_from(settings.retention().as_nanos()).unwrap_or(u64::MAX);
        let bytes_max = settings.share(flags.max_payload_bytes, index);
        let limits = StoreLimits {
            slots: settings.share(flags.max_executions, index),
            bytes_max,
            reserved_output: flags.reserved_output.min(flags.max_output),
            retention,
        };
        let signals = rings.gateways[index].signals.clone();
        let store = ExecutionStore::new(u8::try_from(index).unwrap_or(u8::MAX), incarnation, limits, signals);
        Self {
            index,
            rings,
            clock,
            settings,
            incarnation,
            gateways,
            control,
            draining: Cell::new(false),
            activity: Cell::new(0),
            crowded: Cell::new(0),
            reading: Reading::new(bytes_max),
            known_host: KnownHost::default(),
            executions: Executions::new(store),
            functions: RefCell::default(),
            awaited: RefCell::default(),
            versions: RefCell::default(),
            idle_connections: Rc::default(),
            frame_connections: RefCell::default(),
            request_lines: request_lines::RequestLines::default(),
            replies: RefCell::default(),
            unsent: RefCell::default(),
            turn: RefCell::default(),
            is_poke_due: Cell::new(false),
            web_connections: Cell::new(0),
            upgrade_places: RefCell::default(),
        }
    }

    /// Knows a version of a function: grants for it may come from now on. `held` counts the bytes
    /// that executions of all its versions hold on this gateway, `slowest` records the slowest of them.
    pub fn learn(
        &self,
        function: Arc<FunctionVersion>,
        held: Rc<Cell<usize>>,
        slowest: Arc<Slowest<SlowExecution>>,
    ) {
        let index = function.index;
        let entry = Rc::new(FunctionEntry::new(function, self.index, held, slowest));
        let pools = InstancePools::new(entry, self.idle_connections.clone());
        self.versions.borrow_mut().insert(index, Rc::new(pools));
    }

    /// Serves a version that it knows under this name, in the place of another one where there was one.
    pub fn publish(&self, name: String, version: VersionIndex) {
        let entry = self.versions.borrow().get(&version).map(|pools| pools.entry.clone());
        if let Some(entry) = entry {
            let before = self.functions.borrow_mut().insert(name, entry);
            if let Some(before) = before.filter(|before| before.function.index != version) {
                before.web_connections.close();
            }
        }
    }

    /// Has connections whose protocol was changed close, of all versions.
    fn close_web_connections(&self) {
        self.versions.borrow().values().for_each(|pools| pools.entry.web_connections.close());
    }

    /// Answers calls of a function that is not there yet with this reason; with none, as of any unknown name.
    fn await_function(&self, name: String, reason: Option<Box<ApiError>>) {
        let mut awaited = self.awaited.borrow_mut();
        match reason {
            Some(reason) => drop(awaited.insert(name, reason)),
            None => drop(awaited.remove(&name)),
        }
    }

    /// The rings of this gateway.
    #[must_use]
    fn own_rings(&self) -> &GatewayRings {
        &self.rings.gateways[self.index]
    }

    /// Largest output of a function, in bytes.
    #[must_use]
    fn output_max(&self) -> usize {
        self.settings.flags.max_output
    }

    /// Time after which a refused client may come back, in seconds (1 … 60): when what waits for the
    /// function will have ended, at the rate at which this gateway's executions of it have been
    /// ending, which is its part of all.
    #[must_use]
    fn retry_after_s(&self, entry: &FunctionEntry) -> u32 {
        entry.drains_in_s(entry.function.queue.depth().div_ceil(self.settings.gateways))
    }

    /// Tells the scheduler, or keeps it until there is room.
    fn tell(&self, event: GatewayEvent) {
        let mut unsent = self.unsent.borrow_mut();
        while let Some(first) = unsent.front() {
            if self.rings.gateway_events.push(*first).is_err() {
                unsent.push_back(event);
                return;
            }
            unsent.pop_front();
        }
        if let Err(event) = self.rings.gateway_events.push(event) {
            unsent.push_back(event);
        }
    }

    /// Sends the events that found their ring full, as far as there is room now.
    fn flush_unsent(&self) {
        let mut unsent = self.unsent.borrow_mut();
        if unsent.is_empty() {
            return;
        }
        while let Some(first) = unsent.front() {
            if self.rings.gateway_events.push(*first).is_err() {
                break;
            }
            unsent.pop_front();
        }
        self.rings.wake_scheduler();
    }

    /// After something was published for the scheduler: wakes its thread, or runs it here.
    ///
    /// Grants are taken here in any case: a gateway whose run queue never empties
    /// does not come to its park hook, and would leave commands on their ring.
    fn poke(self: &Rc<Self>) {
        self.is_poke_due.set(false);
        self.wake_or_tick();
        self.take_commands();
    }

    /// Does what [`Self::poke`] does once for all who ask before the task of [`Self::take_turns`] has its turn. That
    /// comes behind everything that is ready now, as the writes to instances do: a batch of requests costs a tick,
    /// and not each of them. A scheduler that is on another core is woken at once.
    fn poke_soon(self: &Rc<Self>) {
        if self.settings.gateway_ticks && self.wake_turn() {
            self.is_poke_due.set(true);
        } else {
            self.poke();
        }
    }

    /// Does now what [`Self::poke_soon`] was asked for. Answers whether there was something to do.
    fn poke_if_due(self: &Rc<Self>) -> bool {
        let is_due = self.is_poke_due.get();
        if is_due {
            self.poke();
        }
        is_due
    }

    /// Wakes the task of [`Self::take_turns`]. Answers whether there is one.
    fn wake_turn(&self) -> bool {
        let turn = self.turn.borrow();
        if !self.is_poke_due.get()
            && let Some(turn) = &*turn
        {
            turn.wake_by_ref();
        }
        turn.is_some()
    }

    /// The task that pokes the scheduler for those who let that wait, and carries out its commands, also when the
    /// doorbell rings.
    ///
    /// # Errors
    /// If the doorbell cannot be polled.
    pub fn take_turns(self: Rc<Self>) -> std::io::Result<impl Future<Output = ()>> {
        let polled = self.own_rings().eventfd.polled_end()?;
        Ok(poll_fn(move |cx| {
            if !self.turn.borrow().as_ref().is_some_and(|turn| turn.will_wake(cx.waker())) {
                self.turn.replace(Some(cx.waker().clone()));
            }
            if !self.poke_if_due() {
                self.take_commands();
            }
            // Edge-triggered and never read: see `EventFd`.
            while let Poll::Ready(Ok(mut ready)) = polled.poll_read_ready(cx) {
                ready.clear_ready();
                self.take_commands();
            }
            Poll::Pending
        }))
    }

    fn wake_or_tick(&self) {
        if self.settings.gateway_ticks {
            self.rings.wake_or_tick(|| self.clock.now());
        } else {
            self.rings.wake_scheduler();
        }
    }

    /// Something happened to an execution: tells control how much is going on.
    fn publish_gauges(&self) {
        self.activity.set(self.activity.get().wrapping_add(1));
        let StoreCounts { queued, running, unread, kept } = self.executions.borrow().counts();
        let gauges = &self.own_rings().gauges;
        let live = queued + running;
        if live > 1 {
            self.crowded.set(self.crowded.get().wrapping_add(1));
        }
        gauges.live.store(live + self.web_connections.get(), Ordering::Relaxed);
        gauges.unread.store(unread, Ordering::Relaxed);
        gauges.retained.store(kept, Ordering::Relaxed);
    }

    /// Whether the only thing to wait for is a grant: then it may be spun for.
    #[must_use]
    fn waits_for_grants_only(&self) -> bool {
        let StoreCounts { queued, running, .. } = self.executions.borrow().counts();
        queued > 0 && running == 0
    }
}
