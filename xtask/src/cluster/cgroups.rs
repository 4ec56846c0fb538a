//! The cgroups of a cluster: one folder in every hierarchy, below which kubelet puts all pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

use super::layout::CGROUP;
use super::{mounts, processes};
use crate::wait;

/// From SIGKILL to an empty cgroup.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the folders: kubelet does not start without.
pub(super) fn make() -> Result<()> {
    for hierarchy in mounts::hierarchies()? {
        let folder = hierarchy.place.join(CGROUP);
        // In a hybrid, version 2 has no controllers, and nothing asks for a folder there.
        if hierarchy.is_version_2 && read(&hierarchy.place.join("cgroup.controllers")).is_empty() {
            continue;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(())
}

/// Kills what is in them, which is every process of every container, and removes them.
pub(super) fn remove() -> Result<()> {
    let roots: Vec<PathBuf> =
        mounts::hierarchies()?.into_iter().map(|hierarchy| hierarchy.place.join(CGROUP)).collect();
    let removed = wait::until(PATIENCE, || {
        for folder in roots.iter().flat_map(|root| folders_of(root)) {
            let processes = read(&folder.join("cgroup.procs"));
            let pids: Vec<Pid> =
                processes.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
            processes::signal(&pids, Signal::KILL)?;
            if pids.is_empty() {
                // One whose processes are just ending refuses, and is tried again.
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(roots.iter().all(|root| !root.exists()).then_some(()))
    })?;
    if removed.is_none() {
        let left: Vec<String> =
            roots.iter().filter(|root| root.exists()).map(|root| root.display().to_string()).collect();
        bail!("cgroups are still in use after SIGKILL: {}", left.join(", "));
    }
    Ok(())
}

/// A folder and all below it, the deepest first.
fn folders_of(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(folder) = next.pop() {
        // It may be gone by now: then there is nothing in it.
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        next.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        folders.push(folder);
    }
    folders.reverse();
    folders
}

/// Empty where there is no such file, because its folder may have gone meanwhile.
fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}
