//! The folder of the instances' sockets.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::id::Entropy;

/// The folder of the instances' sockets; removed on drop where it was made for this process, so
/// that a start that fails leaves nothing behind either.
pub(crate) struct SocketFolder {
    pub(super) path: PathBuf,
    own: bool,
}

impl SocketFolder {
    /// The folder that was given, or one under the temporary folder; short enough for a socket's
    /// path.
    ///
    /// # Errors
    /// It cannot be made, or is too long.
    pub(super) fn make(given: Option<&Path>) -> anyhow::Result<Self> {
        let (path, own) = match given {
            Some(folder) => (folder.to_owned(), false),
            None => {
                // A name that nobody can have taken before, and a folder that nobody else may enter.
                let name = format!("picofaas-{}-{:08x}", std::process::id(), Entropy::new().u64() as u32);
                (std::env::temp_dir().join(name), true)
            }
        };
        // Entering it is all that calling an instance needs. A folder that is there already is as its owner made it.
        let made = std::fs::DirBuilder::new().mode(0o700).recursive(!own).create(&path);
        made.with_context(|| format!("--state-dir {}: cannot be made", path.display()))?;
        let mut folder = Self { path, own };
        folder.path = std::fs::canonicalize(&folder.path)?;
        /// A socket's path has at most 107 bytes, its file name here at most 40.
        const FOLDER_BYTES_MAX: usize = 66;
        if folder.path.as_os_str().len() > FOLDER_BYTES_MAX {
            return Err(anyhow!(
                "--state-dir {}: is longer than {FOLDER_BYTES_MAX} bytes, which the path of a Unix socket does not allow",
                folder.path.display()
            ));
        }
        Ok(folder)
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        if self.own {
            // Left behind, it is a folder of dead sockets under the temporary one.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_of_sockets_that_is_made_is_nobody_elses_and_one_that_was_given_stays_as_it_is() {
        let own = SocketFolder::make(None).unwrap();
        assert_eq!(mode(&own.path), 0o700);
        let outer = own.path.join("outer");
        let made = SocketFolder::make(Some(&outer.join("inner"))).unwrap();
        assert_eq!((mode(&made.path), mode(&outer)), (0o700, 0o700));
        std::fs::set_permissions(&outer, std::fs::Permissions::from_mode(0o750)).unwrap();
        let given = SocketFolder::make(Some(&outer)).unwrap();
        assert_eq!(mode(&given.path), 0o750);
    }
}
