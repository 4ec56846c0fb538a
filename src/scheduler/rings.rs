//! Every ring between the scheduler, the gateways and control, and the doorbells beside them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;

use super::message::{GatewayCommand, GatewayEvent, SchedulerCommand, SchedulerEvent};
use super::tick::{Scheduler, TickSummary};
use crate::clock::Nanos;
use crate::instance::VersionIndex;
use crate::metrics::{TICK_BUCKETS_NS, TickHistogramCells};
use crate::queue::doorbell::Doorbell;
use crate::queue::eventfd::EventFd;
use crate::queue::execution_signals::ExecutionSignals;
use crate::ticket::Ticket;

/// Sizes of every table and ring; fixed at start.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Gateways, 1 … 256.
    pub gateways: usize,
    /// Executions per gateway.
    pub slots: usize,
    /// Versions of functions that can be open at once.
    pub versions: usize,
}

/// The ring to one gateway and the words that it shares, and how the gateway is woken.
#[derive(Debug)]
pub struct GatewayRings {
    /// Pushed by the scheduler, popped by the gateway.
    pub commands: ArrayQueue<GatewayCommand>,
    /// Whether the gateway sleeps in its poll.
    pub doorbell: Doorbell,
    /// Wakes it.
    pub eventfd: EventFd,
    /// Written by the gateway at admit, see [`ExecutionSignals`].
    pub signals: Arc<[ExecutionSignals]>,
    /// Written by the gateway, read by control.
    pub gauges: GatewayGauges,
}

/// Gauges of a gateway for control; relaxed numbers, written by the gateway only.
#[derive(Debug, Default)]
pub struct GatewayGauges {
    /// Executions that are not over.
    pub live: AtomicUsize,
    /// Promised results that nobody has read yet.
    pub unread: AtomicUsize,
    /// Ended executions that can be read.
    pub retained: AtomicUsize,
    /// Open client connections.
    pub connections: AtomicUsize,
}

/// The rings between all threads. Each is preallocated and sized so that it cannot overflow:
///
/// | ring | from → to | capacity, and why it is enough |
/// |---|---|---|
/// | a function's queue | gateways → scheduler | `queueSize`: every entry holds a credit |
/// | `ready` | gateways → scheduler | 2 × versions: each is announced once, and once more by a closed predecessor |
/// | `gateway_events` | gateways → scheduler | 4 × slots: an end and a cancel for a ticket and its successor |
/// | a gateway's `commands` | scheduler → gateway | 4 × slots: a run, an abort and an end for a ticket, a run for its successor; the scheduler looks for room before it grants |
/// | `scheduler_commands` | control → scheduler | control keeps what does not fit |
/// | `scheduler_events` | scheduler → control | the scheduler keeps the version active where one does not fit |
pub struct Rings {
    /// See the table.
    pub capacity: Capacity,
    /// Functions with tickets on their ring.
    pub ready: ArrayQueue<VersionIndex>,
    /// From gateways.
    pub gateway_events: ArrayQueue<GatewayEvent>,
    /// From control.
    pub scheduler_commands: ArrayQueue<SchedulerCommand>,
    /// To control.
    pub scheduler_events: ArrayQueue<SchedulerEvent>,
    /// One per gateway.
    pub gateways: Box<[GatewayRings]>,
    /// Whether the scheduler thread is parked.
    pub doorbell: CachePadded<Doorbell>,
    /// Whether control sleeps in its poll.
    pub control_doorbell: Doorbell,
    /// Wakes control.
    pub control_eventfd: EventFd,
    /// The scheduler, while it is idle. The thread that takes it out owns it and may tick; the
    /// scheduler's own thread keeps it while it is awake.
    pub idle_scheduler: AtomicCell<Option<Box<Scheduler>>>,
    /// When the parked scheduler thread will wake by itself (ns). Written by the scheduler's
    /// owner; read again by the parked thread once it has fallen asleep, through the doorbell's fences.
    pub wakes_at: AtomicU64,
    /// Ticks so far, for the health check; written by the scheduler's owner.
    pub ticks: AtomicU64,
    /// Commands handled so far; written by the scheduler's owner, and read by control, which waits until its
    /// commands were handled (`Release` and `Acquire`).
    pub commands_handled: AtomicU64,
    /// Number of commands whose handling control waits for, or has waited for; written by control. The scheduler
    /// wakes control where that many have not been handled before (`SeqCst` on both, so that one sees the other).
    pub commands_awaited: AtomicU64,
    /// How long those ticks took that had something to do; written by the scheduler's owner.
    pub tick_times: CachePadded<TickHistogramCells>,
    /// The functions of a cluster were not read yet, so one that is not known may be there. Written by control
    /// (`Release`) when each is known to every gateway, and read by gateways (`Acquire`) for a name they do not
    /// know.
    pub registry_unread: AtomicBool,
    /// The scheduler thread, for unparking.
    pub thread: OnceLock<Thread>,
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rings").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// Commands to the scheduler that fit the ring at once.
const SCHEDULER_COMMANDS_MAX: usize = 4096;
/// Ticks on a gateway's thread before the scheduler's own thread goes on.
const TICKS_MAX: u32 = 16;
/// Events of the scheduler that fit the ring at once.
const SCHEDULER_EVENTS_MAX: usize = 4096;

impl Rings {
    /// Allocates every ring.
    ///
    /// # Errors
    /// The kernel gives no eventfd.
    pub fn new(capacity: Capacity) -> std::io::Result<Self> {
        let mut gateways = Vec::with_capacity(capacity.gateways);
        for _ in 0..capacity.gateways {
            gateways.push(GatewayRings {
                commands: ArrayQueue::new(4 * capacity.slots),
                doorbell: Doorbell::new(),
                eventfd: EventFd::new()?,
                signals: (0..capacity.slots).map(|_| ExecutionSignals::default()).collect(),
                gauges: GatewayGauges::default(),
            });
        }
        Ok(Self {
            capacity,
            ready: ArrayQueue::new(2 * capacity.versions),
            gateway_events: ArrayQueue::new(4 * capacity.slots * capacity.gateways),
            scheduler_commands: ArrayQueue::new(SCHEDULER_COMMANDS_MAX),
            scheduler_events: ArrayQueue::new(SCHEDULER_EVENTS_MAX),
            gateways: gateways.into_boxed_slice(),
            doorbell: CachePadded::new(Doorbell::new()),
            control_doorbell: Doorbell::new(),
            control_eventfd: EventFd::new()?,
            idle_scheduler: AtomicCell::new(None),
            wakes_at: AtomicU64::new(u64::MAX),
            ticks: AtomicU64::new(0),
            commands_handled: AtomicU64::new(0),
            commands_awaited: AtomicU64::new(0),
            registry_unread: AtomicBool::new(false),
            tick_times: CachePadded::default(),
            thread: OnceLock::new(),
        })
    }

    /// The signals of a ticket's execution.
    #[must_use]
    pub fn signals(&self, ticket: Ticket) -> &ExecutionSignals {
        &self.gateways[ticket.gateway()].signals[ticket.slot()]
    }

    /// Whether anything waits for the scheduler on a ring.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.gateway_events.is_empty() || !self.scheduler_commands.is_empty()
    }

    /// Wakes the scheduler's thread where it sleeps, after something was published for it.
    pub fn wake_scheduler(&self) {
        if self.doorbell.must_wake() {
            self.unpark();
        }
    }

    /// One tick of the scheduler by its owner. A tick that had something to do is timed.
    pub fn tick(&self, scheduler: &mut Scheduler, now: impl Fn() -> Nanos) -> TickSummary {
        let began = now();
        let summary = scheduler.tick(began);
        if summary.work > 0 {
            self.tick_times.observe(&TICK_BUCKETS_NS, now().saturating_sub(began));
        }
        summary
    }

    /// Runs the scheduler on the caller's thread while its own thread is parked and no other
    /// producer runs it; where that thread is awake, it will see what was published.
    /// `now` is asked before each tick, and after one that did something.
    ///
    /// Two producers may meet here: the one that finds no idle scheduler relies on the other
    /// to look at the rings again after giving it back, which is what the loop does.
    pub fn wake_or_tick(&self, now: impl Fn() -> Nanos) {
        while self.doorbell.is_asleep() {
            let Some(mut scheduler) = self.idle_scheduler.take() else { return };
            let mut summary = self.tick(&mut scheduler, &now);
            let mut ticks = 1;
            while summary.more && ticks < TICKS_MAX {
                summary = self.tick(&mut scheduler, &now);
                ticks += 1;
            }
            // The thread may be between giving the scheduler back and falling asleep, where a wake
            // is lost on it; it reads this time after it has fallen asleep.
            let sooner = summary.next_wake < self.wakes_at.load(Ordering::Relaxed);
            if sooner {
                self.wakes_at.store(summary.next_wake, Ordering::Relaxed);
            }
            self.idle_scheduler.store(Some(scheduler));
            if sooner || summary.more {
                self.wake_scheduler();
                return;
            }
            if !self.has_work() {
                return;
            }
        }
    }

    /// Wakes the scheduler's thread out of its park.
    pub fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Control: sends a command; it comes back where the ring is full, to be sent again.
    ///
    /// # Errors
    /// The command, where the ring is full.
    pub fn send_command(&self, command: SchedulerCommand) -> Result<(), SchedulerCommand> {
        self.scheduler_commands.push(command)?;
        self.wake_scheduler();
        Ok(())
    }
}
