//! The command line of the watchdog: `[MODE] [-- COMMAND ARGS…]`.

use std::ffi::OsString;

use crate::settings::{Mode, SettingError};

/// The words of a command line that say how to run which program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) mode: Option<Mode>,
    /// The program and its arguments, at least one word.
    pub(crate) command: Option<Vec<String>>,
}

/// The order of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Serve(Arguments),
    /// Tell how it is called.
    Help,
}

impl Arguments {
    /// Reads the words behind the name of the program.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Order, SettingError> {
        let mut words = words.into_iter();
        let mut mode = None;
        while let Some(word) = words.next() {
            let word = text(word)?;
            match word.as_str() {
                "--" => {
                    let command = words.map(text).collect::<Result<Vec<_>, _>>()?;
                    return Ok(Order::Serve(Self { mode, command: Some(checked(command)?) }));
                }
                "-h" | "--help" => return Ok(Order::Help),
                option if option.starts_with('-') => return Err(SettingError::Option(word)),
                _ if mode.is_some() => return Err(SettingError::Positional(word)),
                name => mode = Some(Mode::named(name).ok_or(SettingError::UnknownMode(word))?),
            }
        }
        Ok(Order::Serve(Self { mode, command: None }))
    }
}

fn text(word: OsString) -> Result<String, SettingError> {
    word.into_string().map_err(|word| SettingError::ArgumentNotText(word.to_string_lossy().into_owned()))
}

fn checked(command: Vec<String>) -> Result<Vec<String>, SettingError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(SettingError::NoCommand);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Order, SettingError> {
        Arguments::read(words.iter().map(OsString::from))
    }

    #[test]
    fn a_mode_and_a_command_are_read_and_what_is_behind_the_dashes_is_the_programs_own() {
        let serve = |mode, command: Option<&[&str]>| {
            let command = command.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            Ok(Order::Serve(Arguments { mode, command }))
        };
        assert_eq!(read(&[]), serve(None, None));
        assert_eq!(read(&["python"]), serve(Some(Mode::Python), None));
        assert_eq!(read(&["--", "cat"]), serve(None, Some(&["cat"])));
        assert_eq!(
            read(&["stdio", "--", "sh", "-c", "--help", "--", ""]),
            serve(Some(Mode::Stdio), Some(&["sh", "-c", "--help", "--", ""]))
        );
        assert_eq!(read(&["--help"]), Ok(Order::Help));
        assert_eq!(read(&["stdio", "-h"]), Ok(Order::Help));
    }

    #[test]
    fn a_command_line_that_is_not_clear_is_refused_by_the_word() {
        assert_eq!(read(&["cgi"]), Err(SettingError::UnknownMode("cgi".to_owned())));
        assert_eq!(read(&["--mode"]), Err(SettingError::Option("--mode".to_owned())));
        assert_eq!(read(&["stdio", "cat"]), Err(SettingError::Positional("cat".to_owned())));
        for nothing in [&["stdio", "--"][..], &["--", ""]] {
            assert_eq!(read(nothing), Err(SettingError::NoCommand));
        }
    }
}
