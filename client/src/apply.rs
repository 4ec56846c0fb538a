//! `apply`: functions of manifests are created, or replaced where they are others.

use std::path::PathBuf;

use clap::Args;

use crate::client_error::ClientError;
use crate::function_calls::{self, ApplyMode, Change};
use crate::manifest::{self, ManifestFunction};
use crate::output;
use crate::server_client::ServerClient;
use crate::target::{TargetArgs, refuse_clusters};

/// Manifests on the command line.
#[derive(Args, Clone, Debug)]
pub(crate) struct ManifestArgs {
    /// File or folder of manifests, or - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", value_hint = clap::ValueHint::AnyPath)]
    pub filename: Vec<PathBuf>,
    /// Read the folders in a folder, too
    #[arg(short = 'R', long, requires = "filename")]
    pub recursive: bool,
}

/// Flags of `apply`.
#[derive(Args, Clone, Debug)]
#[command(mut_arg("filename", |argument| argument.required(true)))]
pub struct ApplyArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// Make another version of what is unchanged, too, so that its instances are started anew; in a cluster, take
    /// over fields that others hold
    #[arg(long)]
    force: bool,
    /// Let the API server of a cluster check the functions, and change nothing
    #[arg(long, value_enum, value_name = "server", hide = cfg!(not(feature = "cluster")))]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Checker, where nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DryRun {
    /// The API server
    Server,
}

impl ApplyArgs {
    fn mode(&self) -> ApplyMode {
        ApplyMode { force: self.force, is_dry_run: self.dry_run.is_some() }
    }
}

impl ManifestArgs {
    /// Functions of all manifests.
    ///
    /// # Errors
    /// As [`manifest::read_all`].
    pub(crate) fn read(&self) -> Result<Vec<ManifestFunction>, ClientError> {
        manifest::read_all(&self.filename, self.recursive)
    }
}

/// Applies each function in turn. One that is refused does not keep the others.
pub(crate) async fn run(
    arguments: &ApplyArgs,
    client: &mut ServerClient,
    program: &str,
) -> Result<(), ClientError> {
    refuse_clusters(&[("--dry-run", arguments.dry_run.is_some())])?;
    let functions = arguments.manifests.read()?;
    if functions.is_empty() {
        let paths: Vec<String> =
            arguments.manifests.filename.iter().map(|path| path.display().to_string()).collect();
        let hint = if arguments.manifests.recursive { "" } else { "; -R reads the folders in it, too" };
        return Err(ClientError::Usage(format!("{}: has no manifest of a function{hint}", paths.join(", "))));
    }
    let mode = arguments.mode();
    let suffix = if mode.is_dry_run { " (server dry run)" } else { "" };
    let mut outcomes = Outcomes::default();
    for ManifestFunction { name, spec, file, .. } in &functions {
        let what = || format!("{file}: {name}");
        let put = function_calls::put(client, name, spec, mode).await;
        if let Some(change) = outcomes.take(put, what, program)? {
            let change = match change {
                Change::Created => "created",
                Change::Configured => "configured",
                Change::Unchanged => "unchanged",
            };
            output::write(format!("function/{name} {change}{suffix}\n"))?;
        }
    }
    outcomes.end()
}

/// Outcomes of the same thing done to several.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    all: usize,
    failed: Vec<ClientError>,
}

impl Outcomes {
    /// A success, or nothing where this one was refused, which is told at once.
    ///
    /// # Errors
    /// Where others would fail in the same way: the server is not there, or the output is closed.
    pub(crate) fn take<T>(
        &mut self,
        result: Result<T, ClientError>,
        what: impl FnOnce() -> String,
        program: &str,
    ) -> Result<Option<T>, ClientError> {
        self.all += 1;
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error @ (ClientError::Refused(_)
                | ClientError::NoFunction { .. }
                | ClientError::Program { .. }
                | ClientError::UnfitFunction(_)
                | ClientError::NotReady { .. }),
            ) => {
                output::say(&format!("{}: {}", what(), error.report(program)));
                self.failed.push(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The end of the command.
    ///
    /// # Errors
    /// Some failed.
    pub(crate) fn end(self) -> Result<(), ClientError> {
        match self.failed.first() {
            None => Ok(()),
            Some(first) => Err(ClientError::Several {
                failed: self.failed.len(),
                all: self.all,
                status: first.exit_status(),
            }),
        }
    }
}
