//! Instances that are started for one attempt each, by whom a version is served that has none ready.

use std::rc::Rc;

use crate::instances::local::job_processes::JobProcesses;
use crate::kubernetes::kube_jobs::KubeJobs;
use crate::messages::control_message::JobStart;

/// Starts an instance for each attempt of a version.
#[derive(Debug, Clone)]
pub(crate) enum PerAttempt {
    /// A local process for each.
    Processes(Rc<JobProcesses>),
    /// A Job of Kubernetes for each.
    Jobs(Rc<KubeJobs>),
}

impl PerAttempt {
    /// Starts the instance of one attempt.
    pub(crate) fn start(&self, start: JobStart) {
        match self {
            Self::Processes(processes) => processes.start(start),
            Self::Jobs(jobs) => jobs.start(start),
        }
    }

    /// Its instances in a word, as the API tells it.
    #[must_use]
    pub(crate) fn backend_name(&self) -> &'static str {
        match self {
            Self::Processes(_) => "processes",
            Self::Jobs(_) => "pods",
        }
    }

    /// Attempts that run.
    #[must_use]
    pub(crate) fn count(&self) -> u32 {
        match self {
            Self::Processes(processes) => processes.count(),
            Self::Jobs(jobs) => jobs.count(),
        }
    }

    /// Returns when none runs.
    pub(crate) async fn emptied(&self) {
        match self {
            Self::Processes(processes) => processes.emptied().await,
            Self::Jobs(jobs) => jobs.emptied().await,
        }
    }
}
