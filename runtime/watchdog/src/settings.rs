//! What the environment says about the program behind the watchdog, checked before anything
//! is started. What it says about serving is read by the runtime.

use thiserror::Error;

use crate::form::{InputForm, OutputForm};
use crate::http::Endpoint;
use crate::words;

/// The watchdog's settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    pub(crate) input: InputForm,
    pub(crate) output: OutputForm,
}

/// How the program is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A process for each request.
    Stdio,
    /// An HTTP server, asked at this endpoint.
    Http(Endpoint),
}

/// An environment that does not say clearly what to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SettingError {
    #[error("{0} is not set: give {1}")]
    Missing(&'static str, &'static str),
    #[error("{name} is `{value}`, which is unknown: give {known}")]
    Unknown { name: &'static str, value: String, known: &'static str },
    #[error("{name} is `{value}`: give {rule}")]
    Value { name: &'static str, value: String, rule: &'static str },
    #[error("WATCHDOG_CMD is `{value}`, which is no command: {fault}")]
    Command { value: String, fault: String },
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
}

const MODE: &str = "WATCHDOG_MODE";
const MODES: &str = "http or stdio";
const COMMAND: &str = "WATCHDOG_CMD";
const COMMANDS: &str = "the program and its arguments, as words of a shell or as a JSON array";

impl Settings {
    /// Reads the environment of the process.
    pub(crate) fn from_env() -> Result<Self, SettingError> {
        Self::read(|name| match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| SettingError::NotText(name)),
        })
    }

    /// Reads the settings from variables; an empty one counts as absent.
    fn read(
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Self, SettingError> {
        let variable = |name| Ok(variable(name)?.filter(|value: &String| !value.is_empty()));
        let unknown =
            |name, value: &str, known| SettingError::Unknown { name, value: value.to_owned(), known };
        let mode = match variable(MODE)?.as_deref() {
            None => return Err(SettingError::Missing(MODE, MODES)),
            Some("http") => Mode::Http(Endpoint::read(variable)?),
            Some("stdio") => Mode::Stdio,
            Some(other) => return Err(unknown(MODE, other, MODES)),
        };
        let input = match variable("WATCHDOG_INPUT")?.as_deref() {
            None | Some("input") => InputForm::Input,
            Some("envelope") => InputForm::Envelope,
            Some(other) => return Err(unknown("WATCHDOG_INPUT", other, "input or envelope")),
        };
        let output = match variable("WATCHDOG_OUTPUT")?.as_deref() {
            None | Some("json") => OutputForm::Json,
            Some("text") => OutputForm::Text,
            Some(other) => return Err(unknown("WATCHDOG_OUTPUT", other, "json or text")),
        };
        let value = variable(COMMAND)?.ok_or(SettingError::Missing(COMMAND, COMMANDS))?;
        let command = words::split(&value).map_err(|fault| SettingError::Command { value, fault })?;
        Ok(Self { mode, command, input, output })
    }
}
