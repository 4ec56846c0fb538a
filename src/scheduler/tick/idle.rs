//! Idle instances, and those that are of no use any more: which are retired, and how control is told of each.

use super::Scheduler;
use crate::clock::Nanos;
use crate::instance::{InstanceKey, VersionIndex};
use crate::scheduler::message::SchedulerEvent;
use crate::scheduler::scheduled_version::InstanceState;

impl Scheduler {
    pub(super) fn retire(&mut self, key: InstanceKey) {
        let Some(version) = self.version(key.version) else { return };
        let Some(instance) = version.instance_mut(key) else { return };
        let (was, idle) = (instance.state, instance.in_flight == 0);
        version.set_state(key, InstanceState::Retiring);
        if idle
            && !self.report_idle(key)
            && let Some(version) = self.version(key.version)
        {
            version.set_state(key, was);
        }
        self.activate(key.version);
    }

    /// An attempt that was stopped goes on: its place at the instance is not free. An instance with all places kept
    /// serves nobody, so it is retired where another can be started.
    pub(super) fn keep_place(&mut self, key: InstanceKey) {
        let Some(version) = self.version(key.version) else { return };
        let limits = version.limits;
        // One that is down counts on, because it may be found to be there after all.
        let Some(instance) = version.place_mut(key) else { return };
        instance.kept += 1;
        let is_full = instance.kept >= limits.instance_concurrency;
        if is_full && limits.can_start && instance.state == InstanceState::Ready {
            self.retire(key);
        }
    }

    /// One of those attempts has ended.
    pub(super) fn free_place(&mut self, key: InstanceKey) {
        let Some(version) = self.version(key.version) else { return };
        if let Some(instance) = version.place_mut(key) {
            instance.kept = instance.kept.saturating_sub(1);
        }
        self.activate(key.version);
    }

    /// Tells control that the instance is idle; false where the ring is full. Then an idle one
    /// keeps its state, to be found by the next `ReapIdle`. One that became idle while retiring
    /// stays out of use until its version is closed.
    pub(super) fn report_idle(&mut self, key: InstanceKey) -> bool {
        let told = self.rings.scheduler_events.push(SchedulerEvent::InstanceIdle { instance: key }).is_ok();
        self.notified |= told;
        told
    }

    pub(super) fn reap_idle(&mut self, index: VersionIndex, keep: u16, idle_before: Nanos) {
        let Some(version) = self.version(index) else { return };
        let places = u16::try_from(version.instances.len()).unwrap_or(u16::MAX);
        // An instance that stands for those which are started for an attempt is none of those that are kept.
        let first = u16::from(version.limits.single_use);
        let apart = version.instances.iter().take(usize::from(first));
        let keep =
            keep + apart.filter(|instance| instance.state == InstanceState::Ready).map(|_| 1).sum::<u16>();
        for place in first..places {
            let Some(version) = self.version(index) else { return };
            if version.ready <= keep || !version.waiting.is_empty() {
                return;
            }
            let instance = version.instances[usize::from(place)];
            if instance.state == InstanceState::Ready
                && instance.in_flight == 0
                && instance.last_used < idle_before
            {
                self.retire(InstanceKey { version: index, place, generation: instance.generation });
            }
        }
    }
}
