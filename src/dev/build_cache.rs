//! A cache of digests of what was built, kept over restarts.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The cache of one user: one small file per function, which holds the digest of the content it
/// was built of.
#[derive(Debug, Clone)]
pub(crate) struct BuildCache {
    /// `None` where the user has no cache folder: then nothing is remembered.
    folder: Option<PathBuf>,
}

impl BuildCache {
    /// In `$XDG_CACHE_HOME/picofaas/builds`, or in `~/.cache/picofaas/builds`. Relative paths in
    /// the variables do not count.
    #[must_use]
    pub(crate) fn of_user(cache_home: Option<OsString>, home: Option<OsString>) -> Self {
        let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let cache =
            cache_home.and_then(absolute).or_else(|| home.and_then(absolute).map(|home| home.join(".cache")));
        Self { folder: cache.map(|cache| cache.join("picofaas/builds")) }
    }

    /// Digest of the content that this function was last built of.
    #[must_use]
    pub(crate) fn read(&self, manifest: &Path, function: &str) -> Option<u64> {
        let text = fs::read_to_string(self.file(manifest, function)?).ok()?;
        u64::from_str_radix(text.trim(), 16).ok()
    }

    /// Remembers that it was built of this content.
    ///
    /// # Errors
    /// Where the entry cannot be written.
    pub(crate) fn write(&self, manifest: &Path, function: &str, digest: u64) -> io::Result<()> {
        let Some(file) = self.file(manifest, function) else { return Ok(()) };
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, format!("{digest:016x}\n"))
    }

    /// Forgets it, before a build that may end half-way.
    ///
    /// # Errors
    /// Where there is an entry that cannot be removed.
    pub(crate) fn forget(&self, manifest: &Path, function: &str) -> io::Result<()> {
        match self.file(manifest, function).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, manifest: &Path, function: &str) -> Option<PathBuf> {
        // Two ways to the same file are one.
        let manifest = fs::canonicalize(manifest).unwrap_or_else(|_| manifest.to_owned());
        let mut hasher = DefaultHasher::new();
        (manifest, function).hash(&mut hasher);
        Some(self.folder.as_ref()?.join(format!("{:016x}", hasher.finish())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_until_it_is_forgotten_and_each_function_has_its_own() {
        let root = tempfile::tempdir().unwrap();
        let cache = BuildCache::of_user(Some(root.path().into()), None);
        let manifest = root.path().join("function.yaml");
        assert_eq!(cache.read(&manifest, "one"), None);
        cache.forget(&manifest, "one").unwrap();
        cache.write(&manifest, "one", 7).unwrap();
        assert_eq!((cache.read(&manifest, "one"), cache.read(&manifest, "two")), (Some(7), None));
        cache.forget(&manifest, "one").unwrap();
        assert_eq!(cache.read(&manifest, "one"), None);
    }

    #[test]
    fn the_cache_folder_is_the_one_of_the_desktop_conventions() {
        let folder = |cache: Option<&str>, home: Option<&str>| {
            BuildCache::of_user(cache.map(Into::into), home.map(Into::into)).folder
        };
        assert_eq!(folder(Some("/c"), Some("/h")), Some("/c/picofaas/builds".into()));
        assert_eq!(folder(Some("relative"), Some("/h")), Some("/h/.cache/picofaas/builds".into()));
        assert_eq!(folder(None, None), None);
    }
}
