//! `cargo xtask bench keep`: the release binary of this commit, for `--against` of a later one.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use super::binary::PREFIX;
use super::tested;
use crate::repository::Repository;

/// Builds it and copies it to `target/kept/picofaas-<commit>`. A copy: what cargo builds it overwrites.
pub(super) fn run(repository: &Repository) -> Result<ExitCode> {
    let commit = repository.commit()?;
    ensure!(
        !commit.ends_with("-dirty"),
        "the tree differs from its commit, by which a kept binary is named: commit or `git stash` first, or copy one \
         yourself: cp target/release/picofaas target/kept/{PREFIX}NAME"
    );
    let built = tested::build_picofaas(repository)?;
    let folder = repository.target().join("kept");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let kept = folder.join(format!("{PREFIX}{commit}"));
    fs::copy(&built, &kept).with_context(|| format!("cannot copy to {}", kept.display()))?;
    println!("compare with it later: cargo xtask bench --against {}", kept.display());
    Ok(ExitCode::SUCCESS)
}
