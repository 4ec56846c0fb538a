//! Schemas of a function: writes the generated parts of `k8s/10-crd.yaml` and `openapi.yaml`.
//!
//! The writer is a test of the library, as the rows that it reads are no part of what the library offers. The same
//! test, without the variable that is set here, refuses a part that is stale.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::repository::Repository;

/// The test that writes.
const TEST: &str = "spec::schema::the_generated_parts_of_the_schemas_are_those_of_the_fields";

/// Set where it is to write.
const WRITE: &str = "PICOFAAS_WRITE_SCHEMAS";

pub(crate) fn run(repository: &Repository) -> Result<ExitCode> {
    let arguments = ["test", "--quiet", "--package", "picofaas", "--lib", "--", "--exact", TEST];
    let status = repository.cargo(&arguments).env(WRITE, "1").status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
