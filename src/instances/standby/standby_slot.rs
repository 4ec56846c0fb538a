//! The place of one single-use instance.

use crate::channel::AnswerSender;
use crate::clock::Nanos;
use crate::messages::control_message::StandbyTake;

/// Fate of an instance that is ready.
#[derive(Debug)]
pub(super) enum StandbyOrder {
    /// It was given an execution.
    Take(Box<StandbyTake>),
    /// It is not needed any more.
    Stop,
}

/// State of a place.
#[derive(Debug)]
pub(super) enum SlotState {
    /// Nothing is there.
    Free,
    /// It is being started.
    Starting {
        /// A call waits for it, or for another one that is ready sooner.
        is_wanted: bool,
    },
    /// It waits for its execution.
    Ready {
        /// Ends the wait.
        order: AnswerSender<StandbyOrder>,
        /// Time from which on it has waited.
        since: Nanos,
    },
    /// It has its execution, or is being stopped.
    Leaving,
}

/// A place, and how often it was used.
#[derive(Debug)]
pub(super) struct StandbySlot {
    pub(super) generation: u32,
    pub(super) state: SlotState,
}

impl StandbySlot {
    /// A place that was never used.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { generation: 0, state: SlotState::Free }
    }
}

/// Places by what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StandbyCounts {
    /// Instances that wait for an execution.
    pub(crate) ready: u32,
    /// Instances that are being started.
    pub(crate) starting: u32,
    /// Starts that a call waits for.
    pub(crate) wanted: u32,
    /// Instances with an execution, and those that are being stopped.
    pub(crate) leaving: u32,
}

impl StandbyCounts {
    /// Counts places.
    #[must_use]
    pub(super) fn of(slots: &[StandbySlot]) -> Self {
        let mut counts = Self::default();
        for slot in slots {
            match slot.state {
                SlotState::Free => {}
                SlotState::Starting { is_wanted, .. } => {
                    counts.starting += 1;
                    counts.wanted += u32::from(is_wanted);
                }
                SlotState::Ready { .. } => counts.ready += 1,
                SlotState::Leaving => counts.leaving += 1,
            }
        }
        counts
    }

    /// Instances that will be ready once those that calls wait for are given away.
    #[must_use]
    pub(super) fn reserve(&self) -> u32 {
        (self.ready + self.starting).saturating_sub(self.wanted)
    }
}
