//! How a cluster comes up and goes down.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::api::ApiServer;
use super::binaries::ClusterBinaries;
use super::layout::Layout;
use super::lock::{self, Lock};
use super::watcher::Watcher;
use super::{
    certificates, cgroups, daemon, daemons, filter, leftover_paths, mounts, network, processes, settings,
};
use crate::toolbox::{self, DebianProgram, Unavailable};
use crate::wait::{self, Stopwatch};

/// For each step of the start, on a machine that is busy with something else as well.
const PATIENCE: Duration = Duration::from_secs(90);

/// Programs that come from Debian. An absolute path is looked for where it is.
const PROGRAMS: [DebianProgram; 11] = [
    DebianProgram { name: "containerd", package: "containerd" },
    DebianProgram { name: "ctr", package: "containerd" },
    DebianProgram { name: "runc", package: "runc" },
    DebianProgram { name: "etcd", package: "etcd-server" },
    DebianProgram { name: "/usr/lib/cni/bridge", package: "containernetworking-plugins" },
    DebianProgram { name: "iptables-save", package: "iptables" },
    DebianProgram { name: "nft", package: "nftables" },
    DebianProgram { name: "conntrack", package: "conntrack" },
    DebianProgram { name: "ethtool", package: "ethtool" },
    DebianProgram { name: "socat", package: "socat" },
    DebianProgram { name: "openssl", package: "openssl" },
];

/// A cluster that is up.
pub(super) struct Up {
    pub layout: Layout,
    /// Nothing where it was up already.
    pub started: Option<Started>,
}

/// A start that was needed.
pub(super) struct Started {
    pub took: Duration,
    /// Takes the cluster down when this process vanishes, until it is dismissed.
    pub watcher: Watcher,
}

/// Puts a cluster up in `folder`, or finds the one that is up there.
pub(super) fn up(layout: Layout) -> Result<Result<Up, Unavailable>> {
    if !toolbox::is_root() {
        return Ok(Err(Unavailable(
            "not root: a cluster makes network devices, cgroups and mounts. Be root, or set KUBECONFIG to a cluster there is"
                .to_owned(),
        )));
    }
    if let Err(why) = toolbox::debian_programs(&PROGRAMS) {
        return Ok(Err(why));
    }
    let binaries = match ClusterBinaries::get()? {
        Ok(binaries) => binaries,
        Err(why) => return Ok(Err(why)),
    };
    let watch = Stopwatch::start();
    let mut lock = Lock::take()?;
    let there = lock.folder()?;
    if let Some(other) = there.filter(|there| there != layout.root()) {
        let other = other.display();
        bail!(
            "a cluster in {other} is up, and there can be one: `cargo xtask cluster down --folder {other}` first"
        );
    }
    if answers(&layout, &binaries)? {
        return Ok(Ok(Up { layout, started: None }));
    }
    if layout.is_made() {
        println!("removing what is left of an earlier cluster in {}", layout.root().display());
        clean(&layout)?;
    }
    let pause_image = binaries.pause_image()?;
    layout.make()?;
    lock.name(layout.root())?;
    let watcher = Watcher::start(&layout)?;
    if let Err(error) = start(&layout, &binaries, &pause_image) {
        let cleaned = clean(&layout).and_then(|()| lock.clear());
        watcher.dismiss()?;
        return match cleaned {
            Ok(()) => Err(error.context("the cluster did not come up, and nothing is left of it")),
            Err(why) => {
                Err(error.context(format!("the cluster did not come up, and is not all gone: {why:#}")))
            }
        };
    }
    Ok(Ok(Up { layout, started: Some(Started { took: watch.elapsed(), watcher }) }))
}

/// Takes down the cluster in `layout`, whatever is left of it. Says whether anything was.
pub(super) fn down(layout: &Layout) -> Result<bool> {
    if !toolbox::is_root() {
        bail!("not root: only root can take a cluster down");
    }
    let mut lock = Lock::take()?;
    let is_named = lock.folder()?.is_some_and(|folder| folder == layout.root());
    let is_there = layout.is_made() || !processes::all(layout)?.is_empty();
    if !is_there && !is_named {
        return Ok(false);
    }
    clean(layout)?;
    if is_named {
        lock.clear()?;
    }
    Ok(true)
}

/// Whether every daemon runs, the API answers and the node takes pods.
pub(super) fn answers(layout: &Layout, binaries: &ClusterBinaries) -> Result<bool> {
    if daemon::check_alive(layout, &daemons::NAMES).is_err() {
        return Ok(false);
    }
    let api = ApiServer::of(layout, &binaries.path("kubectl"));
    Ok(api.is_ready()? && api.node()?.is_some_and(|node| node.is_ready))
}

/// The folder of the cluster that is up, else the one that is used where no flag says another.
pub(super) fn folder() -> Result<Layout> {
    match lock::folder() {
        Some(folder) => Layout::at(&folder),
        None => default_folder(),
    }
}

fn default_folder() -> Result<Layout> {
    match toolbox::cache() {
        Ok(tools) => Layout::at(&tools.with_file_name("cluster")),
        Err(Unavailable(why)) => bail!("{why}"),
    }
}

fn start(layout: &Layout, binaries: &ClusterBinaries, pause_image: &Path) -> Result<()> {
    filter::note(layout)?;
    settings::note(layout)?;
    leftover_paths::note(layout)?;
    network::make()?;
    cgroups::make()?;
    certificates::make(layout)?;
    for (file, template) in [
        ("containerd/config.toml", include_str!("../../cluster/containerd.toml")),
        ("network/10-picofaas.conflist", include_str!("../../cluster/network.conflist")),
        ("kubelet.yaml", include_str!("../../cluster/kubelet.yaml")),
        ("kube-scheduler.yaml", include_str!("../../cluster/kube-scheduler.yaml")),
        ("kube-proxy.yaml", include_str!("../../cluster/kube-proxy.yaml")),
    ] {
        layout.fill(file, template, &[])?;
    }
    // The API server waits for etcd, and kubelet for containerd and the API server, by themselves.
    daemons::etcd(layout).start(layout)?;
    daemons::containerd(layout).start(layout)?;
    daemons::api_server(layout, binaries).start(layout)?;
    wait_for_containerd(layout)?;
    daemons::kubelet(layout, binaries).start(layout)?;
    import(layout, pause_image)?;
    let api = ApiServer::of(layout, &binaries.path("kubectl"));
    api.wait(PATIENCE, &daemons::NAMES[..4])?;
    // These give up when there is no API server.
    daemons::controller_manager(layout, binaries).start(layout)?;
    daemons::scheduler(layout, binaries).start(layout)?;
    daemons::proxy(layout, binaries).start(layout)?;
    api.wait_for_node(PATIENCE, &daemons::NAMES)
}

fn wait_for_containerd(layout: &Layout) -> Result<()> {
    let socket = layout.containerd_socket();
    let listens = wait::until(PATIENCE, || {
        daemon::check_alive(layout, &["containerd"])?;
        Ok(std::os::unix::net::UnixStream::connect(&socket).ok())
    })?;
    if listens.is_none() {
        bail!("containerd does not listen. Its log:\n{}", daemon::end_of_log(layout, "containerd"));
    }
    Ok(())
}

/// Brings an image into the cluster, from an archive as `docker save` or `buildah push` write it.
pub(super) fn import(layout: &Layout, archive: &Path) -> Result<()> {
    let output = Command::new("ctr")
        .arg("--address")
        .arg(layout.containerd_socket())
        .args(["--namespace", "k8s.io", "images", "import"])
        .arg(archive)
        .output()
        .context("cannot run ctr (containerd)")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("{} could not be imported: {}", archive.display(), why.trim());
    }
    Ok(())
}

/// Ends and removes all there is of a cluster, each step whatever became of the one before.
fn clean(layout: &Layout) -> Result<()> {
    let steps: [(&str, &dyn Fn() -> Result<()>); 8] = [
        // etcd, which has nothing to write that would be kept, is killed last: the API server asks it to its end.
        ("daemons", &|| processes::end_all(layout, &daemons::NAMES[1..])),
        ("containers", &cgroups::remove),
        ("mounts", &|| mounts::unmount_below(layout.root())),
        ("network", &network::remove),
        ("packet filter", &|| filter::restore(layout)),
        ("kernel settings", &|| settings::restore(layout)),
        ("left-over paths", &|| leftover_paths::remove(layout)),
        ("reaping", &|| {
            daemon::reap(layout, &daemons::NAMES);
            Ok(())
        }),
    ];
    let mut faults = Vec::new();
    for (name, step) in steps {
        if let Err(error) = step() {
            faults.push(format!("{name}: {error:#}"));
        }
    }
    // The notes in the folder are needed for another try.
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    layout.remove()
}
