//! The owner of a folder of groups, told by its name, so that folders of dead processes can be removed.

use std::fs;
use std::path::{Path, PathBuf};

/// Prefix of our folders' names.
const PREFIX: &str = "picofaas-";
/// Depth to which the folder of a dead process is searched.
const DEPTH_MAX: u32 = 4;

/// Identifies a process over all that ever ran here: its number is used again, its number with its
/// start is not. The namespace of process numbers is in it, because the number of a process in
/// another one says nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    namespace: String,
    pid: u32,
    start: String,
}

impl Owner {
    /// This process.
    #[must_use]
    pub(crate) fn ours() -> Self {
        let pid = std::process::id();
        Self { namespace: namespace(), pid, start: start_of(pid).unwrap_or_default() }
    }

    /// The name of a folder of this owner; `more` tells several of one process apart.
    #[must_use]
    pub(crate) fn folder(&self, more: &str) -> String {
        format!("{PREFIX}{}-{}-{}{more}", self.namespace, self.pid, self.start)
    }

    fn of(folder: &str) -> Option<Self> {
        let mut parts = folder.strip_prefix(PREFIX)?.split('-');
        let (namespace, pid, start) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { namespace: namespace.to_owned(), pid: pid.parse().ok()?, start: start.to_owned() })
    }

    /// Whether the process is known to be gone.
    fn is_dead(&self) -> bool {
        self.namespace == namespace() && start_of(self.pid).is_none_or(|start| start != self.start)
    }
}

/// The folders in `own` whose process is gone.
#[must_use]
pub(crate) fn leftovers(own: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(own).into_iter().flatten().flatten();
    let dead =
        entries.filter(|entry| entry.file_name().to_str().and_then(Owner::of).is_some_and(|o| o.is_dead()));
    dead.map(|entry| entry.path()).collect()
}

/// The folder and every folder below it, the deepest first.
#[must_use]
pub(crate) fn deepest_first(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
        if depth < DEPTH_MAX {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    walk(&entry.path(), depth + 1, found);
                }
            }
        }
        found.push(folder.to_owned());
    }
    let mut found = Vec::new();
    walk(folder, 0, &mut found);
    found
}

fn namespace() -> String {
    // `pid:[4026531836]`
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// Start time of a process (ticks since boot); `None` where there is no such process.
fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; after it comes the state, the third field.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folders_of_dead_processes_of_our_own_namespace_are_leftovers() {
        let own = tempfile::tempdir().unwrap();
        let ours = Owner::ours();
        let dead = Owner { start: "1".to_owned(), ..ours.clone() };
        let foreign = Owner { namespace: "1".to_owned(), ..dead.clone() };
        for owner in [&ours, &dead, &foreign] {
            fs::create_dir(own.path().join(owner.folder("-1"))).unwrap();
        }
        for other in ["picofaas-", "picofaas-x-y-z", "somebody-else"] {
            fs::create_dir(own.path().join(other)).unwrap();
        }
        assert!(!ours.start.is_empty() && !ours.namespace.is_empty());
        assert_eq!(leftovers(own.path()), [own.path().join(dead.folder("-1"))]);
    }
}
