//! A scan of the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{Content, source_paths};
use crate::instances::local::values::LocalValues;
use crate::spec::{FunctionSpec, ManifestError, load_dir};

/// Changes since the scan before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    /// Perhaps everything.
    Everything,
    /// Something at these absolute paths.
    Paths(BTreeSet<PathBuf>),
}

impl Touched {
    /// Whether something at or below this absolute path changed.
    #[must_use]
    pub(crate) fn below(&self, folder: &Path) -> bool {
        match self {
            Touched::Everything => true,
            Touched::Paths(paths) => paths.iter().any(|path| path.starts_with(folder)),
        }
    }
}

/// A function that a manifest of the scan defines.
#[derive(Debug, Clone)]
pub(crate) struct ScannedFunction {
    /// The file, as a person would name it from here.
    pub manifest: PathBuf,
    /// Its specification.
    pub spec: FunctionSpec,
    /// Content of the files beside it.
    pub content: Arc<Content>,
    /// Digest of the values of its references.
    pub values: u64,
}

/// Findings of one scan.
#[derive(Debug)]
pub(crate) struct Scan {
    /// By name.
    pub functions: BTreeMap<String, ScannedFunction>,
    /// Manifests that cannot be read.
    pub faults: Vec<ManifestError>,
    /// Documents of a file that was named that are no functions, each as a line.
    pub passed_over: Vec<String>,
    /// Absolute paths of the folders in which a change can matter.
    pub folders: BTreeSet<PathBuf>,
}

/// Folder and content of each function in the scan before, by name.
pub(crate) type PreviousScan = BTreeMap<String, (Option<PathBuf>, Arc<Content>)>;

/// Scans every manifest below `root`, which may itself be one, and reads again the source
/// files of the functions that something changed for. References are looked up in `values`.
#[must_use]
pub(crate) fn scan(root: &Path, before: &PreviousScan, touched: &Touched, values: &LocalValues) -> Scan {
    let loaded = load_dir(root);
    let defining = loaded.functions.iter().map(|(path, _)| path.as_path());
    let manifests: BTreeSet<PathBuf> =
        defining.chain(loaded.errors.iter().map(path_of)).map(absolute).collect();
    let top = if root.is_file() { folder_of(root) } else { absolute(root) };
    let mut folders: BTreeSet<PathBuf> = source_paths(&top).folders.into_iter().collect();
    let mut functions = BTreeMap::new();
    for (manifest, spec) in loaded.functions {
        let folder = folder_of(&manifest);
        if !folders.contains(&folder) {
            // A manifest can lie in a folder that `.gitignore` names.
            folders.extend(source_paths(&folder).folders);
        }
        let build = spec.local.as_ref().map_or(&[][..], |local| &local.build);
        let name = spec.name.to_string();
        let known = before.get(&name).filter(|(directory, content)| {
            *directory == spec.directory && content.is_built_by(build) && !touched.below(&folder)
        });
        let content = match known {
            Some((_, content)) => content.clone(),
            None => Arc::new(Content::read(&folder, build, &manifests)),
        };
        let values = values.digest(&spec);
        functions.insert(name, ScannedFunction { manifest, spec, content, values });
    }
    Scan { functions, faults: loaded.errors, passed_over: loaded.passed_over, folders }
}

/// The file or folder that a fault is of.
fn path_of(fault: &ManifestError) -> &Path {
    match fault {
        ManifestError::Read { path, .. }
        | ManifestError::TooLarge { path }
        | ManifestError::Syntax { path, .. }
        | ManifestError::Fields { path, .. }
        | ManifestError::DuplicateName { second: path, .. } => path,
    }
}

/// Whether a fault is of this manifest, or of a folder above it.
#[must_use]
pub(crate) fn is_of(fault: &ManifestError, manifest: &Path) -> bool {
    manifest.starts_with(path_of(fault))
}

/// As the system's notifications name it.
pub(crate) fn absolute(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn folder_of(file: &Path) -> PathBuf {
    let file = absolute(file);
    file.parent().map_or_else(|| file.clone(), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MANIFEST: &str =
        "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: NAME}\nspec: {image: i}\n";

    fn project(root: &Path, name: &str) {
        fs::create_dir_all(root.join(name).join("src")).unwrap();
        fs::write(root.join(name).join("function.yaml"), MANIFEST.replace("NAME", name)).unwrap();
        fs::write(root.join(name).join("src/main.py"), "1").unwrap();
    }

    fn before(scan: &Scan) -> PreviousScan {
        let entry = |(name, found): (&String, &ScannedFunction)| {
            (name.clone(), (found.spec.directory.clone(), found.content.clone()))
        };
        scan.functions.iter().map(entry).collect()
    }

    #[test]
    fn only_the_function_that_something_changed_for_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        project(root, "one");
        project(root, "two");
        let first = scan(root, &PreviousScan::new(), &Touched::Everything, &LocalValues::default());
        fs::write(root.join("one/src/main.py"), "2").unwrap();
        fs::write(root.join("two/src/main.py"), "2").unwrap();
        let touched = Touched::Paths(BTreeSet::from([root.join("one/src/main.py")]));
        let second = scan(root, &before(&first), &touched, &LocalValues::default());
        assert_ne!(second.functions["one"].content, first.functions["one"].content);
        assert!(Arc::ptr_eq(&second.functions["two"].content, &first.functions["two"].content));
    }

    #[test]
    fn folders_of_sources_are_watched_and_those_of_tools_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        project(root, "one");
        fs::create_dir_all(root.join("one/target/release")).unwrap();
        let folders = scan(root, &PreviousScan::new(), &Touched::Everything, &LocalValues::default()).folders;
        let expected = [root.to_owned(), root.join("one"), root.join("one/src")];
        assert_eq!(folders.into_iter().collect::<Vec<_>>(), expected);
    }
}
