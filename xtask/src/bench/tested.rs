//! Which picofaas is measured, and how it is started.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use super::{absolute, build};
use crate::repository::Repository;

#[derive(clap::Args, Serialize)]
pub struct Tested {
    /// Scheduler policy of picofaas: spin, adaptive, park or auto
    #[arg(long, value_name = "POLICY", default_value = "adaptive")]
    pub scheduler: String,
    /// Further arguments of `picofaas serve`, wherever it is started
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    picofaas_args: String,
    /// Measure this picofaas instead of building the tree's, to compare two builds
    #[arg(long, value_name = "FILE")]
    picofaas_binary: Option<PathBuf>,
}

impl Tested {
    /// The program, which is built where none was given.
    pub fn binary(&self, repository: &Repository) -> Result<PathBuf> {
        match &self.picofaas_binary {
            Some(file) => absolute(file),
            None => build(repository, &["--package", "picofaas", "--bin", "picofaas"], "picofaas"),
        }
    }

    /// Of `picofaas serve`: those that were given.
    pub fn further(&self) -> Vec<String> {
        self.picofaas_args.split_whitespace().map(str::to_owned).collect()
    }

    /// Of `picofaas serve`: the policy, and those that were given.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--scheduler".to_owned(), self.scheduler.clone()];
        arguments.extend(self.further());
        arguments
    }
}
