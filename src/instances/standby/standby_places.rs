//! The places of the single-use instances of one version.

use std::cell::RefCell;

use super::standby_slot::{SlotState, StandbyCounts, StandbyOrder, StandbySlot};
use crate::channel::AnswerSender;
use crate::clock::Nanos;

/// A place and the instance there, by how often the place was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occupant {
    pub(super) place: u16,
    pub(super) generation: u32,
}

/// The places, by their number. The first is that of an instance which stands for those that are started for an
/// attempt, and stays free here.
#[derive(Debug)]
pub(super) struct StandbyPlaces(RefCell<Vec<StandbySlot>>);

impl StandbyPlaces {
    /// So many places, the first included.
    #[must_use]
    pub(super) fn new(count: usize) -> Self {
        Self(RefCell::new((0..count).map(|_| StandbySlot::new()).collect()))
    }

    /// Places by what is there.
    #[must_use]
    pub(super) fn counts(&self) -> StandbyCounts {
        StandbyCounts::of(&self.0.borrow())
    }

    /// Takes a free place for an instance that is being started; `None` where there is none.
    pub(super) fn occupy(&self, is_wanted: bool) -> Option<Occupant> {
        let mut slots = self.0.borrow_mut();
        let is_free = |(_, slot): &(u16, &mut StandbySlot)| matches!(slot.state, SlotState::Free);
        let (place, slot) = (0_u16..).zip(slots.iter_mut()).skip(1).find(is_free)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = SlotState::Starting { is_wanted };
        Some(Occupant { place, generation: slot.generation })
    }

    /// Sets the state of an instance, where it is still the one in its place.
    pub(super) fn set(&self, occupant: Occupant, state: SlotState) {
        let mut slots = self.0.borrow_mut();
        let slot = slots.get_mut(usize::from(occupant.place));
        if let Some(slot) = slot.filter(|slot| slot.generation == occupant.generation) {
            slot.state = state;
        }
    }

    /// Takes an instance out of those that are ready; `None` where it is none of them.
    pub(super) fn leave(&self, occupant: Occupant) -> Option<AnswerSender<StandbyOrder>> {
        let mut slots = self.0.borrow_mut();
        let slot = slots.get_mut(usize::from(occupant.place))?;
        if slot.generation != occupant.generation || !matches!(slot.state, SlotState::Ready { .. }) {
            return None;
        }
        match std::mem::replace(&mut slot.state, SlotState::Leaving) {
            SlotState::Ready { order, .. } => Some(order),
            SlotState::Free | SlotState::Starting { .. } | SlotState::Leaving => None,
        }
    }

    /// The instance, where it is ready.
    #[must_use]
    pub(super) fn if_ready(&self, occupant: Occupant) -> Option<Occupant> {
        let slots = self.0.borrow();
        let slot = slots.get(usize::from(occupant.place))?;
        let is_ready =
            slot.generation == occupant.generation && matches!(slot.state, SlotState::Ready { .. });
        is_ready.then_some(occupant)
    }

    /// Every instance that is ready.
    #[must_use]
    pub(super) fn ready(&self) -> Vec<Occupant> {
        let slots = self.0.borrow();
        let ready = |(place, slot): (u16, &StandbySlot)| {
            let is_ready = matches!(slot.state, SlotState::Ready { .. });
            is_ready.then_some(Occupant { place, generation: slot.generation })
        };
        (0..).zip(slots.iter()).filter_map(ready).collect()
    }

    /// Time at which the oldest of those that wait became ready.
    #[must_use]
    pub(super) fn oldest_ready(&self) -> Option<Nanos> {
        let slots = self.0.borrow();
        let since = |slot: &StandbySlot| match slot.state {
            SlotState::Ready { since, .. } => Some(since),
            SlotState::Free | SlotState::Starting { .. } | SlotState::Leaving => None,
        };
        slots.iter().filter_map(since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::oneshot;

    #[test]
    fn an_instance_is_given_away_once_and_a_later_one_in_its_place_is_another() {
        let places = StandbyPlaces::new(3);
        let first = places.occupy(true).unwrap();
        let second = places.occupy(false).unwrap();
        assert_eq!((first.place, second.place, places.occupy(false)), (1, 2, None));
        assert_eq!(places.counts(), StandbyCounts { ready: 0, starting: 2, wanted: 1, leaving: 0 });
        assert_eq!(places.counts().reserve(), 1, "a call waits for the other");
        assert!(places.leave(first).is_none(), "it is not ready");
        let ready = |since| SlotState::Ready { order: oneshot::channel().0, since };
        places.set(first, ready(7));
        places.set(second, ready(5));
        assert_eq!((places.ready(), places.oldest_ready()), (vec![first, second], Some(5)));
        assert_eq!(places.if_ready(first), Some(first));
        assert!(places.leave(first).is_some() && places.leave(first).is_none());
        assert_eq!(places.if_ready(first), None);
        places.set(first, SlotState::Free);
        let third = places.occupy(false).unwrap();
        assert_eq!((third.place, third.generation), (1, first.generation + 1));
        places.set(first, ready(9));
        assert_eq!(places.counts(), StandbyCounts { ready: 1, starting: 1, wanted: 0, leaving: 0 });
    }
}
