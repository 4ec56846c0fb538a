//! The function's container of a pod, found by its name: others may have been put beside it, in any order.
//!
//! A mesh or a policy of the cluster puts containers of its own into pods (sidecars), in front of the function's as
//! well as behind it. Kubelet sorts their states by name. Such a container may run for ever, end or break without
//! that being the function's affair.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};

use super::template::CONTAINER;

/// The function's container, as its pod is made.
#[must_use]
pub(super) fn in_spec(pod: &PodSpec) -> Option<&Container> {
    pod.containers.iter().find(|container| container.name == CONTAINER)
}

/// The state of the function's container; `None` where its node has told none yet.
#[must_use]
pub(super) fn in_status(pod: &Pod) -> Option<&ContainerStatus> {
    let mut states = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    states.find(|state| state.name == CONTAINER)
}

/// Whether the function's container runs.
#[must_use]
pub(super) fn is_running(pod: &Pod) -> bool {
    in_status(pod).is_some_and(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// The condition of a pod that kubelet gives for containers that are not ready.
const CONTAINERS_NOT_READY: &str = "ContainersNotReady";

/// The word of a pod's node for the function's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerReadiness {
    /// It does not take requests, or nothing is known of it.
    NotReady,
    /// It took requests when another container became unready. A node that is lost makes its pods unready, but not one
    /// that was unready before, of which nothing changes then: it may be gone.
    Presumed,
    /// It takes requests: the pod is ready.
    Ready,
}

/// Whether the function's container takes requests: the pod is ready, or it is for another container that it is not.
/// A node that is lost makes its pods unready and leaves the states of their containers as they were.
#[must_use]
pub(super) fn readiness(pod: &Pod) -> ContainerReadiness {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let Some(ready) = conditions.and_then(|all| all.iter().find(|one| one.type_ == "Ready")) else {
        return ContainerReadiness::NotReady;
    };
    if ready.status == "True" {
        return ContainerReadiness::Ready;
    }
    let is_another = ready.reason.as_deref() == Some(CONTAINERS_NOT_READY)
        && in_status(pod).is_some_and(|state| state.ready);
    if is_another { ContainerReadiness::Presumed } else { ContainerReadiness::NotReady }
}

/// Whether every container of a pod has ended for good.
#[must_use]
pub(super) fn all_have_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether containers beside the function's go on. A node may tell of the end of the only container before it says that
/// its pod is over.
#[must_use]
pub(super) fn others_go_on(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let before = status.and_then(|status| status.init_container_statuses.as_ref());
    let mut others =
        containers.into_iter().chain(before).flatten().filter(|container| container.name != CONTAINER);
    !all_have_ended(pod)
        && others.any(|other| other.state.as_ref().is_none_or(|state| state.terminated.is_none()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(ready: &Value, function_is_ready: bool) -> Pod {
        serde_json::from_value(json!({
            "spec": { "containers": [{ "name": "a-mesh" }, { "name": "function" }] },
            "status": {
                "phase": "Running",
                "conditions": [ready],
                "containerStatuses": [
                    { "name": "a-mesh", "image": "i", "imageID": "", "ready": false, "restartCount": 9 },
                    { "name": "function", "image": "i", "imageID": "", "ready": function_is_ready,
                      "restartCount": 1 },
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_containers_that_stand_in_front_are_not_taken_for_the_function_s() {
        let pod = pod(&json!({ "type": "Ready", "status": "False" }), true);
        assert_eq!(in_spec(pod.spec.as_ref().unwrap()).unwrap().name, "function");
        assert_eq!(in_status(&pod).unwrap().restart_count, 1);
    }

    #[test]
    fn a_pod_takes_requests_though_another_container_of_it_is_not_ready_but_not_where_its_node_is_lost() {
        let not_ready = |reason: Option<&str>| {
            let mut condition = json!({ "type": "Ready", "status": "False" });
            if let Some(reason) = reason {
                condition["reason"] = reason.into();
            }
            condition
        };
        use ContainerReadiness::{NotReady, Presumed, Ready};
        assert_eq!(readiness(&pod(&json!({ "type": "Ready", "status": "True" }), true)), Ready);
        assert_eq!(readiness(&pod(&not_ready(Some("ContainersNotReady")), true)), Presumed);
        assert_eq!(readiness(&pod(&not_ready(Some("ContainersNotReady")), false)), NotReady);
        assert_eq!(readiness(&pod(&not_ready(Some("ReadinessGatesNotReady")), true)), NotReady);
        assert_eq!(readiness(&pod(&not_ready(None), true)), NotReady, "its node is lost");
    }

    #[test]
    fn a_pod_goes_on_where_another_container_has_not_ended_and_not_for_the_function_s_alone() {
        let ready = json!({ "type": "Ready", "status": "False" });
        let with = |sidecar: Option<&Value>, phase: &str| {
            let mut pod = serde_json::to_value(pod(&ready, false)).unwrap();
            let states = pod["status"]["containerStatuses"].as_array_mut().unwrap();
            states[1]["state"] = json!({ "terminated": { "exitCode": 0 } });
            match sidecar {
                Some(state) => states[0]["state"] = state.clone(),
                None => drop(states.remove(0)),
            }
            pod["status"]["phase"] = phase.into();
            others_go_on(&serde_json::from_value(pod).unwrap())
        };
        let runs = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        assert!(with(Some(&runs), "Running"));
        assert!(with(Some(&json!({ "waiting": { "reason": "ImagePullBackOff" } })), "Running"));
        assert!(!with(Some(&json!({ "terminated": { "exitCode": 1 } })), "Running"));
        assert!(!with(None, "Running"), "its node has not said yet that it is over");
        assert!(!with(Some(&runs), "Failed"));
    }
}
