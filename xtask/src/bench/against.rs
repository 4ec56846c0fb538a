//! A picofaas of an earlier commit, measured beside the new one in the same rounds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::absolute;
use super::binary::{self, Binary};
use super::ratio::Ratio;

/// Name of the old one in orders, tables and logs. The new one is `picofaas`.
pub(super) const NAME: &str = "picofaas-against";

/// Rounds where none are asked for: enough that one outlier on either side does not stretch the interval.
pub(super) const ROUNDS: &str = "12";

#[derive(clap::Args, Serialize)]
pub(super) struct Against {
    /// Measure this picofaas of an earlier commit beside the new one, and tell the ratios new ÷ old; `bench keep` makes one
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Further arguments of its `serve` instead of those of --picofaas-args, where it does not know them
    #[arg(long, value_name = "ARGS", requires = "against", allow_hyphen_values = true)]
    against_args: Option<String>,
}

/// Both programs of a run.
#[derive(Serialize)]
pub(super) struct ComparedBinaries {
    new: Binary,
    old: Binary,
    /// Then there is nothing to find but noise.
    same_bytes: bool,
}

impl Against {
    pub(super) fn is_given(&self) -> bool {
        self.against.is_some()
    }

    /// The old program, looked at before anything is built or measured; `built` is where the new one will be,
    /// where it is built.
    pub(super) fn binary(&self, built: Option<&Path>) -> Result<Option<PathBuf>> {
        let Some(file) = &self.against else { return Ok(None) };
        let place = || format!("--against {}", file.display());
        let file = absolute(file).with_context(place)?;
        binary::version(&file).with_context(place)?;
        let is_built = built.is_some_and(|built| built.canonicalize().is_ok_and(|built| built == file));
        ensure!(
            !is_built,
            "{}: the new one is built there, in its place: keep a copy, as `cargo xtask bench keep` does",
            place()
        );
        Ok(Some(file))
    }

    /// A load that is measured twice in a round would leave open which measurements are a pair.
    pub(super) fn check_loads(&self, option: &str, loads: &[u32]) -> Result<()> {
        let twice = (1..loads.len()).find(|&at| loads[..at].contains(&loads[at]));
        match twice {
            Some(at) if self.is_given() => {
                bail!("{option}: {} is there twice, with --against each number may be there once", loads[at])
            }
            _ => Ok(()),
        }
    }

    /// Of its `serve`: those that were given for it, or else `common`.
    pub(super) fn further(&self, common: Vec<String>) -> Vec<String> {
        match &self.against_args {
            Some(arguments) => arguments.split_whitespace().map(str::to_owned).collect(),
            None => common,
        }
    }

    /// For a part of the bench that cannot compare two programs.
    pub(super) fn refuse(&self, part: &str, remedy: &str) -> Result<()> {
        if self.is_given() {
            bail!("--against is of `bench` and `bench job` and not of `{part}`: {remedy}");
        }
        Ok(())
    }
}

/// Remedy for an old program that does not start, for its error.
pub(super) fn remedy(file: &Path) -> String {
    format!(
        "the old picofaas, {}, does not start: where it lacks one of these flags, give it others with --against-args",
        file.display()
    )
}

impl ComparedBinaries {
    /// `commit` is that of the new one, where it was built a moment ago.
    pub(super) fn read(new: &Path, commit: Option<&str>, old: &Path) -> Result<Self> {
        let (new, old) = (Binary::read(new, commit)?, Binary::read(old, None)?);
        let both = Self { same_bytes: new.sha256 == old.sha256, new, old };
        println!("{}", both.describe());
        Ok(both)
    }

    /// Lines for the foot of the report.
    pub(super) fn describe(&self) -> String {
        let Self { new, old, same_bytes } = self;
        let same = match same_bytes {
            true => "\nBoth have the same bytes: an A/A run, in which every difference is noise.",
            false => "",
        };
        format!("picofaas: {new}\n{NAME}: {old}{same}")
    }

    /// Record of a run with these ratios, as JSON.
    pub(super) fn record(&self, ratios: &[Ratio]) -> Value {
        json!({ "binaries": self, "ratios": ratios })
    }

    /// Fails where one of them is not the one any more that was looked at before the run.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        self.new.check_unchanged()?;
        self.old.check_unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::binary::tests::script;
    use crate::folder::Folder;

    fn against(file: &Path) -> Against {
        Against { against: Some(file.to_path_buf()), against_args: None }
    }

    #[test]
    fn a_file_that_cannot_be_the_old_one_is_refused_with_the_options_name() {
        let folder = Folder::make("against").unwrap();
        for file in [folder.path().join("gone"), script(&folder, "other", "echo wrk 4.1")] {
            let error = format!("{:#}", against(&file).binary(None).unwrap_err());
            assert!(error.starts_with(&format!("--against {}: ", file.display())), "{error}");
        }
        let good = script(&folder, "picofaas-old", "echo picofaas 0.1.0");
        assert_eq!(against(&good).binary(None).unwrap(), Some(good.canonicalize().unwrap()));
        let none = Against { against: None, against_args: None };
        assert_eq!(none.binary(None).unwrap(), None);
    }

    #[test]
    fn the_file_that_the_build_replaces_is_refused_also_by_a_link() {
        let folder = Folder::make("replaced-by-build").unwrap();
        let built = script(&folder, "picofaas", "echo picofaas 0.1.0");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&built, &link).unwrap();
        for file in [&built, &link] {
            let error = against(file).binary(Some(&built)).unwrap_err().to_string();
            assert!(error.contains("cargo xtask bench keep"), "{error}");
        }
    }

    #[test]
    fn its_arguments_are_the_common_ones_unless_it_has_its_own() {
        let common = || vec!["--gateways".to_owned(), "2".to_owned()];
        let mut options = against(Path::new("old"));
        assert_eq!(options.further(common()), common());
        options.against_args = Some("--spin-us 5".to_owned());
        assert_eq!(options.further(common()), ["--spin-us", "5"]);
        options.against_args = Some(String::new());
        assert!(options.further(common()).is_empty());
    }

    #[test]
    fn a_load_that_is_measured_twice_is_refused_as_its_rounds_would_be_no_pairs() {
        let old = against(Path::new("old"));
        let error = old.check_loads("--connections", &[1, 32, 1]).unwrap_err().to_string();
        assert!(error.contains("--connections: 1 is there twice"), "{error}");
        old.check_loads("--connections", &[1, 32]).unwrap();
        let none = Against { against: None, against_args: None };
        none.check_loads("--connections", &[1, 1]).unwrap();
    }

    #[test]
    fn a_part_without_it_says_what_to_do_instead() {
        let error = against(Path::new("old")).refuse("bench x", "do y").unwrap_err().to_string();
        assert!(error.contains("not of `bench x`: do y"), "{error}");
        let none = Against { against: None, against_args: None };
        none.refuse("bench x", "do y").unwrap();
    }

    #[test]
    fn two_files_of_the_same_bytes_are_called_an_a_a_run() {
        let folder = Folder::make("same-bytes").unwrap();
        let new = script(&folder, "picofaas", "echo picofaas 0.1.0");
        let same = script(&folder, "picofaas-same", "echo picofaas 0.1.0");
        let old = script(&folder, "picofaas-old", "echo picofaas 0.0.9");
        let of = |old: &Path| ComparedBinaries::read(&new, Some("0123456789ab-dirty"), old).unwrap();
        assert!(of(&same).describe().contains("A/A run"));
        let different = of(&old);
        let text = different.describe();
        assert!(!text.contains("A/A"), "{text}");
        assert!(text.contains("picofaas: picofaas 0.1.0, commit 0123456789ab-dirty, "), "{text}");
        assert!(text.contains("picofaas-against: picofaas 0.0.9, commit unknown, "), "{text}");
        let record = different.record(&[]);
        assert_eq!(record["binaries"]["same_bytes"], false);
        for side in ["new", "old"] {
            let binary = &record["binaries"][side];
            assert_eq!(binary["sha256"].as_str().unwrap().len(), 64, "{record}");
            assert_eq!(binary["bytes"], 30, "{record}");
        }
        assert_eq!(record["binaries"]["new"]["commit"], "0123456789ab-dirty");
    }
}
