//! One watch of all our pods: it tells the Job or the workload that a pod belongs to.
//!
//! The pod of a Job is found by the Job's name, and its end is told once; the pods of a `WARM` function are told
//! to the function's [`Workload`].

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Event, watcher};
use kube::{Api, ResourceExt};

use super::finished_jobs::FinishedPod;
use super::logs::PodLogs;
use super::no_room::NoRoom;
use super::template::{FUNCTION, MANAGED_BY, PICOFAAS};
use super::watch::{WatchState, watch_backoff, watch_config};
use super::workload::Workload;
use super::{failure, function_container};
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::clock::{Clock, Nanos};
use crate::error::ErrorCode;
use crate::function_version::FunctionVersion;
use crate::messages::control_message::JobEnd;

/// The label by which Kubernetes marks the pods of a Job.
pub(super) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The label with the uid of that Job.
const JOB_UID: &str = "batch.kubernetes.io/controller-uid";

/// The end of the pod of a Job, as far as its attempt goes.
#[derive(Debug)]
pub(super) struct PodEnd {
    /// The end of the function's container, or the reason why it will not run.
    pub end: JobEnd,
    /// Whether other containers of the pod go on.
    pub pod: FinishedPod,
}

/// A Job whose pod's end is waited for.
struct AwaitedJob {
    told: AnswerSender<PodEnd>,
    /// Uids of Jobs of the same name that were deleted before: what is still told of them does not count.
    deleted: Vec<String>,
    /// Its pod is known to have been made: a failure to make it is told late, and over.
    has_pod: bool,
    /// Time at which its pod was first shown as bound to a node; 0: not yet.
    scheduled: Nanos,
    /// The name of its pod, where that was last shown with the function's container running.
    running: Option<String>,
    /// Its version, where it was made ahead of an execution.
    ahead: Option<Arc<FunctionVersion>>,
    /// No node has room for its pod.
    no_room: Option<NoRoom>,
}

impl AwaitedJob {
    fn was_deleted(&self, uid: Option<&str>) -> bool {
        self.deleted.iter().any(|deleted| Some(&**deleted) == uid)
    }

    fn is_ahead_of(&self, function: &Arc<FunctionVersion>) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| Arc::ptr_eq(ahead, function))
    }

    fn why_no_room(&self) -> Option<String> {
        self.no_room.as_ref().map(ToString::to_string)
    }

    /// Whether a call waits for its pod.
    fn is_needed(&self) -> bool {
        self.ahead.as_ref().is_none_or(|function| function.queue.waits_for_an_instance())
    }
}

/// The receivers of what the watch tells.
#[derive(Default)]
pub struct Pods {
    /// Jobs whose pod has not ended, by name; each is taken out when it is answered.
    attempts: RefCell<HashMap<String, AwaitedJob>>,
    /// The pods of `WARM` functions, by the function's name.
    workloads: RefCell<HashMap<String, Rc<Workload>>>,
    /// Such pods for which no node has room, by their name, each with its function.
    warm_without_room: RefCell<HashMap<String, (String, NoRoom)>>,
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
    /// The end of the pod of a Job that is about to be made: it is told once. Jobs of these uids had the same name,
    /// and were `deleted`.
    pub(super) fn end_of_job(&self, job: &str, deleted: &[String]) -> AnswerReceiver<PodEnd> {
        self.await_job(job, deleted, None)
    }

    /// The same of a Job that is made ahead of an execution of a version.
    pub(super) fn end_of_job_ahead(
        &self,
        job: &str,
        function: &Arc<FunctionVersion>,
    ) -> AnswerReceiver<PodEnd> {
        self.await_job(job, &[], Some(function.clone()))
    }

    fn await_job(
        &self,
        job: &str,
        deleted: &[String],
        ahead: Option<Arc<FunctionVersion>>,
    ) -> AnswerReceiver<PodEnd> {
        let (told, end) = oneshot::channel();
        let awaited = AwaitedJob {
            told,
            deleted: deleted.to_owned(),
            has_pod: false,
            scheduled: 0,
            running: None,
            ahead,
            no_room: None,
        };
        self.attempts.borrow_mut().insert(job.to_owned(), awaited);
        end
    }

    /// Notes that a Job has a pod, as it has posted a result: from now on nothing tells that there will be none.
    pub(super) fn job_has_pod(&self, job: &str) {
        if let Some(awaited) = self.attempts.borrow_mut().get_mut(job) {
            awaited.has_pod = true;
        }
    }

    /// Whether a Job is waited for whose pod is known to have been made.
    #[cfg(test)]
    pub(super) fn has_pod(&self, job: &str) -> bool {
        self.attempts.borrow().get(job).is_some_and(|awaited| awaited.has_pod)
    }

    /// The name of a Job's pod, where the function's container ran when the watch last showed it.
    #[must_use]
    pub(super) fn running_pod(&self, job: &str) -> Option<String> {
        self.attempts.borrow().get(job)?.running.clone()
    }

    /// Time at which a Job's pod was first shown as bound to a node; 0: it was not.
    #[must_use]
    pub(super) fn job_scheduled(&self, job: &str) -> Nanos {
        self.attempts.borrow().get(job).map_or(0, |awaited| awaited.scheduled)
    }

    /// Whether room is to be made at this time for a pod that a call waits for and for which no node has any.
    #[must_use]
    pub(super) fn want_room(&self, now: Nanos) -> bool {
        let attempts = self.attempts.borrow();
        let mut needed = attempts.values().filter(|awaited| awaited.is_needed());
        let warm = self.warm_without_room.borrow();
        let is_needed = |function: &str| self.workload(function).is_some_and(|workload| workload.is_needed());
        needed.any(|awaited| awaited.no_room.as_ref().is_some_and(|no_room| no_room.asks(now)))
            || warm.values().any(|(function, no_room)| is_needed(function) && no_room.asks(now))
    }

    /// Why pods that are made ahead of executions of a version do not start, where no node has room for them.
    #[must_use]
    pub(super) fn no_room(&self, function: &Arc<FunctionVersion>) -> Option<String> {
        let attempts = self.attempts.borrow();
        attempts.values().filter(|awaited| awaited.is_ahead_of(function)).find_map(AwaitedJob::why_no_room)
    }

    /// Why a Job's pod does not start, where no node has room for it.
    #[must_use]
    pub(super) fn no_room_of(&self, job: &str) -> Option<String> {
        self.attempts.borrow().get(job)?.why_no_room()
    }

    /// Ends the wait for those pods ahead of executions of a version for which no node has room and no call waits: they
    /// would have the room that is made for others. Answers whether there were any.
    pub(super) fn give_way(&self, function: &Arc<FunctionVersion>) -> bool {
        let gives_way = |_: &String, awaited: &mut AwaitedJob| {
            awaited.is_ahead_of(function) && awaited.no_room.is_some() && !awaited.is_needed()
        };
        let given_up: Vec<AwaitedJob> =
            self.attempts.borrow_mut().extract_if(gives_way).map(|(_, awaited)| awaited).collect();
        let any = !given_up.is_empty();
        for awaited in given_up {
            let reason = format!("others need the room: {}", awaited.why_no_room().unwrap_or_default());
            let end = JobEnd { code: ErrorCode::PodEvicted, reason, exited_with_0: false };
            channel::answer(awaited.told, PodEnd { end, pod: FinishedPod::Over });
        }
        any
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

    /// Tells that there will be no pod of the Job with this uid. Events come late, and in no order with pods: where the
    /// Job has one, its controller has tried again since and succeeded.
    pub(super) fn job_without_pod(&self, job: &str, uid: Option<&str>, end: JobEnd) {
        let is_over = |awaited: &AwaitedJob| awaited.has_pod || awaited.was_deleted(uid);
        if !self.attempts.borrow().get(job).is_some_and(is_over) {
            self.job_ended(job, PodEnd { end, pod: FinishedPod::Over });
        }
    }

    /// Tells that the function's container in the Job's pod has ended, or that there will be none.
    fn job_ended(&self, job: &str, end: PodEnd) {
        let awaited = self.attempts.borrow_mut().remove(job);
        if let Some(awaited) = awaited {
            channel::answer(awaited.told, end);
        }
    }

    /// Tells a function's workload that a ReplicaSet of it could not create a pod.
    pub fn not_created(&self, function: &str, replica_set: &str, message: &str) {
        if let Some(workload) = self.workload(function) {
            workload.pod_not_created(replica_set, message);
        }
    }

    /// Watches for ever.
    pub async fn watch(self: Rc<Self>, pods: Api<Pod>, logs: Rc<PodLogs>, clock: Clock) {
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
                    self.changed(&pod, clock.now());
                }
                Event::InitDone => {
                    logs.pods_listed(&listed.values().flatten().cloned().collect());
                    self.listed(&listed);
                    listed.clear();
                }
                Event::Apply(pod) => {
                    // First, so that the log of a pod whose end is told is known.
                    logs.pod_changed(&pod, label(&pod, JOB_NAME));
                    self.changed(&pod, clock.now());
                }
                Event::Delete(pod) => {
                    logs.pod_gone(&pod.name_any());
                    self.gone(&pod);
                }
            }
        }
    }

    /// Takes a pod as the watch shows it at this time.
    pub(super) fn changed(&self, pod: &Pod, now: Nanos) {
        if let Some(job) = label(pod, JOB_NAME) {
            if !self.is_pod_of(job, pod) {
                return;
            }
            if let Some(awaited) = self.attempts.borrow_mut().get_mut(job) {
                awaited.has_pod = true;
                if awaited.scheduled == 0 && is_bound(pod) {
                    awaited.scheduled = now;
                }
                awaited.running = function_container::is_running(pod).then(|| pod.name_any());
                awaited.no_room = NoRoom::of(pod).map(|now| now.after(awaited.no_room.as_ref()));
            }
            if let Some(end) = failure::of_pod(pod) {
                let goes_on = function_container::others_go_on(pod);
                let pod = if goes_on { FinishedPod::Lingering } else { FinishedPod::Over };
                self.job_ended(job, PodEnd { end, pod });
            }
        } else if let Some(function) = label(pod, FUNCTION)
            && let Some(workload) = self.workload(function)
        {
            let (name, mut without_room) = (pod.name_any(), self.warm_without_room.borrow_mut());
            let before = without_room.remove(&name);
            if let Some(no_room) = NoRoom::of(pod) {
                let no_room = no_room.after(before.as_ref().map(|(_, before)| before));
                without_room.insert(name, (function.to_owned(), no_room));
            }
            drop(without_room);
            workload.pod_changed(pod);
        }
    }

    /// Whether a pod is that of the Job that is waited for, and not of one of the same name that was deleted before.
    fn is_pod_of(&self, job: &str, pod: &Pod) -> bool {
        let uid = label(pod, JOB_UID);
        self.attempts.borrow().get(job).is_some_and(|awaited| !awaited.was_deleted(uid))
    }

    fn gone(&self, pod: &Pod) {
        if let Some(job) = label(pod, JOB_NAME) {
            if !self.is_pod_of(job, pod) {
                return;
            }
            let end = failure::of_pod(pod).unwrap_or_else(|| JobEnd {
                code: ErrorCode::InstanceCrashed,
                reason: "the pod was deleted before it posted a result".to_owned(),
                exited_with_0: false,
            });
            self.job_ended(job, PodEnd { end, pod: FinishedPod::Over });
        } else if let Some(workload) = label(pod, FUNCTION).and_then(|function| self.workload(function)) {
            workload.pod_gone(&pod.name_any());
        }
        self.warm_without_room.borrow_mut().remove(&pod.name_any());
    }

    fn listed(&self, listed: &HashMap<String, BTreeSet<String>>) {
        let none = BTreeSet::new();
        let is_listed =
            |function: &str, pod: &str| listed.get(function).is_some_and(|pods| pods.contains(pod));
        self.warm_without_room.borrow_mut().retain(|pod, (function, _)| is_listed(function, pod));
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

/// Whether a pod has its node.
pub(super) fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

fn label<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake_api;
    use crate::kubernetes::kube_jobs::tests::version;
    use crate::ticket::Ticket;

    fn refused() -> JobEnd {
        failure::of_failed_create("exceeded quota")
    }

    #[test]
    fn what_is_told_late_of_a_job_that_was_deleted_does_not_end_its_successor_of_the_same_name() {
        let pods = Pods::default();
        let mut end = pods.end_of_job("fn-a-1", &["first".to_owned()]);
        pods.job_without_pod("fn-a-1", Some("first"), refused());
        assert!(end.try_recv().is_err(), "the end of the one before was taken for its own");
        pods.job_without_pod("fn-a-1", Some("second"), refused());
        assert_eq!(end.try_recv().map(|end| end.end.code).ok(), Some(ErrorCode::QuotaExceeded));
    }

    #[test]
    fn the_pod_of_a_job_that_was_deleted_is_not_taken_for_that_of_its_successor() {
        let pods = Pods::default();
        let mut end = pods.end_of_job("fn-a-1", &["first".to_owned()]);
        let first = fake_api::pod_of_job("fn-a-1", "first", &json!({ "phase": "Failed" }));
        pods.changed(&first, 1);
        pods.gone(&first);
        assert!(end.try_recv().is_err(), "the end of the one before was taken for its own");
        pods.gone(&fake_api::pod_of_job("fn-a-1", "second", &json!({ "phase": "Running" })));
        assert_eq!(end.try_recv().map(|end| end.end.code).ok(), Some(ErrorCode::InstanceCrashed));
    }

    #[test]
    fn a_failure_to_make_the_pod_of_a_job_that_is_told_after_the_pod_was_seen_ends_nothing() {
        let pods = Pods::default();
        let mut end = pods.end_of_job("fn-a-1", &[]);
        pods.changed(&fake_api::pod_of_job("fn-a-1", "only", &json!({ "phase": "Pending" })), 1);
        for message in ["exceeded quota", "denied by a policy"] {
            pods.job_without_pod("fn-a-1", Some("only"), failure::of_failed_create(message));
            assert!(
                end.try_recv().is_err(),
                "a pod that runs was taken for one that was not made: {message}"
            );
        }
        pods.changed(&fake_api::pod_of_job("fn-a-1", "only", &json!({ "phase": "Succeeded" })), 2);
        assert!(end.try_recv().is_ok_and(|end| end.end.exited_with_0));
    }

    /// The pod of a Job for which no node has room.
    fn without_room(job: &str) -> Pod {
        let why = "0/1 nodes are available: 1 Insufficient cpu.";
        let condition =
            json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why });
        fake_api::pod_of_job(job, "only", &json!({ "phase": "Pending", "conditions": [condition] }))
    }

    #[test]
    fn room_is_wanted_for_a_pod_that_a_call_waits_for_and_the_others_give_way() {
        const MUCH_LATER: Nanos = 60_000_000_000;
        let pods = Pods::default();
        let [a, b] = [(); 2].map(|()| Arc::new(version()));
        let _needed = pods.end_of_job_ahead("fn-b-s1", &b);
        let mut idle = pods.end_of_job_ahead("fn-a-s1", &a);
        for job in ["fn-a-s1", "fn-b-s1"] {
            pods.changed(&without_room(job), 1);
        }
        assert!(!pods.want_room(2), "nobody waits");
        b.queue.push(Ticket::new(0, 0, 0)).unwrap();
        assert!(pods.want_room(3) && !pods.want_room(4), "a call waits");
        assert!(pods.give_way(&a) && !pods.give_way(&b));
        let end = idle.try_recv().unwrap().end;
        assert!(end.reason.contains("Insufficient cpu"), "{}", end.reason);
        // One that is ready serves it.
        b.queue.ready.store(1, Ordering::Relaxed);
        assert!(!pods.want_room(MUCH_LATER));
        let _end = pods.end_of_job("fn-c-1", &[]);
        pods.changed(&without_room("fn-c-1"), MUCH_LATER);
        assert!(pods.want_room(MUCH_LATER), "it is the pod of an attempt");
        pods.changed(&fake_api::pod_of_job("fn-c-1", "only", &json!({ "phase": "Running" })), MUCH_LATER);
        assert!(!pods.want_room(2 * MUCH_LATER));
    }

    #[test]
    fn the_pod_of_a_job_is_scheduled_when_the_watch_first_shows_it_with_a_node() {
        let pods = Pods::default();
        let _end = pods.end_of_job("fn-a-1", &["first".to_owned()]);
        let pod = |uid: &str, node: Option<&str>| {
            let mut pod = fake_api::pod_of_job("fn-a-1", uid, &json!({ "phase": "Pending" }));
            pod.spec.get_or_insert_default().node_name = node.map(str::to_owned);
            pod
        };
        pods.changed(&pod("first", Some("n")), 10);
        pods.changed(&pod("second", None), 20);
        assert_eq!(pods.job_scheduled("fn-a-1"), 0);
        pods.changed(&pod("second", Some("n")), 30);
        pods.changed(&pod("second", Some("n")), 40);
        assert_eq!(pods.job_scheduled("fn-a-1"), 30);
        pods.forget_job("fn-a-1");
        assert_eq!(pods.job_scheduled("fn-a-1"), 0);
    }
}
