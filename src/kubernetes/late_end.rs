//! The end of a pod whose result was posted and whose end was not told for a while.
//!
//! Either its node is late to tell, as one on which hundreds end at once, or the function's container goes on: a thread of
//! it never ends, or a program was left behind. The watch shows both as running. So the node is asked for the container's
//! log, which it ends with the container, whatever it has told of the pod.

use std::time::Duration;

use futures_util::AsyncReadExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::cluster::call;
use super::pods::{PodEnd, Pods};
use super::template::CONTAINER;
use crate::channel::AnswerReceiver;

/// Longest time until the end of such a pod is told, where its node does not say that the container runs.
const LATE_END: Duration = Duration::from_secs(120);
/// Pause before the node is asked whether the container runs, and between two such questions.
const LOOK: Duration = Duration::from_secs(10);
/// Time after which the log of a container that has not ended is known to go on.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// The patience with such a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct LateEnd {
    look: Duration,
    log: Duration,
    longest: Duration,
}

impl Default for LateEnd {
    fn default() -> Self {
        Self { look: LOOK, log: LOG_PATIENCE, longest: LATE_END }
    }
}

impl LateEnd {
    /// Waits for the end of the pod of a Job; `None` where its container goes on, or nothing is told for too long.
    pub(super) async fn wait(
        self,
        job: &str,
        known: &Pods,
        pods: &Api<Pod>,
        end: &mut AnswerReceiver<PodEnd>,
    ) -> Option<PodEnd> {
        let told = async {
            tokio::select! {
                biased;
                end = end => end.ok(),
                () = self.runs_on(job, known, pods) => None,
            }
        };
        tokio::time::timeout(self.longest, told).await.ok().flatten()
    }

    /// Returns when the watch and the node say that the container runs.
    async fn runs_on(self, job: &str, known: &Pods, pods: &Api<Pod>) {
        loop {
            tokio::time::sleep(self.look).await;
            if let Some(pod) = known.running_pod(job)
                && self.log_goes_on(&pod, pods).await
            {
                return;
            }
        }
    }

    /// Whether the log of a pod can be read now, and has no end yet.
    async fn log_goes_on(self, pod: &str, pods: &Api<Pod>) -> bool {
        let params = |follow: bool| LogParams {
            container: Some(CONTAINER.to_owned()),
            follow,
            tail_lines: Some(0),
            ..LogParams::default()
        };
        // The answer to who follows begins with the first line, so that it says nothing of a node that is away.
        if call(pods.log_stream(pod, &params(false))).await.is_err() {
            return false;
        }
        let follow = params(true);
        let followed = async {
            if let Ok(log) = pods.log_stream(pod, &follow).await {
                let (mut log, mut bytes) = (std::pin::pin!(log), [0; 1024]);
                while log.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            }
        };
        tokio::time::timeout(self.log, followed).await.is_err()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake_api;

    const JOB: &str = "fn-f-1";

    /// Waits for the end of a pod in this state. A fake log of the uid `goes-on` has no end.
    fn waited(uid: &str, state: &str, longest: Duration) -> (Option<PodEnd>, Vec<String>) {
        fake_api::run(async {
            let (pods, mut calls) = fake_api::objects();
            let known = Pods::default();
            let mut end = known.end_of_job(JOB, &[]);
            let states = json!([{
                "name": "function", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                "state": { state: {} },
            }]);
            let status = json!({ "phase": "Running", "containerStatuses": states });
            known.changed(&fake_api::pod_of_job(JOB, uid, &status), 1);
            let ms = Duration::from_millis;
            let patience = LateEnd { look: ms(1), log: ms(20), longest };
            let ended = patience.wait(JOB, &known, &pods, &mut end).await;
            let mut made = Vec::new();
            while let Ok(call) = calls.try_recv() {
                made.push(call);
            }
            (ended, made)
        })
    }

    #[test]
    fn a_container_that_goes_on_after_its_post_is_not_waited_for_until_a_node_would_have_told_its_end() {
        let (ended, calls) = waited("goes-on", "running", Duration::from_secs(120));
        assert!(ended.is_none());
        assert_eq!(calls, ["GET log", "GET log"], "the node was asked");
    }

    #[test]
    fn a_container_that_has_ended_or_of_which_nothing_is_known_is_waited_for() {
        let patience = Duration::from_millis(60);
        let watch = crate::clock::Clock::start();
        let (ended, calls) = waited("is-over", "running", patience);
        assert!(ended.is_none() && !calls.is_empty(), "its log has ended, and its node is late to tell");
        let (ended, calls) = waited("goes-on", "waiting", patience);
        assert!(ended.is_none() && calls.is_empty(), "its node has told nothing");
        assert!(Duration::from_nanos(watch.now()) >= 2 * patience, "it was not waited for");
    }
}
