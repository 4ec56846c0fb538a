//! The source tree that has the runtimes. They are not published, so a new function refers to their source.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

/// The source tree of picofaas, by its absolute path without links.
#[derive(Debug)]
pub(crate) struct SourceTree {
    root: PathBuf,
    /// Its name in messages.
    named: String,
}

impl SourceTree {
    /// The tree that `--runtimes` names, else `built_in`, the one that this program was built in.
    ///
    /// # Errors
    /// A missing tree, with the flag that names another.
    pub(crate) fn find(flag: Option<&Path>, built_in: &Path) -> anyhow::Result<Self> {
        match flag {
            Some(path) => {
                let root = path.canonicalize().with_context(|| {
                    format!("--runtimes {}: cannot be used; name the source tree of picofaas", path.display())
                })?;
                Ok(Self { root, named: format!("--runtimes {}", path.display()) })
            }
            None => {
                let root = built_in.canonicalize().with_context(|| {
                    format!(
                        "{}, the source tree that this picofaas was built in, cannot be used; name one with --runtimes DIR",
                        built_in.display()
                    )
                })?;
                Ok(Self { root, named: built_in.display().to_string() })
            }
        }
    }

    /// Makes sure that it has a file.
    ///
    /// # Errors
    /// A missing file.
    pub(crate) fn require(&self, file: &str) -> anyhow::Result<()> {
        if self.root.join(file).is_file() {
            return Ok(());
        }
        bail!(
            "{}: has no {file}; name a source tree of picofaas that has it, with --runtimes DIR",
            self.named
        )
    }

    /// The path by which `folder` refers to the tree: relative where it lies inside, so that both can
    /// move together. `folder` is absolute, without links, and need not be there yet.
    ///
    /// # Errors
    /// A path that cannot be written into a file: not UTF-8, or with control characters.
    pub(crate) fn seen_from(&self, folder: &Path) -> anyhow::Result<String> {
        if let Ok(inside) = folder.strip_prefix(&self.root) {
            let steps = inside.components().filter(|part| matches!(part, Component::Normal(_))).count();
            return Ok(vec![".."; steps].join("/"));
        }
        match self.root.to_str() {
            Some(path) if !path.chars().any(char::is_control) => Ok(path.to_owned()),
            Some(_) | None => bail!(
                "{:?}: a path that is not UTF-8 or has control characters cannot be written into the files of a function; name a link to it with another path, or move it",
                self.root
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn tree(root: impl Into<PathBuf>) -> SourceTree {
        SourceTree { root: root.into(), named: "tree".to_owned() }
    }

    #[test]
    fn a_folder_inside_the_tree_goes_up_to_it_and_one_outside_names_it_whole() {
        let tree = tree("/src/tree");
        for (folder, path) in [
            ("/src/tree/greet", ".."),
            ("/src/tree/examples/more/greet", "../../.."),
            ("/src/greet", "/src/tree"),
            ("/src/tree2/greet", "/src/tree"),
        ] {
            assert_eq!(tree.seen_from(Path::new(folder)).unwrap(), path, "{folder}");
        }
    }

    #[test]
    fn a_path_that_no_file_can_hold_is_refused() {
        for path in [b"/a\nb".as_slice(), b"/a\xff"] {
            let refused = tree(OsStr::from_bytes(path)).seen_from(Path::new("/f")).unwrap_err().to_string();
            assert!(refused.contains("not UTF-8 or has control characters"), "{refused}");
        }
    }

    #[test]
    fn a_tree_that_is_not_there_is_refused_with_the_flag_that_names_another() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let refused = SourceTree::find(None, &gone).unwrap_err().to_string();
        assert!(refused.ends_with("name one with --runtimes DIR"), "{refused}");
        let refused = SourceTree::find(Some(&gone), root.path()).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("--runtimes {}: ", gone.display())), "{refused}");
        let other = SourceTree::find(Some(root.path()), &gone).unwrap();
        let refused = other.require("runtime/rust/Cargo.toml").unwrap_err().to_string();
        let begin = format!("--runtimes {}: has no runtime/rust/Cargo.toml", root.path().display());
        assert!(refused.starts_with(&begin), "{refused}");
    }
}
