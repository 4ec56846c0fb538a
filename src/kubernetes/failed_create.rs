//! One watch of `FailedCreate` events: a pod could not be created, for a quota or an admission rule.
//!
//! The controller of Jobs or ReplicaSets tries again by itself and tells it nowhere else in time.

use std::rc::Rc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Event as KubeEvent;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};

use super::cluster::Cluster;
use super::watch::{WatchState, watch_backoff, watch_config};
use super::{failure, template};

/// Age of an event.
#[derive(Clone, Copy)]
enum EventAge {
    /// It was in the list with which a watch begins, and may be old.
    Listed,
    /// It came after that list.
    New,
}

/// Watches for ever.
pub(super) async fn watch(cluster: Rc<Cluster>) {
    let events: Api<KubeEvent> = cluster.api();
    let failures = watch_config().fields("reason=FailedCreate");
    let mut stream = std::pin::pin!(watcher(events, failures).backoff(watch_backoff()));
    let mut watch = WatchState::new("events");
    while let Some(told) = stream.next().await {
        match watch.event(told) {
            Some(Event::InitApply(event)) => handle(&cluster, &event, EventAge::Listed),
            Some(Event::Apply(event)) => handle(&cluster, &event, EventAge::New),
            Some(Event::Delete(_) | Event::Init | Event::InitDone) | None => {}
        }
    }
}

fn handle(cluster: &Cluster, event: &KubeEvent, age: EventAge) {
    let object = &event.involved_object;
    let (Some(kind), Some(name)) = (object.kind.as_deref(), object.name.as_deref()) else { return };
    let message = event.message.as_deref().unwrap_or("no reason is given");
    // The controller says what it failed at in front of why.
    let message = message.strip_prefix("Error creating: ").unwrap_or(message);
    match kind {
        "Job" => {
            cluster.pods.job_without_pod(name, object.uid.as_deref(), failure::of_failed_create(message))
        }
        "ReplicaSet" => match age {
            EventAge::New => {
                if let Some(function) = function_of(name) {
                    cluster.pods.not_created(function, name, message);
                }
            }
            // It may be over: a Deployment keeps its name, and a Job has its own once.
            EventAge::Listed => {}
        },
        _ => {}
    }
}

/// The function whose Deployment made a ReplicaSet: `fn-<function>-<hash>`.
fn function_of(replica_set: &str) -> Option<&str> {
    let (deployment, _hash) = replica_set.rsplit_once('-')?;
    deployment.strip_prefix(template::NAME_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_set_names_its_function_which_may_have_hyphens() {
        assert_eq!(function_of("fn-word-stats-6d4cf56db6"), Some("word-stats"));
        assert_eq!(function_of("fn-a-6d4cf56db6"), Some("a"));
        assert_eq!(function_of("web-6d4cf56db6"), None);
    }
}
