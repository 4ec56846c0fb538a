//! The parts of a wait for an instance that was started for it.

use crate::clock::Nanos;

/// Names of the phases, in the order of time.
pub(crate) const COLD_PHASES: [&str; 7] =
    ["asked", "created", "scheduled", "container", "runtime", "handler", "announced"];

/// Place of `scheduled`.
const SCHEDULED: usize = 2;
/// Place of `announced`.
const ANNOUNCED: usize = 6;

/// The durations of [`COLD_PHASES`] (ns), each since the one before it that is known, and the first since the execution
/// was enqueued. One that is not known has none, and its time is in the next one that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColdPhases([Option<Nanos>; COLD_PHASES.len()]);

impl ColdPhases {
    /// The phases of the start of an instance, by the times at which each was over (0: not known), as far as they lie
    /// between when an execution was enqueued and when it was granted the instance. `None` where the instance was there
    /// before, or when it served is not known.
    ///
    /// Times go forward: one that is told as earlier than the one before it is as late as that one. The watch tells late
    /// that a pod is bound, so that is not later than what followed from it.
    #[must_use]
    pub(crate) fn of(mut over: [Nanos; COLD_PHASES.len()], enqueued: Nanos, granted: Nanos) -> Option<Self> {
        if over[ANNOUNCED] <= enqueued || granted <= enqueued {
            return None;
        }
        if let Some(followed) = over[SCHEDULED + 1..].iter().find(|at| **at > 0) {
            over[SCHEDULED] = over[SCHEDULED].min(*followed);
        }
        let mut floor = enqueued;
        let since = |at: Nanos| {
            (at > 0).then(|| {
                let at = at.clamp(floor, granted);
                at - std::mem::replace(&mut floor, at)
            })
        };
        Some(Self(over.map(since)))
    }

    /// Places in [`COLD_PHASES`] of the phases that are known, with their durations (ns).
    pub(crate) fn known(&self) -> impl Iterator<Item = (usize, Nanos)> {
        self.0.iter().enumerate().filter_map(|(at, ns)| Some((at, (*ns)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENQUEUED: Nanos = 1000;
    const GRANTED: Nanos = 2000;
    /// An instance that was asked for at 1010, with a time for each phase.
    const FULL: [Nanos; 7] = [1010, 1030, 1060, 1300, 1310, 1800, 1900];

    fn told(over: [Nanos; 7]) -> Vec<(&'static str, Nanos)> {
        let phases = ColdPhases::of(over, ENQUEUED, GRANTED).expect("it was waited for");
        let told: Vec<_> = phases.known().map(|(at, ns)| (COLD_PHASES[at], ns)).collect();
        assert!(told.iter().map(|(_, ns)| ns).sum::<Nanos>() <= GRANTED - ENQUEUED, "{told:?}");
        told
    }

    /// All phases with these durations.
    fn all(durations: [Nanos; 7]) -> Vec<(&'static str, Nanos)> {
        COLD_PHASES.into_iter().zip(durations).collect()
    }

    #[test]
    fn each_phase_is_the_time_since_the_one_before_it() {
        assert_eq!(told(FULL), all([10, 20, 30, 240, 10, 490, 100]));
        assert_eq!((COLD_PHASES[SCHEDULED], COLD_PHASES[ANNOUNCED]), ("scheduled", "announced"));
    }

    #[test]
    fn the_time_of_a_phase_that_is_not_known_is_in_the_next_one_that_is() {
        let phases = told([1010, 1030, 0, 0, 0, 0, 1900]);
        assert_eq!(phases, [("asked", 10), ("created", 20), ("announced", 870)]);
        assert_eq!(told([0, 0, 0, 0, 0, 0, 1900]), [("announced", 900)]);
    }

    #[test]
    fn the_times_of_an_instance_on_its_way_from_before_the_execution_came_count_as_nothing() {
        assert_eq!(told([10, 20, 30, 990, 1310, 1800, 1900]), all([0, 0, 0, 0, 310, 490, 100]));
    }

    #[test]
    fn times_that_go_back_are_as_late_as_the_one_before_them_and_none_is_after_the_grant() {
        assert_eq!(told([1010, 1030, 1060, 1000, 1900, 1850, 2500]), all([10, 20, 0, 0, 870, 0, 100]));
    }

    #[test]
    fn a_pod_that_the_watch_shows_late_was_bound_before_its_container_began() {
        assert_eq!(told([1010, 1030, 1890, 1300, 1310, 1800, 1900]), all([10, 20, 270, 0, 10, 490, 100]));
        let phases = told([1010, 1030, 1890, 0, 1310, 1800, 1900]);
        assert_eq!(phases[2..4], [("scheduled", 280), ("runtime", 0)]);
    }

    #[test]
    fn an_execution_that_waited_for_no_start_has_no_phases() {
        let mut before = FULL;
        before[ANNOUNCED] = ENQUEUED;
        assert_eq!(ColdPhases::of(before, ENQUEUED, GRANTED), None);
        assert_eq!(ColdPhases::of([0; 7], ENQUEUED, GRANTED), None);
        assert_eq!(ColdPhases::of(FULL, ENQUEUED, 0), None, "it was not granted yet");
    }
}
