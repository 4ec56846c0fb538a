//! `cargo xtask tidy`: the rules about the tree itself that no compiler checks.
//!
//! Each rule reads text files and says what is wrong where, and the remedy. The words the rules look for are put
//! together from halves, so that this file passes its own check.
//!
//! | file | is about |
//! |---|---|
//! | `rust` | length of files, leftovers, sleeps in tests |
//! | `lints` | the lint that holds the length of functions |
//! | `comments`, `comment_line` | how comments begin; their lines in each language |
//! | `type_names` | types of the same name |
//! | `arrows` | which folder of `src/` imports which |
//! | `image_names` | names of images that a registry of others could answer |
//! | `markdown`, `promises` | links; promises and their tests |
//! | `verdicts` | pages of flame graphs |
//! | `lexer`, `placed` | the tokens of a Rust file, and where each stands |

mod arrows;
mod comment_line;
mod comments;
mod image_names;
mod lexer;
mod lints;
mod markdown;
mod placed;
mod promises;
mod rust;
mod type_names;
mod verdicts;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::repository::Repository;

/// The licence every crate of the repository carries.
const LICENSE: &str = "Apache-2.0";

/// Names that say nothing about what is inside: the noun is missing.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "types", "manager", "service"];

/// Only of code: a Kubernetes manifest may well be called `service.yaml`.
const CODE_EXTENSIONS: [&str; 8] = ["rs", "go", "py", "java", "js", "ts", "lua", "sh"];

/// Where the tables of what is promised and tested are.
const PROMISES: [&str; 3] = ["tests/README.md", "tests/http.md", "docs/security.md"];

const HOME_FOLDERS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    path: PathBuf,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    message: String,
}

impl Fault {
    /// `line` counts from 1; 0 is the whole file.
    fn at(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), line, message: message.into() }
    }

    fn of_file(text: &Text<'_>, message: impl Into<String>) -> Self {
        Self { path: text.path.to_path_buf(), line: 0, message: message.into() }
    }

    /// `index` counts from 0, as `enumerate` does.
    fn of_line(text: &Text<'_>, index: usize, message: impl Into<String>) -> Self {
        Self { path: text.path.to_path_buf(), line: index + 1, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            0 => write!(out, "{path}: {}", self.message),
            line => write!(out, "{path}:{line}: {}", self.message),
        }
    }
}

/// A text file of the tree: its path relative to the root, and what it holds.
struct Text<'a> {
    path: &'a Path,
    content: &'a str,
}

impl Text<'_> {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.content.lines().enumerate()
    }
}

#[derive(clap::Args)]
pub(crate) struct TidyOptions {
    /// Print the folders of src/, the imports between them with counts, and the circles, and check nothing
    #[arg(long)]
    arrows: bool,
}

pub(crate) fn run(repository: &Repository, options: &TidyOptions) -> Result<ExitCode> {
    if options.arrows {
        let files = read(repository)?;
        print!("{}", arrows::describe(&texts(&files)));
        return Ok(ExitCode::SUCCESS);
    }
    let faults = findings(repository)?;
    for fault in &faults {
        println!("{fault}");
    }
    println!("{} faults", faults.len());
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that breaks a rule: file by file, then what several files break together.
pub(crate) fn findings(repository: &Repository) -> Result<Vec<Fault>> {
    let files = read(repository)?;
    let texts = texts(&files);
    let mut faults = Vec::new();
    for text in &texts {
        check(text, &mut faults);
        comments::check(text, &mut faults);
        image_names::check(text, &mut faults);
        if text.has_extension("md") {
            let exists = |target: &Path| repository.root().join(target).exists();
            markdown::check(text, exists, &mut faults);
        }
        if PROMISES.iter().any(|page| text.path == Path::new(page)) {
            let read = |target: &Path| fs::read_to_string(repository.root().join(target)).ok();
            promises::check(text, read, &mut faults);
        }
    }
    verdicts::check(&texts, &mut faults);
    lints::check(&texts, &mut faults);
    arrows::check(&texts, &mut faults);
    faults.extend(lints::exceptions(&texts));
    let is_package = |text: &&Text<'_>| text.path.file_name().is_some_and(|name| name == "Cargo.toml");
    let packages: Vec<&Path> =
        texts.iter().filter(is_package).filter_map(|text| text.path.parent()).collect();
    faults.extend(type_names::check(&texts, &packages));
    Ok(faults)
}

/// Every text file of the tree, in git's order.
fn read(repository: &Repository) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for path in repository.tracked_files()? {
        let bytes = fs::read(repository.root().join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        // An image, an archive or the input of a fuzz target is no text and has no lines to check.
        if let Some(content) = String::from_utf8(bytes).ok().filter(|content| !content.contains('\0')) {
            files.push((path, content));
        }
    }
    Ok(files)
}

fn texts(files: &[(PathBuf, String)]) -> Vec<Text<'_>> {
    files.iter().map(|(path, content)| Text { path, content }).collect()
}

/// Every rule that needs nothing but the file.
fn check(text: &Text<'_>, faults: &mut Vec<Fault>) {
    name(text, faults);
    home_folders(text, faults);
    final_newline(text, faults);
    if text.path.file_name().is_some_and(|name| name == "Cargo.toml") {
        license(text, faults);
    }
    if text.has_extension("rs") {
        rust::check(text, faults);
    }
}

fn name(text: &Text<'_>, faults: &mut Vec<Fault>) {
    let extension = text.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !CODE_EXTENSIONS.contains(&extension) {
        return;
    }
    let stem = text.path.with_extension("");
    for part in stem.components().filter_map(|part| part.as_os_str().to_str()) {
        if EMPTY_NAMES.contains(&part.to_ascii_lowercase().as_str()) {
            faults.push(Fault::of_file(text, format!("`{part}` names nothing: find the noun")));
        }
    }
}

fn license(text: &Text<'_>, faults: &mut Vec<Fault>) {
    let has = |wanted: &str| text.lines().any(|(_, line)| line.trim() == wanted);
    if has("[package]") && !has("license.workspace = true") && !has(&format!("license = \"{LICENSE}\"")) {
        faults.push(Fault::of_file(text, "no licence: add `license.workspace = true`"));
    }
    if has("[workspace.package]") && !has(&format!("license = \"{LICENSE}\"")) {
        let remedy = format!("the workspace's licence is not {LICENSE}");
        faults.push(Fault::of_file(text, remedy));
    }
}

/// Somebody's home folder in a file works on one machine only.
fn home_folders(text: &Text<'_>, faults: &mut Vec<Fault>) {
    for (index, line) in text.lines() {
        let begins_a_path =
            |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~/}".contains(c));
        for folder in HOME_FOLDERS {
            if line.match_indices(folder).any(|(at, _)| begins_a_path(at)) {
                faults.push(Fault::of_line(text, index, format!("`{folder}` is a path of one machine")));
            }
        }
    }
}

fn final_newline(text: &Text<'_>, faults: &mut Vec<Fault>) {
    if !text.content.is_empty() && !text.content.ends_with('\n') {
        faults.push(Fault::of_file(text, "no newline at the end"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, content: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(&Text { path: Path::new(path), content }, &mut faults);
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn names_that_say_nothing_are_refused_for_files_and_folders_of_code_only() {
        assert_eq!(messages("src/utils.rs", "\n"), ["src/utils.rs: `utils` names nothing: find the noun"]);
        assert_eq!(messages("src/helpers/ring.rs", "\n").len(), 1);
        assert_eq!(messages("java/Manager.java", "\n").len(), 1);
        assert!(messages("k8s/service.yaml", "\n").is_empty());
        assert!(messages("src/service_time.rs", "\n").is_empty());
    }

    #[test]
    fn a_crate_without_the_licence_is_found_and_one_that_inherits_it_is_not() {
        assert_eq!(messages("a/Cargo.toml", "[package]\nname = \"a\"\n").len(), 1);
        assert_eq!(messages("a/Cargo.toml", "[package]\nlicense = \"MIT\"\n").len(), 1);
        assert!(messages("a/Cargo.toml", "[package]\nlicense.workspace = true\n").is_empty());
        assert!(messages("a/Cargo.toml", "[package]\nlicense = \"Apache-2.0\"\n").is_empty());
        assert_eq!(messages("Cargo.toml", "[workspace.package]\nlicense = \"MIT\"\n").len(), 1);
    }

    #[test]
    fn a_path_into_a_home_folder_is_found_and_a_longer_path_is_not() {
        for folder in HOME_FOLDERS {
            let found = messages("run.sh", &format!("cd x\ncat \"{folder}notes\"\n"));
            assert_eq!(found, [format!("run.sh:2: `{folder}` is a path of one machine")]);
            assert!(messages("run.sh", &format!("cat $ROOTFS/var{folder}notes\n")).is_empty());
        }
    }

    #[test]
    fn a_missing_final_newline_is_found_and_an_empty_file_is_fine() {
        assert_eq!(messages("notes.txt", "text"), ["notes.txt: no newline at the end"]);
        assert!(messages("notes.txt", "").is_empty());
    }
}
