//! The product of `picofaas new`: the folder of a function that builds, passes its test and serves.
//!
//! | file | is |
//! |---|---|
//! | `language` | the languages, and the templates of each |
//! | `blanks` | what is filled into a template |
//! | `vendored` | the sources of the runtimes, which a new folder has with it |
//! | `source_tree` | where the other runtimes are, and the way to them |
//! | `folder` | the new folder: whole, or not there |
//! | `templates/` | the files, as they are but for their blanks. They are called `….in`, so that no tool takes one for a file of this project |

mod blanks;
mod folder;
mod language;
mod source_tree;
mod vendored;

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::spec::FunctionName;
use blanks::Blanks;
use folder::NewFolder;
pub(crate) use language::Language;
pub(crate) use source_tree::SourceTree;

/// A folder that was made.
#[derive(Debug)]
pub(crate) struct Scaffold {
    /// As a person would name it from here.
    pub folder: PathBuf,
    /// Paths of its files, relative to it; where there are sources of a runtime, their folder.
    pub files: Vec<PathBuf>,
}

impl Scaffold {
    /// Makes the folder `name` in `parent`, for a function in `language`. `tree` has the runtimes that are not
    /// written into the folder.
    ///
    /// # Errors
    /// With the path, what is wrong with it, and the remedy: it is there already, or cannot be
    /// written, or the tree lacks the language's runtime. Nothing is left behind then.
    pub(crate) fn make(
        parent: &Path,
        name: &FunctionName,
        language: Language,
        tree: Option<&SourceTree>,
    ) -> anyhow::Result<Self> {
        let home = parent.canonicalize().with_context(|| {
            format!("--dir {}: cannot be used; name a folder that is there", parent.display())
        })?;
        let runtimes = tree.map(|tree| tree.seen_from(&home.join(name.as_str()))).transpose()?;
        let blanks = Blanks::new(name, &runtimes.unwrap_or_default());
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

#[cfg(test)]
mod tests;
