//! The control plane as `k8s/` installs it: in the namespace `picofaas`, in a pod.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::xtask;
use crate::pods::{Pods, pods_in};
use crate::stage::{in_pods, kubectl};
use crate::support::client::Client;
use crate::support::patience::eventually;

const NAMESPACE: &str = "picofaas";
/// By which its own pods are found.
const OWN: &str = "app.kubernetes.io/component=control-plane";

/// The installed objects; removed on drop, but for the definition of functions.
pub(super) struct Installation {
    /// Where clients call, whichever pod there is.
    pub clients: SocketAddr,
    /// Where operators call.
    pub operators: SocketAddr,
}

impl Installation {
    /// Installs it, and again, and waits until it is ready. `None`, with the reason printed, where the cluster is
    /// not one to do that to.
    pub(super) fn new() -> Option<Self> {
        let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s/");
        let installation = Self::applied(&["--filename", manifests])?;
        installation.until_installed();
        Some(installation)
    }

    /// Installs an overlay of `kustomize/`, and again; it may not be ready. `None` as above.
    pub(super) fn of_overlay(name: &str) -> Option<Self> {
        Self::applied(&["--kustomize", &format!("{}/kustomize/{name}", env!("CARGO_MANIFEST_DIR"))])
    }

    fn applied(manifests: &[&str]) -> Option<Self> {
        xtask()?;
        let there = kubectl(&["get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "name"]);
        assert!(there.is_empty(), "something is installed: kubectl delete namespace {NAMESPACE}");
        let removed = Removed;
        for _ in 0..2 {
            // It fails where kubectl does not exit with 0.
            kubectl(&[&["apply"], manifests].concat());
        }
        let installation = Self { clients: service("picofaas"), operators: service("picofaas-management") };
        std::mem::forget(removed);
        Some(installation)
    }

    /// Waits until it is ready.
    pub(super) fn until_installed(&self) {
        self.kubectl(&["rollout", "status", "deployment/picofaas", "--timeout=90s"]);
        until_led(self.clients);
        until_led(self.operators);
    }

    /// A client of the process that serves: after an end of one the node may lead nowhere for a moment, also when others
    /// were led to the next one already.
    pub(super) fn client(&self) -> Client {
        until_led(self.clients);
        Client::connect(self.clients)
    }

    /// As [`client`](Self::client), at the management listener.
    pub(super) fn operator(&self) -> Client {
        until_led(self.operators);
        Client::connect(self.operators)
    }

    /// Output of kubectl in its namespace.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", NAMESPACE], arguments].concat())
    }

    pub(super) fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.kubectl(&[&["get", "--output", "json"], arguments].concat());
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Applies a function as kubectl does, with a handler of the `faulty` example.
    pub(super) fn apply(&self, name: &str, mode: &str, handler: &str, different: &Value) {
        let mut spec = in_pods(name, mode, handler);
        let fields = spec.as_object_mut().unwrap();
        fields.remove("name");
        fields.insert("resources".to_owned(), json!({ "requests": { "cpu": "10m", "memory": "16Mi" } }));
        fields.extend(different.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": { "name": name }, "spec": spec,
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), object.to_string()).unwrap();
        self.kubectl(&["apply", "--filename", file.path().to_str().unwrap()]);
    }

    /// The pods of a function.
    pub(super) fn pods(&self, function: &str) -> Pods {
        pods_in(&self.objects(&["pods"]), function)
    }

    /// The pod of the control plane.
    pub(super) fn pod(&self) -> Value {
        let mut pods = self.objects(&["pods", "--selector", OWN]);
        assert_eq!(pods.len(), 1, "{pods:#?}");
        pods.remove(0)
    }

    /// Holder of the Lease.
    pub(super) fn holder(&self) -> String {
        self.objects(&["leases"])[0]["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }

    /// Kills the process of the control plane, from the node.
    pub(super) fn kill(&self) {
        let pod = self.pod();
        let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
        let process = process_of(id.trim_start_matches("containerd://"));
        kill_process(process, Signal::KILL).unwrap();
    }

    /// Waits until so many instances of a function are ready.
    pub(super) fn until_ready(&self, function: &str, wanted: u64) {
        let mut operator = self.operator();
        let path = format!("/v1/functions/{function}");
        eventually(&format!("{wanted} instances of {function} are ready"), || {
            let answer = operator.get(&path);
            (answer.status == 200 && answer.json()["status"]["ready"] == wanted).then_some(())
        });
    }
}

/// Waits until the node leads a Service to the control plane: it may be late for a pod that is ready. A connection
/// that was made before is refused, or led to somebody else for as long as it lasts.
fn until_led(service: SocketAddr) {
    eventually(&format!("{service} leads to the control plane"), || {
        TcpStream::connect_timeout(&service, Duration::from_secs(1)).ok()?;
        (Client::connect(service).get("/healthz").status == 200).then_some(())
    });
}

/// Removes the namespace, and waits until it is gone: the next test makes it anew.
struct Removed;

impl Drop for Removed {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"]);
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let pods = self.kubectl(&["get", "pods", "--output", "wide"]);
            let log = self.kubectl(&["logs", "--selector", OWN, "--tail=60"]);
            eprintln!("{pods}\nthe control plane wrote:\n{log}");
        }
        drop(Removed);
    }
}

/// The address of a Service, which this machine reaches as pods do.
fn service(name: &str) -> SocketAddr {
    let text = kubectl(&[
        "--namespace",
        NAMESPACE,
        "get",
        "service",
        name,
        "--output",
        "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}",
    ]);
    text.trim().parse().unwrap()
}

/// The first process of a container, found by its cgroup.
fn process_of(container: &str) -> Pid {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        // One that has ended in between has no cgroup.
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).ok()?;
        cgroup.contains(container).then_some(number)
    });
    Pid::from_raw(processes.min().expect("the container has a process")).unwrap()
}

/// The manifest of an example.
pub(super) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("function.yaml")
}
