//! Where everything of a cluster is: one folder, and what is where in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::network;

/// Paths of sockets have 107 bytes, and ours are this much longer than the folder's.
const ROOT_BYTES_MAX: usize = 107 - "/containerd/containerd.sock.ttrpc".len();

/// Says that a folder is a cluster's, and may be removed with all that is in it.
const MARK: &str = "this-is-a-picofaas-cluster";

/// The name of the node.
pub(super) const NODE: &str = "picofaas";

/// The name of the cgroup, in every hierarchy, that all pods are in.
pub(super) const CGROUP: &str = "picofaas-cluster";

/// The image that holds the namespaces of a pod.
pub(super) const PAUSE_IMAGE: &str = "picofaas.invalid/pause:1";

/// Where Debian puts the plugins that make a pod's network.
pub(super) const NETWORK_PLUGINS: &str = "/usr/lib/cni";

/// The folder of a cluster.
#[derive(Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Names the folder; nothing is made or looked at.
    pub(super) fn at(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("--folder {}", root.display()))?;
        let Some(text) = root.to_str() else { bail!("--folder {}: not UTF-8", root.display()) };
        // It goes into configurations of five syntaxes as it is.
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
            bail!("--folder {text}: only letters, digits and / . _ - may be in the path");
        }
        if text.len() > ROOT_BYTES_MAX {
            bail!("--folder {text}: longer than {ROOT_BYTES_MAX} bytes, so paths of sockets would not fit");
        }
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// The same as text, for arguments of daemons.
    pub(super) fn text(&self, below: &str) -> String {
        self.path(below).display().to_string()
    }

    /// The kubeconfig of the cluster's administrator.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    pub(super) fn log(&self, daemon: &str) -> PathBuf {
        self.path("logs").join(format!("{daemon}.log"))
    }

    pub(super) fn containerd_socket(&self) -> PathBuf {
        self.path("containerd/containerd.sock")
    }

    /// Whether the folder is one that `make` made.
    pub(super) fn is_made(&self) -> bool {
        self.path(MARK).is_file()
    }

    /// Makes the folder. One that holds something else is left alone, because `down` removes it all.
    pub(super) fn make(&self) -> Result<()> {
        let place = || format!("cannot make {}", self.root.display());
        fs::create_dir_all(&self.root).with_context(place)?;
        if fs::read_dir(&self.root).with_context(place)?.next().is_some() && !self.is_made() {
            bail!("{} holds something else than a cluster: name an empty folder", self.root.display());
        }
        // Others have no business with the keys in it.
        fs::set_permissions(&self.root, Permissions::from_mode(0o700)).with_context(place)?;
        self.write(MARK, "`cargo xtask cluster down` removes this folder and all that is in it.\n")?;
        for folder in ["certificates", "logs", "pids", "before", "network", "containerd", "registries"] {
            fs::create_dir_all(self.path(folder)).with_context(place)?;
        }
        for folder in ["etcd", "kubelet", "pod-logs"] {
            fs::create_dir_all(self.path(folder)).with_context(place)?;
        }
        // etcd warns of more.
        fs::set_permissions(self.path("etcd"), Permissions::from_mode(0o700)).with_context(place)
    }

    pub(super) fn write(&self, below: &str, content: &str) -> Result<()> {
        let path = self.path(below);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes a file from its template.
    pub(super) fn fill(&self, below: &str, template: &str, more: &[(&str, &str)]) -> Result<()> {
        let root = self.root.to_str().context("the folder's path is UTF-8")?;
        let words = [
            ("@folder@", root),
            ("@node@", NODE),
            ("@cgroup@", CGROUP),
            ("@pause-image@", PAUSE_IMAGE),
            ("@network-plugins@", NETWORK_PLUGINS),
            ("@node-address@", network::NODE_ADDRESS),
            ("@pod-bridge@", network::POD_BRIDGE),
            ("@pod-network@", network::POD_NETWORK),
        ];
        let mut content = template.to_owned();
        for (word, value) in words.iter().chain(more) {
            content = content.replace(word, value);
        }
        self.write(below, &content)
    }

    /// Removes the folder. Nothing may be mounted in it: a mount would be emptied instead.
    pub(super) fn remove(&self) -> Result<()> {
        if !self.root.exists() {
            return Ok(());
        }
        if !self.is_made() {
            bail!("{} is not the folder of a cluster: it is left as it is", self.root.display());
        }
        // The mark goes last, so that a removal that was interrupted can be done again.
        let place = || format!("cannot remove {}", self.root.display());
        for entry in fs::read_dir(&self.root).with_context(place)? {
            let path = entry.with_context(place)?.path();
            if path.ends_with(MARK) {
                continue;
            }
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        fs::remove_dir_all(&self.root).with_context(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn a_folder_that_would_break_a_configuration_or_a_socket_is_refused_with_its_name() {
        for path in ["/tmp/a b", "/tmp/a\"b", "/tmp/ü"] {
            let error = Layout::at(Path::new(path)).err().unwrap().to_string();
            assert!(error.contains(path), "{error}");
        }
        assert!(Layout::at(Path::new(&format!("/{}", "a".repeat(ROOT_BYTES_MAX)))).is_err());
        assert!(Layout::at(Path::new(&format!("/{}", "a".repeat(ROOT_BYTES_MAX - 1)))).is_ok());
    }

    #[test]
    fn only_a_folder_that_was_made_for_a_cluster_is_filled_and_removed() {
        let folder = Folder::make("layout").unwrap();
        std::fs::write(folder.path().join("precious"), "").unwrap();
        let layout = Layout::at(folder.path()).unwrap();
        assert!(layout.make().is_err());
        assert!(layout.remove().is_err());
        assert!(folder.path().join("precious").is_file());

        let layout = Layout::at(&folder.path().join("cluster")).unwrap();
        layout.make().unwrap();
        layout.make().unwrap();
        layout.remove().unwrap();
        assert!(!layout.root().exists());
        layout.remove().unwrap();
    }
}
