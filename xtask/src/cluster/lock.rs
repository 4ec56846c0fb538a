//! One cluster per machine: its addresses, bridges and packet filter rules are the machine's.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Holds the folder of the cluster that is up, and is locked while one is put up or taken down.
const PATH: &str = "/run/picofaas-cluster";

/// The right to change what cluster there is on this machine, until it is dropped.
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for whoever holds it.
    pub(super) fn take() -> Result<Self> {
        let place = || format!("cannot lock {PATH}");
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(PATH)
                .with_context(place)?;
            file.lock().with_context(place)?;
            // Its last holder may have removed it: then another file has the name by now, or none has.
            let mine = file.metadata().with_context(place)?.ino();
            if fs::metadata(PATH).is_ok_and(|named| named.ino() == mine) {
                return Ok(Self { file });
            }
        }
    }

    /// The folder of the cluster there is.
    pub(super) fn folder(&mut self) -> Result<Option<PathBuf>> {
        let mut folder = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut folder).with_context(|| format!("cannot read {PATH}"))?;
        Ok(named(&folder))
    }

    /// Says that there is one, or that there will be.
    pub(super) fn name(&mut self, folder: &Path) -> Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        writeln!(self.file, "{}", folder.display()).with_context(|| format!("cannot write {PATH}"))
    }

    /// Says that there is none any more.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("cannot write {PATH}"))
    }
}

impl Drop for Lock {
    /// Where there is no cluster, there is no file.
    fn drop(&mut self) {
        if let Ok(None) = self.folder()
            && let Err(error) = fs::remove_file(PATH)
        {
            eprintln!("warning: cannot remove {PATH}: {error}");
        }
    }
}

/// The folder of the cluster there is, without waiting: it may be going up or down just now.
pub(super) fn folder() -> Option<PathBuf> {
    named(&fs::read_to_string(PATH).ok()?)
}

fn named(content: &str) -> Option<PathBuf> {
    let folder = content.trim();
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}
