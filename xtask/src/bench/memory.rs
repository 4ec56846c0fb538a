//! Memory of a process, out of `/proc`.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Resident memory of a process, without that of its children.
#[derive(Debug, Serialize)]
pub(super) struct Resident {
    pub whole_kib: u64,
    /// Its own: heap and stacks.
    pub anonymous_kib: u64,
    /// Of its program, which the kernel can drop.
    pub files_kib: u64,
}

impl Resident {
    pub(super) fn of(id: u32) -> Result<Self> {
        Ok(Self {
            whole_kib: resident_kib(id)?,
            anonymous_kib: read(id, "status", "RssAnon:")?,
            files_kib: read(id, "status", "RssFile:")?,
        })
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole_kib, anonymous_kib, files_kib } = self;
        write!(out, "{whole_kib} KiB resident, {anonymous_kib} anonymous, {files_kib} of files")
    }
}

/// Resident memory of a process in kibibytes, without that of its children.
pub(super) fn resident_kib(id: u32) -> Result<u64> {
    read(id, "status", "VmRSS:")
}

/// The same with a page that several processes share counted in parts, so that a sum over processes counts it
/// once.
pub(super) fn proportional_kib(id: u32) -> Result<u64> {
    read(id, "smaps_rollup", "Pss:")
}

fn read(id: u32, file: &str, name: &str) -> Result<u64> {
    let file = format!("/proc/{id}/{file}");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    kib(&text, name).with_context(|| format!("{file} has no {name}"))
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_the_line_of_that_name() {
        let status = "Name:\tpicofaas\nVmHWM:\t   20000 kB\nVmRSS:\t   12345 kB\nRssAnon:\t 9 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(12_345));
        assert_eq!(kib(status, "RssAnon:"), Some(9));
        assert_eq!(kib("Name:\tpicofaas\n", "VmRSS:"), None);
        let rollup = "Rss:    5 kB\nPss:       4 kB\nPss_Dirty:   3 kB\n";
        assert_eq!(kib(rollup, "Pss:"), Some(4));
    }

    #[test]
    fn our_own_memory_is_found_and_shared_pages_make_it_no_larger() {
        let id = std::process::id();
        assert!(proportional_kib(id).unwrap() > 0);
        assert!(resident_kib(id).unwrap() >= proportional_kib(id).unwrap());
    }
}
