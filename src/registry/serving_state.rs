//! The state of the version of a function that serves.

use std::sync::atomic::Ordering;

use super::{Registered, Registry};
use crate::instances::standby::standby_state::StandbyState;

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

impl Registry {
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
