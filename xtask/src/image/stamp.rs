//! Stamp of the inputs that an image was built from, so that it is built again only when they changed.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::catalogue::Image;
use crate::repository::Repository;

/// A hash of everything that goes into an image. It is shown and kept as 16 hexadecimal digits.
pub(super) struct Stamp(DefaultHasher);

impl Stamp {
    /// Of the files: the Dockerfile, what it copies, and the programs, which have been built.
    pub(super) fn of(repository: &Repository, image: &Image) -> Result<Self> {
        let mut files = BTreeSet::from([PathBuf::from(image.dockerfile)]);
        for path in image.copied {
            collect(repository.root(), Path::new(path), &mut files)?;
        }
        files.extend(image.programs.iter().map(|program| program.path(repository)));
        let mut stamp = Self(DefaultHasher::new());
        for file in files {
            let path = repository.root().join(&file);
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            file.hash(&mut stamp.0);
            bytes.hash(&mut stamp.0);
        }
        Ok(stamp)
    }

    /// Something else that goes into it.
    pub(super) fn add(&mut self, part: &str) {
        part.hash(&mut self.0);
    }

    /// Whether the image was built from the same.
    pub(super) fn is_kept_in(&self, path: &Path) -> bool {
        fs::read_to_string(path).is_ok_and(|kept| kept.trim() == self.to_string())
    }

    pub(super) fn keep_in(&self, path: &Path) -> Result<()> {
        fs::write(path, format!("{self}\n")).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0.finish())
    }
}

/// The files at or below `path`, which is relative to `root`, but for what Python keeps for itself.
fn collect(root: &Path, path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let absolute = root.join(path);
    if !absolute.is_dir() {
        files.insert(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(&absolute).with_context(|| format!("cannot read {}", absolute.display()))?;
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", absolute.display()))?.file_name();
        if name != "__pycache__" {
            collect(root, &path.join(name), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn a_stamp_is_kept_until_a_part_of_it_changes() {
        let folder = Folder::make("stamp").unwrap();
        let kept = folder.path().join("x.stamp");
        let stamp = |parts: &[&str]| {
            let mut stamp = Stamp(DefaultHasher::new());
            parts.iter().for_each(|part| stamp.add(part));
            stamp
        };
        assert!(!stamp(&["a", "b"]).is_kept_in(&kept));
        stamp(&["a", "b"]).keep_in(&kept).unwrap();
        assert!(stamp(&["a", "b"]).is_kept_in(&kept));
        assert!(!stamp(&["ab"]).is_kept_in(&kept));
        assert!(!stamp(&["b", "a"]).is_kept_in(&kept));
    }

    #[test]
    fn the_files_of_a_folder_are_found_at_every_depth_without_caches() {
        let folder = Folder::make("collect").unwrap();
        fs::create_dir_all(folder.path().join("a/b/__pycache__")).unwrap();
        for file in ["a/x", "a/b/y", "a/b/__pycache__/z", "w"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let mut files = BTreeSet::new();
        collect(folder.path(), Path::new("a"), &mut files).unwrap();
        collect(folder.path(), Path::new("w"), &mut files).unwrap();
        assert_eq!(files, ["a/b/y", "a/x", "w"].iter().map(PathBuf::from).collect());
    }
}
