//! A folder that goes when its owner does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A folder for what a check leaves lying about. Its path is short, because paths of sockets are.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes one that is named after a check and this process.
    pub(crate) fn make(check: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("picofaas-{check}-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: cannot remove {}: {error}", self.0.display());
        }
    }
}
