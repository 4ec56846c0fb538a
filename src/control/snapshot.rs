//! Snapshots of the components, for what operators see.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Control;
use crate::management::debug_state::{DebugState, GatewayState, SchedulerState};
use crate::management::health::Readiness;
use crate::metrics::snapshot::MetricsSnapshot;

/// Period of the looks whether the scheduler has ticked.
const TICK_LOOK: Duration = Duration::from_millis(1);

impl Control {
    /// The numbers of the process, as `/metrics` shows them.
    pub(super) fn metrics_snapshot(&self) -> MetricsSnapshot<'_> {
        let (mut executions_retained, mut connections) = (0, 0);
        for gateway in &self.rings.gateways {
            executions_retained += gateway.gauges.retained.load(Ordering::Relaxed);
            connections += gateway.gauges.connections.load(Ordering::Relaxed);
        }
        let families = match &self.context.cluster {
            Some(cluster) => cluster.call_metrics(),
            None => Vec::new(),
        };
        MetricsSnapshot {
            functions: self.registry.snapshots(),
            families,
            executions_retained,
            connections,
            scheduler_parked: self.rings.doorbell.is_asleep(),
            scheduler_ticks: self.rings.ticks.load(Ordering::Relaxed),
            tick_times: &self.rings.tick_times,
        }
    }

    /// The state of the process, as `/debug/state` shows it.
    pub(super) fn debug_state(&self) -> DebugState<'_> {
        let gateways = self.rings.gateways.iter().map(|gateway| {
            let gauges = &gateway.gauges;
            GatewayState {
                live: gauges.live.load(Ordering::Relaxed),
                unread: gauges.unread.load(Ordering::Relaxed),
                retained: gauges.retained.load(Ordering::Relaxed),
                connections: gauges.connections.load(Ordering::Relaxed),
                asleep: gateway.doorbell.is_asleep(),
                commands_waiting: gateway.commands.len(),
            }
        });
        DebugState {
            settings: &self.settings,
            draining: self.draining.get(),
            loaded: self.registry.is_loaded(),
            scheduler: SchedulerState {
                ticks: self.rings.ticks.load(Ordering::Relaxed),
                parked: self.rings.doorbell.is_asleep(),
                events_waiting: self.rings.gateway_events.len(),
                commands_waiting: self.rings.scheduler_commands.len(),
            },
            gateways: gateways.collect(),
            functions: self.registry.functions().len(),
            versions: self.registry.versions().all().len(),
        }
    }

    /// Whether the process is ready for traffic.
    pub(super) fn readiness(&self) -> Readiness {
        match &self.function_objects {
            _ if self.draining.get() => Readiness::Draining,
            Some(objects) if !self.registry.is_loaded() => Readiness::Unread(objects.waits_for()),
            Some(_) => Readiness::Ready,
            None => self.local_readiness(),
        }
    }

    /// Whether every function of this machine was registered, and none waits for its first good build.
    fn local_readiness(&self) -> Readiness {
        let (building, failed) = (self.registry.first_builds(), self.registry.failed_first_builds());
        match (building.is_empty() && failed.is_empty(), self.registry.is_loaded()) {
            (false, _) => Readiness::Unbuilt { building, failed },
            (true, true) => Readiness::Ready,
            (true, false) => Readiness::Loading,
        }
    }

    /// Wakes the scheduler, and returns when it has ticked.
    pub(super) async fn scheduler_ticked(&self) {
        let before = self.rings.ticks.load(Ordering::Relaxed);
        self.rings.wake_scheduler();
        while self.rings.ticks.load(Ordering::Relaxed) == before {
            // A gateway may have taken the scheduler and tick instead; either counts.
            self.rings.unpark();
            tokio::time::sleep(TICK_LOOK).await;
        }
    }
}
