//! A command, and the place that names its program, for the messages about it.

use std::fmt;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedCommand {
    /// At least one word, the program.
    pub(crate) words: Vec<String>,
    pub(crate) source: CommandSource,
}

/// The place that names a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandSource {
    /// The variable `WATCHDOG_CMD`.
    Variable,
    /// The words behind `--`.
    Arguments,
    /// The variable `PICOFAAS_PYTHON`.
    NamedPython,
    /// The virtual environment that is in force, `VIRTUAL_ENV`.
    VirtualEnvironment,
    /// The virtual environment of the function's folder.
    OwnEnvironment,
    /// `PATH`, for want of anything else.
    Path,
}

impl CommandSource {
    /// The remedy where no folder of `PATH` has the program.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Variable | Self::Arguments => "give its path, or install it",
            Self::NamedPython => "give the path of an interpreter, or leave the variable out",
            Self::VirtualEnvironment | Self::OwnEnvironment | Self::Path => {
                "install Python 3.10 or later, or name an interpreter by PICOFAAS_PYTHON"
            }
        }
    }
}

impl fmt::Display for CommandSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Variable => "WATCHDOG_CMD",
            Self::Arguments => "the command line",
            Self::NamedPython => "PICOFAAS_PYTHON",
            Self::VirtualEnvironment => "VIRTUAL_ENV",
            Self::OwnEnvironment => "the environment .venv of this folder",
            Self::Path => "the mode python",
        })
    }
}
