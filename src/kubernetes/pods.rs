//! One watch of all our pods: it tells the Job or the workload that a pod belongs to.
//!
//! The pod of a Job is found by the Job's name, and its end is told once; the pods of a `WARM` function are told
//! to the function's [`Workload`].

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, ResourceExt};

use super::failure;
use super::logs::PodLogs;
use super::template::{FUNCTION, MANAGED_BY, PICOFAAS};
use super::watch::{WatchState, watch_backoff, watch_config};
use super::workload::Workload;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::error::ErrorCode;
use crate::messages::control_message::JobEnd;

/// The label by which Kubernetes marks the pods of a Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// The receivers of what the watch tells.
#[derive(Default)]
pub struct Pods {
    /// Jobs whose pod has not ended, by name; each is taken out when it is answered.
    attempts: RefCell<HashMap<String, AnswerSender<JobEnd>>>,
    /// The pods of `WARM` functions, by the function's name.
    workloads: RefCell<HashMap<String, Rc<Workload>>>,
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pods")
            .field("attempts", &self.attempts.borrow().len())
            .field("workloads", &self.workloads.borrow().len())
            .finish()
    }
}

impl Pods {
    /// The end of the pod of a Job that is about to be made: it is told once.
    pub fn end_of_job(&self, job: &str) -> AnswerReceiver<JobEnd> {
        let (told, end) = oneshot::channel();
        self.attempts.borrow_mut().insert(job.to_owned(), told);
        end
    }

    /// Forgets a Job for whose pod nobody waits any more.
    pub fn forget_job(&self, job: &str) {
        self.attempts.borrow_mut().remove(job);
    }

    /// Tells a workload of its function's pods from the next change on.
    pub fn add_workload(&self, function: &str, workload: Rc<Workload>) {
        self.workloads.borrow_mut().insert(function.to_owned(), workload);
    }

    /// Forgets the workload of a function that has no Deployment any more.
    pub fn remove_workload(&self, function: &str) {
        self.workloads.borrow_mut().remove(function);
    }

    /// Tells that the Job's pod has ended, or that there will be none.
    pub fn job_ended(&self, job: &str, end: JobEnd) {
        let told = self.attempts.borrow_mut().remove(job);
        if let Some(told) = told {
            channel::answer(told, end);
        }
    }

    /// Tells a function's workload that a pod could not be created.
    pub fn not_created(&self, function: &str, message: &str) {
        if let Some(workload) = self.workload(function) {
            workload.pod_not_created(message);
        }
    }

    /// Watches for ever.
    pub async fn watch(self: Rc<Self>, pods: Api<Pod>, logs: Rc<PodLogs>) {
        let ours = watch_config().labels(&format!("{MANAGED_BY}={PICOFAAS}"));
        let mut events = std::pin::pin!(watcher(pods, ours).backoff(watch_backoff()));
        // Filled between the beginning and the end of a list.
        let mut listed: HashMap<String, BTreeSet<String>> = HashMap::new();
        let mut watch = WatchState::new("pods");
        while let Some(told) = events.next().await {
            let Some(event) = watch.event(told) else { continue };
            match event {
                Event::Init => listed.clear(),
                Event::InitApply(pod) => {
                    if let Some(function) = label(&pod, FUNCTION) {
                        listed.entry(function.to_owned()).or_default().insert(pod.name_any());
                    }
                    logs.pod_changed(&pod, label(&pod, JOB_NAME));
                    self.changed(&pod);
                }
                Event::InitDone => {
                    logs.pods_listed(&listed.values().flatten().cloned().collect());
                    self.listed(&listed);
                    listed.clear();
                }
                Event::Apply(pod) => {
                    // First, so that the log of a pod whose end is told is known.
                    logs.pod_changed(&pod, label(&pod, JOB_NAME));
                    self.changed(&pod);
                }
                Event::Delete(pod) => {
                    logs.pod_gone(&pod.name_any());
                    self.gone(&pod);
                }
            }
        }
    }

    fn changed(&self, pod: &Pod) {
        if let Some(job) = label(pod, JOB_NAME) {
            if let Some(end) = failure::of_pod(pod) {
                self.job_ended(job, end);
            }
        } else if let Some(workload) = label(pod, FUNCTION).and_then(|function| self.workload(function)) {
            workload.pod_changed(pod);
        }
    }

    fn gone(&self, pod: &Pod) {
        if let Some(job) = label(pod, JOB_NAME) {
            let end = failure::of_pod(pod).unwrap_or_else(|| JobEnd {
                code: ErrorCode::InstanceCrashed,
                reason: "the pod was deleted before it posted a result".to_owned(),
                exited_with_0: false,
            });
            self.job_ended(job, end);
        } else if let Some(workload) = label(pod, FUNCTION).and_then(|function| self.workload(function)) {
            workload.pod_gone(&pod.name_any());
        }
    }

    fn listed(&self, listed: &HashMap<String, BTreeSet<String>>) {
        let none = BTreeSet::new();
        let workloads: Vec<_> =
            self.workloads.borrow().iter().map(|(name, workload)| (name.clone(), workload.clone())).collect();
        for (function, workload) in workloads {
            workload.pods_listed(listed.get(&function).unwrap_or(&none));
        }
    }

    /// The workload of a function.
    #[must_use]
    pub fn workload(&self, function: &str) -> Option<Rc<Workload>> {
        self.workloads.borrow().get(function).cloned()
    }
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
