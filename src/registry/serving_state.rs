//! The state of the version of a function that serves.

use std::sync::atomic::Ordering;

use super::{Registered, Registry};
use crate::clock::Nanos;
use crate::instances::standby::standby_state::StandbyState;
use crate::queue::overload::Shortage;

/// The state of the version of a function that serves.
#[derive(Clone, Debug)]
pub(crate) struct ServingState {
    /// Instances that start or run.
    pub replicas: u32,
    /// Instances that are granted work.
    pub ready: u32,
    /// Executions that wait for their first dispatch.
    pub queued: usize,
    /// Attempts in flight.
    pub in_flight: u32,
    /// Each attempt has an instance of its own.
    pub on_demand: bool,
    /// A newer version starts.
    pub rolling: bool,
    /// Its instances that are started ahead, where it has such.
    pub standby: Option<StandbyState>,
}

/// Whether more comes than a function can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverloadState(pub(crate) Option<Shortage>);

impl OverloadState {
    /// The reason of the condition `Overloaded`.
    pub(crate) fn reason(self) -> &'static str {
        self.0.map_or("NothingRefused", Shortage::reason)
    }
}

impl Registry {
    /// Whether more comes than the version of a function can do that serves; `None` where it has never refused a call
    /// for that, and is to drop none.
    pub(crate) fn overload_state(&self, registered: &Registered, now: Nanos) -> Option<OverloadState> {
        let versions = self.versions.all();
        let version = registered.serving.and_then(|version| versions.get(&version))?;
        let state = version.function.queue.overload.state(now);
        let state = state.or(version.function.spec.drop_unreachable.then_some(None));
        state.map(OverloadState)
    }

    /// The state of the version of a function that serves.
    pub(crate) fn serving_state(&self, registered: &Registered) -> ServingState {
        let mut state = ServingState {
            replicas: 0,
            ready: 0,
            queued: 0,
            in_flight: 0,
            on_demand: false,
            rolling: registered.serving.is_some_and(|version| version != registered.wanted.index),
            standby: None,
        };
        let versions = self.versions.all();
        if let Some(version) = registered.serving.and_then(|version| versions.get(&version)) {
            let queue = &version.function.queue;
            state.ready = queue.ready.load(Ordering::Relaxed);
            state.queued = queue.depth();
            state.in_flight = queue.in_flight.load(Ordering::Relaxed);
            state.replicas = version.backend.count();
            state.on_demand = version.backend.is_per_attempt();
            state.standby = version.backend.standby();
            if state.on_demand {
                state.ready = state.replicas;
            }
        }
        state
    }
}
