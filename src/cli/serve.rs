//! `picofaas serve`: the control plane.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::runtime::LocalOptions;

use super::stop::StopSignals;
use crate::config::{ServeArgs, Settings};
use crate::dev::followed_folder::{FollowedFolder, in_a_line, not_built};
use crate::logs::output::Lines;
use crate::shutdown::UnreadResults;
use crate::spec::load_dir;
use crate::startup::{self, ControlPlane};

/// Serves until it is told to stop, then drains.
///
/// # Errors
/// A flag that does not fit, a manifest that does not parse, a port in use.
pub fn run(flags: ServeArgs) -> anyhow::Result<()> {
    let settings = Settings::new(flags).map_err(|message| anyhow!(message))?;
    tracing::info!("settings in force: {}", settings.flags.command_line());
    tracing::info!(
        scheduler = settings.policy.as_str(),
        reason = settings.policy_reason,
        core = settings.scheduler_core,
        gateway_ticks = settings.gateway_ticks,
        "scheduler policy"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context("the control thread's runtime could not be made")?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let (functions, drain) = (settings.flags.functions.clone(), Duration::from_secs(settings.flags.drain_s));
    let is_followed = settings.flags.watch;
    let mut followed = None;
    let mut signals = StopSignals::listen()?;
    let control_plane = startup::start(settings, Lines::to_log(), |_| {}).await?;
    if control_plane.control.function_objects.is_some() {
        if let Some(folder) = functions {
            return Err(anyhow!(
                "--functions {0}: in a cluster functions are objects of it: kubectl apply -f {0}, and leave the flag out",
                folder.display()
            ));
        }
        // Ready when they were read, which need not be now.
    } else {
        match functions {
            Some(folder) if is_followed => {
                let registry = control_plane.control.registry.clone();
                followed = Some(FollowedFolder::open(folder, registry).await?);
            }
            Some(folder) => register(&control_plane, &folder).await?,
            None => {}
        }
        control_plane.control.registry.set_loaded();
    }
    tracing::info!(
        listen = %control_plane.address,
        management = %control_plane.management_address,
        runtime = %control_plane.runtime_address,
        functions = control_plane.control.registry.functions().len(),
        "serving"
    );
    let received_again = tokio::select! {
        ended = follow(followed) => match ended? {},
        received_again = signals.received() => received_again,
    };
    tracing::info!(drain_s = drain.as_secs(), "draining");
    tokio::select! {
        stopped = control_plane.stop(drain, UnreadResults::Await) => {
            let in_time = stopped?;
            tracing::info!(in_time, "stopped");
            Ok(())
        }
        () = received_again => Err(anyhow!("told to stop a second time: not everything had ended")),
    }
}

/// Follows the folder for ever, where one is followed.
async fn follow(followed: Option<FollowedFolder>) -> anyhow::Result<Infallible> {
    match followed {
        Some(mut folder) => folder.run().await,
        None => std::future::pending().await,
    }
}

/// Registers every manifest below a folder. One that is wrong stops the start.
async fn register(control_plane: &ControlPlane, folder: &Path) -> anyhow::Result<()> {
    let loaded = load_dir(folder);
    if !loaded.errors.is_empty() {
        let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(anyhow!("--functions {}:\n{}", folder.display(), errors.join("\n")));
    }
    for line in loaded.nothing_in(folder).iter().chain(&loaded.passed_over) {
        tracing::warn!("--functions {line}");
    }
    for (file, spec) in loaded.functions {
        let (name, unbuilt) = (spec.name.to_string(), not_built(&file, &spec));
        control_plane
            .control
            .registry
            .put(spec)
            .await
            .map_err(|error| anyhow!("{}: function {name}: {}", file.display(), in_a_line(&error)))?;
        if let Some(line) = unbuilt {
            tracing::warn!("{line}");
        }
    }
    Ok(())
}
