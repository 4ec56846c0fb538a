//! `cargo xtask cluster`: a real Kubernetes of one node on this machine, for tests and for people.
//!
//! Built once from Go modules and Debian's packages, started by hand in one folder, gone without a trace.
//!
//! | part | what it is |
//! |---|---|
//! | `life` | how a cluster comes up and goes down |
//! | `daemons`, `daemon` | the seven daemons and their flags; how one is started and looked after |
//! | `api` | whether the API server, the node and what pods need are ready |
//! | `binaries`, `pause` | the programs of Kubernetes and the image of the pause process, built once |
//! | `layout` | the folder, and what is where in it |
//! | `certificates` | keys, certificates, kubeconfigs |
//! | `network`, `filter`, `settings` | bridges, chains of the packet filter, kernel settings, and how they go |
//! | `cgroups`, `mounts`, `processes`, `leftover_paths` | what containers and daemons leave, found and removed |
//! | `lock` | one cluster per machine |
//! | `outage` | an API server that is away for a while |
//! | `watcher` | takes the cluster down when its owner vanishes |
//!
//! The templates of the configurations, the list of Go modules and the pause program are in `xtask/cluster/`.

mod api;
mod binaries;
mod certificates;
mod cgroups;
mod daemon;
mod daemons;
mod filter;
mod layout;
mod leftover_paths;
mod life;
mod lock;
mod mounts;
mod network;
mod outage;
mod pause;
mod processes;
mod settings;
mod watcher;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use self::api::ApiServer;
use self::binaries::ClusterBinaries;
use self::layout::{Layout, NODE};
use self::life::{Started, Up};
use self::watcher::Watcher;
use crate::repository;
use crate::toolbox::{self, Unavailable};
use crate::wait::Stopwatch;

#[derive(clap::Args)]
pub(crate) struct ClusterArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start the cluster, or say that it runs
    Up {
        /// Where all of it is kept while it is up [default: ~/.cache/picofaas/cluster]
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// End it and remove all it has left on the machine
    Down {
        /// Where it is, if not where `up` put it last
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Say what runs; fails unless the cluster answers
    Status {
        /// Print the path of the kubeconfig alone, for `export KUBECONFIG=$(…)`
        #[arg(long)]
        kubeconfig: bool,
    },
    /// Run kubectl on the cluster
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Bring an image in, from an archive as `docker save` and `buildah push` write it
    Import { archive: PathBuf },
    /// Take the API server away for a while, as a fault, and bring it back
    Outage {
        /// In which way it is away
        #[arg(long, value_enum, default_value = "hangs")]
        way: outage::OutageKind,
        /// For how long, before it is brought back
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Run a command with KUBECONFIG set, on the cluster that is up or else on one that goes with the command
    Run {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

pub(crate) fn run(arguments: ClusterArguments) -> Result<ExitCode> {
    let of = |folder: Option<PathBuf>| match folder {
        Some(folder) => Layout::at(&folder),
        None => life::folder(),
    };
    match arguments.action {
        Action::Up { folder } => up(of(folder)?),
        Action::Down { folder } => down(&of(folder)?),
        Action::Status { kubeconfig } => status(&life::folder()?, kubeconfig),
        Action::Kubectl { arguments } => {
            let mut kubectl = Cluster::running()?.kubectl()?;
            // exec gives nothing back but an error.
            Err(kubectl.args(arguments).exec()).context("cannot run kubectl")
        }
        Action::Import { archive } => {
            Cluster::running()?.import(&archive)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Outage { way, seconds } => {
            outage::run(&life::folder()?, way, Duration::from_secs(seconds))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Run { command } => run_on(&command),
    }
}

fn up(layout: Layout) -> Result<ExitCode> {
    match life::up(layout)? {
        Err(Unavailable(why)) => bail!("{why}"),
        Ok(Up { layout, started }) => {
            match started {
                Some(Started { took, watcher }) => {
                    watcher.dismiss()?;
                    println!("the cluster is up after {:.1} s", took.as_secs_f64());
                }
                None => println!("the cluster is up already"),
            }
            println!("kubeconfig: {}", layout.kubeconfig().display());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn down(layout: &Layout) -> Result<ExitCode> {
    let watch = Stopwatch::start();
    if life::down(layout)? {
        println!(
            "the cluster is down after {:.1} s, and nothing is left of it",
            watch.elapsed().as_secs_f64()
        );
    } else {
        println!("there is no cluster in {}", layout.root().display());
    }
    Ok(ExitCode::SUCCESS)
}

fn status(layout: &Layout, kubeconfig: bool) -> Result<ExitCode> {
    if !toolbox::is_root() {
        bail!("not root: the folder of a cluster is root's");
    }
    let binaries = ClusterBinaries::find();
    let answers = match &binaries {
        Some(binaries) => life::answers(layout, binaries)?,
        None => false,
    };
    if kubeconfig {
        if !answers {
            bail!("no cluster answers: `cargo xtask cluster up` starts one");
        }
        println!("{}", layout.kubeconfig().display());
        return Ok(ExitCode::SUCCESS);
    }
    println!("folder      {}", layout.root().display());
    for name in daemons::NAMES {
        match daemon::process(layout, name) {
            Some(pid) => println!("  {name:<24} runs, process {}", pid.as_raw_pid()),
            None => println!("  {name:<24} does not run"),
        }
    }
    let Some(binaries) = binaries else {
        println!("the programs of Kubernetes have not been built: `cargo xtask cluster up` does it");
        return Ok(ExitCode::FAILURE);
    };
    let kubectl = binaries.path("kubectl");
    match ApiServer::of(layout, &kubectl).node()? {
        Some(node) => {
            let state = if node.is_ready { "Ready" } else { "not Ready" };
            println!("node        {NODE}: {state} {}", node.taints.join(" "));
            println!("versions    Kubernetes {}, {}", node.version, node.runtime);
        }
        None => println!("node        unknown: the API server does not answer"),
    }
    for (program, flag) in [("etcd", "--version"), ("runc", "--version")] {
        if let Ok(line) = repository::first_line(Command::new(program).arg(flag)) {
            println!("            {line}");
        }
    }
    println!("kubeconfig  {}", layout.kubeconfig().display());
    println!("kubectl     {}", kubectl.display());
    Ok(if answers { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_on(command: &[OsString]) -> Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let cluster = match Cluster::for_tests()? {
        Ok(cluster) => cluster,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let status = cluster
        .of(Command::new(program).args(arguments))
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    // One that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A cluster to test on. One that was started for it is taken down when this is dropped, and when its owner is
/// killed.
pub(crate) struct Cluster {
    kubeconfig: PathBuf,
    /// Where it is one of ours.
    layout: Option<Layout>,
    /// Where it goes with this value.
    watcher: Option<Watcher>,
}

impl Cluster {
    /// The cluster that `KUBECONFIG` names, else ours, which is started unless it is up.
    pub(crate) fn for_tests() -> Result<Result<Self, Unavailable>> {
        let layout = life::folder()?;
        if let Some(given) = env::var_os("KUBECONFIG").filter(|given| !given.is_empty()) {
            let kubeconfig = PathBuf::from(given);
            let is_ours = fs::canonicalize(&kubeconfig).is_ok_and(|path| path == layout.kubeconfig());
            let layout = is_ours.then_some(layout);
            return Ok(Ok(Self { kubeconfig, layout, watcher: None }));
        }
        let Up { layout, started } = match life::up(layout)? {
            Ok(up) => up,
            Err(why) => return Ok(Err(why)),
        };
        let watcher = started.map(|started| started.watcher);
        Ok(Ok(Self { kubeconfig: layout.kubeconfig(), layout: Some(layout), watcher }))
    }

    /// Ours, which must be up, and stays.
    pub(crate) fn running() -> Result<Self> {
        let layout = life::folder()?;
        if daemon::process(&layout, "kube-apiserver").is_none() {
            bail!("no cluster is up: `cargo xtask cluster up` starts one");
        }
        Ok(Self { kubeconfig: layout.kubeconfig(), layout: Some(layout), watcher: None })
    }

    /// Whether it is one of `cargo xtask cluster up`.
    pub(crate) fn is_ours(&self) -> bool {
        self.layout.is_some()
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The command with the environment by which programs find this cluster: `kubectl`, and `ctr` where it is ours.
    pub(crate) fn of<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("KUBECONFIG", &self.kubeconfig);
        if let Some(layout) = &self.layout {
            command.env("CONTAINERD_ADDRESS", layout.containerd_socket());
        }
        command
    }

    /// kubectl on this cluster: the one that was built for ours, else the one on the path.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        match (&self.layout, ClusterBinaries::find()) {
            (Some(layout), Some(binaries)) => Ok(api::kubectl(&binaries.path("kubectl"), layout)),
            (Some(_), None) => {
                bail!("the programs of Kubernetes were removed: `cargo xtask cluster up` builds them")
            }
            (None, binaries) => {
                let built = binaries.map(|binaries| binaries.path("kubectl"));
                let mut kubectl = Command::new(built.unwrap_or_else(|| PathBuf::from("kubectl")));
                kubectl.env("KUBECONFIG", &self.kubeconfig);
                Ok(kubectl)
            }
        }
    }

    /// Brings an image in, from an archive as `docker save` and `buildah push` write it.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        match &self.layout {
            Some(layout) => life::import(layout, archive),
            None => bail!(
                "KUBECONFIG names a cluster that is not of `cargo xtask cluster up`: push the image to a registry that it reads"
            ),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (Some(watcher), Some(layout)) = (self.watcher.take(), &self.layout) else { return };
        if let Err(error) = life::down(layout).and_then(|_| watcher.dismiss()) {
            eprintln!("warning: the cluster may not be all gone: {error:#}");
        }
    }
}
