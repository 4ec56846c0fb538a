//! The places of a lane, in which pods that serve are known to the scheduler, and who lost them of what.

use std::net::SocketAddr;

use crate::backend::exit::Exit;
use crate::function::Ending;
use crate::hot::message::InstanceKey;

/// A pod that has a place.
#[derive(Debug)]
pub struct Occupant {
    /// Its name.
    pub pod: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// It is of a template that was replaced before this process began.
    older: bool,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    occupant: Option<Occupant>,
    /// The pod that was lost here for a reason that is not known yet, and the generation that it had.
    unexplained: Option<(String, u32)>,
}

/// What is to be told when a pod is lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How it ended, by the place in which somebody was connected to it.
    pub endings: Vec<(usize, Ending)>,
    /// The place that it had, and the generation of that.
    pub vacated: Option<(usize, u32)>,
}

/// All places of a lane.
#[derive(Debug)]
pub struct Places(Vec<Place>);

impl Places {
    /// So many, all of them free.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Place::default()).collect())
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.iter().filter(|place| place.occupant.is_some()).count()
    }

    /// The pods of older templates that have one.
    #[must_use]
    pub fn older(&self) -> Vec<String> {
        let occupants = self.0.iter().filter_map(|place| place.occupant.as_ref());
        occupants.filter(|occupant| occupant.older).map(|occupant| occupant.pod.clone()).collect()
    }

    /// Who has the place of an instance, where that is still the same.
    #[must_use]
    pub fn occupant(&self, instance: InstanceKey) -> Option<&Occupant> {
        let place = self.0.get(usize::from(instance.place))?;
        place.occupant.as_ref().filter(|_| place.generation == instance.generation)
    }

    /// Gives a pod a place, and the place's next generation; `None` where it has one or none is free.
    pub fn place(&mut self, pod: &str, address: SocketAddr, older: bool) -> Option<(usize, u32)> {
        if self.at(pod).is_some() {
            return None;
        }
        let at = self.0.iter().position(|place| place.occupant.is_none())?;
        let place = &mut self.0[at];
        place.generation = place.generation.wrapping_add(1);
        place.occupant = Some(Occupant { pod: pod.to_owned(), address, older });
        Some((at, place.generation))
    }

    /// Takes a pod's place away; `exit` is how its container ended, where that is known. The end may be that
    /// of the container before this one, which had said that it listens before the other's end was told:
    /// then it explains the earlier loss, and this one stays unexplained by it.
    pub fn lose(&mut self, pod: &str, exit: Option<Exit>) -> Lost {
        let explained = exit.and_then(|exit| self.explain(pod, exit));
        let is_explained = explained.is_some();
        let mut lost = Lost { endings: explained.into_iter().collect(), vacated: None };
        let Some(at) = self.at(pod) else { return lost };
        let place = &mut self.0[at];
        place.occupant = None;
        let generation = place.generation;
        match exit.filter(|_| !is_explained) {
            Some(exit) => lost.endings.push((at, Ending { generation, exit })),
            None if !is_explained => place.unexplained = Some((pod.to_owned(), generation)),
            None => {}
        }
        lost.vacated = Some((at, generation));
        lost
    }

    /// How the container of a pod ended, for who lost his connection to it before that was known; `None`
    /// where nobody did.
    pub fn explain(&mut self, pod: &str, exit: Exit) -> Option<(usize, Ending)> {
        let is_of = |place: &Place| place.unexplained.as_ref().is_some_and(|(lost, _)| lost == pod);
        let at = self.0.iter().position(is_of)?;
        let (_, generation) = self.0[at].unexplained.take()?;
        Some((at, Ending { generation, exit }))
    }

    fn at(&self, pod: &str) -> Option<usize> {
        self.0.iter().position(|place| place.occupant.as_ref().is_some_and(|occupant| occupant.pod == pod))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Exit = Exit::OutOfMemory { limit: 0 };

    fn address() -> SocketAddr {
        "10.1.2.3:8080".parse().expect("an address")
    }

    #[test]
    fn an_end_that_is_told_late_is_told_to_who_lost_the_container_and_not_to_its_successor() {
        // The connection breaks, the successor says that it listens, and only then the end is told.
        let mut places = Places::new(2);
        assert_eq!(places.place("p", address(), false), Some((0, 1)));
        assert_eq!(places.lose("p", None), Lost { endings: vec![], vacated: Some((0, 1)) });
        assert_eq!(places.place("p", address(), false), Some((0, 2)));
        let lost = places.lose("p", Some(KILLED));
        assert_eq!(lost.endings, [(0, Ending { generation: 1, exit: KILLED })], "its successor is blamed");
        assert_eq!(lost.vacated, Some((0, 2)));
        // It is told once.
        assert_eq!(places.explain("p", KILLED), None);
    }

    #[test]
    fn an_end_that_is_told_alone_reaches_who_lost_the_container_before() {
        let mut places = Places::new(2);
        places.place("other", address(), false);
        places.place("p", address(), false);
        places.lose("p", None);
        assert_eq!(places.explain("other", KILLED), None, "it was not lost");
        assert_eq!(places.explain("p", KILLED), Some((1, Ending { generation: 1, exit: KILLED })));
    }

    #[test]
    fn an_end_that_is_told_in_time_is_that_of_the_pod_in_its_place() {
        let mut places = Places::new(1);
        places.place("p", address(), false);
        let ending = Ending { generation: 1, exit: Exit::Code(3) };
        let lost = places.lose("p", Some(Exit::Code(3)));
        assert_eq!(lost, Lost { endings: vec![(0, ending)], vacated: Some((0, 1)) });
        assert_eq!(places.lose("p", Some(Exit::Code(3))), Lost::default(), "it has no place any more");
    }

    #[test]
    fn a_pod_has_one_place_and_a_place_one_pod() {
        let mut places = Places::new(1);
        assert_eq!(places.place("p", address(), true), Some((0, 1)));
        assert_eq!((places.place("p", address(), true), places.place("q", address(), false)), (None, None));
        assert_eq!((places.taken(), places.older()), (1, vec!["p".to_owned()]));
        let instance = |generation| InstanceKey { lane: 0, place: 0, generation };
        assert!(places.occupant(instance(1)).is_some() && places.occupant(instance(2)).is_none());
        places.lose("p", None);
        assert_eq!(places.place("q", address(), false), Some((0, 2)));
    }
}
