//! The API server, asked through kubectl: whether it is ready, and the node, and what pods need.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::daemon;
use super::layout::{Layout, NODE};
use super::network::{API_PORT, NODE_ADDRESS};
use crate::{http, wait};

/// Whether somebody listens on this very machine is known at once.
const CONNECT_PATIENCE: Duration = Duration::from_millis(500);

/// Between two questions: each is a process, which takes from the start it waits for.
const PAUSE: Duration = Duration::from_millis(100);

/// Where kube-proxy says on 127.0.0.1 that its rules are in place.
const PROXY_HEALTH_PORT: u16 = 10256;

/// An API server and the program that speaks with it.
pub(super) struct ApiServer<'a> {
    layout: &'a Layout,
    kubectl: PathBuf,
}

impl<'a> ApiServer<'a> {
    pub(super) fn of(layout: &'a Layout, kubectl: &Path) -> Self {
        Self { layout, kubectl: kubectl.to_owned() }
    }

    /// Its answer to a GET of `path`, or nothing while it does not answer with 200.
    pub(super) fn get(&self, path: &str) -> Result<Option<String>> {
        if !self.is_listening() {
            return Ok(None);
        }
        let mut kubectl = kubectl(&self.kubectl, self.layout);
        kubectl
            .args(["--request-timeout=5s", "get", "--raw", path])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let output = kubectl.output().context("cannot run kubectl")?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    pub(super) fn is_ready(&self) -> Result<bool> {
        Ok(self.get("/readyz")?.is_some())
    }

    /// How the node is: the value of its condition `Ready`, and its taints.
    pub(super) fn node(&self) -> Result<Option<Node>> {
        self.get(&format!("/api/v1/nodes/{NODE}"))?.map(|answer| Node::parse(&answer)).transpose()
    }

    /// Waits until the API server is ready.
    pub(super) fn wait(&self, limit: Duration, daemons: &[&str]) -> Result<()> {
        self.until("the API server is ready", limit, daemons, || self.is_ready())
    }

    /// Waits until a pod would be taken, scheduled, started and reached through a Service.
    pub(super) fn wait_for_node(&self, limit: Duration, daemons: &[&str]) -> Result<()> {
        self.until("the node is Ready", limit, daemons, || {
            Ok(self.node()?.is_some_and(|node| node.is_ready && node.taints.is_empty()))
        })?;
        // Made by the controller manager: without it no pod is admitted.
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        self.until("there is a service account", limit, daemons, || Ok(self.get(account)?.is_some()))?;
        self.until("kube-proxy has set its rules", limit, daemons, || {
            let answer = http::request(PROXY_HEALTH_PORT, "GET", "/healthz", &[], "");
            Ok(answer.is_ok_and(|answer| answer.status == 200))
        })
    }

    fn until(
        &self,
        what: &str,
        limit: Duration,
        daemons: &[&str],
        probe: impl Fn() -> Result<bool>,
    ) -> Result<()> {
        let reached = wait::until(limit, || {
            daemon::check_alive(self.layout, daemons)?;
            if probe()? {
                return Ok(Some(()));
            }
            wait::let_pass(PAUSE);
            Ok(None)
        })?;
        if reached.is_some() {
            return Ok(());
        }
        let logs: Vec<String> = daemons
            .iter()
            .map(|name| format!("{name}:\n{}", daemon::end_of_log(self.layout, name)))
            .collect();
        bail!("after {} s, not yet: {what}. The ends of the logs:\n{}", limit.as_secs(), logs.join("\n"))
    }

    /// Before kubectl is asked, which is a process of 50 MB.
    fn is_listening(&self) -> bool {
        let Ok(address) = NODE_ADDRESS.parse() else { return false };
        TcpStream::connect_timeout(&SocketAddr::new(address, API_PORT), CONNECT_PATIENCE).is_ok()
    }
}

/// kubectl for a cluster of ours. It keeps what it learns there, and reads nothing of the user's.
pub(super) fn kubectl(program: &Path, layout: &Layout) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", layout.kubeconfig()).env("KUBECACHEDIR", layout.path("kubectl"));
    command
}

pub(super) struct Node {
    pub is_ready: bool,
    pub taints: Vec<String>,
    pub version: String,
    pub runtime: String,
}

impl Node {
    fn parse(answer: &str) -> Result<Self> {
        let node: Value = serde_json::from_str(answer).context("the API server's node is not JSON")?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let conditions = list(&node["status"]["conditions"]);
        let info = &node["status"]["nodeInfo"];
        Ok(Self {
            is_ready: conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"),
            taints: list(&node["spec"]["taints"]).iter().map(|taint| text(&taint["key"])).collect(),
            version: text(&info["kubeletVersion"]),
            runtime: text(&info["containerRuntimeVersion"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_its_condition_says_so_and_its_taints_are_told() {
        let node = |ready: &str| {
            Node::parse(&format!(
                r#"{{"spec":{{"taints":[{{"key":"node.kubernetes.io/not-ready"}}]}},
                    "status":{{"conditions":[{{"type":"MemoryPressure","status":"True"}},{{"type":"Ready","status":"{ready}"}}]}}}}"#
            ))
            .unwrap()
        };
        assert!(node("True").is_ready && !node("False").is_ready && !node("Unknown").is_ready);
        assert_eq!(node("True").taints, ["node.kubernetes.io/not-ready"]);
        assert!(!Node::parse("{}").unwrap().is_ready);
    }
}
