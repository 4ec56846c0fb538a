//! The start of a pod of a `WARM` function, as far as it is known.

use k8s_openapi::api::core::v1::Pod;

use super::pods::is_bound;
use crate::clock::Nanos;
use crate::instance::{InstanceReport, InstanceStart};

/// The start of a pod, as the watch and the pod itself tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PodStart {
    /// Time at which it was first shown as bound to a node; 0: not yet.
    scheduled: Nanos,
    /// Its last account of itself, and the time at which it was given.
    report: Option<(InstanceReport, Nanos)>,
}

impl PodStart {
    /// Takes the pod as the watch shows it at this time.
    pub(super) fn observe(&mut self, pod: &Pod, now: Nanos) {
        if self.scheduled == 0 && is_bound(pod) {
            self.scheduled = now;
        }
    }

    /// Takes what the pod said of itself at this time.
    pub(super) fn told(&mut self, report: InstanceReport, now: Nanos) {
        self.report = Some((report, now));
    }

    /// Adds what is known to the start of an instance that was asked for. `applied` is when the API server last took a
    /// number of pods (0: never). That is when it took this pod, if it is between the question and the pod's node.
    #[must_use]
    pub(super) fn add_to(self, start: InstanceStart, applied: Nanos) -> InstanceStart {
        let Self { scheduled, report } = self;
        let is_its_own = applied >= start.wanted && (scheduled == 0 || applied <= scheduled);
        let start = InstanceStart { created: if is_its_own { applied } else { 0 }, scheduled, ..start };
        match report {
            Some((report, told)) => start.with_report(&report, told),
            None => start,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake_api;

    #[test]
    fn a_pod_tells_of_its_start_by_its_node_and_by_its_own_word() {
        let mut of_pod = PodStart::default();
        let mut pod = fake_api::pod_of_job("fn-a-1", "only", &json!({ "phase": "Pending" }));
        pod.spec.get_or_insert_default().node_name = None;
        of_pod.observe(&pod, 10);
        pod.spec.get_or_insert_default().node_name = Some("n".to_owned());
        of_pod.observe(&pod, 20);
        of_pod.observe(&pod, 30);
        let age = |ns| Some(Duration::from_nanos(ns));
        let report = InstanceReport { process_age: age(9), handler_age: age(2), ..InstanceReport::default() };
        of_pod.told(report, 40);
        let asked = InstanceStart { wanted: 5, began: 5, ready: 41, ..InstanceStart::default() };
        let known = of_pod.add_to(asked.clone(), 7);
        let times = |start: &InstanceStart| {
            [start.wanted, start.created, start.scheduled, start.container, start.runtime, start.handler]
        };
        assert_eq!(times(&known), [5, 7, 20, 31, 0, 38]);
        for of_another in [0, 4, 21] {
            assert_eq!(of_pod.add_to(asked.clone(), of_another).created, 0, "{of_another}");
        }
        assert_eq!(PodStart::default().add_to(asked.clone(), 0), asked);
    }
}
