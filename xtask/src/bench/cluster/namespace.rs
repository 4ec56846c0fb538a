//! A namespace that goes with its owner.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::api::ApiProxy;
use crate::cluster::Cluster;

/// Runs beside us and deletes the namespace when our end of its pipe closes: also when we are interrupted or
/// killed and no destructor of ours runs.
const REMOVER: &str = "trap '' INT TERM HUP; read -r _; exec \"$@\"";

pub(super) struct Namespace {
    pub name: String,
    remover: Child,
}

impl Namespace {
    /// An empty one, under the Pod Security Standard `restricted`.
    pub(super) fn make(cluster: &Cluster, api: &ApiProxy, name: String) -> Result<Self> {
        let kubectl = cluster.kubectl()?;
        let mut remover = Command::new("sh");
        remover.args(["-c", REMOVER, "remover"]).arg(kubectl.get_program()).args(kubectl.get_args());
        remover.args(["delete", "namespace", &name, "--wait=false", "--ignore-not-found"]);
        remover.envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))));
        remover.stdin(Stdio::piped()).stdout(Stdio::null());
        let remover = remover.spawn().context("cannot start sh")?;
        let object = json!({ "metadata": {
            "name": name,
            "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
        } });
        let made = Self { name, remover };
        api.ask("POST", "/api/v1/namespaces", &object.to_string())?;
        Ok(made)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        match self.remover.wait() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("warning: the namespace {} may be left: kubectl ended with {status}", self.name)
            }
            Err(error) => eprintln!("warning: the namespace {} may be left: {error}", self.name),
        }
    }
}
