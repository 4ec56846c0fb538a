//! The autoscaler: scale-up as the scheduler asks for it and before it has to ask, and scale-down of idle instances.
//!
//! An idle instance goes in a round trip: `ReapIdle` is sent from here, `scheduler::tick::idle` chooses the
//! instance and answers `InstanceIdle`, and [`Autoscaler::instance_idle`] stops it: a local process by
//! `instances::local::process_set`, a pod by `kubernetes::pod_set`, for which `kubernetes::reconcile` writes one replica less
//! and which pod is to go.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::open_versions::{OpenVersion, OpenVersions};
use super::scaling::capacity::CapacityPlan;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::function_version::FunctionVersion;
use crate::instance::{Address, InstanceKey, VersionIndex};
use crate::scheduler::message::SchedulerCommand;

/// Period of the looks whether clients still have connections to an instance that is to be stopped.
const HELD_LOOK: Duration = Duration::from_millis(500);

/// The autoscaler of all versions.
#[derive(Debug)]
pub(crate) struct Autoscaler {
    context: Rc<Context>,
    versions: Rc<OpenVersions>,
    /// Time of the next look at reserves of instances that are started ahead.
    standby_look: Cell<Nanos>,
}

/// Period of the looks at those reserves: there may be one of each of ten thousand functions (ns).
const STANDBY_LOOK_NS: Nanos = 1_000_000_000;

impl Autoscaler {
    /// An autoscaler of these versions.
    #[must_use]
    pub(crate) fn new(context: Rc<Context>, versions: Rc<OpenVersions>) -> Self {
        Self { context, versions, standby_look: Cell::new(0) }
    }

    /// Starts one more instance of a version, or tells the scheduler that there will be none.
    pub(crate) fn instance_wanted(&self, version: VersionIndex) {
        if !self.versions.backend(version).is_some_and(|backend| backend.start_wanted()) {
            self.context.commands.send(SchedulerCommand::StartFailed { version });
        }
    }

    /// Finds out whether an instance to which a connection failed still answers.
    pub(crate) fn instance_suspect(&self, instance: InstanceKey) {
        if let Some(backend) = self.versions.backend(instance.version) {
            backend.look_after(instance);
        }
    }

    /// Stops an instance that is retired and idle, once no client has a connection of its own to it.
    pub(crate) fn instance_idle(&self, instance: InstanceKey) {
        let Some(backend) = self.versions.backend(instance.version) else { return };
        let address =
            self.versions.all().get(&instance.version).and_then(|version| version.function.address(instance));
        let Some(address) = address.filter(is_held) else {
            backend.stop(instance);
            return;
        };
        tokio::task::spawn_local(async move {
            while is_held(&address) {
                tokio::time::sleep(HELD_LOOK).await;
            }
            backend.stop(instance);
        });
    }

    /// Has instances started that are to be there before calls wait for them, unless `draining`, and those stopped that
    /// have been idle for as long as their function says.
    pub(crate) fn look(&self, now: Nanos, draining: bool) {
        if self.context.cluster.as_ref().is_some_and(|cluster| cluster.takes_idle_pods()) {
            self.release_standby();
        }
        let looks_at_standby = now >= self.standby_look.get();
        if looks_at_standby {
            self.standby_look.set(now + STANDBY_LOOK_NS);
        }
        let mut missing = Vec::new();
        self.context.populated.borrow_mut().retain(|index| {
            let versions = self.versions.all();
            let Some(version) = versions.get(index) else { return false };
            let plan = version.scaling.as_ref().map(|scaling| scaling.look(version, now));
            missing.extend(plan.filter(|plan| plan.start_up_to > 0 && !draining).map(|plan| (*index, plan)));
            self.scale_down_version(version, plan, now, looks_at_standby)
        });
        // A start adds its version to those that are populated.
        for (index, plan) in missing {
            if let Some(backend) = self.versions.backend(index) {
                backend.start_up_to(plan.start_up_to, plan.reason);
            }
        }
    }

    /// Stops an instance that waits for an execution, of the function that was not called for the longest time. Those that
    /// wait for the same room are given up before.
    fn release_standby(&self) {
        let versions = self.versions.all();
        let sets = versions.values().filter_map(|version| version.backend.standby_set());
        sets.clone().for_each(|set| set.give_way());
        if let Some(set) = sets.filter(|set| set.has_ready()).min_by_key(|set| set.last_call()) {
            set.release_one();
        }
    }

    /// Has a version's idle instances stopped, but for those of its plan. Returns false where it has no instance at all.
    fn scale_down_version(
        &self,
        version: &OpenVersion,
        plan: Option<CapacityPlan>,
        now: Nanos,
        looks_at_standby: bool,
    ) -> bool {
        let OpenVersion { function, backend, .. } = version;
        if let Some(set) = backend.standby_set() {
            return !looks_at_standby || set.keep(now);
        }
        let Some(min) = backend.min() else { return false };
        if !backend.may_scale_down(now) {
            return plan.is_some() && backend.count() > 0;
        }
        let keep = plan.map_or(min, |plan| plan.keep);
        // One that was chosen could neither be granted nor go, and would be missed.
        if backend.count() > keep && !has_web_connection(function) {
            let idle_before = now.saturating_sub(u64::from(function.spec.idle_timeout_ms) * NANOS_PER_MS);
            let keep = u16::try_from(keep).unwrap_or(u16::MAX);
            self.context.commands.send(SchedulerCommand::ReapIdle {
                version: function.index,
                keep,
                idle_before,
            });
        }
        true
    }
}

/// Whether a client has a connection of its own to an instance of a version.
fn has_web_connection(function: &FunctionVersion) -> bool {
    function.spec.web.is_some()
        && function.addresses.iter().any(|address| address.load().as_ref().is_some_and(is_held))
}

/// Whether a client has a connection of its own to an instance.
fn is_held(address: &Arc<Address>) -> bool {
    address.web_connections.are_some()
}
