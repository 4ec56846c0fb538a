//! What the watch shows of a pod of a `WARM` function.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::{ContainerState, Pod};

use super::deployment::{REVISION, token_of};
use super::template::PORT;
use super::verdict;
use crate::backend::exit::Exit;
use crate::error::ErrorCode;
use crate::id::Token;
use crate::mailbox::JobEnd;

/// What keeps a pod from serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// For people.
    pub text: String,
    /// To wait is in vain, as far as the cluster can tell.
    pub hopeless: bool,
    /// How its container ended, where that is what it is.
    pub exit: Option<Exit>,
}

impl From<JobEnd> for Trouble {
    fn from(end: JobEnd) -> Self {
        Self { text: end.reason, hopeless: true, exit: None }
    }
}

/// What the watch shows of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What it was made of.
    pub revision: String,
    /// What it announces itself with.
    pub token: Option<Token>,
    /// Where it listens, once it has an address.
    pub address: Option<SocketAddr>,
    /// It answers its readiness probe.
    pub ready: bool,
    /// It is being deleted, or has ended for good.
    pub leaving: bool,
    /// Its container runs.
    pub running: bool,
    /// How often its container was started again.
    pub restarts: i32,
    /// What keeps it from serving.
    pub trouble: Option<Trouble>,
    /// What its container ended of the last time.
    pub last: Option<Trouble>,
}

impl Sighting {
    /// What is to be seen; `None` of a pod that no Deployment of ours made.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let revision = pod.metadata.labels.as_ref()?.get(REVISION)?.clone();
        let status = pod.status.as_ref();
        let container = status.and_then(|status| status.container_statuses.as_ref()?.first());
        let phase = status.and_then(|status| status.phase.as_deref());
        let ready = status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        let last = container.and_then(|one| ended(one.last_state.as_ref(), pod));
        let ip = status.and_then(|status| status.pod_ip.as_ref()?.parse::<IpAddr>().ok());
        Some(Self {
            revision,
            token: pod.spec.as_ref().and_then(token_of),
            address: ip.map(|ip| SocketAddr::new(ip, PORT)),
            ready,
            leaving: pod.metadata.deletion_timestamp.is_some()
                || matches!(phase, Some("Failed" | "Succeeded")),
            running: container.is_some_and(|one| one.state.as_ref().is_some_and(|s| s.running.is_some())),
            restarts: container.map_or(0, |one| one.restart_count),
            trouble: verdict::cannot_start(pod)
                .or_else(|| if phase == Some("Failed") { verdict::of_pod(pod) } else { None })
                .map(|end| Trouble { exit: last.as_ref().and_then(|last| last.exit), ..Trouble::from(end) })
                .or_else(|| ended(container?.state.as_ref(), pod)),
            last,
        })
    }
}

/// How a container ended, where this is the state of one that did. It is started again.
fn ended(state: Option<&ContainerState>, pod: &Pod) -> Option<Trouble> {
    let terminated = state?.terminated.as_ref()?;
    let (code, text) = verdict::of_exit(terminated, pod);
    let exit = match (code, terminated.exit_code) {
        // The limit itself is the lane's to say.
        (ErrorCode::OutOfMemory, _) => Exit::OutOfMemory { limit: 0 },
        (_, signal) if signal > 128 => Exit::Signal(signal - 128),
        (_, code) => Exit::Code(code),
    };
    Some(Trouble { text, hopeless: false, exit: Some(exit) })
}
