//! The program of a child.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::environment::Variable;

/// The `PATH` of an environment without one.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The interpreter of an executable file that names none, as a shell has it.
const SHELL: &str = "/bin/sh";

/// A file, its arguments, environment and folder.
#[derive(Debug)]
pub struct Program {
    pub(crate) file: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<Variable>,
    pub(crate) directory: Option<CString>,
}

impl Program {
    /// The program of a name, with a slash a path and without one looked up in the `PATH` of its
    /// environment, started in `directory` or where we are.
    ///
    /// # Errors
    /// If there is none, or a text has a zero byte.
    pub fn new(
        name: &Path,
        arguments: &[String],
        environment: BTreeMap<OsString, OsString>,
        directory: Option<&Path>,
    ) -> io::Result<Self> {
        let file = find(name, environment.get(OsStr::new("PATH")).map(OsString::as_os_str), directory)?;
        let mut all = vec![text(name.as_os_str())?];
        for argument in arguments {
            all.push(text(OsStr::new(argument))?);
        }
        let variable = |(name, value): (OsString, OsString)| Variable::new(&name, &value);
        Ok(Self {
            file: text(file.as_os_str())?,
            arguments: all,
            environment: environment.into_iter().map(variable).collect::<io::Result<_>>()?,
            directory: directory.map(|directory| text(directory.as_os_str())).transpose()?,
        })
    }

    /// The file that is executed.
    #[must_use]
    pub fn file(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.file.as_bytes()))
    }

    /// The same program through a shell.
    pub(crate) fn in_a_shell(&self) -> io::Result<Self> {
        let mut arguments = vec![text(OsStr::new(SHELL))?, self.file.clone()];
        arguments.extend_from_slice(&self.arguments[1..]);
        Ok(Self {
            file: text(OsStr::new(SHELL))?,
            arguments,
            environment: self.environment.clone(),
            directory: self.directory.clone(),
        })
    }
}

pub(crate) fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|error| {
        let text = error.into_vec();
        let message = format!("{} has a zero byte", OsString::from_vec(text).display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

/// Finds the program of a name.
fn find(name: &Path, path: Option<&OsStr>, directory: Option<&Path>) -> io::Result<PathBuf> {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    let directory = directory.unwrap_or(Path::new(""));
    let candidates = std::env::split_paths(path).map(|folder| directory.join(folder).join(name));
    let mut found = candidates.filter(|file| file.is_file());
    let runs = |file: &PathBuf| rustix::fs::access(file, Access::EXEC_OK).is_ok();
    match found.next() {
        Some(first) if runs(&first) => Ok(first),
        // A file that is there and may not be run explains more than that nothing was found.
        Some(first) => Ok(found.find(runs).unwrap_or(first)),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("it is in no folder of PATH ({})", path.display()),
        )),
    }
}
