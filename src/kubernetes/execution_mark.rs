//! Record of the execution that a Job and its pod were given which were made ahead of it, as it is written to both.

use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::cluster::{Cluster, call};
use super::failure::CallFailure;
use super::template::{ASSIGNED, EXECUTION, STANDBY};
use crate::backoff::ExponentialBackoff;

/// Time beyond that of the attempt after which the cluster ends a Job that was given one, in seconds.
const MARGIN_S: u64 = 30;
/// The first pause between two of the tries.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Time for which it is tried. Unwritten, a Job looks as if it waited, and ends an hour after it was made.
const PATIENCE: Duration = Duration::from_secs(120);

/// The record.
pub(super) struct ExecutionMark {
    /// The name of the Job.
    pub(super) job: String,
    /// The name of its pod.
    pub(super) pod: String,
    /// The id of the execution.
    pub(super) execution: String,
    /// Time at which it was given, as RFC 3339.
    pub(super) assigned: String,
    /// Age of the Job at that time, by our clock.
    pub(super) age: Duration,
    /// Longest time that the attempt may take.
    pub(super) time_left: Duration,
}

impl ExecutionMark {
    /// Writes it, beside the execution, which does not wait for it.
    pub(super) async fn write(self, cluster: Rc<Cluster>) {
        let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        let written = async {
            loop {
                match self.try_to_write(&cluster).await {
                    Err(failure) if failure.is_transient() => pauses.pause().await,
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(())) => {}
            // It is gone already, or may not be written: it runs all the same.
            Ok(Err(failure)) => {
                tracing::debug!(job = self.job, "the execution of a Job was not written down: {failure}");
            }
            Err(_) => {
                tracing::warn!(
                    job = self.job,
                    "the execution of a Job was not written down: the API server is away"
                );
            }
        }
    }

    /// The pod comes first: its answer says how old it is, and the next control plane takes pods over that have no
    /// execution.
    async fn try_to_write(&self, cluster: &Cluster) -> Result<(), CallFailure> {
        let (jobs, pods): (Api<Job>, Api<Pod>) = (cluster.api(), cluster.api());
        let labels = json!({ EXECUTION: self.execution, STANDBY: null });
        let metadata = json!({ "labels": labels, "annotations": { ASSIGNED: self.assigned } });
        let params = PatchParams::default();
        let of_pod = json!({ "metadata": metadata });
        let pod = call(pods.patch_metadata(&self.pod, &params, &Patch::Merge(&of_pod))).await?;
        let deadline_s = self.deadline_s(age(&pod.metadata));
        let of_job = json!({ "metadata": metadata, "spec": { "activeDeadlineSeconds": deadline_s } });
        call(jobs.patch_metadata(&self.job, &params, &Patch::Merge(&of_job))).await?;
        Ok(())
    }

    /// Time from the start of the Job after which the cluster ends it, in seconds, where its pod is so old by the clock
    /// of the API server. That clock, by which the time is taken there, may have been set since the Job was made.
    fn deadline_s(&self, age: Duration) -> u64 {
        (age.max(self.age) + self.time_left).as_secs() + MARGIN_S
    }
}

/// Age of an object at the last change that was made to it, by the clock of the API server alone; 0 where that was set
/// back since.
pub(super) fn age(changed: &ObjectMeta) -> Duration {
    let made = changed.creation_timestamp.as_ref();
    let changes = changed.managed_fields.iter().flatten();
    let last = changes.filter_map(|change| change.time.as_ref()).max();
    let age = made.zip(last).and_then(|(made, last)| Duration::try_from(last.0.duration_since(made.0)).ok());
    age.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// An object that was made and changed at these times of the 1st of December.
    fn object(made: &str, changes: &[&str]) -> ObjectMeta {
        let time = |time: &str| format!("2026-12-01T{time}Z");
        let changes: Vec<_> = changes.iter().map(|change| json!({ "time": time(change) })).collect();
        let object = json!({ "creationTimestamp": time(made), "managedFields": changes });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_age_of_an_object_is_taken_by_one_clock_which_may_be_set_back() {
        assert_eq!(age(&object("04:00:00", &["04:00:00", "04:50:09", "04:00:01"])), 3009 * S);
        assert_eq!(age(&object("04:00:00", &["03:00:10"])), Duration::ZERO);
        assert_eq!(age(&object("04:00:00", &[])), Duration::ZERO);
        assert_eq!(age(&ObjectMeta::default()), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_set_by_an_hour_before_an_execution_does_not_end_it_early() {
        let mark = |age: Duration| ExecutionMark {
            job: "fn-f-s1".to_owned(),
            pod: "fn-f-s1-x".to_owned(),
            execution: "e".to_owned(),
            assigned: "2026-12-01T04:00:10Z".to_owned(),
            age,
            time_left: 60 * S,
        };
        assert_eq!(mark(10 * S).deadline_s(11 * S), 101, "it was not set");
        // The controller of Jobs finds the Job 3610 s old by then, where its clock was set ahead.
        assert_eq!(mark(10 * S).deadline_s(3610 * S), 3700);
        assert_eq!(mark(10 * S).deadline_s(Duration::ZERO), 100, "set back, that comes later, never sooner");
        assert_eq!(mark(Duration::ZERO).deadline_s(2500 * S), 2590, "ours is behind that of who made it");
    }
}
