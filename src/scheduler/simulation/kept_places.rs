//! A model of the places that stopped attempts keep at instances.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::gateway::id;
use crate::instance::{InstanceKey, VersionIndex};

/// Places that are kept, and those that gateways are still to free.
#[derive(Default)]
pub(super) struct KeptPlaces {
    /// As the scheduler was told.
    told: BTreeMap<(VersionIndex, u16, u32), u32>,
    unfreed: Vec<InstanceKey>,
}

impl KeptPlaces {
    /// A gateway has told of one, and will tell of its end.
    pub(super) fn will_be_freed(&mut self, instance: InstanceKey) {
        self.unfreed.push(instance);
    }

    /// The next that a gateway frees.
    pub(super) fn free_one(&mut self, dice: &mut Dice) -> Option<InstanceKey> {
        (!self.unfreed.is_empty()).then(|| self.unfreed.swap_remove(dice.index(self.unfreed.len())))
    }

    /// The scheduler has taken the message.
    pub(super) fn was_kept(&mut self, instance: InstanceKey) {
        *self.told.entry(id(instance)).or_default() += 1;
    }

    /// The same of its end.
    pub(super) fn was_freed(&mut self, instance: InstanceKey) {
        if let Some(kept) = self.told.get_mut(&id(instance)) {
            *kept -= 1;
        }
    }

    /// Places kept at an instance.
    pub(super) fn at(&self, instance: InstanceKey) -> u32 {
        self.told.get(&id(instance)).copied().unwrap_or(0)
    }

    /// Nothing is told of a version that is closed.
    pub(super) fn version_closed(&mut self, version: VersionIndex) {
        self.told.retain(|(index, ..), _| *index != version);
        self.unfreed.retain(|key| key.version != version);
    }
}
