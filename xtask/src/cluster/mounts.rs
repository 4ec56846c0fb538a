//! Mounts of the kernel, as `/proc/self/mountinfo` tells.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{UnmountFlags, unmount};

struct Mount {
    place: PathBuf,
    kind: String,
}

/// The folder of each hierarchy of cgroups: one for version 2, one per controller for version 1, both on a
/// hybrid.
pub(super) fn hierarchies() -> Result<Vec<Hierarchy>> {
    let of_cgroups = |mount: Mount| match mount.kind.as_str() {
        "cgroup" => Some(Hierarchy { place: mount.place, is_version_2: false }),
        "cgroup2" => Some(Hierarchy { place: mount.place, is_version_2: true }),
        _ => None,
    };
    Ok(mounts()?.into_iter().filter_map(of_cgroups).collect())
}

pub(super) struct Hierarchy {
    pub place: PathBuf,
    pub is_version_2: bool,
}

/// Unmounts everything below a folder, what was mounted last first.
pub(super) fn unmount_below(folder: &Path) -> Result<()> {
    for mount in mounts()?.into_iter().rev().filter(|mount| mount.place.starts_with(folder)) {
        // A mount that is still in use is taken out of sight, and goes when its use ends.
        if unmount(&mount.place, UnmountFlags::empty()).is_err() {
            unmount(&mount.place, UnmountFlags::DETACH)
                .with_context(|| format!("cannot unmount {}", mount.place.display()))?;
        }
    }
    match mounts()?.into_iter().find(|mount| mount.place.starts_with(folder)) {
        None => Ok(()),
        Some(mount) => bail!("{} is still mounted", mount.place.display()),
    }
}

fn mounts() -> Result<Vec<Mount>> {
    let lines = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(lines.lines().filter_map(parse).collect())
}

/// `36 35 98:0 /root /place options optional… - kind source options`
fn parse(line: &str) -> Option<Mount> {
    let (of_place, of_kind) = line.split_once(" - ")?;
    Some(Mount {
        place: PathBuf::from(unescape(of_place.split(' ').nth(4)?)),
        kind: of_kind.split(' ').next()?.to_owned(),
    })
}

/// A space is written as `\040`.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => plain.extend([char::from(byte)].into_iter().chain(part[3..].chars())),
            None => plain.extend(['\\'].into_iter().chain(part.chars())),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_taken_apart() {
        let line = r"41 29 0:36 / /sys/fs/a\040b rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let mount = parse(line).unwrap();
        assert_eq!(mount.place, Path::new("/sys/fs/a b"));
        assert_eq!(mount.kind, "cgroup");
        assert!(hierarchies().unwrap().iter().all(|hierarchy| hierarchy.place.is_dir()));
    }
}
