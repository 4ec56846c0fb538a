//! This folder in a program that was built without clusters (feature `cluster`). There is no value of its types, so
//! nothing here is ever run but [`NoCluster::connect`], which says so.
//!
//! The names are those by which the rest imports the folder; `context` and `access` are the same in both.

pub(crate) mod access;
pub(crate) mod context;

/// The cluster that there is not.
pub(crate) mod cluster {
    pub(crate) use super::NoCluster as Cluster;
}

/// The Jobs that there are not.
pub(crate) mod kube_jobs {
    pub(crate) use super::NoKubeJobs as KubeJobs;
}

/// The single-use instances that there are not.
pub(crate) mod standby_job {
    pub(crate) use super::NoStandbyJob as StandbyJob;

    pub(crate) const AGE_MAX: std::time::Duration = std::time::Duration::MAX;
}

/// The pods of an earlier control plane that there are not.
pub(crate) mod idle_pods {
    pub(crate) use super::NoIdlePod as IdlePod;
}

/// The pods that there are not.
pub(crate) mod pod_set {
    pub(crate) use super::NoPodSet as PodSet;
}

/// The rights that cannot be asked for.
pub(crate) mod permissions {
    pub(crate) use super::no_access as ask;
}

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use prometheus::proto::MetricFamily;

use self::access::Access;
use self::context::KubeContext;
use crate::channel::AnswerReceiver;
use crate::clock::Nanos;
use crate::config::ServeArgs;
use crate::config::backend_kind::WITHOUT_CLUSTERS;
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::id::Token;
use crate::instance::{InstanceKey, InstanceProblem, InstanceReport};
use crate::logs::output::Lines;
use crate::logs::source::LogSource;
use crate::messages::control_message::{Announcement, JobStart, StandbyTake};
use crate::start_reason::StartReason;

/// In place of the way to a cluster.
#[derive(Debug)]
pub enum NoCluster {}

/// In place of the Jobs of a version.
#[derive(Debug)]
pub enum NoKubeJobs {}

/// In place of the pod of a Job that waits for its execution.
#[derive(Debug)]
pub(crate) enum NoStandbyJob {}

/// In place of a pod of an earlier control plane.
#[derive(Debug)]
pub(crate) enum NoIdlePod {}

/// In place of the pods that serve a version.
#[derive(Debug)]
pub enum NoPodSet {}

/// Answers for the API server, which is not asked.
pub(crate) async fn no_access(_: &ServeArgs) -> Access {
    let reason = "this program was built without clusters".to_owned();
    Access::NoCluster { reason, remedy: "Build it with them: cargo build --release." }
}

impl NoCluster {
    pub(crate) async fn connect(
        _: &ServeArgs,
        _: u32,
        _: SocketAddr,
        _: Lines,
        _: KubeContext,
    ) -> anyhow::Result<Rc<Self>> {
        Err(anyhow::anyhow!(WITHOUT_CLUSTERS))
    }

    pub(crate) fn retire(&self, _: &str) {
        match *self {}
    }

    pub(crate) fn takes_idle_pods(&self) -> bool {
        match *self {}
    }

    pub(crate) fn call_metrics(&self) -> Vec<MetricFamily> {
        match *self {}
    }

    pub(crate) fn log_source(&self) -> Rc<dyn LogSource> {
        match *self {}
    }
}

impl NoKubeJobs {
    #[expect(clippy::needless_pass_by_value, reason = "called as the one that it stands for")]
    pub(crate) fn new(cluster: Rc<NoCluster>, _: Arc<FunctionVersion>) -> Rc<Self> {
        match *cluster {}
    }

    pub(crate) fn count(&self) -> u32 {
        match *self {}
    }

    pub(crate) async fn emptied(&self) {
        match *self {}
    }

    pub(crate) fn start(&self, _: JobStart) {
        match *self {}
    }
}

impl NoIdlePod {
    pub(crate) fn token(&self) -> Option<Token> {
        match *self {}
    }
}

impl NoStandbyJob {
    pub(crate) async fn start(
        jobs: Rc<NoKubeJobs>,
        _: Token,
        _: AnswerReceiver<Box<Announcement>>,
        _: impl Future<Output = ()>,
    ) -> Result<Self, InstanceProblem> {
        match *jobs {}
    }

    pub(crate) fn idle_pods(jobs: &NoKubeJobs) -> Vec<NoIdlePod> {
        match *jobs {}
    }

    pub(crate) fn no_room(jobs: &NoKubeJobs) -> Option<String> {
        match *jobs {}
    }

    pub(crate) fn give_way(jobs: &NoKubeJobs) -> bool {
        match *jobs {}
    }

    pub(crate) async fn adopt(
        _: Rc<NoKubeJobs>,
        idle: NoIdlePod,
        _: AnswerReceiver<Box<Announcement>>,
        _: impl Future<Output = ()>,
    ) -> Result<Self, InstanceProblem> {
        match idle {}
    }

    pub(crate) fn pod(&self) -> &str {
        match *self {}
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(crate) fn report(&self) -> InstanceReport {
        match *self {}
    }

    pub(crate) fn created(&self) -> Nanos {
        match *self {}
    }

    pub(crate) fn scheduled(&self) -> Nanos {
        match *self {}
    }

    pub(crate) async fn ended(&mut self) -> String {
        match *self {}
    }

    pub(crate) async fn explain(self, _: String) -> InstanceProblem {
        match self {}
    }

    pub(crate) fn stop(self) {
        match self {}
    }

    pub(crate) async fn serve(self, _: StandbyTake) {
        match self {}
    }
}

impl NoPodSet {
    pub(crate) fn open(cluster: &Rc<NoCluster>, _: &Arc<FunctionVersion>) -> Rc<Self> {
        match **cluster {}
    }

    pub(crate) fn announced(&self, _: &Announcement) -> Option<Result<(), ApiError>> {
        match *self {}
    }

    pub(crate) fn count(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn min(&self) -> u32 {
        match *self {}
    }

    pub(crate) fn set_min(&self, _: u32) {
        match *self {}
    }

    pub(crate) fn start_up_to(&self, _: u32, _: StartReason) {
        match *self {}
    }

    pub(crate) fn can_serve(&self) -> bool {
        match *self {}
    }

    pub(crate) fn start_wanted(&self) {
        match *self {}
    }

    pub(crate) fn stop(&self, _: InstanceKey) {
        match *self {}
    }

    pub(crate) fn look_after(&self, _: InstanceKey) {
        match *self {}
    }

    pub(crate) fn may_scale_down(&self, _: Nanos) -> bool {
        match *self {}
    }

    pub(crate) fn wind_down(&self) {
        match *self {}
    }

    pub(crate) fn close(&self) {
        match *self {}
    }
}
