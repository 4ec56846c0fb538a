//! Content of the source files of a function.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

/// Folders that hold what tools make. Hidden ones are passed over as well.
const MADE_BY_TOOLS: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// Files by which a folder says that tools made it: a cache, and Python's `venv`.
const TOOLS_SAY_SO: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];
/// Bytes of a file that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Paths below a folder that count as sources: not hidden, not in `.gitignore`, not made by tools.
#[derive(Debug, Default)]
pub(crate) struct SourcePaths {
    /// Folders, the first one included.
    pub folders: Vec<PathBuf>,
    /// Files and links.
    pub files: Vec<PathBuf>,
}

/// Walks a folder. What cannot be listed is left out; where it matters, reading the manifests
/// complains of it.
#[must_use]
pub(crate) fn source_paths(folder: &Path) -> SourcePaths {
    let made_by_tools = |entry: &ignore::DirEntry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        MADE_BY_TOOLS.iter().any(|tools| entry.file_name() == *tools)
            || (is_folder && TOOLS_SAY_SO.iter().any(|file| entry.path().join(file).exists()))
    };
    let walk = WalkBuilder::new(folder)
        // A project counts before its `git init`, too.
        .require_git(false)
        .filter_entry(move |entry| entry.depth() == 0 || !made_by_tools(entry))
        .build();
    let mut paths = SourcePaths::default();
    for entry in walk.flatten() {
        // The first one may be a link to a folder; further links are not followed.
        let is_root = entry.depth() == 0 && entry.path().is_dir();
        if is_root || entry.file_type().is_some_and(|kind| kind.is_dir()) {
            paths.folders.push(entry.into_path());
        } else {
            paths.files.push(entry.into_path());
        }
    }
    paths
}

/// State of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileState {
    /// Hash of its bytes and of whether it can be run.
    hash: u64,
    /// Its length.
    pub bytes: u64,
}

/// Content of the source files of one function, with the commands that build it.
///
/// Its hash is the standard library's, 64 bits wide: enough to notice a change, and where another
/// release of Rust computes another one, functions are built once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    files: BTreeMap<PathBuf, FileState>,
    build: Vec<Vec<String>>,
    digest: u64,
}

impl Content {
    /// Reads every file below `folder` that counts. Manifests do not: a change of one is a change
    /// of a specification, which needs no build.
    #[must_use]
    pub(crate) fn read(folder: &Path, build: &[Vec<String>], manifests: &BTreeSet<PathBuf>) -> Self {
        let mut files = BTreeMap::new();
        for path in source_paths(folder).files {
            if !manifests.contains(&path)
                && let Some(state) = state_of(&path)
            {
                files.insert(path, state);
            }
        }
        Self::of(files, build.to_owned())
    }

    fn of(files: BTreeMap<PathBuf, FileState>, build: Vec<Vec<String>>) -> Self {
        let mut hasher = DefaultHasher::new();
        (&files, &build).hash(&mut hasher);
        Self { files, build, digest: hasher.finish() }
    }

    /// The content with some of its files as they were before.
    #[must_use]
    pub(crate) fn with_former(&self, before: &Self, is_former: impl Fn(&Path) -> bool) -> Self {
        let now = self.files.iter().filter(|(path, _)| !is_former(path));
        let former = before.files.iter().filter(|(path, _)| is_former(path));
        Self::of(now.chain(former).map(|(path, state)| (path.clone(), *state)).collect(), self.build.clone())
    }

    /// The state of a file that counts.
    #[must_use]
    pub(crate) fn state(&self, path: &Path) -> Option<FileState> {
        self.files.get(path).copied()
    }

    /// The files that count.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// One number for all of it.
    #[must_use]
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The files that came, went or changed between two contents, but not `except`.
    #[must_use]
    pub(crate) fn changed_since(&self, before: &Self, except: Option<&Path>) -> Vec<PathBuf> {
        let paths: BTreeSet<&PathBuf> = self.files.keys().chain(before.files.keys()).collect();
        paths
            .into_iter()
            .filter(|path| self.files.get(*path) != before.files.get(*path) && except != Some(path.as_path()))
            .cloned()
            .collect()
    }

    /// Whether these commands build it.
    #[must_use]
    pub(crate) fn is_built_by(&self, build: &[Vec<String>]) -> bool {
        self.build == build
    }

    /// The commands that build it.
    #[must_use]
    pub(crate) fn build(&self) -> &[Vec<String>] {
        &self.build
    }
}

/// `None` for what has no content: a pipe, a socket, what has just been removed.
pub(super) fn state_of(path: &Path) -> Option<FileState> {
    beginning_of(path, u64::MAX)
}

/// The state that a file would have if it ended after so many bytes.
pub(crate) fn beginning_of(path: &Path, bytes_max: u64) -> Option<FileState> {
    let mut hasher = DefaultHasher::new();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link that leads nowhere yet.
        Err(_) => {
            fs::read_link(path).ok()?.hash(&mut hasher);
            return Some(FileState { hash: hasher.finish(), bytes: 0 });
        }
    };
    if !metadata.is_file() {
        return None;
    }
    (metadata.permissions().mode() & 0o111).hash(&mut hasher);
    if let Err(error) = hash_bytes(path, bytes_max, &mut hasher) {
        // The build will complain of it; that it can be read later counts as a change.
        error.kind().hash(&mut hasher);
    }
    Some(FileState { hash: hasher.finish(), bytes: metadata.len().min(bytes_max) })
}

fn hash_bytes(path: &Path, bytes_max: u64, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut file = File::open(path)?.take(bytes_max);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            length => hasher.write(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(root: &Path) -> Content {
        Content::read(root, &[], &BTreeSet::from([root.join("function.yaml")]))
    }

    #[test]
    fn only_what_a_person_writes_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "src/main.rs", "fn main() {}");
        write(root, ".gitignore", "*.log\n/made/\n");
        let before = read(root);
        for path in
            ["target/x", "node_modules/x", "a/__pycache__/x", ".git/x", "a.log", "made/x", "function.yaml"]
                .into_iter()
                .chain(["venv/pyvenv.cfg", "venv/x", "cache/deep/CACHEDIR.TAG", "cache/deep/x"])
        {
            write(root, path, "noise");
        }
        assert_eq!(read(root), before);
        write(root, "src/deep/other.rs", "");
        let now = read(root);
        assert_ne!(now.digest(), before.digest());
        assert_eq!(now.changed_since(&before, None), [root.join("src/deep/other.rs")]);
        assert!(now.changed_since(&before, Some(&root.join("src/deep/other.rs"))).is_empty());
    }

    #[test]
    fn a_link_to_a_folder_is_followed_where_it_is_the_one_that_was_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "real/src/main.rs", "");
        let link = root.join("link");
        std::os::unix::fs::symlink(root.join("real"), &link).unwrap();
        let found = source_paths(&link);
        assert_eq!(found.folders, [link.clone(), link.join("src")]);
        assert_eq!(found.files, [link.join("src/main.rs")]);
    }

    #[test]
    fn the_same_text_again_is_no_change_and_another_of_the_same_length_is() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "main.py", "print(1)");
        let before = read(root).digest();
        write(root, "main.py", "print(1)");
        assert_eq!(read(root).digest(), before);
        write(root, "main.py", "print(2)");
        assert_ne!(read(root).digest(), before);
    }

    #[test]
    fn a_pipe_or_a_dead_link_does_not_hold_anything_up() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
        assert!(pipe.success());
        std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
        assert_eq!(read(root).files.keys().collect::<Vec<_>>(), [&root.join("link")]);
    }

    #[test]
    fn another_build_command_is_another_content() {
        let root = tempfile::tempdir().unwrap();
        let build = |argument: &str| {
            Content::read(root.path(), &[vec!["make".to_owned(), argument.to_owned()]], &BTreeSet::new())
        };
        assert_ne!(build("a").digest(), build("b").digest());
        assert!(!build("a").is_built_by(build("b").build()));
    }
}
