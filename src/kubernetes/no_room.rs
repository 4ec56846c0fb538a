//! Pods for which no node has room.

use std::cell::Cell;

use k8s_openapi::api::core::v1::{Pod, PodCondition};

use super::pods::is_bound;
use crate::clock::Nanos;

/// Time in which a pod that made room is gone and the one that needs it has its node, before more room is made for it
/// (ns).
const PATIENCE_NS: Nanos = 4_000_000_000;

/// A pod for which no node has room, and for which there would be some if other pods went.
#[derive(Debug)]
pub(super) struct NoRoom {
    /// The words of Kubernetes: `0/1 nodes are available: 1 Insufficient cpu. …`.
    message: String,
    /// Time at which room was last made for it.
    made: Cell<Option<Nanos>>,
}

impl NoRoom {
    /// Reads a pod; `None` where it has its node, or waits for something else than for others to go.
    #[must_use]
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        if is_bound(pod) {
            return None;
        }
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let is_it = |one: &&PodCondition| {
            one.type_ == "PodScheduled"
                && one.status == "False"
                && one.reason.as_deref() == Some("Unschedulable")
        };
        let message = conditions.iter().find(is_it)?.message.as_deref()?;
        is_helped_by_others_that_go(message)
            .then(|| Self { message: message.to_owned(), made: Cell::new(None) })
    }

    /// The same, of a pod that was known before.
    #[must_use]
    pub(super) fn after(self, before: Option<&Self>) -> Self {
        self.made.set(before.and_then(|before| before.made.get()));
        self
    }

    /// Whether room is to be made for it at this time: at once, and again where that did not do.
    #[must_use]
    pub(super) fn asks(&self, now: Nanos) -> bool {
        let asks = self.made.get().is_none_or(|made| now.saturating_sub(made) >= PATIENCE_NS);
        if asks {
            self.made.set(Some(now));
        }
        asks
    }
}

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no node has room for its pod: {}", self.message)
    }
}

/// Whether a pod would have a node if others went. Kubernetes says of each node what it lacks, and behind
/// `preemption:` of each whether it would help if pods went.
fn is_helped_by_others_that_go(message: &str) -> bool {
    let (lacks, preemption) = message.split_once("preemption:").unwrap_or((message, ""));
    let is_full = lacks.contains("Insufficient ") || lacks.contains("Too many pods");
    let never = preemption.contains("is not helpful") && !preemption.contains("No preemption victims");
    is_full && !never
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::fake_api;

    fn unscheduled(message: &str) -> Value {
        let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
        json!({ "phase": "Pending", "conditions": [condition] })
    }

    fn of(message: &str) -> Option<NoRoom> {
        NoRoom::of(&fake_api::pod_of_job("fn-a-1", "u", &unscheduled(message)))
    }

    const FULL: &str = "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";

    #[test]
    fn only_a_pod_that_others_keep_from_its_node_has_no_room() {
        assert!(of(FULL).is_some());
        assert!(of("0/2 nodes are available: 1 Too many pods, 1 node(s) had untolerated taint {a: b}. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.").is_some());
        assert!(of("0/1 nodes are available: 1 Insufficient memory.").is_some(), "not all say more");
        let too_large = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
        assert!(of(too_large).is_none(), "it asks for more than the node has");
        assert!(of("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.").is_none());
        let mut bound = fake_api::pod_of_job("fn-a-1", "u", &unscheduled(FULL));
        bound.spec.get_or_insert_default().node_name = Some("n".to_owned());
        assert!(NoRoom::of(&bound).is_none());
        assert!(NoRoom::of(&fake_api::pod_of_job("fn-a-1", "u", &json!({ "phase": "Pending" }))).is_none());
    }

    #[test]
    fn a_pod_asks_for_room_once_and_again_when_that_did_not_do() {
        let first = of(FULL).unwrap();
        assert!(first.asks(10) && !first.asks(11));
        let again = of(FULL).unwrap().after(Some(&first));
        assert!(!again.asks(10 + PATIENCE_NS - 1) && again.asks(10 + PATIENCE_NS));
    }
}
