//! A namespace of one test, under Pod Security `restricted`; it goes with the test.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::patience::eventually;

/// One test's part of the cluster.
pub struct Namespace {
    pub name: String,
}

/// What a pod is told apart by: its uid, and how often its container was started again.
pub type Pods = BTreeMap<String, (String, i64)>;

impl Namespace {
    /// A new one; `None`, and the reason is printed, where there is no cluster.
    pub fn new(test: &str) -> Option<Self> {
        if std::env::var_os("KUBECONFIG").is_none() {
            println!("skipped: KUBECONFIG names no cluster; `cargo xtask cluster up` starts one");
            return None;
        }
        let name = format!("{test}-{}", std::process::id());
        kubectl(&["create", "namespace", &name]);
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&["label", "namespace", &name, restricted]);
        let namespace = Self { name };
        eventually("the namespace has its service account", || {
            namespace.try_get("serviceaccount/default").map(drop)
        });
        Some(namespace)
    }

    /// Runs kubectl in it, which must succeed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// An object or a list of them; `None` where there is none of the name.
    pub fn try_get(&self, what: &str) -> Option<Value> {
        let arguments = ["--namespace", &self.name, "get", what, "--output=json", "--ignore-not-found"];
        let text = kubectl(&arguments);
        if text.trim().is_empty() { None } else { serde_json::from_str(&text).expect("kubectl answers JSON") }
    }

    /// The pods of a function that are not being deleted.
    pub fn pods(&self, function: &str) -> Pods {
        let label = format!("picofaas.dev/function={function}");
        let text = self.kubectl(&["get", "pods", "--output=json", "--selector", &label]);
        let list: Value = serde_json::from_str(&text).expect("kubectl answers JSON");
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let of = |pod: &Value, at: &str| pod["metadata"][at].as_str().unwrap_or_default().to_owned();
        pods.iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .map(|pod| {
                let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
                (of(pod, "name"), (of(pod, "uid"), restarts.as_i64().unwrap_or_default()))
            })
            .collect()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody waits for the end of it; what fails here leaves a namespace behind, and no test fails of it.
        let _ = command().args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

#[track_caller]
fn kubectl(arguments: &[&str]) -> String {
    let output = command().args(arguments).output().expect("kubectl runs; KUBECTL says where it is");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {error}");
    String::from_utf8(output.stdout).expect("kubectl writes text")
}

fn command() -> Command {
    let mut command = Command::new(std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into()));
    command.stdin(Stdio::null());
    command
}
