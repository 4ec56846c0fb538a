//! The scheduler's half of one version of a function: who waits, what runs, on which instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::deadline_gate::DeadlineGate;
use super::wait_line::WaitLine;
use crate::clock::Nanos;
use crate::instance::{InstanceKey, VersionIndex};
use crate::queue::function_queue::FunctionQueue;
use crate::queue_order::QueueOrder;

/// Limits of a function's specification that the scheduler enforces.
#[derive(Clone, Copy, Debug)]
pub struct VersionLimits {
    /// Attempts in flight, 1 … 10000.
    pub concurrency: u32,
    /// Attempts in flight on one instance, 1 … 10000; on a single-use one it is one.
    pub instance_concurrency: u32,
    /// Each instance is granted one attempt and retires with it. The one at place 0 is not such an instance: it stands
    /// for those that are started for an attempt, and is ready while none can be started ahead.
    pub single_use: bool,
    /// Attempts after the first, 0 … 10.
    pub max_retries: u8,
    /// First back-off before jitter.
    pub retry_backoff_ns: Nanos,
    /// Largest back-off before jitter.
    pub retry_max_backoff_ns: Nanos,
    /// How long one attempt may take.
    pub attempt_timeout_ns: Nanos,
    /// Instances there may be; the length of the version's table.
    pub instances_max: u16,
    /// Whether control can start instances (not for `POOL`).
    pub can_start: bool,
    /// Whether an execution that can hardly end in time is ended instead of begun.
    pub drop_unreachable: bool,
    /// Which of the executions that wait is next.
    pub queue_order: QueueOrder,
}

/// State of an instance, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// Nothing is there.
    Absent,
    /// It may be granted.
    Ready,
    /// A connection to it failed; control looks after it.
    Suspect,
    /// It is granted nothing more and will be stopped when idle.
    Retiring,
}

/// One place of the instance table.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Tells an instance from its successors in the place.
    pub generation: u32,
    /// Its state.
    pub state: InstanceState,
    /// Attempts in flight on it.
    pub in_flight: u32,
    /// Attempts that were stopped and that it goes on with: each keeps a place of its `instanceConcurrency`.
    pub kept: u32,
    /// When it was last granted or its last attempt ended.
    pub last_used: Nanos,
    /// It has answered. The attempts that it was granted before may have been its slowest, and count for no estimate.
    pub has_answered: bool,
}

impl Instance {
    /// A place where nothing is.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            generation: 0,
            state: InstanceState::Absent,
            in_flight: 0,
            kept: 0,
            last_used: 0,
            has_answered: false,
        }
    }
}

/// The scheduler's half of one version of a function. Built by control, owned by the
/// scheduler while it is open, freed by control.
#[derive(Debug)]
pub struct ScheduledVersion {
    /// Its index in the scheduler's table.
    pub index: VersionIndex,
    /// Shared with the gateways.
    pub queue: Arc<FunctionQueue>,
    /// See [`VersionLimits`].
    pub limits: VersionLimits,
    /// Executions that wait for a grant.
    pub waiting: WaitLine,
    /// Attempts in flight that were granted from this version.
    pub in_flight: u32,
    /// Attempts in flight on the versions that this one replaced.
    pub predecessor_in_flight: u32,
    /// Executions that wait for their next attempt and will come back to this version.
    pub backing_off: u32,
    /// Instances that control was asked to start or says it is starting.
    pub starting: u16,
    /// Instances that may be granted.
    pub ready: u16,
    /// No instance can serve what waits: each execution uses up an attempt.
    pub unschedulable: bool,
    /// In the scheduler's list of versions with something to do.
    pub active: bool,
    /// Gateways send nothing here any more.
    pub closed: bool,
    /// The version that this one replaced is not given back yet: what comes back to it, late
    /// tickets and retries, is sent on to this index.
    pub predecessor_draining: bool,
    /// Credits of its queue that do not come back: the executions that had them wait in the version that
    /// replaced this one, and gateways may not have been told of that yet.
    pub forfeited_credits: u32,
    /// The version that replaced this one.
    pub successor: Option<VersionIndex>,
    /// Gate before a grant, where executions that can hardly end in time are not begun.
    pub(crate) gate: Option<Box<DeadlineGate>>,
    /// The instance table.
    pub instances: Box<[Instance]>,
}

impl ScheduledVersion {
    /// A version in which nothing waits, runs or serves.
    #[must_use]
    pub fn new(index: VersionIndex, queue: Arc<FunctionQueue>, limits: VersionLimits) -> Self {
        let absent = Instance::absent();
        Self {
            index,
            queue,
            limits,
            waiting: WaitLine::new(limits.queue_order),
            in_flight: 0,
            predecessor_in_flight: 0,
            backing_off: 0,
            starting: 0,
            ready: 0,
            unschedulable: false,
            active: false,
            closed: false,
            predecessor_draining: false,
            forfeited_credits: 0,
            successor: None,
            gate: limits.drop_unreachable.then(|| Box::new(DeadlineGate::new())),
            instances: vec![absent; limits.instances_max as usize].into_boxed_slice(),
        }
    }

    /// Whether a closed version is empty: nothing refers to its index any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.closed
            && self.waiting.is_empty()
            && self.in_flight == 0
            && self.predecessor_in_flight == 0
            && self.backing_off == 0
            && !self.predecessor_draining
    }

    /// Whether one more attempt may be in flight.
    #[must_use]
    pub fn has_permit(&self) -> bool {
        self.in_flight + self.predecessor_in_flight < self.limits.concurrency
    }

    /// The ready instance with the fewest attempts in flight and room for one more. Of several that
    /// can be stopped the one most recently used, so that the others become idle; of several that
    /// run anyway the least recently used, so that each has its share.
    #[must_use]
    pub fn pick(&self) -> Option<u16> {
        if self.limits.single_use {
            return self.pick_single_use();
        }
        let mut best: Option<(u16, &Instance)> = None;
        for (place, instance) in (0_u16..).zip(self.instances.iter()) {
            if instance.state != InstanceState::Ready
                || instance.in_flight + instance.kept >= self.limits.instance_concurrency
            {
                continue;
            }
            let better = best.is_none_or(|(_, other)| {
                let preferred = if self.limits.can_start {
                    instance.last_used > other.last_used
                } else {
                    instance.last_used < other.last_used
                };
                instance.in_flight < other.in_flight || (instance.in_flight == other.in_flight && preferred)
            });
            if better {
                best = Some((place, instance));
            }
        }
        best.map(|(place, _)| place)
    }

    /// An instance that was started ahead, else the one at place 0.
    fn pick_single_use(&self) -> Option<u16> {
        let is_ready = |instance: &Instance| instance.state == InstanceState::Ready;
        let ahead = (1_u16..).zip(self.instances.iter().skip(1)).find(|(_, instance)| is_ready(instance));
        let first = self.instances.first().filter(|first| {
            is_ready(first) && first.in_flight + first.kept < self.limits.instance_concurrency
        });
        ahead.map(|(place, _)| place).or(first.map(|_| 0))
    }

    /// Whether the instance at a place takes one attempt and no other.
    #[must_use]
    pub fn is_single_use(&self, place: u16) -> bool {
        self.limits.single_use && place > 0
    }

    /// Whether one more instance is wanted: more waits than those starting will take, permits
    /// would allow it to be used, and there is a place for it.
    #[must_use]
    pub fn wants_instance(&self) -> bool {
        let each = if self.limits.single_use { 1 } else { self.limits.instance_concurrency };
        let starting_room = u32::from(self.starting) * each;
        self.limits.can_start
            && !self.closed
            && self.successor.is_none()
            && self.waiting.len() > starting_room
            && self.in_flight + self.predecessor_in_flight + starting_room < self.limits.concurrency
            && self.instances_counted() < usize::from(self.limits.instances_max - self.first_place())
    }

    /// The first place of instances that can be started.
    fn first_place(&self) -> u16 {
        u16::from(self.limits.single_use)
    }

    fn instances_counted(&self) -> usize {
        let startable = self.instances.iter().skip(usize::from(self.first_place()));
        usize::from(self.starting) + startable.filter(|i| !matches!(i.state, InstanceState::Absent)).count()
    }

    /// The instance of `key`, where it is still the one in its place.
    pub fn instance_mut(&mut self, key: InstanceKey) -> Option<&mut Instance> {
        self.place_mut(key).filter(|i| i.state != InstanceState::Absent)
    }

    /// The place of `key`, where nothing has come after it, be it there or down.
    pub fn place_mut(&mut self, key: InstanceKey) -> Option<&mut Instance> {
        self.instances.get_mut(usize::from(key.place)).filter(|i| i.generation == key.generation)
    }

    /// Counts an instance into or out of the ready set, as its state changes.
    pub fn set_state(&mut self, key: InstanceKey, state: InstanceState) -> bool {
        let Some(instance) = self.instance_mut(key) else { return false };
        let was = std::mem::replace(&mut instance.state, state);
        match (was == InstanceState::Ready, state == InstanceState::Ready) {
            (true, false) => self.ready -= 1,
            (false, true) => self.ready += 1,
            _ => {}
        }
        true
    }

    /// Publishes the gauges of the version for scrapes and readers.
    pub fn publish(&self) {
        self.queue.waiting.store(self.waiting.len(), Ordering::Relaxed);
        self.queue.in_flight.store(self.in_flight, Ordering::Relaxed);
        self.queue.ready.store(u32::from(self.ready), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> ScheduledVersion {
        let limits = VersionLimits {
            concurrency: 8,
            instance_concurrency: 2,
            max_retries: 0,
            retry_backoff_ns: 0,
            retry_max_backoff_ns: 0,
            attempt_timeout_ns: 1,
            single_use: false,
            instances_max: 3,
            can_start: true,
            drop_unreachable: false,
            queue_order: QueueOrder::default(),
        };
        ScheduledVersion::new(0, Arc::new(FunctionQueue::new(8)), limits)
    }

    #[test]
    fn the_least_busy_instance_is_picked_and_among_equals_the_last_used() {
        let mut version = version();
        assert_eq!(version.pick(), None, "an absent instance was picked");
        for (place, in_flight, last_used) in [(0, 1, 9), (1, 0, 5), (2, 0, 7)] {
            let instance = &mut version.instances[place];
            *instance = Instance {
                generation: 1,
                state: InstanceState::Ready,
                in_flight,
                last_used,
                ..Instance::absent()
            };
        }
        assert_eq!(version.pick(), Some(2));
        version.instances[2].in_flight = 1;
        assert_eq!(version.pick(), Some(1));
        version.instances[1].in_flight = 2;
        assert_eq!(version.pick(), Some(0));
        version.instances[0].in_flight = 2;
        version.instances[2].in_flight = 2;
        assert_eq!(version.pick(), None, "an instance was granted over its own concurrency");
        version.instances[2].in_flight = 1;
        version.instances[2].kept = 1;
        assert_eq!(version.pick(), None, "a place that is kept was granted");
    }

    #[test]
    fn a_single_use_instance_is_picked_before_those_that_are_started_for_an_attempt() {
        let mut version = version();
        version.limits.single_use = true;
        let up = |in_flight| Instance {
            generation: 1,
            state: InstanceState::Ready,
            in_flight,
            ..Instance::absent()
        };
        version.instances[0] = up(1);
        assert_eq!(version.pick(), Some(0));
        version.instances[2] = up(0);
        assert_eq!(version.pick(), Some(2));
        version.instances[2].state = InstanceState::Retiring;
        version.instances[0].in_flight = version.limits.instance_concurrency;
        assert_eq!(version.pick(), None);
    }

    #[test]
    fn instances_that_run_anyway_take_turns() {
        let mut version = version();
        version.limits.can_start = false;
        for (place, last_used) in [(0, 9), (1, 5), (2, 7)] {
            let instance = &mut version.instances[place];
            *instance =
                Instance { generation: 1, state: InstanceState::Ready, last_used, ..Instance::absent() };
        }
        assert_eq!(version.pick(), Some(1));
        version.instances[1].last_used = 10;
        assert_eq!(version.pick(), Some(2));
    }
}
