//! Texts of `/proc`, `/sys` and cgroups, below a root that a test replaces by a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use picofaas_child::cgroup::group_for;

/// The files of the kernel.
#[derive(Clone, Debug)]
pub(super) struct KernelFiles {
    root: PathBuf,
}

impl KernelFiles {
    /// The ones of this machine.
    pub(super) fn here() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// A text without the white space around it; `None` where it cannot be read.
    pub(super) fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.path(path.as_ref())).ok()?;
        Some(text.trim().to_owned())
    }

    /// A file with one number, or with one that another word follows.
    pub(super) fn number<T: FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.split_whitespace().next()?.parse().ok()
    }

    /// Names in a folder, sorted by length and then by letters, so that `state10` comes after `state9`.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder.as_ref())).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
        names
    }

    /// The group of this process for a controller, and those above it as far as they are visible, the
    /// nearest first.
    pub(super) fn groups(&self, controller: &str) -> Vec<PathBuf> {
        let text = |path| self.text(path).unwrap_or_default();
        let own = group_for(controller, &text("/proc/self/cgroup"), &text("/proc/self/mountinfo"));
        let Some(own) = own else { return Vec::new() };
        let is_group = |folder: &&Path| self.path(&folder.join("cgroup.procs")).exists();
        own.ancestors().take_while(is_group).map(Path::to_owned).collect()
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine that has these files and no other. The folder goes when it is dropped.
    pub(in crate::doctor) fn machine(files: &[(&str, &str)]) -> (KernelFiles, tempfile::TempDir) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (KernelFiles { root: root.path().to_owned() }, root)
    }

    #[test]
    fn the_groups_of_a_process_are_those_from_its_own_up_to_the_one_that_is_mounted() {
        let (files, _root) = machine(&[
            ("/proc/self/cgroup", "0::/pods/one\n"),
            ("/proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("/sys/fs/cgroup/cgroup.procs", ""),
            ("/sys/fs/cgroup/pods/cgroup.procs", ""),
            ("/sys/fs/cgroup/pods/one/cgroup.procs", ""),
        ]);
        let groups = ["/sys/fs/cgroup/pods/one", "/sys/fs/cgroup/pods", "/sys/fs/cgroup"];
        assert_eq!(files.groups("cpu"), groups.map(PathBuf::from));
        assert_eq!(machine(&[]).0.groups("cpu"), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn a_text_is_read_without_the_white_space_around_it_and_names_in_their_order() {
        let (files, _root) =
            machine(&[("/a/b", " 12 34\n"), ("/n/state10", ""), ("/n/state9", ""), ("/n/state0", "")]);
        assert_eq!(files.text("/a/b").as_deref(), Some("12 34"));
        assert_eq!(files.number::<u64>("/a/b"), Some(12));
        assert_eq!((files.text("/a/c"), files.number::<u64>("/a/c")), (None, None));
        assert_eq!(files.names("/n"), ["state0", "state9", "state10"]);
    }
}
