//! The machine's network as a cluster needs it: a bridge with the node's address, and a bridge for pods,
//! which the network plugin makes with the first pod.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::wait;

/// kubelet takes no loopback address. Nothing outside of this machine has a route to this one.
pub(super) const NODE_ADDRESS: &str = "10.250.0.1";
pub(super) const API_PORT: u16 = 6443;

/// A thousand addresses, which is more than the node takes pods.
pub(super) const POD_NETWORK: &str = "10.244.0.0/22";
pub(super) const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// The first of the services' addresses is the API server's.
pub(super) const API_SERVICE_ADDRESS: &str = "10.96.0.1";

pub(super) const NODE_BRIDGE: &str = "pfaas-node";
pub(super) const POD_BRIDGE: &str = "pfaas-pods";

/// The kernel takes the ends of pods' links away some time after their last process.
const LINKS_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the bridge whose address is the node's. A bridge, because every kernel has it.
pub(super) fn make() -> Result<()> {
    ip(&["link", "add", NODE_BRIDGE, "type", "bridge"])?;
    ip(&["address", "add", &format!("{NODE_ADDRESS}/32"), "dev", NODE_BRIDGE])?;
    ip(&["link", "set", NODE_BRIDGE, "up"])
}

/// Removes the bridges and what is left of pods' links, wherever that stopped.
pub(super) fn remove() -> Result<()> {
    for link in links_of_pods()? {
        // It may go by itself at any moment; whether any is left is looked at below.
        let _ = ip(&["link", "delete", &link]);
    }
    let gone = wait::until(LINKS_PATIENCE, || Ok(links_of_pods()?.is_empty().then_some(())))?;
    if gone.is_none() {
        bail!("links of pods are still there: {}", links_of_pods()?.join(", "));
    }
    for bridge in [POD_BRIDGE, NODE_BRIDGE] {
        if is_there(bridge) {
            ip(&["link", "delete", bridge])?;
        }
    }
    Ok(())
}

pub(super) fn is_there(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).exists()
}

/// Our ends of the pods' links are in the bridge.
fn links_of_pods() -> Result<Vec<String>> {
    let folder = Path::new("/sys/class/net").join(POD_BRIDGE).join("brif");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut links = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        links.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(links)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip (iproute2)")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {}` failed: {}", arguments.join(" "), why.trim());
    }
    Ok(())
}
