//! A model of control: functions, their versions, and the instances of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::dice::Dice;
use crate::clock::NANOS_PER_MS;
use crate::instance::{InstanceKey, VersionIndex};
use crate::queue::function_queue::FunctionQueue;
use crate::queue_order::QueueOrder;
use crate::scheduler::message::{SchedulerCommand, SchedulerEvent};
use crate::scheduler::scheduled_version::VersionLimits;

/// State of a place in a version's instance table, as control sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlacePhase {
    Free,
    Up,
    Suspect,
    Retired,
}

/// One place of a version's instance table.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelPlace {
    pub generation: u32,
    pub phase: PlacePhase,
}

/// One version of a function.
pub(super) struct ModelVersion {
    pub function: u64,
    pub queue: Arc<FunctionQueue>,
    pub limits: VersionLimits,
    pub queue_size: u32,
    pub places: Vec<ModelPlace>,
    /// Instances being started.
    pub starting: u16,
    /// Gateways that may still push here.
    pub pushed_by: Vec<bool>,
    /// Replaced or removed: a gateway stops to push here once it learns of that.
    pub withdrawn: bool,
    pub close_sent: bool,
    /// The scheduler has taken a command that forbids grants from here.
    pub over: bool,
}

impl ModelVersion {
    pub(super) fn random(dice: &mut Dice, function: u64, gateways: usize, size_max: u64) -> Self {
        let backoff = dice.below(30) * NANOS_PER_MS;
        let can_start = !dice.one_in(3);
        let limits = VersionLimits {
            concurrency: u32::try_from(1 + dice.below(size_max / 4)).unwrap(),
            instance_concurrency: u32::try_from(1 + dice.below(4)).unwrap(),
            max_retries: dice.of(&[0, 1, 2, 10]),
            retry_backoff_ns: backoff,
            retry_max_backoff_ns: backoff * 4,
            attempt_timeout_ns: dice.of(&[1, 20, 300, 50_000]) * NANOS_PER_MS,
            instances_max: u16::try_from(1 + dice.below(5)).unwrap(),
            single_use: can_start && dice.one_in(3),
            can_start,
            drop_unreachable: !dice.one_in(3),
            queue_order: dice.of(&[QueueOrder::Deadline, QueueOrder::Fifo, QueueOrder::Lifo]),
        };
        let queue_size = u32::try_from(dice.below(size_max)).unwrap();
        Self {
            function,
            queue: Arc::new(FunctionQueue::new(queue_size)),
            limits,
            queue_size,
            places: vec![
                ModelPlace { generation: 0, phase: PlacePhase::Free };
                usize::from(limits.instances_max)
            ],
            starting: 0,
            pushed_by: vec![false; gateways],
            withdrawn: false,
            close_sent: false,
            over: false,
        }
    }

    /// A key for a new instance, in a place that is free.
    pub(super) fn occupy(&mut self, version: VersionIndex) -> Option<InstanceKey> {
        let is_free = |(_, place): &(u16, &mut ModelPlace)| place.phase == PlacePhase::Free;
        let count = u16::try_from(self.places.len()).unwrap();
        // Of single-use ones, the place of those that are started for an attempt comes last.
        let (place, at) = match self.limits.single_use {
            true => (0..count).zip(self.places.iter_mut()).rev().find(is_free)?,
            false => (0..count).zip(self.places.iter_mut()).find(is_free)?,
        };
        at.generation += 1;
        at.phase = PlacePhase::Up;
        Some(InstanceKey { version, place, generation: at.generation })
    }

    /// Whether the instance at a place is granted once.
    pub(super) fn is_single_use(&self, place: u16) -> bool {
        self.limits.single_use && place > 0
    }

    /// Attempts that may be in flight at an instance.
    pub(super) fn room_at(&self, place: u16) -> u32 {
        if self.is_single_use(place) { 1 } else { self.limits.instance_concurrency }
    }

    /// The keys of instances in a phase.
    pub(super) fn keys(&self, version: VersionIndex, phase: PlacePhase) -> Vec<InstanceKey> {
        (0_u16..)
            .zip(self.places.iter())
            .filter(|(_, p)| p.phase == phase)
            .map(|(place, p)| InstanceKey { version, place, generation: p.generation })
            .collect()
    }

    /// The place of an instance, while it is the one there.
    pub(super) fn place(&mut self, key: InstanceKey) -> Option<&mut ModelPlace> {
        self.places.get_mut(usize::from(key.place)).filter(|p| p.generation == key.generation)
    }
}

/// A command as the model remembers it until the scheduler has taken it.
#[derive(Clone, Copy, Debug)]
pub(super) enum SentCommand {
    Opened {
        version: VersionIndex,
    },
    Succeeded {
        old: VersionIndex,
    },
    Closed {
        version: VersionIndex,
    },
    Ready {
        instance: InstanceKey,
    },
    /// Down, or retired: nothing is granted to it any more.
    Gone {
        instance: InstanceKey,
    },
    Other,
}

impl SentCommand {
    /// The part of a command that the model checks.
    pub(super) fn of(command: &SchedulerCommand) -> Self {
        match command {
            SchedulerCommand::Open { version } => SentCommand::Opened { version: version.index },
            SchedulerCommand::Succeed { old, .. } => SentCommand::Succeeded { old: *old },
            SchedulerCommand::Close { version } => SentCommand::Closed { version: *version },
            SchedulerCommand::Ready { instance, .. } => SentCommand::Ready { instance: *instance },
            SchedulerCommand::Down { instance } => SentCommand::Gone { instance: *instance },
            SchedulerCommand::StartFailed { .. }
            | SchedulerCommand::ReapIdle { .. }
            | SchedulerCommand::Starting { .. } => SentCommand::Other,
        }
    }
}

/// Control.
#[derive(Default)]
pub(super) struct ModelControl {
    pub versions: BTreeMap<VersionIndex, ModelVersion>,
    /// Indexes that no version uses; the last one given back is the first to be used again.
    pub free: Vec<VersionIndex>,
    /// Events not yet acted upon.
    pub inbox: VecDeque<SchedulerEvent>,
    pub functions_made: u64,
}

impl ModelControl {
    /// The latest version of each function.
    pub(super) fn current(&self) -> Vec<VersionIndex> {
        self.versions.iter().filter(|(_, model)| !model.withdrawn).map(|(index, _)| *index).collect()
    }
}
