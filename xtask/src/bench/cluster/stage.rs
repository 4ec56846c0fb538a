//! Where functions run: a namespace, and the release binary of picofaas for it on this machine.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::api::{ApiProxy, Watch};
use super::namespace::Namespace;
use crate::bench::server::Server;
use crate::bench::wire::Wire;
use crate::cluster::Cluster;
use crate::image;
use crate::repository::first_line;
use crate::verify::FUNCTION_IMAGE;
use crate::wait::monotonic_ns;

/// Until pods are there or gone.
const PODS_PATIENCE: Duration = Duration::from_secs(60);

/// Cluster, programs and folders that stages are made with.
pub(super) struct ClusterFixtures<'a> {
    pub cluster: &'a Cluster,
    pub api: &'a ApiProxy,
    pub picofaas: PathBuf,
    /// Further ones of `picofaas serve`.
    pub arguments: Vec<String>,
    /// For logs and generated files.
    pub folder: PathBuf,
    /// Where pods reach this machine.
    pub address: IpAddr,
}

pub(super) struct Stage<'a> {
    pub fixtures: &'a ClusterFixtures<'a>,
    // Fields are dropped in this order: the server goes before its namespace.
    pub server: Server,
    pub namespace: Namespace,
}

/// An answer of a function of the handler `times`, on one clock.
#[derive(Debug)]
pub(super) struct Times {
    /// When the request was about to be written.
    pub sent_ns: i64,
    pub started_ns: i64,
    pub ended_ns: i64,
    /// When its result had been read.
    pub answered_ns: i64,
    /// The pod.
    pub instance: String,
}

impl<'a> Stage<'a> {
    pub(super) fn new(fixtures: &'a ClusterFixtures<'a>, name: &str) -> Result<Self> {
        let name = format!("bench-{name}-{}", std::process::id());
        let namespace = Namespace::make(fixtures.cluster, fixtures.api, name)?;
        let server = serve(fixtures, &namespace.name)?;
        Ok(Self { fixtures, server, namespace })
    }

    /// Ends the control plane and starts it anew.
    pub(super) fn restart(self) -> Result<Self> {
        let Self { fixtures, server, namespace } = self;
        server.stop()?;
        let server = serve(fixtures, &namespace.name)?;
        Ok(Self { fixtures, server, namespace })
    }

    /// The path of objects of a kind in this namespace.
    pub(super) fn path(&self, group: &str, kind: &str) -> String {
        format!("{group}/namespaces/{}/{kind}", self.namespace.name)
    }

    /// The path of the pods that a label selects, with a query.
    fn pods_path(&self, label: &str) -> String {
        format!("{}?labelSelector={label}", self.path("/api/v1", "pods"))
    }

    /// Waits until so many pods of a label are left. Those that are going are taken away at once: kubelet
    /// would take some seconds, in which nothing can be measured.
    pub(super) fn until_left(&self, label: &str, count: usize) -> Result<()> {
        let pods_path = self.path("/api/v1", "pods");
        let is_right = |list: &Value| {
            let pods: &[Value] = list["items"].as_array().map_or(&[], Vec::as_slice);
            for pod in pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()) {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                // It may have gone by itself.
                let _ =
                    self.fixtures.api.ask("DELETE", &format!("{pods_path}/{name}?gracePeriodSeconds=0"), "");
            }
            pods.len() == count
        };
        let found = self.fixtures.api.until(PODS_PATIENCE, &self.pods_path(label), is_right)?;
        found
            .map(drop)
            .with_context(|| format!("{count} pods of {label} are not what is left after a minute"))
    }

    /// The address of the only pod of a label. It may serve before the API server knows it.
    pub(super) fn address_of_pod(&self, label: &str) -> Result<String> {
        let address = |list: &Value| list["items"][0]["status"]["podIP"].as_str().map(str::to_owned);
        let is_right = |list: &Value| address(list).is_some();
        let found = self.fixtures.api.until(PODS_PATIENCE, &self.pods_path(label), is_right)?;
        found.as_ref().and_then(address).with_context(|| format!("no pod of {label} has an address"))
    }

    pub(super) fn watch_pods(&self, label: &str) -> Result<Watch> {
        self.fixtures.api.watch(&self.pods_path(label))
    }
}

/// Whether a pod has become ready, or goes without; nothing while neither is so.
pub(super) fn was_ready(pod: &Value) -> Option<bool> {
    let conditions = pod["status"]["conditions"].as_array();
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    if conditions.is_some_and(|all| all.iter().any(is_ready)) {
        return Some(true);
    }
    (!pod["metadata"]["deletionTimestamp"].is_null()).then_some(false)
}

/// The label that pods of a function have.
pub(super) fn of_function(name: &str) -> String {
    format!("picofaas.dev%2Ffunction%3D{name}")
}

/// A function of a handler of the image of tests, with what is to be different.
pub(super) fn function(name: &str, mode: &str, handler: &str, different: &Value) -> Value {
    let mut function = json!({
        "name": name,
        "executionMode": mode,
        "image": image::reference(FUNCTION_IMAGE),
        "env": [{ "name": "HANDLER", "value": handler }],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "maxRetries": 0,
        "timeoutMs": 30_000,
    });
    for (key, value) in different.as_object().into_iter().flatten() {
        function[key] = value.clone();
    }
    function
}

/// Body of an invocation of a handler `times`.
pub(super) fn input(ms: u32) -> String {
    format!("{{\"input\":{{\"ms\":{ms}}}}}")
}

/// Invokes a function of the handler `times`; an answer other than 200 is its status.
pub(super) fn try_invoke(wire: &mut Wire, function: &str, ms: u32) -> Result<Result<Times, u16>> {
    let sent_ns = monotonic_ns();
    let (status, body) = wire.ask(&format!("POST /v1/functions/{function}:invoke"), &input(ms))?;
    let answered_ns = monotonic_ns();
    if status != 200 {
        println!("warning: {function}: {status} {}", String::from_utf8_lossy(&body));
        return Ok(Err(status));
    }
    let mut answer: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    Times::of(&answer["output"].take(), sent_ns, answered_ns).map(Ok)
}

/// The same of one that must succeed.
pub(super) fn invoke(wire: &mut Wire, function: &str) -> Result<Times> {
    let answer = try_invoke(wire, function, 0)?;
    answer.map_err(|status| anyhow::anyhow!("{function}: status {status}"))
}

impl Times {
    /// Of what a handler `times` gave back.
    pub(super) fn of(output: &Value, sent_ns: i64, answered_ns: i64) -> Result<Self> {
        let number = |name: &str| output[name].as_i64().with_context(|| format!("no {name} in {output}"));
        let (started_ns, ended_ns) = (number("startedNs")?, number("endedNs")?);
        ensure!(
            sent_ns < started_ns && started_ns <= ended_ns && ended_ns < answered_ns,
            "the clock of pods is another one than ours: {sent_ns}, {output}, {answered_ns}"
        );
        let instance = output["instance"].as_str().unwrap_or_default().to_owned();
        Ok(Self { sent_ns, started_ns, ended_ns, answered_ns, instance })
    }

    pub(super) fn to_start_ms(&self) -> f64 {
        ms(self.started_ns - self.sent_ns)
    }

    pub(super) fn to_answer_ms(&self) -> f64 {
        ms(self.answered_ns - self.ended_ns)
    }
}

pub(super) fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// The address that this machine has on the way to the API server: pods reach it, too.
pub(super) fn reachable(cluster: &Cluster) -> Result<IpAddr> {
    let mut kubectl = cluster.kubectl()?;
    kubectl.args(["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let url = first_line(&mut kubectl)?;
    let authority = url.split("//").nth(1).with_context(|| format!("the API server's URL is {url:?}"))?;
    let authority = authority.trim_end_matches('/');
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") };
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot make a socket")?;
    // Sends nothing: it asks the kernel for the way.
    socket.connect(&authority).with_context(|| format!("there is no way to {authority}"))?;
    Ok(socket.local_addr()?.ip())
}

fn serve(fixtures: &ClusterFixtures<'_>, namespace: &str) -> Result<Server> {
    let listener =
        TcpListener::bind((fixtures.address, 0)).context("no free port for the runtime listener")?;
    let runtime = listener.local_addr()?.to_string();
    drop(listener);
    let kubeconfig = fixtures.cluster.kubeconfig().display().to_string();
    let url = format!("http://{runtime}");
    let mut arguments: Vec<String> = [
        "--backend",
        "kubernetes",
        "--kubeconfig",
        &kubeconfig,
        "--namespace",
        namespace,
        "--runtime-url",
        &url,
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(fixtures.arguments.iter().cloned());
    Server::start_at(&runtime, &fixtures.picofaas, &arguments, &fixtures.folder, namespace)
}
