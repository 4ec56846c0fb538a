//! One watch of all pods of ours, and who is told of each.
//!
//! A Job's pod is looked for by its Job's name and told until its end is known; the pods of a `WARM`
//! function are told to whoever keeps that function's Deployment.

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
use crate::error::ErrorCode;
use crate::mailbox::{Answer, Awaited, JobEnd, question};

/// The label by which Kubernetes marks the pods of a Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// Who keeps the Deployment of a function, and is told of its pods.
pub trait Keeper {
    /// A pod is there, or is another than it was.
    fn pod_changed(&self, pod: &Pod);
    /// The pod of this name is gone.
    fn pod_gone(&self, name: &str);
    /// These are all there are: what was missed while nobody watched is found by it.
    fn pods_listed(&self, names: &BTreeSet<String>);
    /// A pod could not be made, and why.
    fn pod_refused(&self, message: &str);
}

/// Who is told of pods.
#[derive(Default)]
pub struct Pods {
    /// By the name of their Job. Taken out by who answers.
    attempts: RefCell<HashMap<String, Answer<JobEnd>>>,
    /// By their function's name.
    keepers: RefCell<HashMap<String, Rc<dyn Keeper>>>,
}

impl std::fmt::Debug for Pods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pods")
            .field("attempts", &self.attempts.borrow().len())
            .field("keepers", &self.keepers.borrow().len())
            .finish()
    }
}

impl Pods {
    /// The end of the pod of a Job that is about to be made: it is told once.
    pub fn end_of_job(&self, job: &str) -> Awaited<JobEnd> {
        let (told, end) = question();
        self.attempts.borrow_mut().insert(job.to_owned(), told);
        end
    }

    /// Nobody waits for that Job's pod any more.
    pub fn forget_job(&self, job: &str) {
        self.attempts.borrow_mut().remove(job);
    }

    /// Tells the pods of a function to its keeper from the next change on.
    pub fn keep(&self, function: &str, keeper: Rc<dyn Keeper>) {
        self.keepers.borrow_mut().insert(function.to_owned(), keeper);
    }

    /// Nobody keeps that function's Deployment any more.
    pub fn let_go(&self, function: &str) {
        self.keepers.borrow_mut().remove(function);
    }

    /// The Job's pod has ended, or there will be none.
    pub fn job_ended(&self, job: &str, end: JobEnd) {
        let told = self.attempts.borrow_mut().remove(job);
        if let Some(told) = told {
            told.send(end);
        }
    }

    /// A pod of a function's Deployment could not be made.
    pub fn refused(&self, function: &str, message: &str) {
        if let Some(keeper) = self.keeper(function) {
            keeper.pod_refused(message);
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
        } else if let Some(keeper) = label(pod, FUNCTION).and_then(|function| self.keeper(function)) {
            keeper.pod_changed(pod);
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
        } else if let Some(keeper) = label(pod, FUNCTION).and_then(|function| self.keeper(function)) {
            keeper.pod_gone(&pod.name_any());
        }
    }

    fn listed(&self, listed: &HashMap<String, BTreeSet<String>>) {
        let none = BTreeSet::new();
        let keepers: Vec<_> =
            self.keepers.borrow().iter().map(|(name, keeper)| (name.clone(), keeper.clone())).collect();
        for (function, keeper) in keepers {
            keeper.pods_listed(listed.get(&function).unwrap_or(&none));
        }
    }

    fn keeper(&self, function: &str) -> Option<Rc<dyn Keeper>> {
        self.keepers.borrow().get(function).cloned()
    }
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}
