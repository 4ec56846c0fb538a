//! Health checks of the pods of a `WARM` function.
//!
//! Pods are asked again and again, because nothing tells from when on one answers, or does not any more.

use std::rc::Rc;
use std::time::Duration;

use super::tracked_pod::{PodChange, PodState, TrackedPod};
use super::workload::Workload;
use crate::backoff::ExponentialBackoff;
use crate::instance::Target;
use crate::probe;

/// The first pause between two probes of a pod whose state is not known; it doubles.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest such pause.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Period of the probes of a pod that serves on its own word and that its node has not found ready.
const PROBE_PERIOD: Duration = Duration::from_secs(2);
/// Failed probes in a row after which a pod does not serve any more, as with its node.
const UNANSWERED_MAX: u32 = 2;

impl Workload {
    /// Probes a pod whose state is not known until it answers or is given up.
    pub(super) fn probe_until_healthy(self: &Rc<Self>, pod: String) {
        let workload = self.clone();
        tokio::task::spawn_local(async move {
            let mut pauses = ExponentialBackoff::doubling(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
            loop {
                let address = match workload.pods.borrow().get(&pod) {
                    Some(TrackedPod { state: PodState::Unknown, address: Some(address), .. }) => *address,
                    Some(_) | None => return,
                };
                if let Ok(report) = probe::health(&Target::Tcp(address)).await {
                    let change = workload.pods.borrow_mut().get_mut(&pod).map(|tracked| {
                        tracked.start.told(report, workload.cluster.context.clock.now());
                        tracked.answered()
                    });
                    workload.pass_on(&pod, &change.unwrap_or(PodChange::Nothing));
                    workload.probe_until_ready(&pod);
                    return;
                }
                pauses.pause().await;
            }
        });
    }

    /// Probes a pod that serves on its own word, until its node has found it ready and probes it itself: for a long time a
    /// node calls a pod that is stuck before that starting, and one that is lost says nothing of a pod that another
    /// container keeps from being ready.
    pub(super) fn probe_until_ready(self: &Rc<Self>, pod: &str) {
        match self.pods.borrow_mut().get_mut(pod) {
            Some(tracked) if tracked.needs_probe() && !tracked.probed => tracked.probed = true,
            Some(_) | None => return,
        }
        let (workload, pod) = (self.clone(), pod.to_owned());
        tokio::task::spawn_local(async move {
            workload.probe_while_needed(&pod).await;
            if let Some(tracked) = workload.pods.borrow_mut().get_mut(&pod) {
                tracked.probed = false;
            }
        });
    }

    async fn probe_while_needed(self: &Rc<Self>, pod: &str) {
        let mut unanswered = 0;
        loop {
            if unanswered == 0 {
                tokio::time::sleep(PROBE_PERIOD).await;
            }
            let address = match self.pods.borrow().get(pod) {
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
                let change = self.pods.borrow_mut().get_mut(pod).map(TrackedPod::unanswered);
                self.pass_on(pod, &change.unwrap_or(PodChange::Nothing));
                return;
            }
        }
    }
}
