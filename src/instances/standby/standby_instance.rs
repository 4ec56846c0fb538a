//! A single-use instance of either kind: a process of this machine, or the pod of a Job.

use std::rc::Rc;
use std::time::Duration;

use super::announced::ExpectedAnnouncement;
use super::refills::{Refills, StandbyRoom};
use super::standby_process::StandbyProcess;
use crate::instance::{Address, InstanceKey, InstanceProblem, InstanceStart, Target};
use crate::instances::local::LocalContext;
use crate::kubernetes::idle_pods::IdlePod;
use crate::kubernetes::kube_jobs::KubeJobs;
use crate::kubernetes::standby_job::{AGE_MAX, StandbyJob};
use crate::messages::control_message::StandbyTake;
use crate::spec::FunctionSpec;

/// Starts the instances of one version.
#[derive(Debug, Clone)]
pub(crate) enum StandbySource {
    /// As processes of this machine.
    Processes(Rc<LocalContext>),
    /// As Jobs of a cluster.
    Jobs(Rc<KubeJobs>),
}

/// An instance that waits for its execution.
#[derive(Debug)]
pub(super) enum StandbyInstance {
    Process(Box<StandbyProcess>),
    Job(Box<StandbyJob>),
}

impl StandbySource {
    /// Time after which an instance that waits is replaced by another.
    #[must_use]
    pub(super) fn age_max(&self) -> Option<Duration> {
        match self {
            Self::Processes(_) => None,
            Self::Jobs(_) => Some(AGE_MAX),
        }
    }

    /// Whether an instance that waits goes on when this process ends, to be taken over by the next.
    #[must_use]
    pub(super) fn outlives_us(&self) -> bool {
        matches!(self, Self::Jobs(_))
    }

    /// Returns when a refill may begin: here beside as many starts as there are cores for. Those of a cluster wait for
    /// others most of the time, so they begin at once, but not while a call waits for a start.
    pub(super) async fn refill_turn(&self, refills: &Refills) {
        let side_by_side = match self {
            Self::Processes(_) => refills.cores(),
            Self::Jobs(_) => 1,
        };
        refills.turn(side_by_side).await;
    }

    /// Room for an instance that is started now though nobody waits for it; `None` where there is none.
    pub(super) fn refill_room(&self, refills: &Rc<Refills>) -> Option<StandbyRoom> {
        match self {
            Self::Processes(_) => refills.room_to_start(),
            Self::Jobs(_) => refills.room(),
        }
    }

    /// Instances of an earlier control plane that may be taken over.
    #[must_use]
    pub(super) fn idle(&self) -> Vec<IdlePod> {
        match self {
            Self::Processes(_) => Vec::new(),
            Self::Jobs(jobs) => StandbyJob::idle_pods(jobs),
        }
    }

    /// Why there are fewer ready than are to be, where nothing has room for more.
    #[must_use]
    pub(super) fn no_room(&self) -> Option<String> {
        match self {
            Self::Processes(_) => None,
            Self::Jobs(jobs) => StandbyJob::no_room(jobs),
        }
    }

    /// Gives up those that wait for room and that no call waits for. Answers whether there were any.
    #[must_use]
    pub(super) fn give_way(&self) -> bool {
        match self {
            Self::Processes(_) => false,
            Self::Jobs(jobs) => StandbyJob::give_way(jobs),
        }
    }

    /// Takes over one of those, and waits until it can take its execution. It is given up when `closed` returns.
    pub(super) async fn adopt(
        &self,
        idle: IdlePod,
        expected: ExpectedAnnouncement,
        closed: impl Future<Output = ()>,
    ) -> Result<StandbyInstance, InstanceProblem> {
        match self {
            Self::Processes(_) => Err(InstanceProblem::new("a process is not taken over")),
            Self::Jobs(jobs) => StandbyJob::adopt(jobs.clone(), idle, expected.announced, closed)
                .await
                .map(|job| StandbyInstance::Job(Box::new(job))),
        }
    }

    /// Starts an instance, and waits until it can take its execution. It is given up when `closed` returns.
    pub(super) async fn start(
        &self,
        spec: &FunctionSpec,
        instance: InstanceKey,
        expected: ExpectedAnnouncement,
        closed: impl Future<Output = ()>,
    ) -> Result<StandbyInstance, InstanceProblem> {
        match self {
            Self::Processes(context) => {
                tokio::select! {
                    biased;
                    started = StandbyProcess::start(context.clone(), spec, instance) => {
                        started.map(|process| StandbyInstance::Process(Box::new(process)))
                    }
                    () = closed => Err(InstanceProblem::new("its function is not served any more")),
                }
            }
            Self::Jobs(jobs) => {
                let ExpectedAnnouncement { token, announced } = expected;
                StandbyJob::start(jobs.clone(), token, announced, closed)
                    .await
                    .map(|job| StandbyInstance::Job(Box::new(job)))
            }
        }
    }
}

impl StandbyInstance {
    /// Its name: that of its process or of its pod.
    #[must_use]
    pub(super) fn name(&self) -> String {
        match self {
            Self::Process(process) => process.name(),
            Self::Job(job) => job.pod().to_owned(),
        }
    }

    /// How it is called. With what is known of how it came to be, that is told too.
    #[must_use]
    pub(super) fn address(&self, generation: u32, start: &InstanceStart) -> Address {
        let (report, created, scheduled) = match self {
            Self::Process(process) => (process.report, process.created, 0),
            Self::Job(job) => (job.report(), job.created(), job.scheduled()),
        };
        let told = start.ready;
        let start = InstanceStart { name: self.name().into(), created, scheduled, ..*start };
        let start = start.with_report(&report, told);
        let (target, host) = match self {
            Self::Process(process) => (process.target.clone(), "localhost".to_owned()),
            Self::Job(job) => (Target::Tcp(job.address()), job.address().to_string()),
        };
        let ahead = match self {
            Self::Process(process) => process.connection.clone(),
            Self::Job(_) => None,
        };
        Address { ahead, ..Address::single_use(generation, start, target, &host, report.acknowledges) }
    }

    /// Returns when it has ended before it had an execution, with how it did. Nothing is lost when it is dropped early.
    pub(super) async fn ended(&mut self) -> String {
        match self {
            Self::Process(process) => process.ended().await,
            Self::Job(job) => job.ended().await,
        }
    }

    /// Tells why it is gone that has ended without an execution.
    pub(super) async fn explain(self, how: String, spec: &FunctionSpec) -> InstanceProblem {
        match self {
            Self::Process(process) => process.explain(how, spec).await,
            Self::Job(job) => job.explain(how).await,
        }
    }

    /// Ends it, which has no execution.
    pub(super) async fn stop(self) {
        match self {
            Self::Process(process) => process.stop().await,
            Self::Job(job) => job.stop(),
        }
    }

    /// Sees it through the execution that it was given, until it is gone, which is told.
    pub(super) async fn serve(self, take: StandbyTake) {
        match self {
            Self::Process(process) => process.serve(take).await,
            Self::Job(job) => job.serve(take).await,
        }
    }
}
