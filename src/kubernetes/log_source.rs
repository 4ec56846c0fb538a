//! The logs of pods as a source of lines that are read for who asks.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;

use super::cluster::call;
use super::logs::{LogRead, PodLogs};
use super::pod_log::{PodLog, ReadExtent};
use super::template::{ASSIGNED, EXECUTION, FUNCTION};
use crate::clock::parse_rfc3339;
use crate::id::ExecutionId;
use crate::logs::output::{Lines, OwnExecution};
use crate::logs::source::{ExecutionPod, FollowGuard, LogSelector, LogSource, PodLogRead};

/// Pods that are read anew for one reader of their lines.
const REFRESHED_MAX: usize = 16;
/// Longest time that a reader of lines waits for pods to be read anew.
const REFRESH_PATIENCE: Duration = Duration::from_millis(500);
/// Time for which it is asked again for the log of a pod that has none yet: its kubelet notices up to a second
/// late that its container has started, and by then it may have ended.
const KUBELET_PATIENCE: Duration = Duration::from_millis(1500);
/// The pause before it is asked again.
const KUBELET_PAUSE: Duration = Duration::from_millis(100);

impl LogSource for PodLogs {
    fn refresh(self: Rc<Self>, wanted: LogSelector) -> LocalBoxFuture<'static, ()> {
        async move {
            let running = self.running(&wanted).into_iter().filter(|log| !log.is_followed.get());
            let reads: Vec<_> = running.take(REFRESHED_MAX).map(|log| self.read_now(log)).collect();
            let all = async {
                for read in reads {
                    // Unanswered is over, too.
                    let _ = read.await;
                }
            };
            // Later lines are seen by the next reader.
            let _ = tokio::time::timeout(REFRESH_PATIENCE, all).await;
        }
        .boxed_local()
    }

    fn follow(self: Rc<Self>, wanted: LogSelector) -> FollowGuard {
        for log in self.running(&wanted) {
            self.begin_to_follow(log);
        }
        let number = self.add_reader(wanted);
        FollowGuard::new(move || self.remove_reader(number))
    }

    fn function_of(&self, execution: ExecutionId) -> Option<Rc<str>> {
        self.function_of_ended(execution)
    }

    fn pods_of(&self, execution: ExecutionId) -> LocalBoxFuture<'_, Option<Vec<ExecutionPod>>> {
        async move {
            let of = ListParams::default().labels(&format!("{EXECUTION}={execution}"));
            let mut pods = match call(self.pods.list(&of)).await {
                Ok(found) => found.items,
                Err(failed) => {
                    tracing::warn!(
                        "the pods of an execution could not be asked for, and its lines are those that are kept: {failed}"
                    );
                    return None;
                }
            };
            pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
            let named = |pod: &Pod| {
                let function = pod.labels().get(FUNCTION)?.as_str().into();
                let assigned = pod.annotations().get(ASSIGNED).and_then(|at| parse_rfc3339(at));
                Some(ExecutionPod { name: pod.name_any(), function, since: assigned.unwrap_or_default() })
            };
            Some(pods.iter().filter_map(named).collect())
        }
        .boxed_local()
    }

    fn read_pod<'a>(
        &'a self,
        pod: &'a ExecutionPod,
        execution: ExecutionId,
        lines: &'a Lines,
    ) -> LocalBoxFuture<'a, PodLogRead> {
        async move {
            let own = OwnExecution::default();
            own.set(execution, pod.since);
            let log = PodLog::new(&pod.name, pod.function.clone(), Some(own));
            let mut waited = Duration::ZERO;
            loop {
                let outcome = {
                    let _permit = self.reads.acquire().await;
                    self.ask(&log, ReadExtent::Written, lines.clone()).await
                };
                match outcome {
                    LogRead::Complete => return PodLogRead::Read,
                    // Kubelet has no event for it: the log is there when it can be read.
                    LogRead::Retry if waited < KUBELET_PATIENCE && log.mark().is_none() => {
                        tokio::time::sleep(KUBELET_PAUSE).await;
                        waited += KUBELET_PAUSE;
                    }
                    LogRead::Retry | LogRead::NoLog if log.mark().is_none() => return PodLogRead::Unread,
                    LogRead::Retry | LogRead::NoLog => return PodLogRead::Read,
                }
            }
        }
        .boxed_local()
    }
}
