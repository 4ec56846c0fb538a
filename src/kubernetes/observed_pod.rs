//! A pod of a `WARM` function, as the watch shows it.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::deployment::{TEMPLATE_HASH, token_of};
use super::failure;
use super::template::PORT;
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
    /// It answers its readiness probe.
    pub ready: bool,
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
        let container = status.and_then(|status| status.container_statuses.as_ref()?.first());
        let phase = status.and_then(|status| status.phase.as_deref());
        let ready = status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        let last = container.and_then(|one| ended(one.last_state.as_ref(), pod));
        let ip = status.and_then(|status| status.pod_ip.as_ref()?.parse::<IpAddr>().ok());
        Some(Self {
            template_hash,
            token: pod.spec.as_ref().and_then(token_of),
            address: ip.map(|ip| SocketAddr::new(ip, PORT)),
            ready,
            terminating: pod.metadata.deletion_timestamp.is_some()
                || matches!(phase, Some("Failed" | "Succeeded")),
            running: container.is_some_and(|one| one.state.as_ref().is_some_and(|s| s.running.is_some())),
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
