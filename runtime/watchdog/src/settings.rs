//! The settings of the watchdog from the environment, checked before anything is started. Settings
//! of serving are read by the runtime.

use thiserror::Error;

use crate::command_line;
use crate::format::{InputFormat, OutputFormat};
use crate::http::Endpoint;
use crate::limits::WORKERS_MAX;

/// The watchdog's settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    pub(crate) input: InputFormat,
    pub(crate) output: OutputFormat,
    /// Processes in the mode `worker`; a JOB has one.
    pub(crate) workers: usize,
    /// Port and paths of the server in the mode `http`; else the defaults.
    pub(crate) endpoint: Endpoint,
}

/// The way in which the program is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A process for each request.
    Stdio,
    /// An HTTP server.
    Http,
    /// Processes that take one request after the other.
    Worker,
}

/// The decisions of a runtime that brings its own command.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) mode: Mode,
    pub(crate) command: Vec<String>,
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
    #[error("{name} is `{value}`, which is decided here: leave it out")]
    Decided { name: &'static str, value: String },
    #[error("{name} is `{value}`, which is for the modes http and stdio: leave it out")]
    OtherMode { name: &'static str, value: String },
    #[error("PICOFAAS_WORKERS is `{0}`: give a number of processes from 1 to {WORKERS_MAX}")]
    Workers(String),
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
}

const MODE: &str = "WATCHDOG_MODE";
const MODES: &str = "http, stdio or worker";
const COMMAND: &str = "WATCHDOG_CMD";
const INPUT: &str = "WATCHDOG_INPUT";
const OUTPUT: &str = "WATCHDOG_OUTPUT";
const COMMANDS: &str = "the program and its arguments, as words of a shell or as a JSON array";

impl Settings {
    /// Reads the environment of the process.
    pub(crate) fn from_env(preset: Option<Preset>) -> Result<Self, SettingError> {
        Self::read(preset, |name| match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| SettingError::NotText(name)),
        })
    }

    /// Reads the settings from variables; an empty one counts as absent.
    fn read(
        preset: Option<Preset>,
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Self, SettingError> {
        let variable = |name| Ok(variable(name)?.filter(|value: &String| !value.is_empty()));
        let (mode, command) = mode_and_command(preset, variable)?;
        let (input, output) = formats(mode, variable)?;
        let workers = match variable("PICOFAAS_WORKERS")? {
            None => 1,
            Some(value) => match value.parse() {
                Ok(workers) if (1..=WORKERS_MAX).contains(&workers) => workers,
                Ok(_) | Err(_) => return Err(SettingError::Workers(value)),
            },
        };
        let endpoint = if mode == Mode::Http { Endpoint::read(variable)? } else { Endpoint::default() };
        // One request is all that a JOB has.
        let is_job = variable("EXECUTION_MODE")?.as_deref() == Some("JOB");
        let workers = if is_job { 1 } else { workers };
        Ok(Self { mode, command, input, output, workers, endpoint })
    }
}

/// The mode and the command, both from variables or both from a preset that no variable contradicts.
fn mode_and_command(
    preset: Option<Preset>,
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<(Mode, Vec<String>), SettingError> {
    let mode = match variable(MODE)?.as_deref() {
        None => None,
        Some("http") => Some(Mode::Http),
        Some("stdio") => Some(Mode::Stdio),
        Some("worker") => Some(Mode::Worker),
        Some(other) => return Err(unknown(MODE, other, MODES)),
    };
    let command = match variable(COMMAND)? {
        None => None,
        Some(value) => match command_line::split(&value) {
            Ok(command) => Some(command),
            Err(fault) => return Err(SettingError::Command { value, fault }),
        },
    };
    let Some(preset) = preset else {
        let mode = mode.ok_or(SettingError::Missing(MODE, MODES))?;
        return Ok((mode, command.ok_or(SettingError::Missing(COMMAND, COMMANDS))?));
    };
    let decided = |name| match variable(name)? {
        Some(value) => Err(SettingError::Decided { name, value }),
        None => Ok(()),
    };
    if mode.is_some_and(|mode| mode != preset.mode) {
        decided(MODE)?;
    }
    if command.is_some_and(|command| command != preset.command) {
        decided(COMMAND)?;
    }
    Ok((preset.mode, preset.command))
}

/// The formats of input and output; the mode `worker` has no choice of them.
fn formats(
    mode: Mode,
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<(InputFormat, OutputFormat), SettingError> {
    let input = match variable(INPUT)?.as_deref() {
        None | Some("input") => InputFormat::Input,
        Some("envelope") => InputFormat::Envelope,
        Some(other) => return Err(unknown(INPUT, other, "input or envelope")),
    };
    let output = match variable(OUTPUT)?.as_deref() {
        None | Some("json") => OutputFormat::Json,
        Some("text") => OutputFormat::Text,
        Some(other) => return Err(unknown(OUTPUT, other, "json or text")),
    };
    if mode == Mode::Worker {
        for name in [INPUT, OUTPUT] {
            if let Some(value) = variable(name)? {
                return Err(SettingError::OtherMode { name, value });
            }
        }
    }
    Ok((input, output))
}

fn unknown(name: &'static str, value: &str, known: &'static str) -> SettingError {
    SettingError::Unknown { name, value: value.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(preset: Option<&[&str]>, variables: &[(&str, &str)]) -> Result<Settings, SettingError> {
        let preset = preset.map(|words| Preset {
            mode: Mode::Worker,
            command: words.iter().map(|word| (*word).to_owned()).collect(),
        });
        Settings::read(preset, |name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn a_runtime_that_brings_its_command_lets_nobody_change_it() {
        let brought = Some(&["python3", "-m", "x"][..]);
        for variables in [
            &[][..],
            &[("WATCHDOG_MODE", "worker"), ("WATCHDOG_CMD", "python3 -m x")],
            &[("WATCHDOG_CMD", "")],
        ] {
            let settings = read(brought, variables).unwrap();
            assert_eq!(
                (settings.mode, settings.command),
                (Mode::Worker, vec!["python3".into(), "-m".into(), "x".into()])
            );
        }
        for (name, value) in [("WATCHDOG_MODE", "stdio"), ("WATCHDOG_CMD", "python3 -m y")] {
            let refused = read(brought, &[(name, value)]).unwrap_err();
            assert_eq!(refused, SettingError::Decided { name, value: value.to_owned() });
        }
    }

    #[test]
    fn a_job_has_one_worker() {
        let many = [("PICOFAAS_WORKERS", "8"), ("EXECUTION_MODE", "WARM")];
        assert_eq!(read(Some(&["x"]), &many).unwrap().workers, 8);
        let job = [("PICOFAAS_WORKERS", "8"), ("EXECUTION_MODE", "JOB")];
        assert_eq!(read(Some(&["x"]), &job).unwrap().workers, 1);
    }
}
