//! A single-use instance that is the pod of a Job: made without an execution, given one later.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::cluster::{Cluster, call};
use super::execution_mark::{self, ExecutionMark};
use super::idle_pods::IdlePod;
use super::job::{self, StandbyParameters};
use super::kube_jobs::{AttemptLife, KubeJobs, nanos};
use super::pods::PodEnd;
use super::template::INCARNATION;
use crate::channel::AnswerReceiver;
use crate::clock::{Nanos, rfc3339};
use crate::error::ErrorCode;
use crate::id::{Token, random_bits};
use crate::instance::{InstanceProblem, InstanceReport, Target};
use crate::messages::control_message::{Announcement, StandbyTake};
use crate::probe;

/// Longest time until the pod of a standby instance has announced itself. Its image may have to be pulled.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// Shortest such time of one that is taken over: it may only have been slow to answer.
const ADOPT_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time in which the API server is asked for a Job that nobody waits for.
const CREATE_PATIENCE: Duration = Duration::from_secs(30);
/// Time after which an idle one is replaced, so that its secrets are of today.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(3000);
/// Life of a Job that is given no execution: its cluster ends it, where no control plane does.
const LIFE_S: i64 = 3600;
/// Time by which the clock of a node may be behind ours.
const CLOCK_SLACK: Duration = Duration::from_millis(50);

/// The pod of a Job that waits for its execution.
#[derive(Debug)]
pub(crate) struct StandbyJob {
    jobs: Rc<KubeJobs>,
    name: String,
    end: AnswerReceiver<PodEnd>,
    /// Its end, once that was told.
    over: Option<PodEnd>,
    /// Time at which its Job was made or taken over.
    since: Nanos,
    /// Age of the Job at that time.
    age: Duration,
    /// Time at which the API server had taken it.
    created: Nanos,
    /// Time at which its pod was seen to be bound to a node; 0: it was not yet.
    scheduled: Nanos,
    /// The name of its pod.
    pod: String,
    /// Where it listens.
    address: SocketAddr,
    /// Its own account of itself, of when it was ready.
    report: InstanceReport,
}

impl StandbyJob {
    /// Makes a Job, and waits until its pod has `announced` itself with the `token`. It is given up when `closed`
    /// returns.
    ///
    /// # Errors
    /// It could not be made, its pod ended or did not announce itself in time, or it was given up.
    pub(crate) async fn start(
        jobs: Rc<KubeJobs>,
        token: Token,
        announced: AnswerReceiver<Box<Announcement>>,
        closed: impl Future<Output = ()>,
    ) -> Result<Self, InstanceProblem> {
        let cluster = jobs.cluster.clone();
        let spec = &jobs.function.spec;
        let name = job::standby_name(spec.name.as_str(), random_bits());
        let object = job::standby_object(
            spec,
            &StandbyParameters {
                name: &name,
                token,
                runtime_url: &cluster.runtime_url,
                incarnation: &cluster.incarnation,
                ttl_s: cluster.job_ttl_s,
                life_s: LIFE_S,
            },
        );
        cluster.logs.expect(&name, spec.name.as_str(), None);
        let mut end = cluster.pods.end_of_job_ahead(&name, &jobs.function);
        let since = cluster.context.clock.now();
        cluster.finished_jobs.began();
        let until = since + nanos(CREATE_PATIENCE);
        let created: Cell<Nanos> = Cell::new(0);
        let started = async {
            jobs.make(&object, until).await.map_err(|refused| InstanceProblem::new(refused.reason))?;
            created.set(cluster.context.clock.now());
            until_announced(&jobs, &name, announced, &mut end, START_PATIENCE).await
        };
        let started = tokio::select! {
            biased;
            started = started => started,
            () = closed => Err(InstanceProblem::new("its function is not served any more")),
        };
        match started {
            Ok((pod, address, report)) => {
                let scheduled = cluster.pods.job_scheduled(&name);
                Ok(Self {
                    jobs,
                    name,
                    end,
                    over: None,
                    since,
                    age: Duration::ZERO,
                    created: created.get(),
                    scheduled,
                    pod,
                    address,
                    report,
                })
            }
            Err(problem) => {
                jobs.give_up(&name, created.get() > 0);
                Err(problem)
            }
        }
    }

    /// The pods of an earlier control plane that a version may take over.
    #[must_use]
    pub(crate) fn idle_pods(jobs: &KubeJobs) -> Vec<IdlePod> {
        let spec = &jobs.function.spec;
        jobs.cluster.idle_pods.take(spec.name.as_str(), &job::standby_hash(spec))
    }

    /// Why a version has fewer instances ready than it is to have, where no node has room for more.
    #[must_use]
    pub(crate) fn no_room(jobs: &KubeJobs) -> Option<String> {
        jobs.cluster.pods.no_room(&jobs.function)
    }

    /// Gives up the instances of a version that wait for room on a node, where no call waits for them. Answers whether
    /// there were any.
    #[must_use]
    pub(crate) fn give_way(jobs: &KubeJobs) -> bool {
        jobs.cluster.pods.give_way(&jobs.function)
    }

    /// Takes over a pod of an earlier control plane, and waits until it answers, or has `announced` itself, whichever
    /// comes first. It is given up when `closed` returns.
    ///
    /// # Errors
    /// The API server does not take the word that it is ours, it ended or did not announce itself in time, or it was
    /// given up.
    pub(crate) async fn adopt(
        jobs: Rc<KubeJobs>,
        idle: IdlePod,
        announced: AnswerReceiver<Box<Announcement>>,
        closed: impl Future<Output = ()>,
    ) -> Result<Self, InstanceProblem> {
        let (name, pod, address) = (idle.job.clone(), idle.pod.clone(), idle.address);
        let cluster = jobs.cluster.clone();
        cluster.logs.expect(&name, jobs.function.spec.name.as_str(), None);
        let mut end = cluster.pods.end_of_job_ahead(&name, &jobs.function);
        cluster.finished_jobs.began();
        let since = cluster.context.clock.now();
        let aged: Cell<Duration> = Cell::default();
        let adopted = async {
            let age = take_over(&cluster, &name).await.map_err(InstanceProblem::new)?;
            aged.set(age);
            // From here on it is none that is deleted with what nobody has taken over.
            drop(idle);
            let patience = START_PATIENCE.saturating_sub(age).max(ADOPT_PATIENCE);
            tokio::select! {
                biased;
                announced = until_announced(&jobs, &name, announced, &mut end, patience) => announced,
                answered = cluster.until_idle_pod_answers(&pod, address) => {
                    let (address, report) = answered.map_err(InstanceProblem::new)?;
                    Ok((pod, address, report))
                }
            }
        };
        let adopted = tokio::select! {
            biased;
            adopted = adopted => adopted,
            () = closed => Err(InstanceProblem::new("its function is not served any more")),
        };
        match adopted {
            Ok((pod, address, report)) => Ok(Self {
                name,
                pod,
                end,
                over: None,
                since,
                age: aged.get(),
                // Of the process before this one.
                created: 0,
                scheduled: 0,
                address,
                report,
                jobs,
            }),
            Err(problem) => {
                jobs.give_up(&name, true);
                Err(InstanceProblem::new(format!("a standby instance was not taken over: {problem}")))
            }
        }
    }

    /// The name of its pod.
    #[must_use]
    pub(crate) fn pod(&self) -> &str {
        &self.pod
    }

    /// Where it listens.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its own account of itself, of when it was ready.
    #[must_use]
    pub(crate) fn report(&self) -> InstanceReport {
        self.report
    }

    /// Time at which the API server had taken its Job.
    #[must_use]
    pub(crate) fn created(&self) -> Nanos {
        self.created
    }

    /// Time at which its pod was seen to be bound to a node; 0: not before it announced itself.
    #[must_use]
    pub(crate) fn scheduled(&self) -> Nanos {
        self.scheduled
    }

    /// Returns when it has ended before it had an execution, with how it did. Nothing is lost when it is dropped early.
    pub(crate) async fn ended(&mut self) -> String {
        match (&mut self.end).await {
            Ok(over) => {
                let reason = over.end.reason.clone();
                self.over = Some(over);
                reason
            }
            // Nobody tells of it any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Tells why it is gone that has ended without an execution, and takes its Job away.
    pub(crate) async fn explain(self, how: String) -> InstanceProblem {
        let reason = format!("{how}, before it was given an execution");
        let problem = self.jobs.problem(&self.name, reason).await;
        self.jobs.give_up(&self.name, true);
        problem
    }

    /// Deletes it, which has no execution.
    pub(crate) fn stop(self) {
        self.jobs.give_up(&self.name, true);
    }

    /// Sees it through the execution that it was given. Returns when its pod is gone; the attempt is told how it ended.
    pub(crate) async fn serve(self, take: StandbyTake) {
        let Self { jobs, name, end, over, since, age, pod, .. } = self;
        let StandbyTake { execution, granted, time_left, mut killed, ended, .. } = take;
        let now = jobs.cluster.context.clock.unix(granted).saturating_sub(CLOCK_SLACK);
        jobs.cluster.logs.assign(&name, execution, now);
        let mark = ExecutionMark {
            job: name.clone(),
            pod,
            execution: execution.to_string(),
            assigned: rfc3339(now),
            age: age + Duration::from_nanos(granted.saturating_sub(since)),
            time_left,
        };
        tokio::task::spawn_local(mark.write(jobs.cluster.clone()));
        jobs.begin();
        let life = match over {
            Some(PodEnd { end, pod }) => AttemptLife { end, kept: Some(pod), uid: None },
            None => jobs.run(&name, end, &mut killed).await,
        };
        let had_pod = !matches!(life.end.code, ErrorCode::QuotaExceeded | ErrorCode::AdmissionRefused);
        jobs.cluster.finished_jobs.ended(had_pod, life.kept);
        jobs.conclude(&name, execution, life, ended).await;
    }
}

/// Says of a Job that it is ours, and has its life begin anew, which is counted from when it was made. Answers its age,
/// by the clock of the API server: ours may be another.
async fn take_over(cluster: &Cluster, name: &str) -> Result<Duration, String> {
    let jobs: Api<Job> = cluster.api();
    let patch = async |change: Value| {
        let patched = call(jobs.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&change))).await;
        patched.map_err(|failure| failure.to_string())
    };
    let ours = patch(json!({ "metadata": { "labels": { INCARNATION: cluster.incarnation } } })).await?;
    let age = execution_mark::age(&ours.metadata);
    let until_s = i64::try_from(age.as_secs()).unwrap_or(i64::MAX).saturating_add(LIFE_S);
    patch(json!({ "spec": { "activeDeadlineSeconds": until_s } })).await?;
    Ok(age)
}

/// Waits until the pod of a Job has announced itself. Answers its name, where it listens and what it says of itself.
async fn until_announced(
    jobs: &KubeJobs,
    name: &str,
    announced: AnswerReceiver<Box<Announcement>>,
    end: &mut AnswerReceiver<PodEnd>,
    patience: Duration,
) -> Result<(String, SocketAddr, InstanceReport), InstanceProblem> {
    tokio::select! {
        biased;
        Ok(announcement) = announced => check(name, *announcement).await,
        Ok(ended) = end => Err(jobs.problem(name, ended.end.reason).await),
        () = tokio::time::sleep(patience) => {
            let late = format!("its pod did not announce itself within {} s", START_PATIENCE.as_secs());
            let why = jobs.cluster.pods.no_room_of(name);
            Err(InstanceProblem::new(why.map_or_else(|| late.clone(), |why| format!("{late}: {why}"))))
        }
    }
}

/// Checks that an announcement is of the pod of this Job, and that it can be reached.
async fn check(
    job: &str,
    announcement: Announcement,
) -> Result<(String, SocketAddr, InstanceReport), InstanceProblem> {
    let Announcement { instance, address, report, .. } = announcement;
    // It would have a label written to a pod that is none of its own.
    if !instance.strip_prefix(job).is_some_and(|rest| rest.starts_with('-')) {
        let reason = format!("it announced itself as {instance}, which is no pod of its Job {job}");
        return Err(InstanceProblem::new(reason));
    }
    match probe::health(&Target::Tcp(address)).await {
        // Its ages are of this moment, and not of when it announced itself.
        Ok(now) => Ok((instance, address, InstanceReport { acknowledges: report.acknowledges, ..now })),
        Err(error) => {
            Err(InstanceProblem::new(format!("it announced itself and cannot be reached: {error}")))
        }
    }
}
