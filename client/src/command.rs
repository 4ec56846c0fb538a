//! The commands, and how one is run.

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::apply::ApplyArgs;
use crate::build::BuildArgs;
use crate::cancel::CancelArgs;
use crate::client_error::ClientError;
use crate::completion::CompletionArgs;
use crate::config::ConfigArgs;
use crate::delete::DeleteArgs;
use crate::deploy::DeployArgs;
use crate::describe::DescribeArgs;
use crate::enqueue::EnqueueArgs;
use crate::exit_status::ExitStatus;
use crate::get::GetArgs;
use crate::invoke::InvokeArgs;
use crate::logs::LogsArgs;
use crate::scale::ScaleArgs;
use crate::server_client::ServerClient;
use crate::target::{Target, TargetArgs, TargetEnvironment};
use crate::top::TopArgs;
use crate::version::{VERSION_AND_PARTS, VersionArgs};
use crate::wait::WaitArgs;
use crate::{apply, build, cancel, completion, config, delete, deploy, describe, enqueue, get, invoke, logs};
use crate::{output, scale, top, version, wait};

/// How this program is called where it is a plugin of kubectl.
const PLUGIN: &str = "kubectl picofaas";

/// The commands that talk to a server.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Create functions by their manifests, or replace them
    Apply(ApplyArgs),
    /// Build the functions of a folder, register them, and wait until they are served
    Deploy(Box<DeployArgs>),
    /// Build the functions of a folder, as programs or as images
    Build(BuildArgs),
    /// List functions or executions, or read some
    Get(GetArgs),
    /// Show all about a function or an execution
    Describe(DescribeArgs),
    /// Delete functions
    Delete(DeleteArgs),
    /// Call a function and write its output
    Invoke(InvokeArgs),
    /// Call a function without waiting for it, and write the id of the execution
    Enqueue(EnqueueArgs),
    /// Wait for the end of an execution and write its output
    Wait(WaitArgs),
    /// Cancel an execution
    Cancel(CancelArgs),
    /// Show lines that a function wrote
    Logs(LogsArgs),
    /// Set how many instances a function keeps
    Scale(ScaleArgs),
    /// Show rates and times of functions
    Top(TopArgs),
    /// Choose servers by name
    Config(ConfigArgs),
    /// Show the version of this program and of the server
    Version(VersionArgs),
    /// Write the script by which a shell completes commands and names
    Completion(CompletionArgs),
}

/// The command line of a plugin of kubectl: the commands that talk to a server, and no others
#[derive(Debug, Parser)]
#[command(name = "picofaas", bin_name = PLUGIN, version = VERSION_AND_PARTS, about = "Functions of picofaas", max_term_width = 110)]
pub struct PluginCli {
    /// Command to run
    #[command(subcommand)]
    pub command: ClientCommand,
}

/// Whether the program was called as a plugin of kubectl, which finds one by its name.
#[must_use]
pub fn is_plugin(called_as: &str) -> bool {
    let name = std::path::Path::new(called_as).file_stem().and_then(|name| name.to_str());
    matches!(name, Some("kubectl-picofaas"))
}

/// Runs a command to its end. `program` is how a person calls this program, for what it tells them to do next.
pub fn run(command: &ClientCommand, program: &str) -> ExitStatus {
    let program = if is_plugin(program) { PLUGIN } else { program };
    match perform(command, program) {
        Ok(()) => ExitStatus::Success,
        Err(ClientError::OutputClosed) => ClientError::OutputClosed.exit_status(),
        Err(error) => {
            output::say(&format!("picofaas: {}", error.report(program)));
            error.exit_status()
        }
    }
}

fn perform(command: &ClientCommand, program: &str) -> Result<(), ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClientError::Usage(format!("the runtime cannot be made: {error}")))?;
    let result = runtime.block_on(async {
        // Before the command begins: what it starts has to end with it.
        let unheard = |error| ClientError::Usage(format!("signals cannot be listened for: {error}"));
        let mut interrupts = signal(SignalKind::interrupt()).map_err(unheard)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(unheard)?;
        tokio::select! {
            biased;
            result = dispatch(command, program) => result,
            _ = interrupts.recv() => Err(ClientError::Interrupted(after_interruption(command))),
            _ = terminations.recv() => Err(ClientError::Interrupted(after_interruption(command))),
        }
    });
    // Connections end here; nobody waits for a name that is still being resolved.
    runtime.shutdown_background();
    result
}

/// The rest of the message for a person who ended the command.
fn after_interruption(command: &ClientCommand) -> &'static str {
    match command {
        ClientCommand::Invoke(_) => {
            ": an execution that was still queued is cancelled, one that runs finishes"
        }
        ClientCommand::Enqueue(_) | ClientCommand::Wait(_) => {
            ": the execution goes on; `wait` waits for it again and `cancel` ends it"
        }
        ClientCommand::Deploy(_) => ": what was registered before goes on starting; `get functions` shows it",
        ClientCommand::Apply(_)
        | ClientCommand::Build(_)
        | ClientCommand::Get(_)
        | ClientCommand::Describe(_)
        | ClientCommand::Delete(_)
        | ClientCommand::Cancel(_)
        | ClientCommand::Logs(_)
        | ClientCommand::Scale(_)
        | ClientCommand::Top(_)
        | ClientCommand::Config(_)
        | ClientCommand::Version(_)
        | ClientCommand::Completion(_) => "",
    }
}

async fn dispatch(command: &ClientCommand, program: &str) -> Result<(), ClientError> {
    match command {
        ClientCommand::Apply(flags) => {
            apply::run(flags, &mut writing(&flags.target, "applying to")?, program).await
        }
        ClientCommand::Deploy(flags) => {
            deploy::run(flags, &mut writing(&flags.target, "deploying to")?, program).await
        }
        ClientCommand::Build(flags) => build::run(flags, program).await,
        ClientCommand::Get(flags) => get::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Describe(flags) => describe::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Delete(flags) => {
            delete::run(flags, &mut writing(&flags.target, "deleting from")?, program).await
        }
        ClientCommand::Invoke(flags) => invoke::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Enqueue(flags) => enqueue::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Wait(flags) => wait::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Cancel(flags) => cancel::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Logs(flags) => logs::run(flags, &mut reading(&flags.target)?).await,
        ClientCommand::Scale(flags) => scale::run(flags, &mut writing(&flags.target, "scaling on")?).await,
        ClientCommand::Top(flags) => top::run(flags, &resolve(&flags.target)?).await,
        ClientCommand::Config(flags) => config::run(flags, program),
        ClientCommand::Version(flags) if flags.client => version::run(flags, None).await,
        ClientCommand::Version(flags) => version::run(flags, Some(&mut reading(&flags.target)?)).await,
        ClientCommand::Completion(flags) => completion::run(flags, program),
    }
}

fn resolve(flags: &TargetArgs) -> Result<Target, ClientError> {
    Target::resolve(flags, &TargetEnvironment::read())
}

fn reading(flags: &TargetArgs) -> Result<ServerClient, ClientError> {
    resolve(flags).map(|target| ServerClient::new(&target))
}

/// A client for a change, whose place is told: it may be another one than a person has in mind.
fn writing(flags: &TargetArgs, verb: &str) -> Result<ServerClient, ClientError> {
    let target = resolve(flags)?;
    output::say(&format!("{verb} {target}"));
    Ok(ServerClient::new(&target))
}
