//! The folder with the runtime's modules, for an interpreter in which the package is not installed.
//!
//! They are written once for each user and version, and Python keeps them compiled beside the text: to
//! compile them at each start would take several times as long as to load them. The folder's name has
//! their digest, so that another version of this program has another folder. It is made under another
//! name and renamed, so that it is whole or not there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use rustix::rand::{GetRandomFlags, getrandom};

use super::modules::{DIGEST, PACKAGE, modules};
use crate::settings::SettingError;

/// The place of the package in images: with it there, nothing is written.
const INSTALLED: &str = "/usr/local/lib/picofaas";
/// Others have no say in what we run.
const MODE: u32 = 0o700;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The folder that has the package in it, made where it is not there; or why there is none.
pub(super) fn find(
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<Result<String, String>, SettingError> {
    if Path::new(INSTALLED).join(PACKAGE).is_dir() {
        return Ok(Ok(INSTALLED.to_owned()));
    }
    let mut faults = Vec::new();
    for folder in candidates(variable)? {
        match made(&folder) {
            Ok(()) => return Ok(Ok(folder.to_string_lossy().into_owned())),
            Err(fault) => faults.push(format!("{}: {fault}", folder.display())),
        }
    }
    Ok(Err(faults.join("; ")))
}

/// In the order of preference: the user's cache, and a folder of the user's own among the temporary ones.
fn candidates(
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<Vec<PathBuf>, SettingError> {
    let folder = |base: PathBuf| base.join(format!("python-{DIGEST:016x}"));
    let caches = match (variable("XDG_CACHE_HOME")?, variable("HOME")?) {
        (Some(cache), _) => Some(PathBuf::from(cache)),
        (None, home) => home.map(|home| Path::new(&home).join(".cache")),
    };
    let temporary = variable("TMPDIR")?.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let cache = caches.filter(|cache| cache.is_absolute()).map(|cache| cache.join("picofaas"));
    let temporary = temporary.join(format!("picofaas-{}", geteuid().as_raw()));
    Ok(cache.into_iter().chain([temporary]).map(folder).collect())
}

/// Makes it if it is not there.
fn made(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().expect("a folder in another one");
    if let Some(grandparent) = parent.parent() {
        fs::create_dir_all(grandparent)?;
    }
    match DirBuilder::new().mode(MODE).create(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => is_ours(parent)?,
    }
    if fs::symlink_metadata(folder).is_ok() {
        return is_ours(folder).and_then(|()| mend(&folder.join(PACKAGE)));
    }
    let new = parent.join(unused_name()?);
    let written = write(&new).and_then(|()| fs::rename(&new, folder));
    if written.is_err() {
        // Where it cannot be removed either, what is left is in nobody's way.
        let _ = fs::remove_dir_all(&new);
    }
    // Another start may have been the first.
    if is_ours(folder).is_ok() { Ok(()) } else { written }
}

/// A name that nobody else has. The number of a process would not do: containers that share a folder have
/// the same ones.
fn unused_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(format!(".python-{:016x}", u64::from_ne_bytes(random)))
}

fn write(new: &Path) -> io::Result<()> {
    let package = new.join(PACKAGE);
    DirBuilder::new().mode(MODE).recursive(true).create(&package)?;
    modules().iter().try_for_each(|(name, text)| fs::write(package.join(name), text))
}

/// Writes the modules that are not there as they were written: something that clears old files away may have
/// taken them, and a machine that lost its power leaves empty ones.
fn mend(package: &Path) -> io::Result<()> {
    let is_whole = |name: &str, text: &str| {
        fs::symlink_metadata(package.join(name)).is_ok_and(|file| file.len() == text.len() as u64)
    };
    for (name, text) in modules().iter().filter(|(name, text)| !is_whole(name, text)) {
        DirBuilder::new().mode(MODE).recursive(true).create(package)?;
        let new = package.join(unused_name()?);
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, package.join(name)));
        if written.is_err() {
            // Where it cannot be removed either, what is left is in nobody's way.
            let _ = fs::remove_file(&new);
            return written;
        }
    }
    Ok(())
}

/// Refuses a folder in which somebody else may have written what we would run.
fn is_ours(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    let is_safe = metadata.is_dir()
        && metadata.uid() == geteuid().as_raw()
        && metadata.mode() & WRITABLE_BY_OTHERS == 0;
    if is_safe {
        return Ok(());
    }
    let message = format!("{} is no folder that this user alone may write to", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn found(variables: &[(&str, &Path)]) -> Result<String, String> {
        find(|name| {
            let value = variables.iter().find(|(known, _)| *known == name);
            Ok(value.map(|(_, value)| value.to_str().unwrap().to_owned()))
        })
        .unwrap()
    }

    #[test]
    fn the_modules_are_written_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("not/there/yet");
        let variables = [("XDG_CACHE_HOME", cache.as_path())];
        let first = PathBuf::from(found(&variables).unwrap());
        assert!(first.starts_with(&cache), "{}", first.display());
        for (name, text) in modules() {
            assert_eq!(fs::read_to_string(first.join(PACKAGE).join(name)).unwrap(), *text, "{name}");
        }
        let kept = fs::metadata(first.join(PACKAGE)).unwrap().ino();
        assert_eq!(PathBuf::from(found(&variables).unwrap()), first);
        assert_eq!(fs::metadata(first.join(PACKAGE)).unwrap().ino(), kept);
        let beside: Vec<_> = fs::read_dir(first.parent().unwrap()).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
    }

    #[test]
    fn modules_that_something_took_away_or_left_empty_are_there_again_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("XDG_CACHE_HOME", folder.path())];
        let made = PathBuf::from(found(&variables).unwrap());
        let package = made.join(PACKAGE);
        // As something that clears old files away does it, and a machine that lost its power.
        fs::remove_file(package.join("worker.py")).unwrap();
        fs::write(package.join("wire.py"), "").unwrap();
        assert_eq!(PathBuf::from(found(&variables).unwrap()), made);
        fs::remove_dir_all(&package).unwrap();
        assert_eq!(PathBuf::from(found(&variables).unwrap()), made);
        for (name, text) in modules() {
            assert_eq!(fs::read_to_string(package.join(name)).unwrap(), *text, "{name}");
        }
        assert_eq!(fs::read_dir(&package).unwrap().count(), modules().len());
    }

    #[test]
    fn starts_at_once_share_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let starts: Vec<_> = (0..2)
            .map(|_| {
                let cache = folder.path().to_owned();
                std::thread::spawn(move || found(&[("XDG_CACHE_HOME", &cache)]).unwrap())
            })
            .collect();
        let folders: Vec<String> = starts.into_iter().map(|start| start.join().unwrap()).collect();
        assert_eq!(folders[0], folders[1]);
        assert!(Path::new(&folders[0]).join(PACKAGE).join("__init__.py").is_file());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_passed_over_for_one_of_our_own_or_told() {
        let folder = tempfile::tempdir().unwrap();
        let (home, temporary) = (folder.path().join("home"), folder.path().join("tmp"));
        let theirs = home.join(".cache/picofaas");
        fs::create_dir_all(&theirs).unwrap();
        fs::create_dir(&temporary).unwrap();
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
        let variables = [("HOME", home.as_path()), ("TMPDIR", temporary.as_path())];
        let chosen = found(&variables).unwrap();
        assert!(Path::new(&chosen).starts_with(&temporary), "{chosen}");

        fs::remove_dir_all(&temporary).unwrap();
        fs::write(&temporary, "no folder").unwrap();
        let fault = found(&variables).unwrap_err();
        assert!(fault.contains("this user alone may write to"), "{fault}");
        assert!(fault.contains(temporary.to_str().unwrap()), "{fault}");
    }
}
