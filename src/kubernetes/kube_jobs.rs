//! The Jobs of a `JOB` function: a fresh one for each attempt.
//!
//! The answer is given at the post of the result, which does not come here. What is done here is to make
//! the Job, to say how its pod ended or why there will be none, and to take it away when it is not wanted.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use tokio::task::JoinHandle;

use super::calls::CALL_TIMEOUT;
use super::cluster::{Cluster, call};
use super::failure::CallFailure;
use super::finished_jobs::FinishedPod;
use super::job;
use super::job::JobParameters;
use super::job_room::JobRoom;
use super::late_end::LateEnd;
use super::pods::PodEnd;
use crate::backoff::ExponentialBackoff;
use crate::change_signal::ChangeSignal;
use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender};
use crate::clock::Nanos;
use crate::error::ErrorCode;
use crate::function_version::FunctionVersion;
use crate::id::ExecutionId;
use crate::instance::InstanceProblem;
use crate::messages::control_message::{JobEnd, JobStart, Kill};

/// The first pause before the API server is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Rest of an attempt's time at which it is given up because the API server is away, so that the
/// reason is told and not only that the time is over.
const LAST_WORD: Duration = Duration::from_millis(100);
/// Longest time in which the last lines of a failed attempt are read, to be told with its reason.
const TAIL_PATIENCE: Duration = Duration::from_millis(500);
/// Longest time until the pod of a deleted Job is gone, before its permit is given back all the same.
const GONE_PATIENCE: Duration = Duration::from_secs(5);
/// Period at which it is looked whether a Job whose pod is not heard of is still there. A watch would tell of its
/// deletion, and of every change of every other Job besides; the case is rare.
const LOOK: Duration = Duration::from_secs(15);
/// Time for which it is tried to delete a Job; after that its own deadline ends it.
const DELETE_PATIENCE: Duration = Duration::from_secs(120);

/// The end of an attempt, and of its Job.
pub(super) struct AttemptLife {
    pub(super) end: JobEnd,
    /// The pod of its Job, where that is kept.
    pub(super) kept: Option<FinishedPod>,
    /// The uid of its Job, where one was made.
    pub(super) uid: Option<String>,
}

impl AttemptLife {
    /// An end after which no Job is left.
    fn without_job(end: JobEnd) -> Self {
        Self { end, kept: None, uid: None }
    }
}

/// The Jobs of one version.
#[derive(Debug)]
pub struct KubeJobs {
    pub(super) cluster: Rc<Cluster>,
    pub(super) function: Arc<FunctionVersion>,
    running: Cell<u32>,
    ended_one: ChangeSignal,
}

impl KubeJobs {
    /// Makes the Jobs of a version, with none yet.
    #[must_use]
    pub fn new(cluster: Rc<Cluster>, function: Arc<FunctionVersion>) -> Rc<Self> {
        Rc::new(Self { cluster, function, running: Cell::new(0), ended_one: ChangeSignal::default() })
    }

    /// Attempts whose pod is being made or runs.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.running.get()
    }

    /// Returns when no attempt runs.
    pub async fn emptied(&self) {
        self.ended_one.until(|| self.count() == 0).await;
    }

    /// Makes the Job of one attempt, and tells when its pod has ended.
    pub fn start(self: &Rc<Self>, start: JobStart) {
        let jobs = self.clone();
        jobs.begin();
        tokio::task::spawn_local(async move {
            let JobStart { function: _, execution, attempt, trace_id, token, time_left, killed, ended } =
                start;
            let spec = &jobs.function.spec;
            let name = job::name(spec.name.as_str(), execution, attempt);
            let attempt = JobParameters {
                execution,
                attempt,
                trace_id: &trace_id,
                token,
                runtime_url: &jobs.cluster.runtime_url,
                incarnation: &jobs.cluster.incarnation,
                ttl_s: jobs.cluster.job_ttl_s,
            };
            let object = job::object(spec, &attempt);
            jobs.cluster.logs.expect(&name, spec.name.as_str(), Some(execution));
            let life = jobs.live(&name, &object, time_left, killed).await;
            jobs.conclude(&name, execution, life, ended).await;
        });
    }

    /// An attempt runs from now on.
    pub(super) fn begin(&self) {
        self.running.set(self.running.get() + 1);
    }

    /// Tells how an attempt ended, once the last lines of its pod are read, and keeps its Job.
    pub(super) async fn conclude(
        self: Rc<Self>,
        name: &str,
        execution: ExecutionId,
        life: AttemptLife,
        ended: AnswerSender<JobEnd>,
    ) {
        let AttemptLife { mut end, kept, uid: _ } = life;
        self.cluster.pods.forget_job(name);
        let mut tail = self.cluster.logs.read_ended(name);
        // A pod that exited with 0 has most likely posted a result, and is not kept waiting; nobody reads
        // the reason of one that is not wanted.
        if let (Some(log_read), false) = (&mut tail, end.exited_with_0 || end.code == ErrorCode::Cancelled)
            && let Ok(read) = tokio::time::timeout(TAIL_PATIENCE, log_read).await
        {
            tail = None;
            if let Ok(read) = read {
                end.reason =
                    read.explain(&end.reason, &format!("/v1/executions/{execution}/logs")).to_string();
            }
        }
        self.running.set(self.running.get() - 1);
        self.ended_one.notify();
        channel::answer(ended, end);
        let finished_jobs = self.cluster.finished_jobs.clone();
        // A Job may be kept longer than its version.
        drop(self);
        if let Some(pod) = kept {
            let name = name.to_owned();
            tokio::task::spawn_local(async move {
                let log_read = async {
                    if let Some(tail) = tail {
                        // Unread for good is read as far as it can be.
                        let _ = tail.await;
                    }
                };
                finished_jobs.keep(&name, pod, log_read).await;
            });
        }
    }

    /// Reads what the pod of a Job without an execution wrote last, to be told with a reason.
    pub(super) async fn problem(&self, name: &str, reason: String) -> InstanceProblem {
        if let Some(read) = self.cluster.logs.read_ended(name)
            && let Ok(Ok(read)) = tokio::time::timeout(TAIL_PATIENCE, read).await
        {
            return read.explain(&reason, &format!("/v1/functions/{}/logs", self.function.spec.name));
        }
        InstanceProblem::new(reason)
    }

    /// Deletes a Job that has no execution, and that was made or may come to be.
    pub(super) fn give_up(&self, name: &str, had_pod: bool) {
        self.cluster.pods.forget_job(name);
        // It is read no more than it was: nobody asked for what it wrote.
        drop(self.cluster.logs.read_ended(name));
        self.cluster.finished_jobs.ended(had_pod, None);
        drop(self.delete(name, CALL_TIMEOUT));
    }

    /// From before the Job is made until its pod has ended, or is not wanted any more. Where a quota is met, room is
    /// made and it is begun again.
    async fn live(
        &self,
        name: &str,
        object: &Job,
        time_left: Duration,
        mut killed: AnswerReceiver<Kill>,
    ) -> AttemptLife {
        let clock = self.cluster.context.clock;
        let until = clock.now() + nanos(time_left.saturating_sub(LAST_WORD).max(LAST_WORD));
        let mut room = JobRoom::new(self.cluster.finished_jobs.clone(), clock);
        let mut deleted = Vec::new();
        loop {
            let end = self.cluster.pods.end_of_job(name, &deleted);
            let life = self.live_once(name, object, until, end, &mut killed).await;
            // A kill that was told is told once.
            if life.end.code != ErrorCode::QuotaExceeded || killed.is_terminated() {
                return life;
            }
            deleted.extend(life.uid.clone());
            let left = Duration::from_nanos(until.saturating_sub(clock.now()));
            let made = tokio::select! {
                biased;
                _ = &mut killed => return AttemptLife::without_job(unwanted()),
                made = tokio::time::timeout(left, room.make(&life.end.reason)) => made.unwrap_or(false),
            };
            if !made {
                self.complain(&life.end.reason);
                return life;
            }
        }
    }

    async fn live_once(
        &self,
        name: &str,
        object: &Job,
        until: Nanos,
        // Asked for before the Job is there: its pod may end before the answer has come.
        end: AnswerReceiver<PodEnd>,
        killed: &mut AnswerReceiver<Kill>,
    ) -> AttemptLife {
        let made = tokio::select! {
            biased;
            _ = &mut *killed => None,
            made = self.make(object, until) => Some(made),
        };
        let uid = match made {
            Some(Ok(uid)) => uid,
            Some(Err(refused)) => {
                if refused.code != ErrorCode::QuotaExceeded {
                    self.complain(&refused.reason);
                }
                return AttemptLife::without_job(refused);
            }
            // The call may reach the API server all the same, and later than what deletes it.
            None => {
                drop(self.delete(name, CALL_TIMEOUT));
                return AttemptLife::without_job(unwanted());
            }
        };
        self.cluster.finished_jobs.began();
        let life = self.run(name, end, killed).await;
        let had_pod = !matches!(life.end.code, ErrorCode::QuotaExceeded | ErrorCode::AdmissionRefused);
        self.cluster.finished_jobs.ended(had_pod, life.kept);
        AttemptLife { uid, ..life }
    }

    /// From when the Job was made until its pod has ended, or is not wanted any more.
    pub(super) async fn run(
        &self,
        name: &str,
        mut end: AnswerReceiver<PodEnd>,
        killed: &mut AnswerReceiver<Kill>,
    ) -> AttemptLife {
        let ended = tokio::select! {
            biased;
            ended = &mut end => ended.ok(),
            () = self.vanished(name) => return AttemptLife::without_job(JobEnd {
                code: ErrorCode::InstanceCrashed,
                reason: "the Job was deleted before its pod posted a result".to_owned(),
                exited_with_0: false,
            }),
            why = killed => match why {
                // Its Job is to be looked at and its log to be read for a while, if it may be.
                Ok(Kill::Posted | Kill::Answered) => {
                    self.cluster.pods.job_has_pod(name);
                    let (known, pods) = (&self.cluster.pods, self.cluster.api());
                    tokio::select! {
                        biased;
                        ended = LateEnd::default().wait(name, known, &pods, &mut end) => ended,
                        () = self.vanished(name) => return AttemptLife::without_job(unwanted()),
                    }
                },
                Ok(Kill::Unwanted) | Err(_) => None,
            },
        };
        let Some(PodEnd { end: ended, pod }) = ended else {
            // First, because its log goes with the pod.
            self.cluster.logs.read_before_deletion(name);
            drop(self.delete(name, Duration::ZERO));
            // The permit follows the pod, so that a retry does not run beside the attempt before it.
            if !end.is_terminated() {
                let _ = tokio::time::timeout(GONE_PATIENCE, &mut end).await;
            }
            return AttemptLife::without_job(unwanted());
        };
        if ended.code == ErrorCode::QuotaExceeded {
            // Awaited, because one of the same name may follow. It fails only where the thread is stopping.
            let _ = self.delete(name, Duration::ZERO).await;
            return AttemptLife::without_job(ended);
        }
        if matches!(
            ended.code,
            ErrorCode::ImageUnavailable | ErrorCode::ContainerConfig | ErrorCode::AdmissionRefused
        ) {
            // A pod that has not started tries on by itself, and would run for nobody.
            self.complain(&ended.reason);
            drop(self.delete(name, Duration::ZERO));
            return AttemptLife::without_job(ended);
        }
        self.function.problem.store(None);
        AttemptLife { end: ended, kept: Some(pod), uid: None }
    }

    /// Posts the Job; again and again while the API server may yet take it and it is not later than `until`.
    /// Answers its uid.
    pub(super) async fn make(&self, object: &Job, until: Nanos) -> Result<Option<String>, JobEnd> {
        let jobs: Api<Job> = self.cluster.api();
        let left = || Duration::from_nanos(until.saturating_sub(self.cluster.context.clock.now()));
        let (params, mut pauses) =
            (PostParams::default(), ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX));
        loop {
            let made = call(jobs.create(&params, object));
            // One that hangs must not take the time in which its reason would be told. Should the Job be made
            // all the same, its pod finds that it is not wanted, and ends.
            let why = match tokio::time::timeout(left(), made).await {
                Ok(Ok(made)) => return Ok(made.metadata.uid),
                // Its name has the execution's random bits: who else would have made it.
                Ok(Err(CallFailure::AlreadyExists)) => return Ok(None),
                Ok(Err(CallFailure::Permanent(end))) => return Err(end),
                Ok(Err(CallFailure::NotFound)) => format!("there is no namespace {}", self.cluster.namespace),
                Ok(Err(CallFailure::Transient(why))) => why,
                Err(_) => "it does not answer".to_owned(),
            };
            let left = left();
            if left.is_zero() {
                let reason =
                    format!("the Kubernetes API server could not be reached until the deadline: {why}");
                return Err(JobEnd { code: ErrorCode::KubeUnavailable, reason, exited_with_0: false });
            }
            self.complain(&format!("the Kubernetes API server could not be reached: {why}"));
            tokio::time::sleep(pauses.next_pause().min(left)).await;
        }
    }

    /// Returns when the Job is known to be gone, which its pod may not have been there to tell.
    async fn vanished(&self, name: &str) {
        let jobs: Api<Job> = self.cluster.api();
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(CallFailure::NotFound) = call(jobs.get_metadata(name)).await {
                return;
            }
        }
    }

    /// Takes a Job and its pod away, beside everything else; one that may yet come for as long as `coming`.
    /// The task ends when it is gone, or will not be.
    fn delete(&self, name: &str, coming: Duration) -> JoinHandle<()> {
        let (jobs, name): (Api<Job>, _) = (self.cluster.api(), name.to_owned());
        let clock = self.cluster.context.clock;
        let comes_until = clock.now() + nanos(coming);
        tokio::task::spawn_local(async move {
            let deleted = async {
                let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
                loop {
                    match call(jobs.delete(&name, &DeleteParams::background())).await {
                        Err(CallFailure::Transient(_)) => {}
                        Err(CallFailure::NotFound) if clock.now() < comes_until => {}
                        // Gone is gone, whoever did it.
                        Ok(_) | Err(CallFailure::NotFound | CallFailure::AlreadyExists) => return None,
                        Err(CallFailure::Permanent(end)) => return Some(end.reason),
                    }
                    pauses.pause().await;
                }
            };
            let why = match tokio::time::timeout(DELETE_PATIENCE, deleted).await {
                Ok(None) => return,
                Ok(Some(why)) => why,
                Err(_) => "the Kubernetes API server could not be reached".to_owned(),
            };
            tracing::warn!(job = name, "a Job could not be deleted, and its own deadline will end it: {why}");
        })
    }

    fn complain(&self, reason: &str) {
        let told = self.function.problem.load().as_ref().is_some_and(|before| before.reason == reason);
        if !told {
            tracing::warn!(function = %self.function.spec.name, "{reason}");
            self.function.problem.store(Some(Arc::new(InstanceProblem::new(reason))));
        }
    }
}

/// The end of an attempt that was settled before: nobody reads it.
fn unwanted() -> JobEnd {
    JobEnd {
        code: ErrorCode::Cancelled,
        reason: "the attempt is not wanted any more".to_owned(),
        exited_with_0: false,
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests;
