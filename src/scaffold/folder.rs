//! A new folder that is there whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Files are written beside the place of the folder, and come there in one step.
#[derive(Debug)]
pub(super) struct NewFolder {
    place: PathBuf,
    draft: PathBuf,
}

impl NewFolder {
    /// For a folder at `place`, which must be empty or not there.
    ///
    /// # Errors
    /// Where it is neither, or nothing can be written beside it.
    pub(super) fn beside(place: &Path) -> anyhow::Result<Self> {
        match fs::symlink_metadata(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", place.display())),
            Ok(metadata) if !metadata.is_dir() => bail!(taken(place)),
            Ok(_) => {
                let mut entries =
                    fs::read_dir(place).with_context(|| format!("{}: cannot be read", place.display()))?;
                if entries.next().is_some() {
                    bail!(taken(place));
                }
            }
        }
        Self::over(place)
    }

    /// For a folder whose entries replace those of their names at `place`.
    ///
    /// # Errors
    /// Where a file or a link is there, or nothing can be written beside it.
    pub(super) fn over(place: &Path) -> anyhow::Result<Self> {
        if fs::symlink_metadata(place).is_ok_and(|metadata| !metadata.is_dir()) {
            bail!("{}: is no folder, but a file or a link; take it away", place.display());
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // Hidden, so that `picofaas dev` on the folder around it does not see it come and go.
        let draft = place.with_file_name(format!(".{name}.{}.new", std::process::id()));
        fs::create_dir(&draft).with_context(|| format!("{}: cannot be made", draft.display()))?;
        Ok(Self { place: place.to_owned(), draft })
    }

    /// Writes a file, and the folders that it is in. A script may be run.
    ///
    /// # Errors
    /// With the path.
    pub(super) fn write(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        let path = self.draft.join(path);
        let mode = if text.starts_with("#!/") { 0o777 } else { 0o666 };
        let written = || -> io::Result<()> {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())
        };
        written().with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// Where something has come there meanwhile.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        // Over an empty folder too; over anything else it fails.
        fs::rename(&self.draft, &self.place)
            .with_context(|| format!("{}: the new folder cannot be put there", self.place.display()))
    }

    /// Puts each file and folder in it in place of the one of that name, one after the other.
    ///
    /// # Errors
    /// Where one cannot be removed or put there. To do it again is the remedy.
    pub(super) fn replace(self) -> anyhow::Result<()> {
        let each = || -> io::Result<()> {
            fs::create_dir_all(&self.place)?;
            for entry in fs::read_dir(&self.draft)? {
                let entry = entry?;
                let place = self.place.join(entry.file_name());
                match fs::symlink_metadata(&place) {
                    Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&place)?,
                    Ok(_) => fs::remove_file(&place)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                fs::rename(entry.path(), place)?;
            }
            Ok(())
        };
        each()
            .with_context(|| format!("{}: cannot be replaced as a whole; do it again", self.place.display()))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Beside the error that led here, on standard error; where that is closed, nobody reads.
                let _ = writeln!(io::stderr(), "{}: cannot be removed: {error}", self.draft.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn taken(place: &Path) -> String {
    format!(
        "{}: is there already and is not an empty folder; take another name, another --dir, or move it away",
        place.display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_comes_whole_also_where_an_empty_one_was() {
        let root = tempfile::tempdir().unwrap();
        for made_before in [false, true] {
            let place = root.path().join(format!("greet-{made_before}"));
            if made_before {
                fs::create_dir(&place).unwrap();
            }
            let mut new = NewFolder::beside(&place).unwrap();
            new.write(Path::new("a/b.txt"), "b").unwrap();
            new.write(Path::new("run.sh"), "#!/bin/sh\n").unwrap();
            assert!(!place.join("a").exists());
            new.finish().unwrap();
            assert_eq!(names(&place), ["a", "run.sh"]);
            let mode = |file: &str| fs::metadata(place.join(file)).unwrap().permissions().mode() & 0o100;
            assert_eq!((mode("run.sh"), mode("a/b.txt")), (0o100, 0));
        }
        assert_eq!(names(root.path()), ["greet-false", "greet-true"]);
    }

    #[test]
    fn what_is_there_is_refused_and_untouched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("full")).unwrap();
        fs::write(root.join("full/.hidden"), "kept").unwrap();
        fs::write(root.join("file"), "kept").unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        std::os::unix::fs::symlink("empty", root.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dead")).unwrap();
        let before = names(root);
        for name in ["full", "file", "link", "dead"] {
            let refused = NewFolder::beside(&root.join(name)).unwrap_err().to_string();
            assert!(refused.contains("is there already and is not an empty folder"), "{refused}");
        }
        assert_eq!(names(root), before);
        assert_eq!(fs::read_to_string(root.join("full/.hidden")).unwrap(), "kept");
    }

    #[test]
    fn what_is_replaced_is_replaced_as_a_whole_and_the_rest_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("vendor");
        for file in ["ours/old", "theirs/kept", "file"] {
            fs::create_dir_all(place.join(file).parent().unwrap()).unwrap();
            fs::write(place.join(file), "old").unwrap();
        }
        for _ in 0..2 {
            let mut new = NewFolder::over(&place).unwrap();
            for file in ["ours/new", "file", "more"] {
                new.write(Path::new(file), "new").unwrap();
            }
            new.replace().unwrap();
            assert_eq!(names(root.path()), ["vendor"]);
            assert_eq!(names(&place), ["file", "more", "ours", "theirs"]);
            assert_eq!(names(&place.join("ours")), ["new"]);
            assert_eq!(fs::read_to_string(place.join("theirs/kept")).unwrap(), "old");
            assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "new");
        }
    }

    #[test]
    fn nothing_is_left_of_a_folder_that_was_not_finished() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("greet");
        let mut new = NewFolder::beside(&place).unwrap();
        new.write(Path::new("a/b.txt"), "b").unwrap();
        // A file where a folder would have to be.
        assert!(new.write(Path::new("a/b.txt/c.txt"), "c").is_err());
        drop(new);
        assert_eq!(names(root.path()), [""; 0]);
        // Somebody else was faster.
        let mut new = NewFolder::beside(&place).unwrap();
        new.write(Path::new("mine"), "").unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(place.join("theirs"), "").unwrap();
        let refused = new.finish().unwrap_err().to_string();
        assert!(refused.contains("cannot be put there"), "{refused}");
        assert_eq!((names(root.path()), names(&place)), (vec!["greet".into()], vec!["theirs".into()]));
    }
}
