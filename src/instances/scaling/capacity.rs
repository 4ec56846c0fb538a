//! The rule by which instances are started before calls wait for them, and kept beside those that are busy.
//!
//! It is a pure function of counters: nothing in it reads a clock or starts anything. The scheduler asks for an
//! instance when a call waits and none has room; that goes on beside it.

use super::forecast::Forecast;
use super::peak::Peak;
use crate::clock::Nanos;
use crate::start_reason::StartReason;

/// Time until the next look (ns): what is missed after that may be started then.
const LOOK_NS: Nanos = 100_000_000;

/// The part of a specification that the rule heeds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CapacityBounds {
    /// Instances that there may be, at least 1.
    pub max: u32,
    /// Attempts that one instance takes at once, at least 1.
    pub places: u32,
    /// Attempts that all of them take at once.
    pub permits: u32,
    /// Instances that are kept idle beside those that are busy.
    pub headroom: u32,
    /// Instances are started when calls would wait for them before they could be ready.
    pub scale_ahead: bool,
    /// Time without a call after which nothing is kept beside `replicas.min`.
    pub idle_ns: Nanos,
}

/// Counters of a version at one look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Attempts in flight.
    pub in_flight: u32,
    /// Executions that wait for a place.
    pub waiting: u32,
    /// Instances that can be granted.
    pub ready: u32,
    /// Executions that were ever admitted.
    pub admitted: u64,
}

/// Instances that there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::instances) struct CapacityPlan {
    /// As many are started as are missing below this, those that start already included; 0 for none.
    pub start_up_to: u32,
    /// Why.
    pub reason: StartReason,
    /// As many are left when idle ones are stopped.
    pub keep: u32,
}

impl CapacityPlan {
    /// Nothing is started, and so many are left.
    #[must_use]
    pub(super) fn keep(keep: u32) -> Self {
        Self { start_up_to: 0, reason: StartReason::Min, keep }
    }
}

/// The rule, with what it remembers of one version.
#[derive(Debug)]
pub(super) struct CapacityRule {
    bounds: CapacityBounds,
    admitted: u64,
    last_call: Option<Nanos>,
    /// The highest number of instances that were to be there.
    peak: Peak,
    forecast: Forecast,
}

impl CapacityRule {
    /// The rule for a version that nobody has called.
    #[must_use]
    pub(super) fn new(bounds: CapacityBounds) -> Self {
        Self {
            bounds,
            admitted: 0,
            last_call: None,
            peak: Peak::over(bounds.idle_ns),
            forecast: Forecast::default(),
        }
    }

    /// Instances that there are to be by the counters of a version of which `min` instances are kept running, and of which
    /// one that is started is ready after `start_ns`.
    #[must_use]
    pub(super) fn look(&mut self, load: Load, min: u32, start_ns: Nanos, now: Nanos) -> CapacityPlan {
        let is_called = load.admitted != self.admitted || load.in_flight > 0 || load.waiting > 0;
        self.admitted = load.admitted;
        if is_called {
            self.last_call = Some(now);
        }
        let idle_ns = self.bounds.idle_ns;
        if self.last_call.is_none_or(|last| now.saturating_sub(last) >= idle_ns) {
            self.peak.clear();
            self.forecast = Forecast::default();
            return CapacityPlan::keep(min);
        }
        let headroom = if self.bounds.headroom > 0 { with_headroom(self.bounds, load) } else { 0 };
        let ahead = if self.bounds.scale_ahead { self.ahead(load, start_ns, now) } else { 0 };
        let target = headroom.max(ahead);
        // One that was lately needed is not stopped to be started again.
        let keep = self.peak.note(target, now).max(min);
        // The first of all is started for its call, as whether one can start is not known before.
        let start_up_to = if load.ready > 0 { target } else { 0 };
        let reason = if ahead > headroom { StartReason::Ahead } else { StartReason::Headroom };
        CapacityPlan { start_up_to, reason, keep }
    }

    /// Instances that hardly any call would wait for until one that is started now is ready.
    fn ahead(&mut self, load: Load, start_ns: Nanos, now: Nanos) -> u32 {
        let CapacityBounds { max, places, permits, .. } = self.bounds;
        // A line says how long calls have come, and not how many places they need at once: it counts for as many as there
        // are. Instances for those that wait are started anyway.
        let line = load.waiting.min(load.ready.saturating_mul(places));
        let busy = load.in_flight.saturating_add(line).min(permits);
        let needed = self.forecast.places(busy, start_ns.saturating_add(LOOK_NS), now).min(permits);
        needed.div_ceil(places).min(max)
    }
}

/// Instances of which `headroom` are idle, or as many places are free as that many have.
fn with_headroom(bounds: CapacityBounds, load: Load) -> u32 {
    let busy = load.in_flight.saturating_add(load.waiting).min(bounds.permits);
    busy.div_ceil(bounds.places).saturating_add(bounds.headroom).min(bounds.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    const BOUNDS: CapacityBounds = CapacityBounds {
        max: 6,
        places: 2,
        permits: 100,
        headroom: 2,
        scale_ahead: false,
        idle_ns: 800 * MS,
    };

    fn busy(in_flight: u32, waiting: u32) -> Load {
        Load { in_flight, waiting, ready: 1, admitted: 1 }
    }

    #[test]
    fn as_many_places_are_free_as_instances_of_the_headroom_have_up_to_the_highest_number() {
        for (in_flight, waiting, target) in
            [(0, 0, 2), (1, 0, 3), (2, 0, 3), (3, 0, 4), (2, 1, 4), (8, 0, 6), (9, 0, 6), (u32::MAX, 9, 6)]
        {
            assert_eq!(with_headroom(BOUNDS, busy(in_flight, waiting)), target, "{in_flight} {waiting}");
        }
        let narrow = CapacityBounds { permits: 4, ..BOUNDS };
        assert_eq!(with_headroom(narrow, busy(4, 50)), 4, "who waits for a permit needs no instance");
    }

    #[test]
    fn what_was_needed_lately_is_kept_and_without_calls_only_the_smallest_number() {
        let mut capacity = CapacityRule::new(BOUNDS);
        let quiet = Load { admitted: 0, ready: 1, ..Load::default() };
        assert_eq!(capacity.look(quiet, 1, 0, 10_000 * MS), CapacityPlan::keep(1), "nobody has called");
        let mut look = |in_flight, admitted, at_ms: u64| {
            let load = Load { in_flight, waiting: 0, ready: 1, admitted };
            let plan = capacity.look(load, 1, 0, at_ms * MS);
            (plan.start_up_to, plan.keep)
        };
        assert_eq!(look(4, 4, 11_000), (4, 4));
        assert_eq!(look(0, 4, 11_100), (2, 4), "four were needed a moment ago");
        assert_eq!(look(0, 5, 11_700), (2, 4));
        assert_eq!(look(0, 6, 12_400), (2, 2), "calls come, and two are kept idle");
        assert_eq!(look(0, 6, 13_100), (2, 2));
        assert_eq!(look(0, 6, 13_200), (0, 1), "no call for 800 ms");
        assert_eq!(look(1, 7, 14_000), (3, 3));
    }

    #[test]
    fn nothing_is_started_beside_an_instance_that_is_not_there_yet() {
        let mut capacity = CapacityRule::new(BOUNDS);
        let load = Load { waiting: 1, ready: 0, admitted: 1, ..Load::default() };
        let plan = capacity.look(load, 0, 0, 10_000 * MS);
        assert_eq!((plan.start_up_to, plan.keep), (0, 3));
    }

    #[test]
    fn instances_are_started_before_a_load_that_rises_needs_them_and_go_after_their_idle_time() {
        let bounds = CapacityBounds { max: 50, places: 1, headroom: 0, scale_ahead: true, ..BOUNDS };
        let mut capacity = CapacityRule::new(bounds);
        let mut look = |in_flight, ready, at_ms: u64| {
            let load = Load { in_flight, waiting: 0, ready, admitted: at_ms };
            capacity.look(load, 1, 2900 * MS, at_ms * MS)
        };
        for at in 0..50 {
            let plan = look(4, 7, 10_000 + at * 100);
            assert_eq!((plan.start_up_to, plan.keep), (6, 6), "an even load has what it needs");
        }
        // One more each second: 13 now, three more in 3 s, and 4 for chance.
        let mut last = CapacityPlan::keep(0);
        for at in 0..100 {
            last = look(4 + u32::try_from(at / 10).unwrap(), 20, 15_000 + at * 100);
        }
        assert_eq!(last.reason, StartReason::Ahead);
        assert!((19..=22).contains(&last.start_up_to), "{last:?}");
        // It ends: what was needed is kept for 800 ms and an eighth, and no longer.
        assert!(look(8, 20, 25_000).keep >= last.start_up_to);
        for at in 0..60 {
            last = look(2, 20, 25_100 + at * 100);
        }
        assert!(last.keep <= 4, "{last:?}");
    }

    #[test]
    fn a_line_is_not_taken_for_a_load_and_permits_bound_what_is_started() {
        let bounds = CapacityBounds { max: 50, places: 1, headroom: 0, scale_ahead: true, ..BOUNDS };
        let mut capacity = CapacityRule::new(bounds);
        let mut narrow = CapacityRule::new(CapacityBounds { permits: 6, ..bounds });
        let load = Load { in_flight: 4, waiting: 4000, ready: 4, admitted: 1 };
        let mut last = [0, 0];
        for at in 0..50 {
            let now = (10_000 + at * 100) * MS;
            last = [&mut capacity, &mut narrow].map(|all| all.look(load, 1, 300 * MS, now).start_up_to);
        }
        assert_eq!(last, [11, 6]);
    }
}
