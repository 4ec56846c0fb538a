//! An API server that is away for a while: a fault, for who tests what lives on it.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Signal, kill_process};

use super::api::ApiServer;
use super::binaries::ClusterBinaries;
use super::layout::Layout;
use super::{daemon, daemons};
use crate::wait::{self, Stopwatch};

const API_SERVER: &str = "kube-apiserver";
/// How long it may take to be ready again.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a process that was killed may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);

/// In which way it is away.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum OutageKind {
    /// It is stopped: connections stay open and are taken, and nothing is answered
    Hangs,
    /// It is killed, and started again: connections break, and are refused
    Gone,
}

/// Takes the API server away and brings it back. Says when each of it has happened, for who waits for that.
pub(super) fn run(layout: &Layout, way: OutageKind, duration: Duration) -> Result<()> {
    let Some(binaries) = ClusterBinaries::find() else {
        bail!("the programs of Kubernetes were removed: `cargo xtask cluster up` builds them");
    };
    let Some(pid) = daemon::process(layout, API_SERVER) else {
        bail!("no cluster is up: `cargo xtask cluster up` starts one");
    };
    let watch = Stopwatch::start();
    match way {
        OutageKind::Hangs => {
            kill_process(pid, Signal::STOP).context("cannot stop the API server")?;
            say("the API server is away")?;
            wait::let_pass(duration);
            kill_process(pid, Signal::CONT).context("cannot let the API server go on")?;
        }
        OutageKind::Gone => {
            kill_process(pid, Signal::KILL).context("cannot kill the API server")?;
            let gone = wait::until(DEATH_PATIENCE, || {
                Ok(daemon::process(layout, API_SERVER).is_none().then_some(()))
            })?;
            if gone.is_none() {
                bail!("the API server was killed and is still there");
            }
            say("the API server is away")?;
            wait::let_pass(duration.saturating_sub(watch.elapsed()));
            daemons::api_server(layout, &binaries).start(layout)?;
        }
    }
    ApiServer::of(layout, &binaries.path("kubectl")).wait(PATIENCE, &[API_SERVER])?;
    say(&format!("the API server is back after {:.1} s", watch.elapsed().as_secs_f64()))
}

/// At once, though it is a pipe.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot say so")
}
