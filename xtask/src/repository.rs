//! The tree the chores work on.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The root of the repository. Every path a chore prints is relative to it.
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Finds the root by walking up from the current folder, so that a chore works from any folder of
    /// the tree and from any worktree.
    pub(crate) fn find() -> Result<Self> {
        let start = env::current_dir().context("cannot tell the current folder")?;
        let root = start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
        match root {
            Some(root) => Ok(Self { root: root.to_path_buf() }),
            None => bail!(
                "no folder from {} upwards holds xtask/Cargo.toml: run this inside the repository",
                start.display()
            ),
        }
    }

    /// The folder that holds the workspace's `Cargo.toml`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds.
    pub(crate) fn target(&self) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => self.root.join(folder),
            None => self.root.join("target"),
        }
    }

    /// A cargo command in the root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// The files git tracks and that are there, relative to the root, in git's order.
    pub(crate) fn tracked_files(&self) -> Result<Vec<PathBuf>> {
        let listing = Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(&self.root)
            .output()
            .context("cannot run git")?;
        if !listing.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr).trim());
        }
        let names = String::from_utf8(listing.stdout).context("a tracked file's name is not UTF-8")?;
        let paths = names.split_terminator('\0').map(PathBuf::from);
        // A file that was deleted and not yet committed is still in the index.
        Ok(paths.filter(|path| self.root.join(path).is_file()).collect())
    }

    /// The commit that is checked out, with `-dirty` when the tree differs from it.
    pub(crate) fn commit(&self) -> Result<String> {
        let mut command = Command::new("git");
        command.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(&self.root);
        first_line(&mut command)
    }
}

/// A cargo command without what `cargo run` added to our environment for the xtask package itself.
///
/// Build scripts that ask to be rerun when `CARGO_MANIFEST_DIR` changes would otherwise run again, and
/// everything above them compile again, each time a person alternates between `cargo` and `cargo xtask`.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_this_package) {
            command.env_remove(&name);
        }
    }
    command
}

fn is_about_this_package(variable: &str) -> bool {
    const EXACT: [&str; 5] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
    ];
    EXACT.contains(&variable) || variable.starts_with("CARGO_PKG_")
}

/// The first line a command prints, on either stream: `nginx -v` answers on standard error and
/// `wrk --version` with exit code 1, so neither the stream nor the code tells anything.
pub(crate) fn first_line(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let text = String::from_utf8_lossy(&text);
    match text.lines().next() {
        Some(line) => Ok(line.trim().to_owned()),
        None => bail!("{program} printed nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_cargo_keeps_the_users_settings_and_loses_those_of_this_package() {
        assert!(is_about_this_package("CARGO_MANIFEST_DIR"));
        assert!(is_about_this_package("CARGO_PKG_VERSION"));
        assert!(!is_about_this_package("CARGO_HOME"));
        assert!(!is_about_this_package("CARGO_TARGET_DIR"));
        assert!(!is_about_this_package("CARGO_NET_OFFLINE"));
    }

    #[test]
    fn the_listing_holds_tracked_files_relative_to_the_root() {
        let repository = Repository::find().unwrap();
        let files = repository.tracked_files().unwrap();
        assert!(files.contains(&PathBuf::from("xtask/Cargo.toml")), "{files:?}");
        assert!(files.iter().all(|file| file.is_relative()));
    }
}
