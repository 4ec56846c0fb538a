//! Where one test happens: a namespace of its own, and a control plane for it.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::patience::eventually;
use crate::support::server::Server;

/// The image of the `faulty` example, which is in the cluster.
const IMAGE: &str = concat!("picofaas/picofaas-test-function:", env!("CARGO_PKG_VERSION"));

/// A namespace under the Pod Security Standard `restricted`; deleted on drop.
pub struct Stage {
    pub namespace: String,
}

impl Stage {
    /// An empty namespace, and the definition of functions in the cluster.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let stage = Self { namespace: format!("test-{name}-{}-{nth}", std::process::id()) };
        let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s/10-crd.yaml");
        // By the server, because tests do it side by side.
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", definition]);
        kubectl(&["create", "namespace", &stage.namespace]);
        let label = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&["label", "namespace", &stage.namespace, label]);
        stage
    }

    /// A control plane of this namespace, on this machine, that pods can reach.
    pub fn server(&self, flags: &[&str]) -> Server {
        self.server_at(reachable(), flags)
    }

    /// The same at an address that pods were told before.
    pub fn server_at(&self, runtime: SocketAddr, flags: &[&str]) -> Server {
        self.server_by(&kubeconfig(), runtime, flags)
    }

    /// The same, which finds the API server by another kubeconfig.
    pub fn server_by(&self, kubeconfig: &str, runtime: SocketAddr, flags: &[&str]) -> Server {
        let (listen, url) = (runtime.to_string(), format!("http://{runtime}"));
        let ours = [
            "--backend",
            "kubernetes",
            "--kubeconfig",
            kubeconfig,
            "--namespace",
            &self.namespace,
            "--runtime-url",
            &url,
        ];
        Server::start_on("127.0.0.1:0", &listen, &[&ours, flags].concat())
    }

    /// What `kubectl` says in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// The objects of one kind in this namespace.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "--output", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Evicts a pod, as the drain of a node does.
    pub fn evict(&self, pod: &str) {
        let metadata = json!({ "name": pod, "namespace": self.namespace });
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), eviction.to_string()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        self.kubectl(&["create", "--raw", &path, "-f", file.path().to_str().unwrap()]);
    }

    /// Waits until the objects of a kind are as they should be.
    pub fn until(&self, what: &str, kind: &str, is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, || Some(self.objects(kind)).filter(|objects| is_right(objects)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What is in it goes by itself, and nobody waits for it.
        let _ = command(&["delete", "namespace", &self.namespace, "--wait=false"]).output();
    }
}

/// A function that runs a handler of the `faulty` example in pods.
pub fn in_pods(name: &str, mode: &str, handler: &str) -> Value {
    json!({
        "name": name,
        "executionMode": mode,
        "image": IMAGE,
        "env": [{ "name": "HANDLER", "value": handler }],
        "retryBackoffMs": 1,
        "retryMaxBackoffMs": 1,
    })
}

/// Runs `kubectl`, which must succeed.
pub fn kubectl(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {}: {stderr}", arguments.join(" "));
    stdout.into_owned()
}

/// The program of the variable `KUBECTL`, or the one on the path.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()));
    command.args(["--kubeconfig", &kubeconfig()]).args(arguments);
    command
}

pub fn kubeconfig() -> String {
    std::env::var("KUBECONFIG").expect("KUBECONFIG is not set: `cargo xtask verify cluster` brings a cluster")
}

/// A free port of the address that this machine has on the way to the API server: pods reach it, too.
pub fn reachable() -> SocketAddr {
    let url = kubectl(&["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let authority = url.trim().split("//").nth(1).unwrap().trim_end_matches('/').to_owned();
    let authority = if authority.contains(':') { authority } else { format!("{authority}:443") };
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: it asks the kernel for the way.
    socket.connect(&authority).unwrap();
    let ip = socket.local_addr().unwrap().ip();
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
