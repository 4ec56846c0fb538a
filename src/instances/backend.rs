//! The provider of the instances of one version: one of six kinds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::endpoints::Endpoints;
use super::local::job_processes::JobProcesses;
use super::local::process_set::ProcessSet;
use super::standby::per_attempt::PerAttempt;
use super::standby::standby_instance::StandbySource;
use super::standby::standby_set::StandbySet;
use super::standby::standby_state::StandbyState;
use crate::clock::Nanos;
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::instance::InstanceKey;
use crate::kubernetes::kube_jobs::KubeJobs;
use crate::kubernetes::pod_set::PodSet;
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};
use crate::scheduler::message::SchedulerCommand;
use crate::spec::ExecutionMode;
use crate::start_reason::StartReason;

/// Period at which it is looked whether the pods of a new version may take over.
const PODS_LOOK: Duration = Duration::from_millis(5);

/// Provider of the instances of one version.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Local processes that stay.
    ProcessSet(Rc<ProcessSet>),
    /// A local process for each attempt.
    JobProcesses(Rc<JobProcesses>),
    /// A Job of Kubernetes for each attempt.
    KubeJobs(Rc<KubeJobs>),
    /// Instances that are started ahead and used once.
    Standby(Rc<StandbySet>),
    /// Pods of a Deployment, which stay.
    PodSet(Rc<PodSet>),
    /// Something that already runs.
    Endpoints(Rc<Endpoints>),
}

impl Backend {
    /// The one that fits a function, at work: its first instances are being started, or offered to the
    /// scheduler.
    pub async fn open(context: &Context, function: &Arc<FunctionVersion>) -> Self {
        let is_warm = function.spec.execution_mode == ExecutionMode::Warm;
        if let Some(cluster) = context.cluster.as_ref().filter(|_| !is_warm) {
            // It may have had pods that stay, as another version.
            cluster.retire(function.spec.name.as_str());
        }
        match function.spec.execution_mode {
            ExecutionMode::Pool => {
                Self::Endpoints(Endpoints::open(context.commands.clone(), function.clone()).await)
            }
            ExecutionMode::Warm if let Some(cluster) = &context.cluster => {
                Self::PodSet(PodSet::open(cluster, function))
            }
            ExecutionMode::Warm => {
                let processes = ProcessSet::new(context.local.clone(), function.clone());
                processes.keep_min();
                Self::ProcessSet(processes)
            }
            ExecutionMode::Job => Self::open_job(context, function),
        }
    }

    fn open_job(context: &Context, function: &Arc<FunctionVersion>) -> Self {
        let local = &context.local;
        let per_attempt = match &context.cluster {
            Some(cluster) => PerAttempt::Jobs(KubeJobs::new(cluster.clone(), function.clone())),
            None => PerAttempt::Processes(JobProcesses::new(
                local.host.clone(),
                local.runtime_url.clone(),
                function.clone(),
            )),
        };
        if let Some(bounds) = function.spec.standby {
            let source = match &per_attempt {
                PerAttempt::Processes(_) => StandbySource::Processes(local.clone()),
                PerAttempt::Jobs(jobs) => StandbySource::Jobs(jobs.clone()),
            };
            let set =
                StandbySet::open(context.standby.clone(), source, function.clone(), bounds, per_attempt);
            return Self::Standby(set);
        }
        // To the scheduler, what starts an instance for each attempt is one instance that is always there.
        let instance = InstanceKey { version: function.index, place: 0, generation: 1 };
        context.commands.send(SchedulerCommand::Ready { instance, started: false });
        match per_attempt {
            PerAttempt::Processes(processes) => Self::JobProcesses(processes),
            PerAttempt::Jobs(jobs) => Self::KubeJobs(jobs),
        }
    }

    /// The scheduler asks for one more. Answers whether this kind can be asked.
    pub fn start_wanted(&self) -> bool {
        match self {
            Self::ProcessSet(processes) => processes.start_wanted(),
            Self::PodSet(pod_set) => pod_set.start_wanted(),
            Self::Standby(set) => set.start_wanted(),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => return false,
        }
        true
    }

    /// Starts the process or Job of one attempt of a `JOB`.
    pub fn start_job(&self, start: JobStart) {
        match self {
            Self::JobProcesses(jobs) => jobs.start(start),
            Self::KubeJobs(jobs) => jobs.start(start),
            Self::Standby(set) => set.start_job(start),
            // Dropped, which tells the waiting gateway.
            Self::ProcessSet(_) | Self::PodSet(_) | Self::Endpoints(_) => {}
        }
    }

    /// An instance that was started ahead was given an execution.
    pub fn standby_taken(&self, take: Box<StandbyTake>) {
        match self {
            Self::Standby(set) => set.taken(take),
            // Dropped, which tells the waiting gateway.
            Self::ProcessSet(_)
            | Self::JobProcesses(_)
            | Self::KubeJobs(_)
            | Self::PodSet(_)
            | Self::Endpoints(_) => {}
        }
    }

    /// A connection to an instance failed: it is granted again when it answers.
    pub fn look_after(&self, instance: InstanceKey) {
        match self {
            Self::ProcessSet(processes) => processes.look_after(instance),
            Self::PodSet(pod_set) => pod_set.look_after(instance),
            Self::Endpoints(endpoints) => endpoints.look_after(instance),
            // Its stand-in is never found wanting, and a single-use one is not granted again.
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) => {}
        }
    }

    /// An instance says that it listens. `None` where the token is none of this version's.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        match self {
            Self::PodSet(pod_set) => pod_set.announced(announcement),
            Self::Standby(set) => set.announced(announcement),
            // None announces itself: a local process is asked for its health, a job is called by nobody,
            // and an endpoint was named at its registration.
            Self::ProcessSet(_) | Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => None,
        }
    }

    /// Stops an instance that the scheduler has retired.
    pub fn stop(&self, instance: InstanceKey) {
        match self {
            Self::ProcessSet(processes) => processes.stop(instance),
            Self::PodSet(pod_set) => pod_set.stop(instance),
            Self::Standby(set) => set.stop(instance),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => {}
        }
    }

    /// Number of instances, starting ones included.
    #[must_use]
    pub fn count(&self) -> u32 {
        match self {
            Self::ProcessSet(processes) => processes.count(),
            Self::PodSet(pod_set) => pod_set.count(),
            Self::JobProcesses(jobs) => jobs.count(),
            Self::KubeJobs(jobs) => jobs.count(),
            Self::Standby(set) => set.count(),
            Self::Endpoints(endpoints) => endpoints.count(),
        }
    }

    /// Its instances in a word, as the API tells it: `processes`, `pods` or `endpoints`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ProcessSet(_) | Self::JobProcesses(_) => "processes",
            Self::KubeJobs(_) | Self::PodSet(_) => "pods",
            Self::Standby(set) => set.per_attempt.backend_name(),
            Self::Endpoints(_) => "endpoints",
        }
    }

    /// Whether an instance takes one attempt, so that calls need none that is ready before.
    #[must_use]
    pub fn is_per_attempt(&self) -> bool {
        match self {
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) => true,
            Self::ProcessSet(_) | Self::PodSet(_) | Self::Endpoints(_) => false,
        }
    }

    /// Its instances that are started ahead, where it has such.
    #[must_use]
    pub(super) fn standby_set(&self) -> Option<&Rc<StandbySet>> {
        match self {
            Self::Standby(set) => Some(set),
            Self::ProcessSet(_)
            | Self::JobProcesses(_)
            | Self::KubeJobs(_)
            | Self::PodSet(_)
            | Self::Endpoints(_) => None,
        }
    }

    /// The state of its reserve of instances that are started ahead, where it has one.
    #[must_use]
    pub(crate) fn standby(&self) -> Option<StandbyState> {
        self.standby_set().map(|set| set.state())
    }

    /// Number of instances kept running; `None` where it cannot be set.
    #[must_use]
    pub fn min(&self) -> Option<u32> {
        match self {
            Self::ProcessSet(processes) => Some(processes.min()),
            Self::PodSet(pod_set) => Some(pod_set.min()),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) | Self::Endpoints(_) => None,
        }
    }

    /// Sets how many are kept running, where that can be set, and starts what is missing.
    pub fn set_min(&self, min: u32) {
        match self {
            Self::ProcessSet(processes) => processes.set_min(min),
            Self::PodSet(pod_set) => pod_set.set_min(min),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) | Self::Endpoints(_) => {}
        }
    }

    /// Starts instances that stay until there are so many, unless starts have to pause.
    pub(super) fn start_up_to(&self, target: u32, reason: StartReason) {
        match self {
            Self::ProcessSet(processes) => processes.start_up_to(target, reason),
            Self::PodSet(pod_set) => pod_set.start_up_to(target, reason),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) | Self::Endpoints(_) => {}
        }
    }

    /// Whether a version may take over: it has shown that it starts, or it starts on demand.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        match self {
            Self::ProcessSet(processes) => processes.can_serve(),
            Self::PodSet(pod_set) => pod_set.can_serve(),
            Self::Standby(set) => set.can_serve(),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => true,
        }
    }

    /// Returns when a version may take over.
    pub async fn until_it_can_serve(&self) {
        match self {
            Self::ProcessSet(processes) => processes.until_it_can_serve().await,
            Self::Standby(set) => set.until_it_can_serve().await,
            Self::PodSet(pod_set) => {
                // No event says this: it depends on the pods of every version and on the desired number of
                // them, which change in a dozen places. One that was left out would hold a roll-out for ever.
                while !pod_set.can_serve() {
                    tokio::time::sleep(PODS_LOOK).await;
                }
            }
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => {}
        }
    }

    /// Whether nothing of it is left here that ends with this process.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::ProcessSet(processes) => processes.is_empty(),
            Self::JobProcesses(jobs) => jobs.count() == 0,
            Self::KubeJobs(jobs) => jobs.count() == 0,
            Self::Standby(set) => set.is_empty(),
            Self::PodSet(_) | Self::Endpoints(_) => true,
        }
    }

    /// Returns when nothing of it is left here that ends with this process.
    pub async fn emptied(&self) {
        match self {
            Self::ProcessSet(processes) => processes.emptied().await,
            Self::JobProcesses(jobs) => jobs.emptied().await,
            Self::KubeJobs(jobs) => jobs.emptied().await,
            Self::Standby(set) => set.emptied().await,
            Self::PodSet(_) | Self::Endpoints(_) => {}
        }
    }

    /// Returns when a version that was closed may be forgotten: the scheduler is done with it, and this is what
    /// else is waited for.
    pub async fn until_it_may_be_forgotten(&self) {
        match self {
            Self::ProcessSet(processes) => processes.emptied().await,
            Self::Standby(set) => set.emptied().await,
            // Each ends with the attempt that it was started for. Pods go with the Deployment.
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::PodSet(_) | Self::Endpoints(_) => {}
        }
    }

    /// Keeps no instance running any more; those that run are stopped when the scheduler retires them.
    pub fn wind_down(&self) {
        match self {
            Self::ProcessSet(processes) => processes.wind_down(),
            Self::PodSet(pod_set) => pod_set.wind_down(),
            Self::Standby(set) => set.wind_down(),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => {}
        }
    }

    /// Whether it has, or may come to have, instances that are idle.
    #[must_use]
    pub fn may_scale_down(&self, now: Nanos) -> bool {
        match self {
            Self::ProcessSet(processes) => !processes.is_empty(),
            Self::PodSet(pod_set) => pod_set.may_scale_down(now),
            Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Standby(_) | Self::Endpoints(_) => false,
        }
    }

    /// Stops what it started, and starts nothing more: its version is done with. A Deployment goes with its
    /// function, and stays for the next version.
    pub fn close(&self) {
        match self {
            Self::PodSet(pod_set) => pod_set.close(),
            Self::Standby(set) => set.close(),
            Self::ProcessSet(_) | Self::JobProcesses(_) | Self::KubeJobs(_) | Self::Endpoints(_) => {
                self.stop_own()
            }
        }
    }

    /// Stops what ends with this process. Pods that stay serve the next one.
    pub fn stop_own(&self) {
        match self {
            Self::ProcessSet(processes) => processes.close(),
            Self::Standby(set) => set.stop_own(),
            // Each ends with the attempt that it was started for.
            Self::JobProcesses(_) | Self::KubeJobs(_) => {}
            Self::PodSet(_) => {}
            Self::Endpoints(endpoints) => endpoints.close(),
        }
    }
}
