//! One run of a bench: when it was, on which machine, and the file of its measurements.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::machine::Machine;
use crate::repository::{self, Repository};

pub(super) struct Run<'a> {
    repository: &'a Repository,
    pub machine: Machine,
    pub commit: String,
    at_utc: String,
}

/// The JSON of a run.
#[derive(Serialize)]
struct Record<'a, Options, Results> {
    at_utc: &'a str,
    commit: &'a str,
    machine: &'a Machine,
    options: &'a Options,
    #[serde(flatten)]
    results: &'a Results,
}

impl<'a> Run<'a> {
    /// Everything is built; `machine` was read before that, as a compiler's load is no other's load.
    pub(super) fn begin(repository: &'a Repository, machine: Machine) -> Result<Self> {
        println!("{machine}");
        machine.warn_when_busy();
        let at_utc = repository::first_line(Command::new("date").args(["-u", "+%Y-%m-%dT%H-%M-%SZ"]))?;
        Ok(Self { repository, machine, commit: repository.commit()?, at_utc })
    }

    /// The day it began, in UTC.
    pub(super) fn date(&self) -> &str {
        self.at_utc.split('T').next().unwrap_or_default()
    }

    /// Writes what came out, an object, to `file` or to `bench-results/<time><suffix>.json`.
    pub(super) fn save(
        &self,
        file: Option<&Path>,
        suffix: &str,
        options: &impl Serialize,
        results: &impl Serialize,
    ) -> Result<()> {
        let usual = self.repository.root().join(format!("bench-results/{}{suffix}.json", self.at_utc));
        let file = file.unwrap_or(&usual);
        let (at_utc, commit, machine) = (&*self.at_utc, &*self.commit, &self.machine);
        let mut json = serde_json::to_string_pretty(&Record { at_utc, commit, machine, options, results })?;
        json.push('\n');
        let place = || format!("cannot write {}", file.display());
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).with_context(place)?;
        }
        fs::write(file, json).with_context(place)?;
        println!("every measurement: {}", file.display());
        Ok(())
    }
}
