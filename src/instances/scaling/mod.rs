//! How many instances of a `WARM` function are to be there before calls wait for them.
//!
//! | file | holds |
//! |---|---|
//! | `capacity` | the rule: a pure function of counters and time |
//! | `forecast` | the places that will be busy soon |
//! | `peak` | the highest number of a while |
//! | `simulation` | how long calls wait by this rule and others, and what it costs (tests) |
//!
//! [`Scaling`] is the part of one version. The control thread looks at it each 100 ms while the version has an instance:
//! a version without `headroom` and `scaleAhead` has none, and one without an instance is not looked at.

pub(super) mod capacity;
mod forecast;
mod peak;
#[cfg(test)]
mod simulation;

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use super::open_versions::OpenVersion;
use super::start_times::StartTimes;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::function_version::FunctionVersion;
use crate::instance::InstanceStart;
use crate::spec::{ExecutionMode, FunctionSpec};
use capacity::{CapacityBounds, CapacityPlan, CapacityRule, Load};

/// The capacity of one version that is kept beside what is busy.
#[derive(Debug)]
pub(crate) struct Scaling {
    capacity: RefCell<CapacityRule>,
    starts: RefCell<ObservedStarts>,
    /// The version is closed, and nothing more is started for it.
    is_over: Cell<bool>,
}

impl Scaling {
    /// The scaling of a version; `None` where its function asks for nothing of it.
    #[must_use]
    pub(super) fn of(spec: &FunctionSpec) -> Option<Self> {
        if spec.execution_mode != ExecutionMode::Warm || (spec.headroom == 0 && !spec.scale_ahead) {
            return None;
        }
        let bounds = CapacityBounds {
            max: spec.replicas().max,
            places: spec.instance_concurrency,
            permits: spec.concurrency,
            headroom: spec.headroom,
            scale_ahead: spec.scale_ahead,
            idle_ns: u64::from(spec.idle_timeout_ms) * NANOS_PER_MS,
        };
        Some(Self {
            capacity: RefCell::new(CapacityRule::new(bounds)),
            starts: RefCell::default(),
            is_over: Cell::new(false),
        })
    }

    /// Nothing more is started for the version.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    /// Looks at the counters of its version.
    #[must_use]
    pub(super) fn look(&self, version: &OpenVersion, now: Nanos) -> CapacityPlan {
        let OpenVersion { function, backend, .. } = version;
        let min = backend.min().unwrap_or(0);
        if self.is_over.get() {
            return CapacityPlan::keep(min);
        }
        let load = Load {
            in_flight: function.queue.in_flight.load(Ordering::Relaxed),
            waiting: u32::try_from(function.queue.depth()).unwrap_or(u32::MAX),
            ready: function.queue.ready.load(Ordering::Relaxed),
            admitted: function.metrics.sum(|metrics| &metrics.enqueued),
        };
        let start_ns = match function.spec.scale_ahead {
            true => self.starts.borrow_mut().p90(function, load.ready),
            false => 0,
        };
        self.capacity.borrow_mut().look(load, min, start_ns, now)
    }
}

/// The starts of the instances of one version, as their addresses tell of them.
#[derive(Debug, Default)]
struct ObservedStarts {
    times: StartTimes,
    /// Instances that could be granted at the last look.
    ready: u32,
    /// The time at which the last one of those that were noted was ready.
    newest: Nanos,
}

impl ObservedStarts {
    /// Time within which nine of ten starts are over. Where another number is ready than at the last look, it is looked
    /// which have come.
    fn p90(&mut self, function: &FunctionVersion, ready: u32) -> Nanos {
        if ready != self.ready {
            self.ready = ready;
            let noted = self.newest;
            for address in &function.addresses {
                let Some(address) = &*address.load() else { continue };
                let InstanceStart { wanted, ready, .. } = *address.start;
                // Of one that nobody asked for it is not known when its start began.
                if wanted > 0 && ready > noted {
                    self.times.note(ready.saturating_sub(wanted));
                    self.newest = self.newest.max(ready);
                }
            }
        }
        self.times.p90()
    }
}
