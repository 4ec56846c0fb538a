//! The numbers of each function, for metrics.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::Registry;
use crate::metrics::snapshot::{FunctionGauges, FunctionSnapshot, StandbyGauges};

impl Registry {
    /// The numbers of each function, by name.
    #[must_use]
    pub fn snapshots(&self) -> Vec<FunctionSnapshot> {
        let versions = self.versions.all();
        let mut gauges: HashMap<&str, FunctionGauges> = HashMap::new();
        let mut standby: HashMap<&str, StandbyGauges> = HashMap::new();
        for version in versions.values() {
            let sums = gauges.entry(version.function.spec.name.as_str()).or_default();
            let queue = &version.function.queue;
            let replicas = u64::from(version.backend.count());
            sums.queue_depth += queue.depth() as u64;
            sums.in_flight += u64::from(queue.in_flight.load(Ordering::Relaxed));
            sums.replicas += replicas;
            // To the scheduler a JOB has an instance that is always there; people count processes.
            sums.ready_replicas += match version.backend.is_per_attempt() {
                true => replicas,
                false => u64::from(queue.ready.load(Ordering::Relaxed)),
            };
            if let Some(reserve) = version.backend.standby() {
                let sums = standby.entry(version.function.spec.name.as_str()).or_default();
                sums.ready += u64::from(reserve.ready);
                sums.starting += u64::from(reserve.starting);
                sums.target += u64::from(reserve.target);
            }
        }
        let functions = self.functions.borrow();
        let snapshots = functions.iter().map(|(name, registered)| FunctionSnapshot {
            name: name.clone(),
            metrics: registered.metrics.clone(),
            gauges: gauges.get(name.as_str()).copied().unwrap_or_default(),
            standby: standby.get(name.as_str()).copied(),
        });
        snapshots.collect()
    }
}
