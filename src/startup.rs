//! Puts the threads together.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};

use crate::channel::{MESSAGES_MAX, mpsc};
use crate::clock::Clock;
use crate::config::{BackendKind, LocalLimits, ServeArgs, Settings};
use crate::control::Control;
use crate::cpu;
use crate::gateway::thread::{self as gateway_thread, Start};
use crate::id::{Entropy, incarnation_at};
use crate::instances::Context;
use crate::instances::local::LocalContext;
use crate::instances::local::children::Children;
use crate::instances::local::host::ProcessHost;
use crate::instances::local::limits::Limits;
use crate::instances::local::rlimit;
use crate::kubernetes::cluster::{Cluster, is_inside};
use crate::kubernetes::context::KubeContext;
use crate::logs::output::{FinalOutput, Lines};
use crate::logs::store::{LogLimits, LogStore};
use crate::management;
use crate::scheduler::command_sender::CommandSender;
use crate::scheduler::rings::{Capacity, Rings};
use crate::scheduler::thread as scheduler_thread;
use crate::scheduler::tick::Scheduler;
use crate::server::bind::{listen, listen_each};

/// The role of a thread; told to [`ThreadHook`] on the thread itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves clients.
    Gateway,
    /// Decides.
    Scheduler,
}

/// Called first on each thread, e.g. by a test that counts what the thread allocates.
pub type ThreadHook = fn(Role);

/// The whole control plane. Lives on the control thread.
pub struct ControlPlane {
    /// The control thread's world.
    pub control: Rc<Control>,
    /// Address that clients call.
    pub address: SocketAddr,
    /// Address that operators call.
    pub management_address: SocketAddr,
    /// Address that processes of `JOB` functions call.
    pub runtime_address: SocketAddr,
    pub(crate) gateways: Vec<JoinHandle<std::io::Result<()>>>,
    pub(crate) scheduler: JoinHandle<()>,
    pub(crate) stop_scheduler: Arc<AtomicBool>,
    _sockets: SocketFolder,
}

/// The folder of the instances' sockets; removed on drop where it was made for this process, so
/// that a start that fails leaves nothing behind either.
struct SocketFolder {
    path: PathBuf,
    own: bool,
}

/// Starts every thread and begins to serve. Must be called on a tokio `LocalRuntime`, whose
/// thread becomes the control thread.
///
/// # Errors
/// With the name of the flag that has to change.
#[expect(clippy::too_many_lines, reason = "not split yet")]
pub async fn start(settings: Settings, lines: Lines, hook: ThreadHook) -> anyhow::Result<ControlPlane> {
    let settings = Arc::new(settings);
    let flags = &settings.flags;
    raise_open_files(flags.max_connections);
    let listeners = listen_each(flags.listen, settings.gateways)
        .map_err(|error| cannot_bind("--listen", flags.listen, error))?;
    let management = listen(flags.management_listen)
        .map_err(|error| cannot_bind("--management-listen", flags.management_listen, error))?;
    let runtime = listen(flags.runtime_listen)
        .map_err(|error| cannot_bind("--runtime-listen", flags.runtime_listen, error))?;
    let address = listeners.first().context("there is no gateway")?.local_addr()?;
    let (management_address, runtime_address) = (management.local_addr()?, runtime.local_addr()?);
    let sockets = SocketFolder::make(flags.state_dir.as_deref())?;
    let in_cluster = match flags.backend {
        BackendKind::Kubernetes => true,
        BackendKind::Auto => is_inside(),
        BackendKind::Local => false,
    };
    let limits = if in_cluster {
        // A cluster bounds its pods, and nothing runs here.
        Limits::prepare(&ServeArgs { local_limits: LocalLimits::Off, ..flags.clone() })
    } else {
        Limits::prepare(flags)
    };
    let limits = limits.map_err(|message| anyhow!(message))?;
    if !in_cluster {
        tracing::info!("limits of local functions: {}", limits.summary());
    }
    let children = Children::adopt().context("this process cannot be made a subreaper")?;

    let clock = Clock::start();
    let incarnation = incarnation_at(clock.unix(0));
    let logs = LogStore::new(clock, LogLimits::of(&settings));
    let capacity = Capacity {
        gateways: settings.gateways,
        slots: settings.share(flags.max_executions, 0),
        // A replaced version goes on for a while beside the one that serves.
        versions: flags.max_functions * 2 + 64,
    };
    let rings = Arc::new(Rings::new(capacity).context("the rings could not be made")?);
    rings.registry_unread.store(in_cluster, Ordering::Release);
    // What pods write is in their own logs already, and goes on to none of ours.
    let commands = Rc::new(CommandSender::new(rings.clone()));
    let populated = Rc::default();
    let cluster = if in_cluster {
        let context = KubeContext {
            commands: commands.clone(),
            clock,
            start_timeout_ms: flags.start_timeout_ms,
            populated: Rc::clone(&populated),
        };
        Some(Cluster::connect(flags, incarnation, runtime_address, logs.keeping_only(), context).await?)
    } else {
        None
    };
    if let Some(core) = settings.scheduler_core {
        cpu::stay_off(core);
    }
    let stop_scheduler = Arc::new(AtomicBool::new(false));
    let scheduler = start_scheduler(&rings, &settings, clock, stop_scheduler.clone(), hook)?;

    let (to_control, control_messages) = mpsc::channel(MESSAGES_MAX);
    let (to_gateways, gateway_messages): (Vec<_>, Vec<_>) =
        (0..settings.gateways).map(|_| mpsc::channel(MESSAGES_MAX)).unzip();
    let mut gateways = Vec::with_capacity(settings.gateways);
    // The first gateway takes what processes of `JOB` functions ask for, and passes it on.
    let mut runtime_listener = Some(runtime);
    for (index, (listener, messages)) in listeners.into_iter().zip(gateway_messages).enumerate() {
        let start = Start {
            index,
            rings: rings.clone(),
            clock,
            settings: settings.clone(),
            incarnation,
            listener,
            runtime_listener: runtime_listener.take(),
            messages,
            gateways: to_gateways.clone(),
            control: to_control.clone(),
        };
        gateways.push(start_gateway(start, hook)?);
    }

    let host = ProcessHost {
        clock,
        max_body: flags.max_body,
        max_output: flags.max_output,
        lines: logs.keeping(lines),
        limits,
        children,
        final_output: RefCell::new(FinalOutput::default()),
    };
    let local = LocalContext {
        host: Rc::new(host),
        commands: commands.clone(),
        populated: Rc::clone(&populated),
        sockets: sockets.path.clone(),
        runtime_url: format!("http://{}", reachable(runtime_address)).into(),
        start_timeout_ms: flags.start_timeout_ms,
        stop_timeout_ms: flags.stop_timeout_ms,
    };
    let context = Rc::new(Context { commands, populated, local: Rc::new(local), cluster });
    let control = Control::new(rings, clock, settings, context, logs, to_gateways);
    control.start(control_messages);
    let managing = control.clone();
    tokio::task::spawn_local(async move {
        if let Err(error) = management::server::serve(managing, management).await {
            tracing::error!(%error, "the management listener failed");
            std::process::abort();
        }
    });
    Ok(ControlPlane {
        control,
        address,
        management_address,
        runtime_address,
        gateways,
        scheduler,
        stop_scheduler,
        _sockets: sockets,
    })
}

/// Raises the limit of open files, and says so where clients alone can use up what there is.
fn raise_open_files(connections: usize) {
    if let Some(files) = rlimit::raise_open_files()
        && files < connections as u64
    {
        tracing::warn!(
            files,
            connections,
            "this process may open fewer files than --max-connections; raise its hard limit (ulimit -n, LimitNOFILE=) or lower the flag"
        );
    }
}

/// The address at which a process of this machine reaches a listener, which may listen on every address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn cannot_bind(flag: &str, address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program listens there; stop it, or choose another port (0 takes a free one)"
        }
        std::io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        std::io::ErrorKind::AddrNotAvailable => ": choose an address of this machine",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("{flag} {address}: cannot be bound{remedy}"))
}

fn start_gateway(start: Start, hook: ThreadHook) -> anyhow::Result<JoinHandle<std::io::Result<()>>> {
    let name = format!("gateway-{}", start.index);
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || {
            let _fatal = AbortOnPanic;
            hook(Role::Gateway);
            let ended = gateway_thread::run(start);
            if let Err(error) = &ended {
                tracing::error!(%error, "a gateway could not serve");
                std::process::abort();
            }
            ended
        })
        .with_context(|| format!("the thread {name} could not be started"))
}

fn start_scheduler(
    rings: &Arc<Rings>,
    settings: &Settings,
    clock: Clock,
    stop: Arc<AtomicBool>,
    hook: ThreadHook,
) -> anyhow::Result<JoinHandle<()>> {
    let scheduler = Scheduler::new(rings.clone(), Entropy::new().u64());
    let (spin, core) = (settings.spin(), settings.scheduler_core);
    let its_rings = rings.clone();
    let thread = std::thread::Builder::new()
        .name("scheduler".to_owned())
        .spawn(move || {
            let _fatal = AbortOnPanic;
            // Set before the first park, so that whoever finds it asleep can wake it.
            let _ = its_rings.thread.set(std::thread::current());
            hook(Role::Scheduler);
            scheduler_thread::run(&its_rings, scheduler, clock, spin, core, &stop);
        })
        .context("the scheduler's thread could not be started")?;
    Ok(thread)
}

impl SocketFolder {
    /// The folder that was given, or one under the temporary folder; short enough for a socket's
    /// path.
    fn make(given: Option<&Path>) -> anyhow::Result<Self> {
        let (path, own) = match given {
            Some(folder) => (folder.to_owned(), false),
            None => {
                // A name that nobody can have taken before, and a folder that nobody else may enter.
                let name = format!("picofaas-{}-{:08x}", std::process::id(), Entropy::new().u64() as u32);
                (std::env::temp_dir().join(name), true)
            }
        };
        let made = if own {
            std::fs::DirBuilder::new().mode(0o700).create(&path)
        } else {
            std::fs::create_dir_all(&path)
        };
        made.with_context(|| format!("--state-dir {}: cannot be made", path.display()))?;
        let mut folder = Self { path, own };
        folder.path = std::fs::canonicalize(&folder.path)?;
        /// A socket's path has at most 107 bytes, its file name here at most 40.
        const FOLDER_BYTES_MAX: usize = 66;
        if folder.path.as_os_str().len() > FOLDER_BYTES_MAX {
            return Err(anyhow!(
                "--state-dir {}: is longer than {FOLDER_BYTES_MAX} bytes, which the path of a Unix socket does not allow",
                folder.path.display()
            ));
        }
        Ok(folder)
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        if self.own {
            // Left behind, it is a folder of dead sockets under the temporary one.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Without its scheduler or its gateway this process is worth nothing: better restarted.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
