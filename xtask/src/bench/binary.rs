//! A picofaas program on disk: what it says that it is, and what tells it apart from another.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::digest::sha256;
use crate::wait;

/// Before the commit in the name of a binary that `cargo xtask bench keep` made.
pub(super) const PREFIX: &str = "picofaas-";

/// For the answer to `--version`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hexadecimal digits by which git names a commit here; with fewer, a word could look like one.
const COMMIT_DIGITS_MIN: usize = 12;

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Binary {
    file: PathBuf,
    /// Output of `--version`.
    version: String,
    /// Commit of the tree it was built from a moment ago, or the one in its name; `None` where neither tells.
    commit: Option<String>,
    pub sha256: String,
    bytes: u64,
}

impl Binary {
    /// Reads what a file says; `commit` is what it was built from, where that is known.
    pub(super) fn read(file: &Path, commit: Option<&str>) -> Result<Self> {
        let place = || format!("cannot read {}", file.display());
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(Self {
            file: file.to_path_buf(),
            version: version(file)?,
            commit: commit.or_else(|| commit_in(name)).map(str::to_owned),
            sha256: sha256(file).with_context(place)?,
            bytes: fs::metadata(file).with_context(place)?.len(),
        })
    }

    /// Fails where the file has other bytes by now: then it is not known what was measured.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let file = self.file.display();
        ensure!(
            sha256(&self.file)? == self.sha256,
            "{file} changed during the run, which is therefore no result: build nothing meanwhile, or measure a \
             copy with --picofaas-binary"
        );
        Ok(())
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, version, commit, sha256, bytes } = self;
        let commit = commit.as_deref().unwrap_or("unknown");
        write!(out, "{version}, commit {commit}, {bytes} bytes, sha256 {sha256}, {}", file.display())
    }
}

/// Output of `--version` of a picofaas. Any other program is refused, also one that does not answer.
pub(super) fn version(file: &Path) -> Result<String> {
    let place = file.display();
    let metadata = fs::metadata(file).with_context(|| format!("there is no {place}"))?;
    ensure!(metadata.is_file(), "{place} is not a file");
    ensure!(metadata.permissions().mode() & 0o111 != 0, "{place} is not executable: chmod +x it");
    let mut child = Command::new(file)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {place}"))?;
    let Some(status) = wait::until(PATIENCE, || Ok(child.try_wait()?))? else {
        child.kill().with_context(|| format!("cannot kill {place}"))?;
        child.wait().with_context(|| format!("cannot wait for {place}"))?;
        bail!("{place} is no picofaas: it did not answer --version within {} s", PATIENCE.as_secs());
    };
    let mut output = Vec::new();
    let mut stdout = child.stdout.take().context("the output of --version is not piped")?;
    stdout.read_to_end(&mut output).with_context(|| format!("cannot read what {place} prints"))?;
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().next().unwrap_or_default().trim();
    ensure!(
        status.success() && line.starts_with("picofaas "),
        "{place} is no picofaas: --version printed {line:?} and ended with {status}"
    );
    Ok(line.to_owned())
}

/// The commit that `git describe` wrote into the name of a kept binary.
fn commit_in(name: &str) -> Option<&str> {
    let described = name.strip_prefix(PREFIX)?;
    let last = described.rsplit('-').next()?;
    let digits = last.strip_prefix('g').unwrap_or(last);
    let is_commit = digits.len() >= COMMIT_DIGITS_MIN && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then_some(described)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::folder::Folder;

    /// A shell script, which another process writes: a fork beside a writer would hold the file open for
    /// writing, and one that is cannot be run.
    pub(crate) fn script(folder: &Folder, name: &str, lines: &str) -> PathBuf {
        let file = folder.path().join(name);
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let status = Command::new("sh").args(["-c", write, "sh", lines]).arg(&file).status().unwrap();
        assert!(status.success());
        file
    }

    #[test]
    fn a_binary_is_its_version_its_bytes_and_the_commit_of_its_name_or_the_one_it_was_built_from() {
        let folder = Folder::make("binary").unwrap();
        let file = script(&folder, "picofaas-0123456789ab", "echo picofaas 0.1.0");
        let kept = Binary::read(&file, None).unwrap();
        assert_eq!((kept.version.as_str(), kept.bytes), ("picofaas 0.1.0", 30));
        assert_eq!(kept.commit.as_deref(), Some("0123456789ab"));
        assert_eq!(kept.sha256, sha256(&file).unwrap());
        let built = Binary::read(&file, Some("ba9876543210-dirty")).unwrap();
        assert_eq!(built.commit.as_deref(), Some("ba9876543210-dirty"));
    }

    #[test]
    fn a_binary_that_is_replaced_during_a_run_is_noticed() {
        let folder = Folder::make("replaced").unwrap();
        let binary = Binary::read(&script(&folder, "picofaas", "echo picofaas 1"), None).unwrap();
        binary.check_unchanged().unwrap();
        script(&folder, "picofaas", "echo picofaas 2");
        let error = binary.check_unchanged().unwrap_err().to_string();
        assert!(error.contains("changed during the run"), "{error}");
    }

    #[test]
    fn what_is_not_there_not_executable_or_no_picofaas_is_refused_by_its_name() {
        let folder = Folder::make("refused").unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let other = script(&folder, "other", "echo nginx version: nginx/1.22");
        let failing = script(&folder, "failing", "echo picofaas 0.1.0; exit 2");
        for (file, expected) in [
            (folder.path().join("gone"), "there is no "),
            (folder.path().to_path_buf(), "is not a file"),
            (plain, "is not executable"),
            (other, "is no picofaas: --version printed \"nginx"),
            (failing, "exit status: 2"),
        ] {
            let error = version(&file).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&*file.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn only_what_git_describe_writes_is_taken_for_a_commit() {
        assert_eq!(commit_in("picofaas-7796ba54df85"), Some("7796ba54df85"));
        assert_eq!(commit_in("picofaas-v1.2-31-g7796ba54df85"), Some("v1.2-31-g7796ba54df85"));
        for name in
            ["picofaas", "picofaas-old", "picofaas-defaced", "old-7796ba54df85", "picofaas-7796ba54df8z"]
        {
            assert_eq!(commit_in(name), None, "{name}");
        }
    }
}
