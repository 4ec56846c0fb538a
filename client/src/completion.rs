//! `completion`: a shell completes commands, and names by asking the server.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{Args, Command, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};

use crate::client_error::ClientError;
use crate::context_file::ContextFile;
use crate::execution_pages;
use crate::function_calls;
use crate::output;
use crate::resource::ResourceKind;
use crate::server_client::{Call, ServerClient};
use crate::target::{Target, TargetArgs, TargetEnvironment};

/// The variable by which a shell asks.
const VARIABLE: &str = "PICOFAAS_COMPLETE";

/// A person waits while the shell does.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Flags of `completion`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
  bash: source <(picofaas completion bash)        in ~/.bashrc
  zsh:  source <(picofaas completion zsh)         in ~/.zshrc
  fish: picofaas completion fish | source         in ~/.config/fish/config.fish")]
pub struct CompletionArgs {
    /// Shell that the script is for
    #[arg(value_enum)]
    shell: CompletionShell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompletionShell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// Fish
    Fish,
}

impl CompletionShell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// Answers a shell that asks for completions, and ends the process; returns where none does.
pub fn answer_shell(factory: impl Fn() -> Command) {
    CompleteEnv::with_factory(factory).var(VARIABLE).complete();
}

/// Writes the script of a shell.
pub(crate) fn run(arguments: &CompletionArgs, program: &str) -> Result<(), ClientError> {
    let name = arguments.shell.name();
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(name) else {
        return Err(ClientError::Usage(format!("{name} is not known: there are bash, zsh and fish")));
    };
    let binary = std::path::Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or("picofaas");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, binary, binary, program, &mut script).map_err(ClientError::Output)?;
    output::write(script)
}

/// Names of functions.
pub(crate) fn functions() -> Vec<CompletionCandidate> {
    ask(async |client| function_calls::names(client).await)
}

/// Ids of the newest executions.
pub(crate) fn executions() -> Vec<CompletionCandidate> {
    ask(async |client| {
        let answer = client.ask(Call::get("/v1/executions?limit=50")).await?;
        let ids = execution_pages::items(client, &answer)?.into_iter().filter_map(|text| {
            let value: serde_json::Value = serde_json::from_str(text.get()).ok()?;
            value["executionId"].as_str().map(str::to_owned)
        });
        Ok(ids.collect())
    })
}

/// Names of contexts.
pub(crate) fn contexts() -> Vec<CompletionCandidate> {
    let file = ContextFile::read(TargetEnvironment::read().context_file.as_deref());
    file.map(|file| file.contexts.into_iter().map(|context| CompletionCandidate::new(context.name)).collect())
        .unwrap_or_default()
}

/// Kinds, and once there is one, names or ids of it.
pub(crate) fn resources(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let mut kinds: Vec<ResourceKind> = words.iter().skip(2).filter_map(|word| word.parse().ok()).collect();
    let current = current.to_string_lossy();
    if current.parse::<ResourceKind>().is_ok() {
        // The word itself is being completed.
        kinds.pop();
    }
    let found = match (kinds.first(), current.split_once('/')) {
        (Some(ResourceKind::Function), _) => functions(),
        (Some(ResourceKind::Execution), _) => executions(),
        (None, Some((kind, _))) => {
            let names = match kind.parse() {
                Ok(ResourceKind::Function) => functions(),
                Ok(ResourceKind::Execution) => executions(),
                Err(_) => Vec::new(),
            };
            names.into_iter().map(|name| name.add_prefix(format!("{kind}/"))).collect()
        }
        (None, None) => ["functions", "executions"].map(CompletionCandidate::new).into(),
    };
    let fits = |it: &CompletionCandidate| it.get_value().to_string_lossy().starts_with(&*current);
    found.into_iter().filter(fits).collect()
}

/// The words of the command line that is completed.
fn words() -> Vec<String> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1);
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Texts that the server has. Where it has none, or is not there, there is nothing to complete: a shell shows
/// no errors.
fn ask(
    question: impl AsyncFnOnce(&mut ServerClient) -> Result<Vec<String>, ClientError>,
) -> Vec<CompletionCandidate> {
    let words = words();
    let flag = |name: &str| {
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(name) {
            Some("") => words.get(index + 1).cloned(),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => None,
        })
    };
    let flags = TargetArgs {
        server: flag("--server"),
        context: flag("--context"),
        certificate_authority: flag("--certificate-authority").map(Into::into),
        kube_context: flag("--kube-context"),
        namespace: flag("--namespace").or_else(|| flag("-n")),
    };
    let Ok(target) = Target::resolve(&flags, &TargetEnvironment::read()) else { return Vec::new() };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let mut client = ServerClient::new(&target);
    let answered = runtime.block_on(async { tokio::time::timeout(TIME_MAX, question(&mut client)).await });
    runtime.shutdown_background();
    let found = answered.ok().and_then(Result::ok).unwrap_or_default();
    found.into_iter().map(CompletionCandidate::new).collect()
}
