//! Which picofaas is measured, and how it is started.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::against::{Against, ComparedBinaries};
use super::{absolute, build};
use crate::repository::Repository;

#[derive(clap::Args, Serialize)]
pub(super) struct Tested {
    /// Scheduler policy of picofaas: spin, adaptive, park or auto
    #[arg(long, value_name = "POLICY", default_value = "adaptive")]
    pub scheduler: String,
    /// Further arguments of `picofaas serve`, wherever it is started
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    picofaas_args: String,
    /// Measure this picofaas instead of building the tree's, to compare two builds
    #[arg(long, value_name = "FILE")]
    picofaas_binary: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub against: Against,
}

/// Builds the tree's picofaas and gives its path.
pub(super) fn build_picofaas(repository: &Repository) -> Result<PathBuf> {
    build(repository, &["--package", "picofaas", "--bin", "picofaas"], "picofaas")
}

impl Tested {
    /// The program, which is built where none was given.
    pub(super) fn binary(&self, repository: &Repository) -> Result<PathBuf> {
        match &self.picofaas_binary {
            Some(file) => absolute(file),
            None => build_picofaas(repository),
        }
    }

    /// The one of an earlier commit, where one was given. Before anything is built. `loads` are those of `option`.
    pub(super) fn old_binary(
        &self,
        repository: &Repository,
        option: &str,
        loads: &[u32],
    ) -> Result<Option<PathBuf>> {
        self.against.check_loads(option, loads)?;
        let built = repository.target().join("release/picofaas");
        self.against.binary(self.picofaas_binary.is_none().then_some(&*built))
    }

    /// Both binaries, where there are two; `commit` is that of the tree.
    pub(super) fn binaries(
        &self,
        new: &Path,
        old: Option<&Path>,
        commit: &str,
    ) -> Result<Option<ComparedBinaries>> {
        let commit = self.picofaas_binary.is_none().then_some(commit);
        old.map(|old| ComparedBinaries::read(new, commit, old)).transpose()
    }

    /// Of `picofaas serve`: those that were given.
    pub(super) fn further(&self) -> Vec<String> {
        self.picofaas_args.split_whitespace().map(str::to_owned).collect()
    }

    /// Of `picofaas serve`: the policy, and those that were given.
    pub(super) fn arguments(&self) -> Vec<String> {
        with_policy(&self.scheduler, self.further())
    }

    /// The same of the old one.
    pub(super) fn old_arguments(&self) -> Vec<String> {
        with_policy(&self.scheduler, self.against.further(self.further()))
    }
}

/// `scheduler` is the policy unless `arguments` name one: the flag may be given once only.
pub(super) fn with_policy(scheduler: &str, mut arguments: Vec<String>) -> Vec<String> {
    let names_policy =
        arguments.iter().any(|argument| argument == "--scheduler" || argument.starts_with("--scheduler="));
    if !names_policy {
        arguments.extend(["--scheduler".to_owned(), scheduler.to_owned()]);
    }
    arguments
}
