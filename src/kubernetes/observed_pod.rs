//! A pod of a `WARM` function, as the watch shows it.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::deployment::{TEMPLATE_HASH, token_of};
use super::function_container::ContainerReadiness;
use super::template::PORT;
use super::{failure, function_container};
use crate::error::ErrorCode;
use crate::exit::Exit;
use crate::id::Token;
use crate::messages::control_message::JobEnd;

/// A problem that keeps a pod from serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodProblem {
    /// For people.
    pub text: String,
    /// Waiting does not help, as far as the cluster can tell.
    pub permanent: bool,
    /// The end of the container, where that is the problem.
    pub exit: Option<Exit>,
}

impl From<JobEnd> for PodProblem {
    fn from(end: JobEnd) -> Self {
        Self { text: end.reason, permanent: true, exit: None }
    }
}

/// A pod as the watch shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObservedPod {
    /// Hash of the template that it was made of.
    pub template_hash: String,
    /// Proof that it gives when it announces itself.
    pub token: Option<Token>,
    /// Address at which it listens, once it has one.
    pub address: Option<SocketAddr>,
    /// Whether its container answers the readiness probe.
    pub readiness: ContainerReadiness,
    /// It is being deleted, or has ended for good.
    pub terminating: bool,
    /// Its container runs.
    pub running: bool,
    /// Number of restarts of its container.
    pub restarts: i32,
    /// The problem that keeps it from serving.
    pub problem: Option<PodProblem>,
    /// The last end of its container.
    pub last: Option<PodProblem>,
}

impl ObservedPod {
    /// Reads a pod; `None` for one that no Deployment of ours made.
    #[must_use]
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let template_hash = pod.metadata.labels.as_ref()?.get(TEMPLATE_HASH)?.clone();
        let status = pod.status.as_ref();
        let container = function_container::in_status(pod);
        let phase = status.and_then(|status| status.phase.as_deref());
        let last = container.and_then(|one| ended(one.last_state.as_ref(), pod));
        let ip = status.and_then(|status| status.pod_ip.as_ref()?.parse::<IpAddr>().ok());
        Some(Self {
            template_hash,
            token: pod.spec.as_ref().and_then(token_of),
            address: ip.map(|ip| SocketAddr::new(ip, PORT)),
            readiness: function_container::readiness(pod),
            terminating: pod.metadata.deletion_timestamp.is_some() || function_container::all_have_ended(pod),
            running: function_container::is_running(pod),
            restarts: container.map_or(0, |one| one.restart_count),
            problem: failure::cannot_start(pod)
                .or_else(|| if phase == Some("Failed") { failure::of_pod(pod) } else { None })
                .map(|end| PodProblem {
                    exit: last.as_ref().and_then(|last| last.exit),
                    ..PodProblem::from(end)
                })
                .or_else(|| ended(container?.state.as_ref(), pod)),
            last,
        })
    }
}

/// The problem of a container that has ended, by its state. It is started again.
fn ended(state: Option<&ContainerState>, pod: &Pod) -> Option<PodProblem> {
    let terminated = state?.terminated.as_ref()?;
    let (code, text) = failure::of_exit(terminated, pod);
    let exit = match (code, terminated.exit_code) {
        // The limit itself is the version's to say.
        (ErrorCode::OutOfMemory, _) => Exit::OutOfMemory { limit: 0 },
        (_, signal) if signal > 128 => Exit::Signal(signal - 128),
        (_, code) => Exit::Code(code),
    };
    Some(PodProblem { text, permanent: false, exit: Some(exit) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod of ours into which a container in this state was put in front of the function's, which runs.
    fn beside(sidecar: &Value, ready: &Value) -> ObservedPod {
        let state = |name: &str, ready: bool, restarts: u32, states: &Value| {
            let mut state = states.clone();
            for (key, value) in [
                ("name", name.into()),
                ("image", "i".into()),
                ("imageID", "".into()),
                ("ready", ready.into()),
                ("restartCount", restarts.into()),
            ] {
                state[key] = value;
            }
            state
        };
        let runs = json!({ "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } });
        let token = json!([{ "name": "PICOFAAS_TOKEN", "value": "00000000000000010000000000000002" }]);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "fn-a-1", "labels": { "picofaas.dev/revision": "r1" } },
            "spec": { "containers": [{ "name": "a-mesh" }, { "name": "function", "env": token }] },
            "status": {
                "phase": "Running",
                "podIP": "10.1.2.3",
                "conditions": [ready],
                "containerStatuses": [
                    state("a-mesh", false, 7, sidecar), state("function", true, 0, &runs),
                ],
            },
        }))
        .unwrap();
        ObservedPod::of(&pod).unwrap()
    }

    #[test]
    fn a_container_that_was_put_beside_the_function_s_may_break_without_the_function_being_told_so() {
        let not_ready = json!({ "type": "Ready", "status": "False", "reason": "ContainersNotReady" });
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        for sidecar in [
            json!({ "state": killed, "lastState": killed }),
            json!({ "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": killed }),
            json!({ "state": { "waiting": { "reason": "ImagePullBackOff" } } }),
        ] {
            let observed = beside(&sidecar, &not_ready);
            assert_eq!((observed.problem, observed.last), (None, None), "{sidecar}");
            assert!(observed.running && observed.readiness == ContainerReadiness::Presumed, "{sidecar}");
            assert_eq!(observed.restarts, 0, "those of the other container");
            assert_eq!(observed.token, Some(Token { high: 1, low: 2 }));
        }
    }
}
