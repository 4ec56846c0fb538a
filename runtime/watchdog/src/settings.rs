//! The settings of the watchdog from the command line and the environment, checked before anything is
//! started. Settings of serving are read by the runtime.

use thiserror::Error;

use crate::arguments::Arguments;
use crate::command_line;
use crate::format::{InputFormat, OutputFormat};
use crate::http::Endpoint;
use crate::limits::WORKERS_MAX;
use crate::named_command::{CommandSource, NamedCommand};
use crate::python::{self, PythonProgram};

/// The watchdog's settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) command: NamedCommand,
    pub(crate) input: InputFormat,
    pub(crate) output: OutputFormat,
    /// Processes in the modes `worker` and `python`; a JOB and a standby have one.
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
    /// The same with the Python runtime as the program. A web application in Python is served by [`Self::Http`].
    Python,
}

/// A command line or an environment that does not say clearly what to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SettingError {
    #[error("WATCHDOG_MODE is not set: give it, or the first argument, as {MODES}")]
    NoMode,
    #[error(
        "WATCHDOG_CMD is not set: give the program and its arguments in it, as words of a shell or as a JSON array, \
         or behind `--`"
    )]
    NoProgram,
    #[error("the argument `{0}` is no mode: give {MODES}, or none and WATCHDOG_MODE")]
    UnknownMode(String),
    #[error("the argument `{0}` is unknown: there are a mode ({MODES}), and `--` with the program behind it")]
    Option(String),
    #[error("the argument `{0}` is one too many: give the program and its arguments behind `--`")]
    Positional(String),
    #[error(
        "there is no program behind `--`: give one with its arguments, or leave `--` out and set WATCHDOG_CMD"
    )]
    NoCommand,
    #[error("the argument `{0}` is not valid UTF-8")]
    ArgumentNotText(String),
    #[error("{variable} is `{value}`, and the command line says `{argument}`: leave one of them out")]
    Twice { variable: &'static str, value: String, argument: String },
    #[error(
        "the mode python has the Python runtime as its program, and {place} says `{value}`: leave it out. HANDLER says \
         which function is served, as module:function"
    )]
    Brought { place: &'static str, value: String },
    #[error("the path {0} is not valid UTF-8")]
    PathNotText(String),
    #[error("{name} is `{value}`, which is unknown: give {known}")]
    Unknown { name: &'static str, value: String, known: &'static str },
    #[error("{name} is `{value}`: give {rule}")]
    Value { name: &'static str, value: String, rule: &'static str },
    #[error("WATCHDOG_CMD is `{value}`, which is no command: {fault}")]
    Command { value: String, fault: String },
    #[error("{name} is `{value}`, which is for the modes http and stdio: leave it out")]
    OtherMode { name: &'static str, value: String },
    #[error("PICOFAAS_WORKERS is `{0}`: give a number of processes from 1 to {WORKERS_MAX}")]
    Workers(String),
    #[error(
        "PICOFAAS_WORKERS is `{0}`, and a web application in Python has one process, which takes many requests at once: \
         leave it out, and have more instances"
    )]
    OneServer(usize),
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
}

const MODE: &str = "WATCHDOG_MODE";
pub(crate) const MODES: &str = "http, python, stdio or worker";
const COMMAND: &str = "WATCHDOG_CMD";
const INPUT: &str = "WATCHDOG_INPUT";
const OUTPUT: &str = "WATCHDOG_OUTPUT";

impl Mode {
    /// The mode of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "http" => Some(Self::Http),
            "python" => Some(Self::Python),
            "stdio" => Some(Self::Stdio),
            "worker" => Some(Self::Worker),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Python => "python",
            Self::Stdio => "stdio",
            Self::Worker => "worker",
        }
    }
}

impl Settings {
    /// Reads the environment of the process, for what the command line leaves open.
    pub(crate) fn from_env(arguments: Arguments) -> Result<Self, SettingError> {
        Self::read(arguments, |name| match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| SettingError::NotText(name)),
        })
    }

    /// Reads the settings from variables; an empty one counts as absent.
    fn read(
        arguments: Arguments,
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Self, SettingError> {
        let variable = |name| Ok(variable(name)?.filter(|value: &String| !value.is_empty()));
        let mode = mode(arguments.mode, variable)?;
        let named = named_command(arguments.command, variable)?;
        let python = PythonProgram::of_handler(variable("HANDLER")?.as_deref());
        let command = match (mode, named) {
            (Mode::Python, None) => python::command(python, variable)?,
            (Mode::Python, Some(named)) => return Err(brought(&named)),
            (Mode::Http | Mode::Stdio | Mode::Worker, named) => named.ok_or(SettingError::NoProgram)?,
        };
        let is_web = mode == Mode::Python && python == PythonProgram::Web;
        let mode = if is_web { Mode::Http } else { mode };
        let (input, output) = formats(mode, variable)?;
        let workers = match variable("PICOFAAS_WORKERS")? {
            None => 1,
            Some(value) => match value.parse() {
                Ok(workers @ 2..) if is_web => return Err(SettingError::OneServer(workers)),
                Ok(workers) if (1..=WORKERS_MAX).contains(&workers) => workers,
                Ok(_) | Err(_) => return Err(SettingError::Workers(value)),
            },
        };
        let endpoint = if mode == Mode::Http { Endpoint::read(variable)? } else { Endpoint::default() };
        // One request is all that a JOB and a standby have. Whether the second is said well the runtime will see.
        let has_one = variable("EXECUTION_MODE")?.as_deref() == Some("JOB")
            || variable("PICOFAAS_STANDBY")?.as_deref() == Some("1");
        let workers = if has_one { 1 } else { workers };
        Ok(Self { mode, command, input, output, workers, endpoint })
    }
}

/// The mode, of the command line or of the environment.
fn mode(
    argument: Option<Mode>,
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<Mode, SettingError> {
    let Some(value) = variable(MODE)? else { return argument.ok_or(SettingError::NoMode) };
    let mode = Mode::named(&value).ok_or_else(|| unknown(MODE, &value, MODES))?;
    match argument {
        Some(other) if other != mode => {
            Err(SettingError::Twice { variable: MODE, value, argument: other.name().to_owned() })
        }
        Some(_) | None => Ok(mode),
    }
}

/// The command, of the command line or of the environment.
fn named_command(
    argument: Option<Vec<String>>,
    variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
) -> Result<Option<NamedCommand>, SettingError> {
    let Some(value) = variable(COMMAND)? else {
        return Ok(argument.map(|words| NamedCommand { words, source: CommandSource::Arguments }));
    };
    match argument {
        Some(words) => {
            Err(SettingError::Twice { variable: COMMAND, value, argument: format!("-- {}", words.join(" ")) })
        }
        None => match command_line::split(&value) {
            Ok(words) => Ok(Some(NamedCommand { words, source: CommandSource::Variable })),
            Err(fault) => Err(SettingError::Command { value, fault }),
        },
    }
}

/// The refusal of a program in a mode that has its own.
fn brought(named: &NamedCommand) -> SettingError {
    let place =
        if named.source == CommandSource::Variable { COMMAND } else { "the command line behind `--`" };
    SettingError::Brought { place, value: named.words.join(" ") }
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
    if matches!(mode, Mode::Worker | Mode::Python) {
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

    fn read(
        mode: Option<&str>,
        command: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Settings, SettingError> {
        let words = command.iter().map(|word| (*word).to_owned()).collect();
        let arguments = Arguments {
            mode: mode.map(|name| Mode::named(name).unwrap()),
            command: (!command.is_empty()).then_some(words),
        };
        Settings::read(arguments, |name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn mode_and_command_are_of_the_command_line_or_of_the_environment() {
        let variables = [("WATCHDOG_MODE", "stdio"), ("WATCHDOG_CMD", "wc -w")];
        for (mode, command, variables, source) in [
            (None, &[][..], &variables[..], CommandSource::Variable),
            (Some("stdio"), &[], &variables, CommandSource::Variable),
            (Some("stdio"), &[], &variables[1..], CommandSource::Variable),
            (None, &["wc", "-w"], &variables[..1], CommandSource::Arguments),
            (Some("stdio"), &["wc", "-w"], &[("WATCHDOG_CMD", "")], CommandSource::Arguments),
        ] {
            let settings = read(mode, command, variables).unwrap();
            assert_eq!(settings.mode, Mode::Stdio);
            let words = vec!["wc".to_owned(), "-w".to_owned()];
            assert_eq!(settings.command, NamedCommand { words, source });
        }
        assert_eq!(read(None, &["wc"], &[]).unwrap_err(), SettingError::NoMode);
        assert_eq!(read(Some("stdio"), &[], &[]).unwrap_err(), SettingError::NoProgram);
    }

    #[test]
    fn a_command_line_and_an_environment_that_say_different_things_are_refused_with_both() {
        for (mode, command, variable, said) in [
            (
                Some("stdio"),
                &["cat"][..],
                ("WATCHDOG_MODE", "http"),
                "WATCHDOG_MODE is `http`, and the command line says `stdio`",
            ),
            (
                Some("stdio"),
                &["cat"],
                ("WATCHDOG_CMD", "wc"),
                "WATCHDOG_CMD is `wc`, and the command line says `-- cat`",
            ),
            (Some("python"), &["cat"], ("HANDLER", "a:b"), "the command line behind `--` says `cat`"),
            (Some("python"), &[], ("WATCHDOG_CMD", "wc -w"), "WATCHDOG_CMD says `wc -w`"),
            (
                Some("python"),
                &[],
                ("WATCHDOG_INPUT", "envelope"),
                "WATCHDOG_INPUT is `envelope`, which is for the modes http",
            ),
        ] {
            let message = read(mode, command, &[variable]).unwrap_err().to_string();
            assert!(message.contains(said) && message.contains("leave"), "{message}");
        }
    }

    #[test]
    fn a_job_and_a_standby_have_one_worker() {
        let many = [("PICOFAAS_WORKERS", "8"), ("EXECUTION_MODE", "WARM")];
        assert_eq!(read(Some("worker"), &["x"], &many).unwrap().workers, 8);
        let job = [("PICOFAAS_WORKERS", "8"), ("EXECUTION_MODE", "JOB")];
        assert_eq!(read(Some("worker"), &["x"], &job).unwrap().workers, 1);
        let standby = [many[0], ("PICOFAAS_STANDBY", "1")];
        assert_eq!(read(Some("worker"), &["x"], &standby).unwrap().workers, 1);
    }
}
