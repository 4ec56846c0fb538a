//! Classes of failures: of a pod, by its state or an event, and of a call, by the API server's answer.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::calls::{KubeError, permission};
use super::function_container;
use crate::error::ErrorCode;
use crate::messages::control_message::JobEnd;

/// The error code of a reason for which a container will not start by waiting on.
fn permanent(reason: &str) -> Option<ErrorCode> {
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => Some(ErrorCode::ImageUnavailable),
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => Some(ErrorCode::ContainerConfig),
        "CrashLoopBackOff" => Some(ErrorCode::InstanceCrashed),
        _ => None,
    }
}

/// The end of the function's container of a pod that is not started again, or the reason that it will never run;
/// `None` while neither is known. Other containers of the pod may go on.
#[must_use]
pub(super) fn of_pod(pod: &Pod) -> Option<JobEnd> {
    let status = pod.status.as_ref()?;
    match status.phase.as_deref() {
        Some("Succeeded") => Some(exited_with_0()),
        Some("Failed") => Some(of_failed(pod)),
        _ if terminated(pod).is_some() => Some(of_failed(pod)),
        _ => cannot_start(pod),
    }
}

fn exited_with_0() -> JobEnd {
    JobEnd {
        code: ErrorCode::InstanceCrashed,
        reason: "the pod ended with exit code 0 before it posted a result".to_owned(),
        exited_with_0: true,
    }
}

/// The end of the function's container.
fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    function_container::in_status(pod)?.state.as_ref()?.terminated.as_ref()
}

/// The reason that the function's container does not start, where waiting on does not help. It waits for init
/// containers, and for no other one.
#[must_use]
pub(super) fn cannot_start(pod: &Pod) -> Option<JobEnd> {
    let function = function_container::in_status(pod);
    if let Some((code, text)) = function.and_then(hopeless) {
        // A loop of crashes is told by how the last one went.
        let last = function.and_then(|container| container.last_state.as_ref()?.terminated.as_ref());
        if let (ErrorCode::InstanceCrashed, Some(last)) = (code, last) {
            let (code, how) = of_exit(last, pod);
            return Some(end(code, format!("the container ends again and again: {how}")));
        }
        return Some(end(code, text));
    }
    if function.is_some_and(has_run) {
        return None;
    }
    init_containers(pod).find_map(|container| {
        let (code, text) = hopeless(container)?;
        Some(end(code, format!("the init container {}: {text}", container.name)))
    })
}

/// The reason for which a container waits and will not start by waiting on.
fn hopeless(container: &ContainerStatus) -> Option<(ErrorCode, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let code = permanent(reason)?;
    let message = waiting.message.as_deref().unwrap_or("the node gives no reason");
    Some((code, format!("{reason}: {message}")))
}

fn has_run(container: &ContainerStatus) -> bool {
    let mut states = [&container.state, &container.last_state].into_iter().flatten();
    states.any(|state| state.running.is_some() || state.terminated.is_some())
}

fn init_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten())
}

fn of_failed(pod: &Pod) -> JobEnd {
    let status = pod.status.as_ref();
    let message = status.and_then(|status| status.message.as_deref()).unwrap_or("no reason is given");
    let disrupted = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|all| all.iter().find(|one| one.type_ == "DisruptionTarget" && one.status == "True"));
    match status.and_then(|status| status.reason.as_deref()) {
        Some("Evicted") => return end(ErrorCode::PodEvicted, format!("the pod was evicted: {message}")),
        Some("DeadlineExceeded") => {
            return end(
                ErrorCode::InstanceCrashed,
                format!("the pod ran longer than its Job may: {message}"),
            );
        }
        // Refusals of kubelet itself: OutOfcpu, OutOfpods, NodeAffinity, UnexpectedAdmissionError, …
        Some(reason) if never_ran(pod) => {
            return end(ErrorCode::PodEvicted, format!("the node refused the pod: {reason}: {message}"));
        }
        Some(_) | None => {}
    }
    if let Some(terminated) = terminated(pod) {
        // Another container failed.
        if terminated.exit_code == 0 {
            return exited_with_0();
        }
        let (code, how) = of_exit(terminated, pod);
        if code == ErrorCode::ContainerConfig {
            return end(code, how);
        }
        if code == ErrorCode::OutOfMemory || disrupted.is_none() {
            return end(code, format!("{how} before it posted a result"));
        }
    }
    match disrupted {
        Some(one) => end(
            ErrorCode::PodEvicted,
            format!("the pod was evicted: {}", one.message.as_deref().unwrap_or("no reason is given")),
        ),
        None => end(ErrorCode::InstanceCrashed, format!("the pod failed: {}", failed_before(pod, message))),
    }
}

/// The words for a pod that failed before its function's container ran: which init container it was, where it was one.
fn failed_before(pod: &Pod, message: &str) -> String {
    let failed = init_containers(pod).find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        Some(format!("its init container {} ended with exit code {}", container.name, ended.exit_code))
    });
    failed.unwrap_or_else(|| message.to_owned())
}

/// The error code of a container's end, and the end in words.
pub(super) fn of_exit(ended: &ContainerStateTerminated, pod: &Pod) -> (ErrorCode, String) {
    match (ended.reason.as_deref(), ended.exit_code) {
        (Some("OOMKilled"), _) => {
            let limit = memory_limit(pod).map_or_else(String::new, |limit| format!(" of {limit}"));
            let how = format!("it went over its memory limit{limit} (resources.limits.memory)");
            (ErrorCode::OutOfMemory, how)
        }
        // The program could not even be started, and the node says why.
        (Some("StartError" | "ContainerCannotRun"), _) => {
            let message = ended.message.as_deref().unwrap_or("the node gives no reason");
            (ErrorCode::ContainerConfig, format!("the container could not run its command: {message}"))
        }
        (_, signal) if signal > 128 => {
            (ErrorCode::InstanceCrashed, format!("the container was ended by signal {}", signal - 128))
        }
        (_, code) => (ErrorCode::InstanceCrashed, format!("the container ended with exit code {code}")),
    }
}

fn memory_limit(pod: &Pod) -> Option<&str> {
    let container = function_container::in_spec(pod.spec.as_ref()?)?;
    Some(container.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.as_str())
}

/// Whether no container of a pod was ever made.
fn never_ran(pod: &Pod) -> bool {
    let mut states = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    states.all(|container| container.state.is_none())
}

/// The failure of a pod that could not be created, by an event `FailedCreate` or an answer.
#[must_use]
pub(super) fn of_failed_create(message: &str) -> JobEnd {
    let code = if message.contains("exceeded quota") {
        ErrorCode::QuotaExceeded
    } else {
        ErrorCode::AdmissionRefused
    };
    end(code, format!("the pod was not made: {message}"))
}

/// The failure of a call to the API server.
#[derive(Debug)]
pub(crate) enum CallFailure {
    /// It may succeed later: the server is away, busy, or not sure.
    Transient(String),
    /// It will not.
    Permanent(JobEnd),
    /// There is no such object.
    NotFound,
    /// There is such an object already.
    AlreadyExists,
}

impl CallFailure {
    /// Whether the call may succeed later.
    #[must_use]
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

impl std::fmt::Display for CallFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Transient(why) => why,
            Self::Permanent(end) => &end.reason,
            Self::NotFound => "there is no such object",
            Self::AlreadyExists => "there is such an object already",
        })
    }
}

/// The class of a call's error.
#[must_use]
pub(super) fn of_error(error: impl Into<KubeError>) -> CallFailure {
    let status = match error.into() {
        KubeError::Answered(status) => status,
        KubeError::Away(why) => return CallFailure::Transient(why),
    };
    match status.code {
        404 => CallFailure::NotFound,
        409 if status.reason == "AlreadyExists" => CallFailure::AlreadyExists,
        // A quota is checked with a lock on it, and who loses is told to come again.
        409 | 408 | 429 | 500.. => CallFailure::Transient(status.message),
        401 | 403 if let Some(text) = permission(&status.message) => {
            CallFailure::Permanent(end(ErrorCode::AdmissionRefused, text))
        }
        _ => CallFailure::Permanent(of_failed_create(&status.message)),
    }
}

fn end(code: ErrorCode, reason: String) -> JobEnd {
    JobEnd { code, reason, exited_with_0: false }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failure(status: &serde_json::Value) -> Option<(ErrorCode, String, bool)> {
        let pod = json!({
            "metadata": { "name": "p" },
            "spec": { "containers": [
                { "name": "function", "resources": { "limits": { "memory": "64Mi" } } }
            ] },
            "status": status,
        });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        of_pod(&pod).map(|end| (end.code, end.reason, end.exited_with_0))
    }

    fn waiting(reason: &str) -> Option<(ErrorCode, String, bool)> {
        failure(&json!({ "phase": "Pending", "containerStatuses": [{
            "name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "what the node says" } },
        }] }))
    }

    fn terminated(reason: &str, exit_code: i32) -> (ErrorCode, String, bool) {
        failure(&json!({ "phase": "Failed", "containerStatuses": [{
            "name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": { "reason": reason, "exitCode": exit_code } },
        }] }))
        .expect("a failure")
    }

    #[test]
    fn a_pod_that_starts_or_runs_is_waited_for() {
        assert_eq!(failure(&json!({ "phase": "Pending" })), None);
        assert_eq!(failure(&json!({ "phase": "Running" })), None);
        assert_eq!(waiting("ContainerCreating"), None);
        assert_eq!(waiting("PodInitializing"), None);
    }

    #[test]
    fn a_container_that_cannot_start_is_not_waited_for() {
        for (reason, code) in [
            ("ErrImagePull", ErrorCode::ImageUnavailable),
            ("ImagePullBackOff", ErrorCode::ImageUnavailable),
            ("InvalidImageName", ErrorCode::ImageUnavailable),
            ("CreateContainerConfigError", ErrorCode::ContainerConfig),
        ] {
            let (given, text, _) = waiting(reason).expect(reason);
            assert_eq!(given, code, "{reason}");
            assert_eq!(text, format!("{reason}: what the node says"));
        }
    }

    #[test]
    fn an_end_is_told_apart_by_its_cause() {
        let (code, text, _) = terminated("OOMKilled", 137);
        assert_eq!(code, ErrorCode::OutOfMemory);
        assert!(text.contains("64Mi"), "{text}");
        let (code, text, _) = terminated("Error", 3);
        assert_eq!(code, ErrorCode::InstanceCrashed);
        assert!(text.contains("exit code 3"), "{text}");
        let (code, text, _) = terminated("Error", 139);
        assert_eq!(code, ErrorCode::InstanceCrashed);
        assert!(text.contains("signal 11"), "{text}");
        assert_eq!(terminated("StartError", 128).0, ErrorCode::ContainerConfig);
    }

    #[test]
    fn a_pod_that_the_cluster_took_away_did_not_crash() {
        let (code, text, _) =
            failure(&json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }))
                .expect("one");
        assert_eq!((code, text.as_str()), (ErrorCode::PodEvicted, "the pod was evicted: low on memory"));
        let (code, ..) =
            failure(&json!({ "phase": "Failed", "reason": "OutOfcpu", "message": "no room" })).expect("one");
        assert_eq!(code, ErrorCode::PodEvicted);
    }

    /// A pod of a `JOB` into which a container was put in front of the function's.
    fn beside(phase: &str, sidecar: &serde_json::Value, function: &serde_json::Value) -> Option<JobEnd> {
        let state = |name: &str, state: &serde_json::Value| json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
        let pod = json!({
            "metadata": { "name": "p" },
            "spec": { "containers": [
                { "name": "a-mesh", "resources": { "limits": { "memory": "16Mi" } } },
                { "name": "function", "resources": { "limits": { "memory": "64Mi" } } },
            ] },
            "status": { "phase": phase, "containerStatuses": [state("a-mesh", sidecar), state("function", function)] },
        });
        of_pod(&serde_json::from_value(pod).expect("a pod"))
    }

    #[test]
    fn the_end_is_that_of_the_function_s_container_whatever_stands_beside_it() {
        let runs = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        let ended = |code: i32| json!({ "terminated": { "exitCode": code } });
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let pulls = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });

        assert!(beside("Running", &runs, &runs).is_none());
        assert!(beside("Running", &killed, &runs).is_none(), "the other one went over its memory");
        assert!(beside("Pending", &pulls, &runs).is_none(), "the other one has no image");
        assert!(beside("Running", &runs, &ended(0)).expect("an end").exited_with_0);
        let crashed = beside("Running", &runs, &ended(3)).expect("an end");
        assert_eq!((crashed.code, crashed.exited_with_0), (ErrorCode::InstanceCrashed, false));
        assert!(crashed.reason.contains("exit code 3"), "{}", crashed.reason);
        let memory = beside("Running", &runs, &killed).expect("an end");
        assert_eq!(memory.code, ErrorCode::OutOfMemory);
        assert!(memory.reason.contains("64Mi"), "the limit of the other one: {}", memory.reason);
        assert!(beside("Failed", &killed, &ended(0)).expect("an end").exited_with_0, "the other one failed");
        let both = beside("Failed", &killed, &ended(3)).expect("an end");
        assert_eq!(both.code, ErrorCode::InstanceCrashed, "{}", both.reason);
    }

    #[test]
    fn an_init_container_that_keeps_the_function_from_running_is_named() {
        let with = |phase: &str, init: &serde_json::Value| {
            failure(&json!({
                "phase": phase,
                "initContainerStatuses": [{
                    "name": "mesh-init", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": init,
                }],
                "containerStatuses": [{
                    "name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": "PodInitializing" } },
                }],
            }))
        };
        let pulls = json!({ "waiting": { "reason": "ErrImagePull", "message": "no such image" } });
        let (code, text, _) = with("Pending", &pulls).expect("it will not run");
        assert_eq!(code, ErrorCode::ImageUnavailable);
        assert!(text.contains("mesh-init") && text.contains("no such image"), "{text}");
        assert_eq!(with("Pending", &json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } })), None);
        let (code, text, _) = with("Failed", &json!({ "terminated": { "exitCode": 2 } })).expect("an end");
        assert_eq!(code, ErrorCode::InstanceCrashed);
        assert!(text.contains("mesh-init ended with exit code 2"), "{text}");
    }

    #[test]
    fn an_exit_with_0_says_so_because_its_post_may_still_be_on_its_way() {
        let (_, _, exited_with_0) = failure(&json!({ "phase": "Succeeded" })).expect("one");
        assert!(exited_with_0);
    }

    #[test]
    fn a_call_that_may_succeed_later_is_told_from_one_that_will_not() {
        let of = |code: u16, reason: &str| {
            let status = json!({ "code": code, "reason": reason, "message": "m" });
            of_error(kube::Error::Api(serde_json::from_value(status).expect("a status")))
        };
        assert!(matches!(of(404, "NotFound"), CallFailure::NotFound));
        assert!(matches!(of(409, "AlreadyExists"), CallFailure::AlreadyExists));
        for (code, reason) in [(409, "Conflict"), (429, "TooManyRequests"), (500, ""), (503, "")] {
            assert!(matches!(of(code, reason), CallFailure::Transient(_)), "{code}");
        }
        for (code, reason) in [(403, "Forbidden"), (422, "Invalid"), (400, "BadRequest")] {
            assert!(matches!(of(code, reason), CallFailure::Permanent(_)), "{code}");
        }
        for message in [
            "jobs.batch is forbidden: User \"u\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"n\": RBAC: [clusterrole.rbac.authorization.k8s.io \"system:basic-user\" not found, clusterrole.rbac.authorization.k8s.io \"system:discovery\" not found]",
            "jobs.batch \"fn-a\" is forbidden: not yet ready to handle request",
        ] {
            let status = json!({ "code": 403, "reason": "Forbidden", "message": message });
            let status = serde_json::from_value(status).expect("a status");
            let failed = of_error(kube::Error::Api(status));
            assert!(matches!(failed, CallFailure::Transient(_)), "an API server that starts: {failed:?}");
            // A check of objects may say the like of one of them.
            let status = json!({ "code": 422, "reason": "Invalid", "message": message });
            let status = serde_json::from_value(status).expect("a status");
            let failed = of_error(kube::Error::Api(status));
            assert!(matches!(failed, CallFailure::Permanent(_)), "an object that is wrong: {failed:?}");
        }
        let lost = kube::Error::ReadEvents(std::io::Error::other("the line is dead"));
        assert!(matches!(of_error(lost), CallFailure::Transient(why) if why.contains("the line is dead")));
    }

    #[test]
    fn a_quota_is_told_apart_from_another_refusal() {
        let quota = "pods \"fn-a\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=2, limited: pods=2";
        assert_eq!(of_failed_create(quota).code, ErrorCode::QuotaExceeded);
        let policy = "pods \"fn-a\" is forbidden: violates PodSecurity \"restricted:latest\"";
        assert_eq!(of_failed_create(policy).code, ErrorCode::AdmissionRefused);
    }
}
