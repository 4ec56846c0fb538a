//! The way to the API server, and what is known of where we run.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use prometheus::core::Collector as _;
use prometheus::proto::MetricFamily;
use serde::de::DeserializeOwned;

use super::Semaphore;
use super::api_server_return::ApiServerReturn;
use super::calls::{Calls, in_time};
use super::context::KubeContext;
use super::failed_create;
use super::failure::{CallFailure, of_error};
use super::finished_jobs::FinishedJobs;
use super::idle_pods::IdlePods;
use super::logs::PodLogs;
use super::pods::Pods;
use crate::config::ServeArgs;
use crate::config::backend_kind::is_in_pod;
use crate::logs::output::Lines;
use crate::logs::source::LogSource;

/// Period at which the two idle connections to the API server are used, so that neither is closed: the client
/// drops one that was idle for 90 s.
const WARM_PERIOD: Duration = Duration::from_secs(45);
/// Longest time in which a connection to the API server is made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Deployments that are looked at or made at once. A start with a thousand functions looks at each, and every
/// call at once is a connection with buffers of its own. To scale one that is known waits for nobody.
const APPLIED_MAX: usize = 16;

/// A Kubernetes cluster, seen from its control plane's namespace.
pub struct Cluster {
    /// The way to the scheduler, time, and the settings of starts.
    pub(crate) context: KubeContext,
    /// Calls the API server.
    pub client: Client,
    /// Namespace of functions, their Deployments, Jobs and pods.
    pub namespace: String,
    /// This process, as a label's value.
    pub incarnation: String,
    /// URL of the runtime listener for pods that live no longer than this process.
    pub runtime_url: String,
    /// URL of the runtime listener for pods that outlive this process.
    pub lasting_runtime_url: String,
    /// Time for which a finished Job is kept, in seconds.
    pub job_ttl_s: u32,
    /// Jobs that have finished and are kept.
    pub finished_jobs: Rc<FinishedJobs>,
    /// Pods that wait for an execution and that an earlier control plane made.
    pub(crate) idle_pods: IdlePods,
    /// Permits to look at a Deployment, make it or change its template.
    pub applying: Semaphore,
    /// The watch of pods, and the workloads that it tells.
    pub pods: Rc<Pods>,
    /// The logs of pods.
    pub logs: Rc<PodLogs>,
    /// Metrics of the calls to the API server.
    pub calls: Calls,
    /// The Function objects, by name: the Deployment of one goes with it.
    owners: RefCell<HashMap<String, OwnerReference>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .field("pods", &self.pods)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Prepares the way to the API server, which need not be there yet, and begins to watch. What functions
    /// write goes to `lines`. Must be called on the control thread.
    ///
    /// # Errors
    /// A kubeconfig that is not there or does not fit, or an address that pods could reach us at is not
    /// known; with the flag that mends it.
    pub(crate) async fn connect(
        flags: &ServeArgs,
        incarnation: u32,
        runtime: SocketAddr,
        lines: Lines,
        context: KubeContext,
    ) -> anyhow::Result<Rc<Self>> {
        let (config, namespace) = configuration(flags).await?;
        let urls = RuntimeUrls::find(flags, runtime)?;
        let calls = Calls::new().context("the metrics of calls cannot be made")?;
        let api_server_return = ApiServerReturn::new(context.clock);
        let client = |config| {
            let client = ClientBuilder::try_from(config)
                .context("the client of the Kubernetes API could not be made")?
                .with_layer(&calls)
                .with_layer(&api_server_return)
                .build();
            anyhow::Ok(client)
        };
        // With connections of its own: what is followed holds one for as long as that lasts.
        let logs = PodLogs::new(Api::namespaced(client(config.clone())?, &namespace), lines);
        let client: Client = client(config)?;
        let finished_jobs = FinishedJobs::new(
            Api::namespaced(client.clone(), &namespace),
            context.clock,
            flags.finished_jobs_max,
            Duration::from_secs(u64::from(flags.job_ttl_s)),
        );
        let cluster = Rc::new(Self {
            context,
            client,
            namespace,
            incarnation: format!("{incarnation:08x}"),
            runtime_url: urls.ours,
            lasting_runtime_url: urls.lasting,
            job_ttl_s: flags.job_ttl_s,
            finished_jobs,
            idle_pods: IdlePods::default(),
            applying: Semaphore::new(APPLIED_MAX),
            pods: Rc::default(),
            logs,
            calls,
            owners: RefCell::default(),
        });
        tokio::task::spawn_local(cluster.pods.clone().watch(
            cluster.api(),
            cluster.logs.clone(),
            cluster.context.clock,
        ));
        tokio::task::spawn_local(failed_create::watch(cluster.clone()));
        tokio::task::spawn_local(cluster.clone().keep_warm());
        Ok(cluster)
    }

    /// Objects of one kind in our namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + DeserializeOwned,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Function object of a name is this one.
    pub fn owned_by(&self, function: &str, uid: &str) {
        let owner = OwnerReference {
            api_version: "picofaas.dev/v1".to_owned(),
            kind: "Function".to_owned(),
            name: function.to_owned(),
            uid: uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        self.owners.borrow_mut().insert(function.to_owned(), owner);
    }

    /// There is no Function object of that name any more.
    pub fn disowned(&self, function: &str) {
        self.owners.borrow_mut().remove(function);
    }

    /// No version of a function has pods that stay any more: they go when the last of those that
    /// had is closed. What a process before this one left of them is the business of who finds it.
    pub fn retire(&self, function: &str) {
        if let Some(workload) = self.pods.workload(function) {
            workload.retire();
        }
    }

    /// The owner that the Deployment of a function is to name.
    #[must_use]
    pub fn owner(&self, function: &str) -> Option<OwnerReference> {
        self.owners.borrow().get(function).cloned()
    }

    /// Whether a pod may go that waits for an execution: an attempt has met a quota since this was asked, or no node has
    /// room for the pod of a call.
    #[must_use]
    pub(crate) fn takes_idle_pods(&self) -> bool {
        self.finished_jobs.take_wants_idle() || self.pods.want_room(self.context.clock.now())
    }

    /// Metrics of the calls to the API server.
    #[must_use]
    pub fn call_metrics(&self) -> Vec<MetricFamily> {
        self.calls.seconds.collect()
    }

    /// The logs of pods.
    #[must_use]
    pub(crate) fn log_source(&self) -> Rc<dyn LogSource> {
        self.logs.clone()
    }

    /// One connection is busy with the first call when the second begins, so there are two.
    async fn keep_warm(self: Rc<Self>) {
        let mut period = tokio::time::interval(WARM_PERIOD);
        loop {
            period.tick().await;
            // Whether it is there is seen by the calls that matter.
            let _ =
                tokio::join!(call(self.client.apiserver_version()), call(self.client.apiserver_version()));
        }
    }
}

/// Makes a call, within its time.
///
/// # Errors
/// The class of its error.
pub(crate) async fn call<T>(called: impl Future<Output = kube::Result<T>>) -> Result<T, CallFailure> {
    in_time(called).await.map_err(of_error)
}

/// How the API server is called, and the namespace of functions.
///
/// # Errors
/// No cluster is known, or the kubeconfig does not fit; with the flag that mends it.
pub(super) async fn configuration(flags: &ServeArgs) -> anyhow::Result<(Config, String)> {
    let mut config = credentials(flags).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Whether a call is made again is for who knows what it is for.
    config.default_retry = false;
    let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok((config, namespace))
}

async fn credentials(flags: &ServeArgs) -> anyhow::Result<Config> {
    if let Some(path) = &flags.kubeconfig {
        let read = Kubeconfig::read_from(path)
            .with_context(|| format!("--kubeconfig {}: cannot be read", path.display()))?;
        return Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .with_context(|| format!("--kubeconfig {}: has no cluster that can be used", path.display()));
    }
    if is_in_pod() {
        return Config::incluster().context("the pod's service account cannot be used");
    }
    Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .context("no cluster is known: give --kubeconfig, or set KUBECONFIG, or use --backend local")
}

/// URLs at which pods reach the runtime listener.
struct RuntimeUrls {
    ours: String,
    lasting: String,
}

impl RuntimeUrls {
    fn find(flags: &ServeArgs, runtime: SocketAddr) -> anyhow::Result<Self> {
        if let Some(url) = &flags.runtime_url {
            return Ok(Self { ours: url.clone(), lasting: url.clone() });
        }
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(ip) = variable("POD_IP") else {
            return Err(anyhow!(
                "--runtime-url: is required outside of a pod: say how pods reach --runtime-listen, e.g. http://192.0.2.1:{}",
                runtime.port()
            ));
        };
        let ip = ip.parse().with_context(|| format!("POD_IP {ip}: is not an address"))?;
        let ours = format!("http://{}", SocketAddr::new(ip, runtime.port()));
        // Kubelet tells a pod the address of each Service of its namespace that was there before it.
        let lasting = match (
            variable("PICOFAAS_RUNTIME_SERVICE_HOST"),
            variable("PICOFAAS_RUNTIME_SERVICE_PORT"),
        ) {
            (Some(host), Some(port)) if host.contains(':') => format!("http://[{host}]:{port}"),
            (Some(host), Some(port)) => format!("http://{host}:{port}"),
            _ => {
                tracing::warn!(
                    "there is no Service picofaas-runtime: instances that are started now cannot announce themselves to the next process of the control plane"
                );
                ours.clone()
            }
        };
        Ok(Self { ours, lasting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::MessageReceiver;
    use crate::clock::Clock;
    use crate::kubernetes::fake_api;
    use crate::scheduler::command_sender::CommandSender;
    use crate::scheduler::rings::{Capacity, Rings};

    impl Cluster {
        /// A cluster that says that each call succeeded and watches nothing, and the calls that are made.
        pub(in crate::kubernetes) fn fake() -> (Rc<Self>, MessageReceiver<String>) {
            let (client, calls) = fake_api::client();
            let rings = Rings::new(Capacity { gateways: 1, slots: 1, versions: 1 }).unwrap();
            let context = KubeContext {
                commands: Rc::new(CommandSender::new(std::sync::Arc::new(rings))),
                clock: Clock::start(),
                start_timeout_ms: 1000,
                populated: Rc::default(),
            };
            let jobs = Api::namespaced(client.clone(), "test");
            let finished_jobs = FinishedJobs::new(jobs, context.clock, 10, Duration::from_secs(600));
            let cluster = Self {
                context,
                namespace: "test".to_owned(),
                incarnation: "00000001".to_owned(),
                runtime_url: "http://127.0.0.1:9".to_owned(),
                lasting_runtime_url: "http://127.0.0.1:9".to_owned(),
                job_ttl_s: 600,
                finished_jobs,
                idle_pods: IdlePods::default(),
                applying: Semaphore::new(APPLIED_MAX),
                pods: Rc::default(),
                logs: PodLogs::new(Api::namespaced(client.clone(), "test"), Lines::to(|_| ())),
                calls: Calls::new().unwrap(),
                client,
                owners: RefCell::default(),
            };
            (Rc::new(cluster), calls)
        }
    }
}
