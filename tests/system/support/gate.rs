//! A gate that handlers wait at until the test lets them end, however long their beginnings take.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A gate that is shut at first.
pub(crate) struct Gate {
    folder: TempDir,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The file that is there when it is open.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("open")
    }

    /// The input of the handler `gate`, and its output once the gate is open.
    pub(crate) fn input(&self) -> Value {
        json!({ "file": self.file() })
    }

    /// Lets every handler end that waits, and those that come.
    pub(crate) fn open(&self) {
        fs::write(self.file(), "").unwrap();
    }
}
