//! The programs of Kubernetes, built once from its Go modules and kept with the other tools.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::layout::PAUSE_IMAGE;
use super::pause;
use crate::toolbox::{self, Unavailable};

/// The last minor version whose kubelet starts on cgroup v1 unless told not to.
const VERSION: &str = "1.34.4";

const PROGRAMS: [&str; 6] =
    ["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"];

/// The Go module that names every version, with the checksums of all it needs.
const MODULE: [(&str, &str); 2] =
    [("go.mod", include_str!("../../cluster/go.mod")), ("go.sum", include_str!("../../cluster/go.sum"))];

/// A folder that has them all.
pub(super) struct ClusterBinaries {
    folder: PathBuf,
}

impl ClusterBinaries {
    /// Finds them, or builds them.
    pub(super) fn get() -> Result<Result<Self, Unavailable>> {
        let folder = match folder() {
            Ok(folder) => folder,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(found) = Self::find_in(&folder) {
            return Ok(Ok(found));
        }
        if let Err(why) = toolbox::present("go", "version") {
            return Ok(Err(why));
        }
        build(&folder)?;
        Ok(Ok(Self { folder }))
    }

    /// Finds them where they have been built.
    pub(super) fn find() -> Option<Self> {
        Self::find_in(&folder().ok()?)
    }

    fn find_in(folder: &Path) -> Option<Self> {
        folder.join("complete").is_file().then(|| Self { folder: folder.to_owned() })
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// The archive of the pause image, made where there is none. It is called as the image is: an archive of an image
    /// of another name, which nothing would find in a cluster, is not taken for it.
    pub(super) fn pause_image(&self) -> Result<PathBuf> {
        let archive = self.folder.join(format!("{}.tar", PAUSE_IMAGE.replace(['/', ':'], "-")));
        if !archive.is_file() {
            pause::make_image(&self.folder, &archive)?;
        }
        Ok(archive)
    }
}

/// Another list of modules gets another folder.
fn folder() -> Result<PathBuf, Unavailable> {
    let mut hasher = DefaultHasher::new();
    (MODULE, pause::SOURCE).hash(&mut hasher);
    Ok(toolbox::cache()?.join(format!("kubernetes-{VERSION}-{:016x}", hasher.finish())))
}

fn build(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Two that build at once would take each other's files away.
    let lock = folder.join("building");
    let lock_file = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock_file.lock().with_context(|| format!("cannot lock {}", lock.display()))?;
    if ClusterBinaries::find_in(folder).is_some() {
        return Ok(());
    }
    println!("building Kubernetes {VERSION} into {} (once, about 10 minutes)", folder.display());
    let module = folder.join("module");
    fs::create_dir_all(&module).with_context(|| format!("cannot create {}", module.display()))?;
    for (name, content) in MODULE {
        fs::write(module.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    // Kept until all is built, so that a build that was interrupted goes on where it was.
    let cache = folder.join("build-cache");
    go_build(folder, &module, &cache)?;
    // Go's cache of downloads stays where it is. This one is some gigabytes that nobody needs again.
    fs::remove_dir_all(&cache).with_context(|| format!("cannot remove {}", cache.display()))?;
    fs::remove_dir_all(&module).with_context(|| format!("cannot remove {}", module.display()))?;
    // Only now: a build that was interrupted is done again.
    fs::write(folder.join("complete"), "").context("cannot write the mark of completion")
}

fn go_build(folder: &Path, module: &Path, cache: &Path) -> Result<()> {
    let (major, minor) = match VERSION.split('.').collect::<Vec<_>>()[..] {
        [major, minor, _] => (major, minor),
        _ => bail!("{VERSION} is not a version"),
    };
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion=v{VERSION} -X {version}.gitMajor={major} -X {version}.gitMinor={minor} -X {version}.gitTreeState=clean"
    );
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", &flags, "-o"]).arg(folder);
    go.args(PROGRAMS.map(|program| format!("k8s.io/kubernetes/cmd/{program}")));
    go.current_dir(module).stdin(Stdio::null());
    go.env("CGO_ENABLED", "0").env("GOCACHE", cache).env("GOWORK", "off").env_remove("GOFLAGS");
    let status = go.status().context("cannot run go")?;
    if !status.success() {
        bail!("`go build` of Kubernetes ended with {status}; what it said is above");
    }
    Ok(())
}
