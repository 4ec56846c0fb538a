//! The choice of an interpreter.

use std::path::Path;

use crate::named_command::CommandSource;
use crate::settings::SettingError;

/// The variable that names the interpreter, whatever else there is.
const NAMED: &str = "PICOFAAS_PYTHON";
/// The variable by which a shell says which virtual environment is in force.
const ENVIRONMENT: &str = "VIRTUAL_ENV";
/// The virtual environment that many functions have in their folder.
const OWN_ENVIRONMENT: &str = ".venv";
/// The interpreter in a virtual environment.
const IN_ENVIRONMENT: &str = "bin/python3";
const ANY: &str = "python3";

/// An interpreter of Python.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// Path, or a name that is looked up in `PATH`.
    pub(super) file: String,
    pub(super) source: CommandSource,
}

impl Interpreter {
    /// The one that is named, or that of the virtual environment that is in force or in `folder`, or any.
    /// A virtual environment counts where it is there, also where its interpreter is gone: another one
    /// would lack the function's packages.
    pub(super) fn choose(
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
        folder: &Path,
    ) -> Result<Self, SettingError> {
        if let Some(file) = variable(NAMED)? {
            return Ok(Self { file, source: CommandSource::NamedPython });
        }
        if let Some(environment) = variable(ENVIRONMENT)? {
            let file = text(&Path::new(&environment).join(IN_ENVIRONMENT))?;
            return Ok(Self { file, source: CommandSource::VirtualEnvironment });
        }
        let own = folder.join(OWN_ENVIRONMENT);
        if own.exists() {
            let file = own.join(IN_ENVIRONMENT);
            let file = std::path::absolute(&file).unwrap_or(file);
            return Ok(Self { file: text(&file)?, source: CommandSource::OwnEnvironment });
        }
        Ok(Self { file: ANY.to_owned(), source: CommandSource::Path })
    }
}

fn text(file: &Path) -> Result<String, SettingError> {
    match file.to_str() {
        Some(file) => Ok(file.to_owned()),
        None => Err(SettingError::PathNotText(file.to_string_lossy().into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], folder: &Path) -> (String, CommandSource) {
        let variable = |name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let Interpreter { file, source } = Interpreter::choose(variable, folder).unwrap();
        (file, source)
    }

    #[test]
    fn the_one_that_is_named_is_before_the_environment_in_force_and_that_before_the_folders_own() {
        let folder = tempfile::tempdir().unwrap();
        let named = ("PICOFAAS_PYTHON", "/opt/python");
        let in_force = ("VIRTUAL_ENV", "/opt/venv");
        assert_eq!(chosen(&[], folder.path()), ("python3".to_owned(), CommandSource::Path));
        std::fs::create_dir(folder.path().join(".venv")).unwrap();
        let own = folder.path().join(".venv/bin/python3").to_str().unwrap().to_owned();
        assert_eq!(chosen(&[], folder.path()), (own, CommandSource::OwnEnvironment));
        assert_eq!(
            chosen(&[in_force], folder.path()),
            ("/opt/venv/bin/python3".to_owned(), CommandSource::VirtualEnvironment)
        );
        assert_eq!(
            chosen(&[in_force, named], folder.path()),
            ("/opt/python".to_owned(), CommandSource::NamedPython)
        );
    }
}
