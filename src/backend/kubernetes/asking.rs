//! Pods of a `WARM` function that are asked whether they serve.

use std::rc::Rc;
use std::time::Duration;

use super::tracked_pod::{PodChange, PodState, TrackedPod};
use super::workload::Workload;
use crate::backend::probe;
use crate::backoff::ExponentialBackoff;
use crate::function::Target;

/// The first pause between two looks whether a pod that was lost answers; it doubles.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest such pause.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often a pod is asked that has announced itself and that its node has not found ready yet.
const ASK_PAUSE: Duration = Duration::from_secs(2);
/// After so many answers that did not come in time it is lost, as its node would say.
const UNANSWERED_MAX: u32 = 2;

impl Workload {
    /// Asks a pod that was lost until it answers or is given up.
    pub(super) fn probe_until_healthy(self: &Rc<Self>, pod: String) {
        let workload = self.clone();
        tokio::task::spawn_local(async move {
            let mut pauses = ExponentialBackoff::doubling(LOOK_PAUSE_MIN, LOOK_PAUSE_MAX);
            loop {
                let address = match workload.pods.borrow().get(&pod) {
                    Some(TrackedPod { state: PodState::Unknown, address: Some(address), .. }) => *address,
                    Some(_) | None => return,
                };
                if probe::health(&Target::Tcp(address)).await.is_ok() {
                    let change = workload.pods.borrow_mut().get_mut(&pod).map(TrackedPod::answered);
                    workload.pass_on(&pod, &change.unwrap_or(PodChange::Nothing));
                    return;
                }
                pauses.pause().await;
            }
        });
    }

    /// Asks a pod that has announced itself whether it serves on, until its node has found it ready and
    /// goes on asking: of one that is stuck before that, a node says for long that it starts.
    pub(super) fn probe_until_ready(self: &Rc<Self>, pod: String) {
        let workload = self.clone();
        tokio::task::spawn_local(async move {
            let mut unanswered = 0;
            loop {
                if unanswered == 0 {
                    tokio::time::sleep(ASK_PAUSE).await;
                }
                let address = match workload.pods.borrow().get(&pod) {
                    Some(tracked) if tracked.needs_probe() => tracked.address,
                    Some(_) | None => return,
                };
                let Some(address) = address else { return };
                if probe::health(&Target::Tcp(address)).await.is_ok() {
                    unanswered = 0;
                    continue;
                }
                unanswered += 1;
                if unanswered >= UNANSWERED_MAX {
                    let change = workload.pods.borrow_mut().get_mut(&pod).map(TrackedPod::unanswered);
                    workload.pass_on(&pod, &change.unwrap_or(PodChange::Nothing));
                    return;
                }
            }
        });
    }
}
