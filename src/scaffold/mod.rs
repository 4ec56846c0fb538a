//! The product of `picofaas new`: the folder of a function that builds, passes its test and serves.
//!
//! | file | is |
//! |---|---|
//! | `language` | the languages, and the templates of each |
//! | `blanks` | what is filled into a template |
//! | `vendored` | the sources of the runtimes, which a new folder has with it |
//! | `folder` | the new folder: whole, or not there |
//! | `templates/` | the files, as they are but for their blanks. They are called `….in`, so that no tool takes one for a file of this project |

mod blanks;
mod folder;
mod language;
mod vendored;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::ValueEnum as _;

use crate::spec::FunctionName;
use blanks::Blanks;
use folder::NewFolder;
pub(crate) use language::Language;
pub(crate) use vendored::FOLDER as VENDORED;

/// A folder that was made.
#[derive(Debug)]
pub(crate) struct Scaffold {
    /// As a person would name it from here.
    pub folder: PathBuf,
    /// Paths of its files, relative to it; where there are sources of a runtime, their folder.
    pub files: Vec<PathBuf>,
}

impl Scaffold {
    /// Makes the folder `name` in `parent`, for a function in `language`.
    ///
    /// # Errors
    /// With the path, what is wrong with it, and the remedy: it is there already, or cannot be
    /// written. Nothing is left behind then.
    pub(crate) fn make(parent: &Path, name: &FunctionName, language: Language) -> anyhow::Result<Self> {
        if !parent.is_dir() {
            bail!("--dir {}: is no folder; name one that is there", parent.display());
        }
        let blanks = Blanks::new(name);
        let folder = parent.join(name.as_str());
        let mut new = NewFolder::beside(&folder)?;
        let mut files = Vec::new();
        for template in language.templates() {
            let path = PathBuf::from(blanks.fill(template.path));
            new.write(&path, &blanks.fill(template.text))?;
            files.push(path);
        }
        let vendored = vendored::files(language);
        if !vendored.is_empty() {
            files.push(vendored::FOLDER.into());
        }
        for (path, text) in vendored {
            new.write(&Path::new(vendored::FOLDER).join(path), &text)?;
        }
        new.finish()?;
        Ok(Self { folder, files })
    }
}

/// Puts the source of the runtime that this program has in place of that in the folder of a function. Gives the
/// function's language.
///
/// # Errors
/// It is no folder of a function with a runtime, or cannot be written.
pub(crate) fn update(function: &Path) -> anyhow::Result<Language> {
    let is_in = |language: &Language| language.mark().is_some_and(|mark| function.join(mark).is_file());
    let Some(language) = Language::value_variants().iter().copied().find(is_in) else {
        let marks: Vec<&str> =
            Language::value_variants().iter().filter_map(|language| language.mark()).collect();
        bail!(
            "--update {}: has none of {}; name the folder of a function in Rust, Python or Java",
            function.display(),
            marks.join(", ")
        );
    };
    let (vendor, files) = (function.join(vendored::FOLDER), vendored::files(language));
    let is_folder = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path().is_dir());
    let has_folders = fs::read_dir(&vendor).is_ok_and(|mut entries| entries.any(is_folder));
    let is_part = |path: &Path| path.iter().count() > 1 && vendor.join(path).is_file();
    if has_folders && !files.iter().any(|(path, _)| is_part(path)) {
        bail!(
            "--update {}: there is no runtime of picofaas in {}, but something of others; name the folder of a \
             function that `picofaas new` made, or take that away",
            function.display(),
            vendored::FOLDER
        );
    }
    let mut new = NewFolder::over(&vendor)?;
    for (path, text) in files {
        new.write(&path, &text)?;
    }
    new.replace()?;
    Ok(language)
}

#[cfg(test)]
mod tests;
