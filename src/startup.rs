//! Puts the threads together.
//!
//! | file | holds |
//! |---|---|
//! | `listeners` | the sockets on which the control plane listens |
//! | `socket_folder` | the folder of the instances' sockets |
//! | `threads` | the threads of the gateways and of the scheduler |

mod listeners;
mod socket_folder;
mod threads;

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, anyhow};

use crate::channel::{MESSAGES_MAX, mpsc};
use crate::clock::Clock;
use crate::config::{LocalLimits, ServeArgs, Settings};
use crate::control::Control;
use crate::cpu::usable_cores;
use crate::id::incarnation_at;
use crate::instances::Context;
use crate::instances::local::LocalContext;
use crate::instances::local::children::Children;
use crate::instances::local::final_output::FinalOutput;
use crate::instances::local::host::ProcessHost;
use crate::instances::local::limits::Limits;
use crate::instances::local::locale::Locale;
use crate::instances::local::rlimit;
use crate::instances::local::running::RunningProcesses;
use crate::instances::local::values::LocalValues;
use crate::instances::standby::context::StandbyContext;
use crate::instances::standby::refills::Refills;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::context::KubeContext;
use crate::logs::output::Lines;
use crate::logs::store::{LogLimits, LogStore};
use crate::management;
use crate::scheduler::command_sender::CommandSender;
use crate::scheduler::rings::{Capacity, Rings};
use listeners::{Listeners, reachable};
use socket_folder::SocketFolder;
use threads::{GatewayParts, GatewayThread, SchedulerThread};

pub use threads::Role;
pub(crate) use threads::ThreadHook;

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
    pub(crate) gateways: Vec<GatewayThread>,
    pub(crate) scheduler: SchedulerThread,
    _sockets: SocketFolder,
}

/// Starts every thread and begins to serve. Must be called on a tokio `LocalRuntime`, whose
/// thread becomes the control thread.
///
/// # Errors
/// With the name of the flag that has to change.
pub async fn start(settings: Settings, lines: Lines, hook: ThreadHook) -> anyhow::Result<ControlPlane> {
    let settings = Arc::new(settings);
    let flags = &settings.flags;
    raise_open_files(flags.max_connections);
    let listeners = Listeners::bind(flags, settings.gateways)?;
    let addresses = listeners.addresses()?;
    let sockets = SocketFolder::make(flags.state_dir.as_deref())?;
    let in_cluster = flags.backend.runs_in_cluster();
    let limits = local_limits(flags, in_cluster)?;
    let values = local_values(flags, in_cluster)?;
    let children = Children::adopt().context("this process cannot be made a subreaper")?;

    let clock = Clock::start();
    let incarnation = incarnation_at(clock.unix(0));
    let logs = LogStore::new(clock, LogLimits::of(&settings));
    let rings = Arc::new(Rings::new(capacity(&settings)).context("the rings could not be made")?);
    rings.registry_unread.store(in_cluster, Ordering::Release);
    // The lines of pods are in their own logs already, and go on to none of ours.
    let commands = Rc::new(CommandSender::new(rings.clone()));
    let populated = Rc::default();
    let cluster = if in_cluster {
        let context = KubeContext {
            commands: commands.clone(),
            clock,
            start_timeout_ms: flags.start_timeout_ms,
            populated: Rc::clone(&populated),
        };
        Some(Cluster::connect(flags, incarnation, addresses.runtime, logs.keeping_only(), context).await?)
    } else {
        None
    };
    let scheduler = SchedulerThread::start(&rings, &settings, clock, hook)?;
    let (to_control, messages) = mpsc::channel(MESSAGES_MAX);
    let parts = GatewayParts {
        rings: rings.clone(),
        clock,
        settings: settings.clone(),
        incarnation,
        control: to_control,
    };
    let (gateways, to_gateways) = parts.start(listeners.gateways, listeners.runtime, hook)?;

    let host = process_host(flags, clock, logs.keeping(lines), limits, children, values, &sockets.path);
    let local = LocalContext {
        host: Rc::new(host),
        commands: commands.clone(),
        populated: Rc::clone(&populated),
        sockets: sockets.path.clone(),
        runtime_url: format!("http://{}", reachable(addresses.runtime)).into(),
        start_timeout_ms: flags.start_timeout_ms,
        stop_timeout_ms: flags.stop_timeout_ms,
    };
    let refills = Refills::new(clock, flags.max_standby, usable_cores().1);
    let standby = StandbyContext { clock, commands: commands.clone(), populated: populated.clone(), refills };
    let context = Rc::new(Context { commands, populated, standby, local: Rc::new(local), cluster });
    let control = Control::new(rings, clock, settings, context, logs, to_gateways);
    control.start(messages);
    start_management(control.clone(), listeners.management);
    Ok(ControlPlane {
        control,
        address: addresses.gateways,
        management_address: addresses.management,
        runtime_address: addresses.runtime,
        gateways,
        scheduler,
        _sockets: sockets,
    })
}

/// The sizes of all tables and rings.
fn capacity(settings: &Settings) -> Capacity {
    Capacity {
        gateways: settings.gateways,
        slots: settings.share(settings.flags.max_executions, 0),
        // A replaced version goes on for a while beside the one that serves.
        versions: settings.flags.max_functions * 2 + 64,
    }
}

/// The limits of local processes.
fn local_limits(flags: &ServeArgs, in_cluster: bool) -> anyhow::Result<Limits> {
    if in_cluster {
        // A cluster bounds its pods, and nothing runs here.
        let off = ServeArgs { local_limits: LocalLimits::Off, ..flags.clone() };
        return Limits::prepare(&off).map_err(|message| anyhow!(message));
    }
    let limits = Limits::prepare(flags).map_err(|message| anyhow!(message))?;
    tracing::info!("limits of local functions: {}", limits.summary());
    Ok(limits)
}

/// This machine as the host of local processes, with a folder for sockets.
fn process_host(
    flags: &ServeArgs,
    clock: Clock,
    lines: Lines,
    limits: Limits,
    children: Rc<Children>,
    values: LocalValues,
    sockets: &Path,
) -> ProcessHost {
    ProcessHost {
        clock,
        program: std::env::current_exe().map_err(|error| format!("/proc/self/exe cannot be read: {error}")),
        max_body: flags.max_body,
        max_output: flags.max_output,
        locale: Locale::ours(),
        lines,
        limits,
        children,
        running: RunningProcesses::default(),
        builds: Rc::default(),
        values,
        secrets: sockets.join("secrets"),
        final_output: RefCell::new(FinalOutput::default()),
    }
}

/// Values of the references of local functions.
fn local_values(flags: &ServeArgs, in_cluster: bool) -> anyhow::Result<LocalValues> {
    if in_cluster && let Some(file) = flags.env_file.first() {
        return Err(anyhow!(
            "--env-file {}: in a cluster values are in its secrets and config maps; leave the flag out",
            file.display()
        ));
    }
    LocalValues::of(&flags.env_file).map_err(|message| anyhow!(message))
}

/// Serves the management listener in a task.
fn start_management(control: Rc<Control>, listener: TcpListener) {
    let (clock, settings) = (control.clock, control.settings.clone());
    let answer = move |request| {
        let control = control.clone();
        async move { control.answer(request).await }
    };
    let serving = management::server::serve(listener, clock, settings, answer);
    tokio::task::spawn_local(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the management listener failed");
            std::process::abort();
        }
    });
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
