//! The index of a version's instances: slots in which serving pods are known to the scheduler, and the ends of those
//! that were lost.

use std::net::SocketAddr;

use crate::exit::Exit;
use crate::instance::{Ending, InstanceKey};

/// Age of the template of a pod, for a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateAge {
    /// It is the version's own.
    Current,
    /// It was replaced before this process began.
    Older,
}

/// A pod that has a slot.
#[derive(Debug)]
pub(super) struct SlotOccupant {
    /// Its name.
    pub pod: String,
    /// Address at which it listens.
    pub address: SocketAddr,
    /// Age of its template.
    age: TemplateAge,
}

#[derive(Debug, Default)]
struct InstanceSlot {
    generation: u32,
    occupant: Option<SlotOccupant>,
    /// The pod that was lost from this slot for a reason that is not known yet, and the generation that it had.
    unexplained: Option<(String, u32)>,
}

/// The effects of the loss of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LostPod {
    /// Its end, by the slot in which gateways were connected to it.
    pub endings: Vec<(usize, Ending)>,
    /// The slot that it had, and the generation of that.
    pub vacated: Option<(usize, u32)>,
}

/// All slots of a version.
#[derive(Debug)]
pub(super) struct InstanceIndex(Vec<InstanceSlot>);

impl InstanceIndex {
    /// Makes this many slots, all of them free.
    #[must_use]
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| InstanceSlot::default()).collect())
    }

    /// Number of slots that are taken.
    #[must_use]
    pub(super) fn taken(&self) -> usize {
        self.0.iter().filter(|slot| slot.occupant.is_some()).count()
    }

    /// The pods with older templates that have a slot.
    #[must_use]
    pub(super) fn older(&self) -> Vec<String> {
        let occupants = self.0.iter().filter_map(|slot| slot.occupant.as_ref());
        occupants
            .filter(|occupant| occupant.age == TemplateAge::Older)
            .map(|occupant| occupant.pod.clone())
            .collect()
    }

    /// The pod in the slot of an instance, where the generation is still the same.
    #[must_use]
    pub(super) fn occupant(&self, instance: InstanceKey) -> Option<&SlotOccupant> {
        let slot = self.0.get(usize::from(instance.place))?;
        slot.occupant.as_ref().filter(|_| slot.generation == instance.generation)
    }

    /// Gives a pod a slot, and the slot's next generation; `None` where it has one or none is free.
    pub(super) fn insert(
        &mut self,
        pod: &str,
        address: SocketAddr,
        age: TemplateAge,
    ) -> Option<(usize, u32)> {
        if self.at(pod).is_some() {
            return None;
        }
        let at = self.0.iter().position(|slot| slot.occupant.is_none())?;
        let slot = &mut self.0[at];
        slot.generation = slot.generation.wrapping_add(1);
        slot.occupant = Some(SlotOccupant { pod: pod.to_owned(), address, age });
        Some((at, slot.generation))
    }

    /// Takes a pod's slot away; `exit` is how its container ended, where that is known. The end may be that
    /// of the container before this one, which had said that it listens before the other's end was told:
    /// then it explains the earlier loss, and this one stays unexplained by it.
    pub(super) fn remove(&mut self, pod: &str, exit: Option<Exit>) -> LostPod {
        let explained = exit.and_then(|exit| self.explain(pod, exit));
        let is_explained = explained.is_some();
        let mut lost = LostPod { endings: explained.into_iter().collect(), vacated: None };
        let Some(at) = self.at(pod) else { return lost };
        let slot = &mut self.0[at];
        slot.occupant = None;
        let generation = slot.generation;
        match exit.filter(|_| !is_explained) {
            Some(exit) => lost.endings.push((at, Ending { generation, exit })),
            None if !is_explained => slot.unexplained = Some((pod.to_owned(), generation)),
            None => {}
        }
        lost.vacated = Some((at, generation));
        lost
    }

    /// Explains the loss of a pod by how its container ended; `None` where no loss was unexplained.
    pub(super) fn explain(&mut self, pod: &str, exit: Exit) -> Option<(usize, Ending)> {
        let is_of = |slot: &InstanceSlot| slot.unexplained.as_ref().is_some_and(|(lost, _)| lost == pod);
        let at = self.0.iter().position(is_of)?;
        let (_, generation) = self.0[at].unexplained.take()?;
        Some((at, Ending { generation, exit }))
    }

    fn at(&self, pod: &str) -> Option<usize> {
        self.0.iter().position(|slot| slot.occupant.as_ref().is_some_and(|occupant| occupant.pod == pod))
    }
}

#[cfg(test)]
mod tests {
    use super::TemplateAge::{Current, Older};
    use super::*;

    const KILLED: Exit = Exit::OutOfMemory { limit: 0 };

    fn address() -> SocketAddr {
        "10.1.2.3:8080".parse().expect("an address")
    }

    #[test]
    fn an_end_that_is_told_late_is_told_to_who_lost_the_container_and_not_to_its_successor() {
        // The connection breaks, the successor says that it listens, and only then the end is told.
        let mut index = InstanceIndex::new(2);
        assert_eq!(index.insert("p", address(), Current), Some((0, 1)));
        assert_eq!(index.remove("p", None), LostPod { endings: vec![], vacated: Some((0, 1)) });
        assert_eq!(index.insert("p", address(), Current), Some((0, 2)));
        let lost = index.remove("p", Some(KILLED));
        assert_eq!(lost.endings, [(0, Ending { generation: 1, exit: KILLED })], "its successor is blamed");
        assert_eq!(lost.vacated, Some((0, 2)));
        // It is told once.
        assert_eq!(index.explain("p", KILLED), None);
    }

    #[test]
    fn an_end_that_is_told_alone_reaches_who_lost_the_container_before() {
        let mut index = InstanceIndex::new(2);
        index.insert("other", address(), Current);
        index.insert("p", address(), Current);
        index.remove("p", None);
        assert_eq!(index.explain("other", KILLED), None, "it was not lost");
        assert_eq!(index.explain("p", KILLED), Some((1, Ending { generation: 1, exit: KILLED })));
    }

    #[test]
    fn an_end_that_is_told_in_time_is_that_of_the_pod_in_its_slot() {
        let mut index = InstanceIndex::new(1);
        index.insert("p", address(), Current);
        let ending = Ending { generation: 1, exit: Exit::Code(3) };
        let lost = index.remove("p", Some(Exit::Code(3)));
        assert_eq!(lost, LostPod { endings: vec![(0, ending)], vacated: Some((0, 1)) });
        assert_eq!(index.remove("p", Some(Exit::Code(3))), LostPod::default(), "it has no slot any more");
    }

    #[test]
    fn a_pod_has_one_slot_and_a_slot_one_pod() {
        let mut index = InstanceIndex::new(1);
        assert_eq!(index.insert("p", address(), Older), Some((0, 1)));
        assert_eq!(
            (index.insert("p", address(), Older), index.insert("q", address(), Current)),
            (None, None)
        );
        assert_eq!((index.taken(), index.older()), (1, vec!["p".to_owned()]));
        let instance = |generation| InstanceKey { version: 0, place: 0, generation };
        assert!(index.occupant(instance(1)).is_some() && index.occupant(instance(2)).is_none());
        index.remove("p", None);
        assert_eq!(index.insert("q", address(), Current), Some((0, 2)));
    }
}
