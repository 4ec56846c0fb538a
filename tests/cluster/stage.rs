//! Where one test happens: a namespace of its own, and a control plane for it that has the rights of
//! `k8s/20-rbac.yaml` and no other.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::calls;
use crate::support::dollars;
use crate::support::patience::eventually;
use crate::support::server::Server;

/// The image of the `faulty` example, which is in the cluster.
pub(crate) const IMAGE: &str = concat!("picofaas.invalid/picofaas-test-function:", env!("CARGO_PKG_VERSION"));

/// The objects installed for a test: the definition of functions, and the rights of a control plane.
const DEFINITION: &str = include_str!("../../k8s/10-crd.yaml");
const RIGHTS: &str = include_str!("../../k8s/20-rbac.yaml");

/// Where those rights are held.
const THEIR_NAMESPACE: &str = "namespace: picofaas\n";

/// Different for each namespace and each kubeconfig of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace under the Pod Security Standard `restricted`; deleted on drop.
pub(crate) struct Stage {
    pub namespace: String,
    /// Of the service account, for an hour.
    token: String,
    /// Holds kubeconfigs of control planes.
    folder: TempDir,
}

impl Stage {
    /// An empty namespace, and the definition of functions in the cluster.
    pub(crate) fn new(name: &str) -> Self {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("test-{name}-{}-{nth}", std::process::id());
        let mut stage = Self { namespace, token: String::new(), folder: tempfile::tempdir().unwrap() };
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": stage.namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        });
        assert_eq!(
            RIGHTS.matches(THEIR_NAMESPACE).count(),
            4,
            "it is named in the account, the Role and the binding"
        );
        let rights = RIGHTS.replace(THEIR_NAMESPACE, &format!("namespace: {}\n", stage.namespace));
        let whole = stage.folder.path().join("install.yaml");
        std::fs::write(&whole, format!("{object}\n---\n{DEFINITION}\n---\n{rights}")).unwrap();
        // By the server, because tests do it side by side.
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", whole.to_str().unwrap()]);
        let token = stage.kubectl(&["create", "token", "picofaas", "--duration=1h"]);
        stage.token = token.trim().to_owned();
        stage
    }

    /// A control plane of this namespace, on this machine, that pods can reach.
    pub(crate) fn server(&self, flags: &[&str]) -> Server {
        self.server_at(reachable(), flags)
    }

    /// The same at an address that pods were told before.
    pub(crate) fn server_at(&self, runtime: SocketAddr, flags: &[&str]) -> Server {
        self.server_by(&kubeconfig(), runtime, flags)
    }

    /// The same, which finds the API server by another kubeconfig.
    pub(crate) fn server_by(&self, kubeconfig: &str, runtime: SocketAddr, flags: &[&str]) -> Server {
        let (listen, url) = (runtime.to_string(), format!("http://{runtime}"));
        let kubeconfig = self.with_the_role(kubeconfig);
        let flags = [&self.flags(&kubeconfig, &url), flags].concat();
        watched(Server::start_on("127.0.0.1:0", &listen, &flags))
    }

    /// The flags of a control plane of this namespace.
    pub(crate) fn flags<'a>(&'a self, kubeconfig: &'a str, runtime_url: &'a str) -> [&'a str; 8] {
        let [backend, by, here, runtime] = ["--backend", "--kubeconfig", "--namespace", "--runtime-url"];
        [backend, "kubernetes", by, kubeconfig, here, &self.namespace, runtime, runtime_url]
    }

    /// The path of a kubeconfig that leads where another one does, with the rights of a control plane.
    pub(crate) fn with_the_role(&self, kubeconfig: &str) -> String {
        let view = ["config", "view", "--minify", "--raw", "--flatten", "--output", "json"];
        let mut config: Value = serde_json::from_str(&kubectl_by(kubeconfig, &view)).unwrap();
        config["users"][0]["user"] = json!({ "token": self.token });
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("kubeconfig-{nth}"));
        std::fs::write(&path, config.to_string()).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Output of `kubectl` in this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// The objects of one kind in this namespace.
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "--output", "json"]);
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Evicts a pod, as the drain of a node does.
    pub(crate) fn evict(&self, pod: &str) {
        let metadata = json!({ "name": pod, "namespace": self.namespace });
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), eviction.to_string()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        self.kubectl(&["create", "--raw", &path, "-f", file.path().to_str().unwrap()]);
    }

    /// Waits until the objects of a kind are as they should be.
    pub(crate) fn until(&self, what: &str, kind: &str, is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, || Some(self.objects(kind)).filter(|objects| is_right(objects)))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Its objects go by themselves, and nobody waits for it.
        let delete = ["delete", "namespace", &self.namespace, "--wait=false"];
        let _ = command(&kubeconfig(), &delete).output();
    }
}

/// A control plane whose calls to the API server are noted before it ends.
pub(crate) fn watched(mut server: Server) -> Server {
    server.before_end = Some(calls::note);
    server
}

/// A function that runs a handler of the `faulty` example in pods.
pub(crate) fn in_pods(name: &str, mode: &str, handler: &str) -> Value {
    json!({
        "name": name,
        "executionMode": mode,
        "image": IMAGE,
        "env": [{ "name": "HANDLER", "value": handler }],
        "retryBackoffMs": 1,
        "retryMaxBackoffMs": 1,
    })
}

/// A function in pods that has dollars in its fields; the stage has the secret that it names.
pub(crate) fn with_dollars(stage: &Stage, name: &str, mode: &str) -> Value {
    let secret = format!("--from-literal=secret={}", dollars::SECRET);
    stage.kubectl(&["create", "secret", "generic", "login", &secret]);
    let mut env = dollars::variables();
    env.push(json!({
        "name": "SECRET", "valueFrom": { "secretKeyRef": { "name": "login", "key": "secret" } },
    }));
    let mut function = in_pods(name, mode, "");
    function["command"] = dollars::command("/faulty").into();
    function["args"] = dollars::args().into();
    function["env"] = env.into();
    function
}

/// Runs `kubectl`, which must succeed.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    kubectl_by(&kubeconfig(), arguments)
}

fn kubectl_by(kubeconfig: &str, arguments: &[&str]) -> String {
    let output = command(kubeconfig, arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {}: {stderr}", arguments.join(" "));
    stdout.into_owned()
}

/// The program of the variable `KUBECTL`, or the one on the path.
pub(crate) fn command(kubeconfig: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned()));
    command.args(["--kubeconfig", kubeconfig]).args(arguments);
    command
}

pub(crate) fn kubeconfig() -> String {
    std::env::var("KUBECONFIG").expect("KUBECONFIG is not set: `cargo xtask verify cluster` brings a cluster")
}

/// A free port of the address that this machine has on the way to the API server: pods reach it, too.
pub(crate) fn reachable() -> SocketAddr {
    let url = kubectl(&["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let authority = url.trim().split("//").nth(1).unwrap().trim_end_matches('/').to_owned();
    let authority = if authority.contains(':') { authority } else { format!("{authority}:443") };
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: it asks the kernel for the way.
    socket.connect(&authority).unwrap();
    let ip = socket.local_addr().unwrap().ip();
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
