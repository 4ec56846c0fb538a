//! The closed sets of fixed-size messages between the scheduler, the gateways and control.

use super::lane::Lane;
use super::ticket::Ticket;

/// Index of a function's lane in the scheduler; one per version of a function.
pub type LaneIndex = u32;

/// One instance of one lane. The generation tells its successors in the same place apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    /// The lane it belongs to.
    pub lane: LaneIndex,
    /// Its place among the lane's instances, below `replicas.max`.
    pub place: u16,
    /// How often the place had been used when the instance was started.
    pub generation: u32,
}

/// Gateway → scheduler.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The attempt of a `Grant::Run` has ended and its connection is closed or back in its
    /// pool. Sent exactly once per `Run`.
    Ended { ticket: Ticket, how: Ended },
    /// The execution is terminal though the scheduler has not ended it: the client of a queued
    /// one went, or somebody cancelled it.
    Cancel { ticket: Ticket },
}

/// How an attempt ended, as far as the scheduler must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The gateway has made the execution terminal.
    Done,
    /// The attempt failed in a way that another attempt may mend.
    Failed,
    /// No byte of the request was written: the instance could not be reached.
    Unsent,
}

/// Scheduler → gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Send the execution to this instance; it is its `attempt`-th (from 1).
    Run { ticket: Ticket, instance: InstanceKey, attempt: u8 },
    /// The attempt ran out of its own time: close its connection and answer `Ended::Failed`.
    Abort { ticket: Ticket },
    /// The execution ends here. A running attempt is to be closed and answered as ended.
    End { ticket: Ticket, why: End },
}

/// Why the scheduler ends an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its deadline passed.
    Timeout,
    /// The attempt failed and none is left, or none would fit before the deadline.
    Exhausted,
    /// There was no instance to send it to, and none is left to try.
    NoInstance,
    /// The function was deleted while it waited.
    FunctionRemoved,
}

/// Control → scheduler.
#[derive(Debug)]
pub enum Order {
    /// A function, or a new version of one, that nobody sends tickets to yet.
    Open { lane: Box<Lane> },
    /// The lane `new` replaces `old`: those who wait keep their place in line, and what runs
    /// counts against the new concurrency.
    Succeed { old: LaneIndex, new: LaneIndex },
    /// No gateway sends tickets to this lane any more. What waits goes to the lane that
    /// replaced it, or ends as `FunctionRemoved`; the lane comes back when nothing runs.
    Close { lane: LaneIndex },
    /// The instance answers; `started` where a `Notice::Start` asked for it.
    Ready { instance: InstanceKey, started: bool },
    /// The instance is gone.
    Down { instance: InstanceKey },
    /// An instance that was asked for could not be started.
    StartFailed { lane: LaneIndex },
    /// Grant nothing to the instance any more, and say when it is idle; asked again, say it again.
    Retire { instance: InstanceKey },
    /// Retire the instances above `keep` that have been idle since before `idle_before` (ns).
    ReapIdle { lane: LaneIndex, keep: u16, idle_before: u64 },
    /// `count` instances are being started without the scheduler having asked.
    Starting { lane: LaneIndex, count: u16 },
}

/// Scheduler → control.
#[derive(Debug)]
pub enum Notice {
    /// Work waits and every instance is full: start one more.
    Start { lane: LaneIndex },
    /// A connection to the instance failed; it is granted again after `Order::Ready`.
    Suspect { instance: InstanceKey },
    /// The instance is retired and idle: it may be stopped.
    Retired { instance: InstanceKey },
    /// Nothing of a closed lane is left; its memory is freed by control.
    Closed { lane: Box<Lane> },
}
