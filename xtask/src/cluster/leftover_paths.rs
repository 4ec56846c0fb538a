//! Files that Kubernetes and containerd leave at paths of the machine that no flag moves.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layout::Layout;

/// The sockets of shims are here wherever containerd's folders are.
const SHIMS: &str = "/run/containerd";
/// kubelet links the logs of containers here.
const LOGS: &str = "/var/log/containers";
/// The library below the network plugins notes here what they answered.
const NETWORK_RESULTS: &str = "/var/lib/cni";
/// kubelet's sockets for plugins of devices are here wherever its folder is.
const KUBELET: &str = "/var/lib/kubelet";

const PLACES: [&str; 4] = [SHIMS, LOGS, NETWORK_RESULTS, KUBELET];

const NOTE: &str = "before/places";

/// Notes which of the places are there already, and so are somebody's.
pub(super) fn note(layout: &Layout) -> Result<()> {
    let there = PLACES.iter().filter(|place| Path::new(place).exists());
    layout.write(NOTE, &there.map(|place| format!("{place}\n")).collect::<String>())
}

/// Removes what is ours in them, and those of them that were not there. Nothing of the cluster runs any more.
pub(super) fn remove(layout: &Layout) -> Result<()> {
    // Without a note nothing was started yet.
    let Ok(note) = fs::read_to_string(layout.path(NOTE)) else { return Ok(()) };
    let was_there = |place: &str| note.lines().any(|line| line == place);

    let listening = fs::read_to_string("/proc/net/unix").context("cannot read /proc/net/unix")?;
    let shims = Path::new(SHIMS).join("s");
    remove_from(&shims, |path| !listening.lines().any(|line| line.ends_with(&*path.to_string_lossy())))?;
    remove_from(Path::new(LOGS), |path| {
        fs::read_link(path).is_ok_and(|target| target.starts_with(layout.root()))
    })?;
    let results = Path::new(NETWORK_RESULTS).join("results");
    remove_from(&results, |path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("picofaas-"))
    })?;
    if !was_there(KUBELET) && Path::new(KUBELET).exists() {
        fs::remove_dir_all(KUBELET).with_context(|| format!("cannot remove {KUBELET}"))?;
    }
    for place in PLACES.into_iter().filter(|place| !was_there(place)) {
        for folder in [shims.as_path(), results.as_path(), Path::new(place)] {
            // Only where it is empty: somebody else may have come to use it meanwhile.
            if folder.starts_with(place) {
                let _ = fs::remove_dir(folder);
            }
        }
    }
    Ok(())
}

/// Removes the files of a folder that `is_ours` knows. The folder need not be there.
fn remove_from(folder: &Path, is_ours: impl Fn(&Path) -> bool) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if is_ours(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
