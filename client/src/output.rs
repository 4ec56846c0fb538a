//! Standard output: formats, colours, and a reader that leaves.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::client_error::ClientError;
use crate::json_text::indented;
use crate::ordered_value::OrderedValue;

/// How something is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Columns for people
    #[default]
    Table,
    /// The table with more columns
    Wide,
    /// JSON; a function as a manifest
    Json,
    /// YAML; a function as a manifest
    Yaml,
    /// A line `function/NAME` or `execution/ID` each
    Name,
}

/// A colour of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// All is well.
    Green,
    /// Look at it.
    Yellow,
    /// Something is wrong.
    Red,
}

/// Whether a stream is shown in colours: on a terminal, unless `NO_COLOR` is set.
pub(crate) fn is_coloured(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !refused
}

impl Colour {
    /// The text in the colour.
    pub(crate) fn paint(self, text: &str) -> String {
        let number = match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
        };
        format!("\u{1b}[{number}m{text}\u{1b}[0m")
    }
}

/// Writes to standard output at once.
///
/// # Errors
/// Nobody reads any more, or it cannot be written.
pub(crate) fn write(bytes: impl AsRef<[u8]>) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes.as_ref()).and_then(|()| out.flush()).map_err(|error| {
        let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
        if is_closed { ClientError::OutputClosed } else { ClientError::Output(error) }
    })
}

/// Says something to the person on standard error.
pub(crate) fn say(line: &str) {
    // Where standard error is closed or full, there is nobody to tell it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// A JSON text on several lines.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_json(json: &str) -> Result<(), ClientError> {
    write(indented(json) + "\n")
}

/// A value as JSON on several lines, in the order of its fields.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_value_as_json(value: &OrderedValue) -> Result<(), ClientError> {
    let json = serde_json::to_string(value).map_err(|error| ClientError::Output(error.into()))?;
    write_json(&json)
}

/// A value as YAML, in the order of its fields.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_value_as_yaml(value: &OrderedValue) -> Result<(), ClientError> {
    let yaml = serde_saphyr::to_string(value)
        .map_err(|error| ClientError::Output(io::Error::other(error.to_string())))?;
    write(yaml)
}
