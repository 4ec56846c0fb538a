//! The closed sets of fixed-size messages between the scheduler, the gateways and control.

use std::num::NonZeroU32;

use super::scheduled_version::ScheduledVersion;
use crate::attempt_end::AttemptEnd;
use crate::instance::{InstanceKey, VersionIndex};
use crate::ticket::Ticket;

/// Gateway → scheduler.
#[derive(Clone, Copy, Debug)]
pub enum GatewayEvent {
    /// The attempt of a `GatewayCommand::Run` has ended and its connection is closed or back in
    /// its pool. Sent exactly once per `Run`.
    AttemptEnded { ticket: Ticket, how: AttemptEnd },
    /// An attempt at this instance was stopped and goes on there all the same: it keeps its place at the instance,
    /// beyond its own `AttemptEnded`, which comes next and releases its permit.
    PlaceKept { instance: InstanceKey },
    /// The instance has let go of one of those, or is gone.
    PlaceFreed { instance: InstanceKey },
    /// The instance gives no sign of life: it is granted again when control has found it well.
    InstanceSilent { instance: InstanceKey },
    /// The execution is terminal though the scheduler has not ended it: the client of a queued
    /// one went, or somebody cancelled it.
    Cancelled { ticket: Ticket },
}

/// Scheduler → gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayCommand {
    /// Send the execution to this instance; it is its `attempt`-th (from 1).
    Run { ticket: Ticket, instance: InstanceKey, attempt: u8 },
    /// The attempt ran out of its own time: close its connection and answer `AttemptEnd::Failed`.
    Abort { ticket: Ticket },
    /// The execution ends here. A running attempt is to be closed and answered as ended.
    End { ticket: Ticket, why: EndReason },
}

/// Why the scheduler ends an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its deadline passed.
    Timeout,
    /// The attempt failed and none is left, or none would fit before the deadline.
    Exhausted,
    /// There was no instance to send it to, and none is left to try.
    NoInstance,
    /// It would hardly end in time, and nothing of it was begun. 99 of 100 attempts end within `needed_ms`; `None`
    /// where not one has lately ended within the whole time of the execution.
    Unreachable { needed_ms: Option<NonZeroU32> },
    /// The function was deleted while it waited.
    FunctionRemoved,
}

/// Control → scheduler.
#[derive(Debug)]
pub enum SchedulerCommand {
    /// A function, or a new version of one, that nobody sends tickets to yet.
    Open { version: Box<ScheduledVersion> },
    /// The version `new` replaces `old`: those who wait keep their place in line, and what runs
    /// counts against the new concurrency.
    Succeed { old: VersionIndex, new: VersionIndex },
    /// No gateway sends tickets to this version any more. What waits goes to the version that
    /// replaced it, or ends as `FunctionRemoved`; the version comes back when nothing runs.
    Close { version: VersionIndex },
    /// The instance answers; `started` where a `SchedulerEvent::InstanceWanted` asked for it.
    Ready { instance: InstanceKey, started: bool },
    /// The instance is gone.
    Down { instance: InstanceKey },
    /// An instance that was asked for could not be started.
    StartFailed { version: VersionIndex },
    /// Retire the instances above `keep` that have been idle since before `idle_before` (ns).
    ReapIdle { version: VersionIndex, keep: u16, idle_before: u64 },
    /// `count` instances are being started without the scheduler having asked.
    Starting { version: VersionIndex, count: u16 },
}

/// Scheduler → control.
#[derive(Debug)]
pub enum SchedulerEvent {
    /// Work waits and every instance is full: start one more.
    InstanceWanted { version: VersionIndex },
    /// A connection to the instance failed; it is granted again after `SchedulerCommand::Ready`.
    InstanceSuspect { instance: InstanceKey },
    /// The instance is retired and idle: it may be stopped.
    InstanceIdle { instance: InstanceKey },
    /// Nothing of a closed version is left; its memory is freed by control.
    VersionClosed { version: Box<ScheduledVersion> },
}
