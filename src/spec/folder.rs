//! Finding and loading all manifests below a folder.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestOrigin, claims_to_be_ours, read_manifest};
use super::{FunctionName, FunctionSpec, ManifestError};

/// Folders that hold what tools put there. Hidden ones are passed over as well.
const PASSED_OVER: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// Endings of the names of manifests, as `kubectl apply` takes them.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Functions and faults of a folder of manifests.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Every function with the file that defines it, in the order of the files.
    pub functions: Vec<(PathBuf, FunctionSpec)>,
    /// Files that could not be read. The other files still count.
    pub errors: Vec<ManifestError>,
    /// Documents of a file that was named that are no functions, each as a line.
    pub passed_over: Vec<String>,
    /// The folders that were looked through.
    pub folders: Vec<PathBuf>,
}

impl Loaded {
    /// A line that says that a folder has no manifest at all, where that is so.
    #[must_use]
    pub(crate) fn nothing_in(&self, dir: &Path) -> Option<String> {
        let is_nothing = self.functions.is_empty() && self.errors.is_empty() && self.passed_over.is_empty();
        is_nothing.then(|| {
            format!(
                "{}: has no manifest of a function, nor has a folder in it; `picofaas new NAME --lang LANGUAGE` \
                 makes a function with one",
                dir.display()
            )
        })
    }
}

/// Reads every manifest below `dir`, or `dir` itself if it is a file.
#[must_use]
pub(crate) fn load_dir(dir: &Path) -> Loaded {
    let origin = if dir.is_file() { ManifestOrigin::Named } else { ManifestOrigin::Found };
    let (paths, folders, errors) = walk(dir);
    let mut loaded = Loaded { folders, errors, ..Loaded::default() };
    let mut defined: HashMap<FunctionName, PathBuf> = HashMap::new();
    for path in paths {
        let functions = match load(&path, origin) {
            Ok(Manifest { functions, passed_over }) => {
                loaded.passed_over.extend(passed_over);
                functions
            }
            Err(error) => {
                loaded.errors.push(error);
                continue;
            }
        };
        for function in functions {
            let name = function.name.clone();
            if let Some(first) = defined.get(&name).cloned() {
                loaded.errors.push(ManifestError::DuplicateName { name, first, second: path.clone() });
            } else {
                defined.insert(name, path.clone());
                loaded.functions.push((path.clone(), function));
            }
        }
    }
    loaded
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> ManifestError {
    move |source| ManifestError::Read { path: path.to_owned(), source }
}

/// Reads one file. One that is too long or not UTF-8 disturbs only if it claims to be ours, or was named.
fn load(path: &Path, origin: ManifestOrigin) -> Result<Manifest, ManifestError> {
    let file = File::open(path).map_err(read_error(path))?;
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(read_error(path))?;
    if bytes.len() > MANIFEST_BYTES_MAX {
        let ours = origin == ManifestOrigin::Named || claims_to_be_ours(&String::from_utf8_lossy(&bytes));
        let too_large = ManifestError::TooLarge { path: path.to_owned() };
        return if ours { Err(too_large) } else { Ok(Manifest::default()) };
    }
    match String::from_utf8(bytes) {
        Ok(text) => read_manifest(path, &text, origin),
        Err(error)
            if origin == ManifestOrigin::Named
                || claims_to_be_ours(&String::from_utf8_lossy(error.as_bytes())) =>
        {
            Err(read_error(path)(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))
        }
        Err(_) => Ok(Manifest::default()),
    }
}

/// Every `*.yaml`, `*.yml` and `*.json` below `dir`, sorted, or `dir` itself if it is a file; the folders that
/// were looked through; and a [`ManifestError::Read`] for each folder that cannot be listed.
///
/// `target`, `node_modules`, `__pycache__` and hidden folders are passed over. A link to a folder is not
/// followed, so there are no circles; a link to a file is, because mounted ConfigMaps consist of them.
fn walk(dir: &Path) -> (Vec<PathBuf>, Vec<PathBuf>, Vec<ManifestError>) {
    if dir.is_file() {
        return (vec![dir.to_owned()], Vec::new(), Vec::new());
    }
    let (mut found, mut folders, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        if let Err(source) = list(&folder, &mut found, &mut waiting) {
            errors.push(ManifestError::Read { path: folder.clone(), source });
        }
        folders.push(folder);
    }
    found.sort();
    (found, folders, errors)
}

fn list(folder: &Path, found: &mut Vec<PathBuf>, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if !hidden && !PASSED_OVER.iter().any(|passed_over| name == *passed_over) {
                waiting.push(path);
            }
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            // A link that leads nowhere stays in, so that reading it says so.
            let linked_folder = kind.is_symlink() && path.is_dir();
            if kind.is_file() || (kind.is_symlink() && !linked_folder) {
                found.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str) -> String {
        format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec: {{image: i}}\n"
        )
    }

    fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn relative(root: &Path, paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
        let shorten = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        paths.into_iter().map(shorten).collect()
    }

    #[test]
    fn manifests_are_found_in_order_and_never_in_the_folders_of_tools() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for path in ["b.yaml", "a/z.yml", "a/function.yaml", "a/notes.txt", ".hidden.yaml", "deep/er/x.yaml"]
        {
            write(root, path, "");
        }
        for folder in ["target", "node_modules", "__pycache__", ".git", ".venv", "a/target"] {
            write(root, &format!("{folder}/x.yaml"), manifest("lost"));
        }
        std::os::unix::fs::symlink(root, root.join("a/circle.yaml")).unwrap();
        std::os::unix::fs::symlink(root.join("b.yaml"), root.join("a/link.yaml")).unwrap();
        let (found, mut folders, errors) = walk(root);
        assert!(errors.is_empty(), "{errors:?}");
        folders.sort();
        assert_eq!(relative(root, folders), ["", "a", "deep", "deep/er"]);
        assert_eq!(
            relative(root, found),
            [".hidden.yaml", "a/function.yaml", "a/link.yaml", "a/z.yml", "b.yaml", "deep/er/x.yaml"]
        );
    }

    #[test]
    fn a_file_given_instead_of_a_folder_is_the_one_manifest() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "f.yaml", manifest("one"));
        let path = root.path().join("f.yaml");
        let (found, _, errors) = walk(&path);
        assert_eq!(found, std::slice::from_ref(&path));
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(load_dir(&path).functions.len(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_its_name() {
        let (_, _, errors) = walk(Path::new("no-such-folder"));
        let error = errors[0].to_string();
        assert!(error.starts_with("no-such-folder: cannot be read: "), "{error}");
        assert_eq!(load_dir(Path::new("no-such-folder")).errors.len(), 1);
    }

    #[test]
    fn one_bad_file_does_not_hide_the_good_ones() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "a/function.yaml", manifest("alpha"));
        write(root, "b/function.yaml", manifest("Beta"));
        write(root, "c/function.yaml", manifest("gamma"));
        write(root, "latin1.yaml", b"name: caf\xe9\n");
        write(root, "ours-latin1.yaml", [manifest("delta").as_bytes(), b"# caf\xe9\n"].concat());
        write(root, "big.yaml", format!("x: {}\n", "y".repeat(MANIFEST_BYTES_MAX)));
        write(root, "ours-big.yaml", manifest("huge") + &"#".repeat(MANIFEST_BYTES_MAX));
        std::os::unix::fs::symlink(root.join("nowhere"), root.join("lost.yaml")).unwrap();
        let loaded = load_dir(root);
        let (paths, functions): (Vec<_>, Vec<_>) = loaded.functions.into_iter().unzip();
        assert_eq!(relative(root, paths), ["a/function.yaml", "c/function.yaml"]);
        assert_eq!(functions[0].directory.as_deref(), Some(root.join("a").as_path()));
        let errors: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(errors[0].contains("b/function.yaml:3: metadata.name: must be 1 to 40"), "{errors:?}");
        assert!(errors[1].contains("lost.yaml: cannot be read"), "{errors:?}");
        assert!(errors[2].contains("ours-big.yaml: must not be longer than 1048576 bytes"), "{errors:?}");
        assert!(errors[3].contains("ours-latin1.yaml: cannot be read: it is not UTF-8"), "{errors:?}");
    }

    #[test]
    fn two_files_that_define_one_function_are_both_named() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "a.yaml", manifest("same"));
        write(root, "b.yaml", manifest("same"));
        let loaded = load_dir(root);
        assert_eq!(relative(root, loaded.functions.into_iter().map(|(path, _)| path)), ["a.yaml"]);
        let error = loaded.errors[0].to_string();
        assert_eq!(loaded.errors.len(), 1);
        assert!(error.contains("b.yaml: defines the function same") && error.contains("a.yaml"), "{error}");
    }
}
