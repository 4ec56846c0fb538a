//! `picofaas dev`: functions that are being written.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::runtime::LocalOptions;

use super::stop::StopSignals;
use crate::config::{ServeArgs, Settings, between};
use crate::dev::dev_server::DevServer;
use crate::dev::terminal::say;
use crate::logs::output::Lines;
use crate::shutdown::UnreadResults;
use crate::startup;

/// Filter of the log: faults, but not those that are told in plainer words.
pub const LOG: &str = "warn,picofaas::instances=error,picofaas::kubernetes=error,picofaas::startup=error,picofaas::shutdown=error,picofaas::crash=warn";

const HELP: &str = "\
A function is built (`local.build` of its manifest) and started again when a file in its manifest's
folder changes. A build has nothing to read, is ended and begun anew when a file changes meanwhile, and is
killed after --build-timeout; others go on beside it. Hidden files, those that .gitignore names, and target, node_modules and __pycache__ do
not count, nor does what the function itself writes. Values of secrets and config maps come from `.env` beside
the manifest, --env-file or the environment. What lies outside of the folder, such as a library that it depends on, is not seen.

What was built is remembered in ~/.cache/picofaas/builds ($XDG_CACHE_HOME/picofaas/builds), so that the
next start builds only what changed. Delete that folder to build everything once more.";

const ROUTE_HOST_HELP: &str = "Host names of functions on --listen, one for each: a request for one is that function's, whatever its path";

/// The flags of `dev`: a folder, and those of `serve`, some with a default that suits a person who
/// waits: its end is quick, and it leaves the cores to compilers.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = HELP,
    mut_arg("functions", |argument| argument.hide(true)),
    mut_arg("watch", |argument| argument.hide(true)),
    mut_arg("scheduler", |argument| argument.default_value("adaptive")),
    mut_arg("drain_s", |argument| argument.default_value("0")),
    mut_arg("stop_timeout_ms", |argument| argument.default_value("2000")),
    // Browsers resolve these names to this machine.
    mut_arg("route_host", |argument| argument.default_value("{name}.localhost").help(ROUTE_HOST_HELP)),
)]
pub struct DevArgs {
    /// The folder of your functions: everything below it that has a manifest (or one manifest)
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// How long the build of a function may take before it is killed, 1 … 86400 s
    #[arg(long = "build-timeout", default_value = "600", value_parser = between::<u64>(1, 86_400), value_name = "SECONDS", help_heading = "Times")]
    pub build_timeout_s: u64,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Serves until Ctrl-C or SIGTERM.
///
/// # Errors
/// A flag that does not fit, a folder that is not there, a port in use.
pub fn run(arguments: DevArgs) -> anyhow::Result<()> {
    let DevArgs { dir, build_timeout_s, serve: flags } = arguments;
    if let Some(functions) = &flags.functions {
        let functions = functions.display();
        return Err(anyhow!("--functions {functions}: is a flag of `serve`; say `picofaas dev {functions}`"));
    }
    std::fs::metadata(&dir).with_context(|| {
        format!("{}: cannot be read; name the folder that your function manifests are in", dir.display())
    })?;
    let settings = Settings::new(flags).map_err(|message| anyhow!(message))?;
    let settings = Settings { tells_retries: true, request_line: Some(say), ..settings };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context("the control thread's runtime could not be made")?;
    runtime.block_on(develop(dir, Duration::from_secs(build_timeout_s), settings))
}

async fn develop(dir: PathBuf, build_limit: Duration, settings: Settings) -> anyhow::Result<()> {
    let patience = Duration::from_secs(settings.flags.drain_s);
    let mut signals = StopSignals::listen()?;
    let lines = Lines::to(|line| say(&format!("{} | {}", line.writer.function, line.text)));
    let control_plane = startup::start(settings, lines, |_| {}).await?;
    let control = &control_plane.control;
    let (registry, host) = (control.registry.clone(), control.context.local.host.clone());
    let mut server = DevServer::open(dir, registry, host, control_plane.address, build_limit)?;
    say(&format!(
        "picofaas dev: functions are served on {}, the management API on http://{}; Ctrl-C stops\n",
        server.base_url(),
        control_plane.management_address
    ));
    let received_again = tokio::select! {
        ended = server.run() => match ended? {},
        received_again = signals.received() => received_again,
    };
    say("stopping …");
    let stop = async {
        server.close().await;
        control_plane.stop(patience, UnreadResults::Drop).await
    };
    tokio::select! {
        stopped = stop => {
            stopped?;
            say("stopped");
            Ok(())
        }
        () = received_again => Err(anyhow!("told to stop a second time: what still ran was killed")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, MachineCommand};
    use crate::config::SchedulerPolicy;

    fn parse(arguments: &[&str]) -> DevArgs {
        match Cli::try_parse_from([&["picofaas", "dev"], arguments].concat()).unwrap().command {
            Command::Machine(MachineCommand::Dev(arguments)) => *arguments,
            Command::Machine(_) | Command::Watchdog(_) | Command::Client(_) => {
                unreachable!("the first word is dev")
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_serve_but_for_a_person_who_waits() {
        let arguments = parse(&[]);
        assert_eq!(arguments.dir, PathBuf::from("."));
        assert_eq!(arguments.build_timeout_s, 600);
        let serve = arguments.serve;
        assert_eq!(
            (serve.scheduler, serve.drain_s, serve.stop_timeout_ms),
            (SchedulerPolicy::Adaptive, 0, 2000)
        );
        assert_eq!(serve.listen, "127.0.0.1:8080".parse().unwrap());
    }

    #[test]
    fn what_is_given_counts() {
        let serve = parse(&["x", "--scheduler", "park", "--drain", "5", "--stop-timeout-ms", "90"]).serve;
        assert_eq!((serve.scheduler, serve.drain_s, serve.stop_timeout_ms), (SchedulerPolicy::Park, 5, 90));
    }
}
