//! Values of flags that are not on the command line: variables come before a file, and that before the default.
//!
//! | file | holds |
//! |---|---|
//! | `variables` | variables of the environment, and which of them are no flag's |
//! | `config_file` | the file that `--config` names |

mod config_file;
mod variables;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use config_file::ConfigFile;
use variables::Variables;

/// The flag that names a file of values. A command takes values from elsewhere where it has this flag.
const CONFIG: &str = "config";

/// A command line that was understood.
#[derive(Debug)]
pub struct Understood {
    /// The command, with the values of its flags.
    pub cli: Cli,
    /// Lines about probable mistakes in the environment, to be told once.
    pub warnings: Vec<String>,
}

/// Understands a command line, beside the variables of the environment.
///
/// # Errors
/// To be shown as it is. It names where a value comes from.
pub fn understand(
    words: &[OsString],
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Understood, clap::Error> {
    let mut command = Cli::command();
    let matches = match command.try_get_matches_from_mut(words) {
        // A value that is missing may come from elsewhere.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
            let matches = command.clone().ignore_errors(true).try_get_matches_from(words)?;
            let named = matches.subcommand().and_then(|(name, _)| command.find_subcommand(name));
            if !named.is_some_and(takes_values) {
                return Err(error);
            }
            matches
        }
        other => other?,
    };
    let flags: Vec<&str> =
        command.get_subcommands().filter(|it| takes_values(it)).flat_map(flags_of).collect();
    let Some((name, given)) =
        matches.subcommand().filter(|(name, _)| command.find_subcommand(name).is_some_and(takes_values))
    else {
        return Ok(Understood { cli: Cli::from_arg_matches(&matches)?, warnings: Vec::new() });
    };
    let variables = Variables::of(environment);
    let added = Added { root: &command, name, given, variables: &variables }.words(&flags)?;
    let warnings = variables.unknown(&flags);
    // The command is the first word, as no flag comes before it.
    let words = words.iter().take(2).cloned().chain(added).chain(words.iter().skip(2).cloned());
    let matches = Cli::command().try_get_matches_from(words)?;
    Ok(Understood { cli: Cli::from_arg_matches(&matches)?, warnings })
}

fn takes_values(command: &Command) -> bool {
    flags_of(command).any(|flag| flag == CONFIG)
}

/// The long names of a command's flags.
fn flags_of(command: &Command) -> impl Iterator<Item = &str> {
    let given = command.get_arguments().filter(|flag| !is_builtin(flag));
    given.filter_map(Arg::get_long)
}

fn is_builtin(flag: &Arg) -> bool {
    matches!(
        flag.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    )
}

/// A value from elsewhere, and where that is.
pub(super) struct FlagValue {
    /// In the words of an error.
    origin: String,
    /// One text; several of a flag that may be repeated; `true` or `false` of a switch.
    texts: Vec<OsString>,
}

/// The command line of one command, to which values are added.
struct Added<'a> {
    root: &'a Command,
    name: &'a str,
    given: &'a ArgMatches,
    variables: &'a Variables,
}

impl Added<'_> {
    /// The words that have the values of flags that were not given. `known` are the flags of all commands.
    fn words(&self, known: &[&str]) -> Result<Vec<OsString>, clap::Error> {
        let Some(command) = self.root.find_subcommand(self.name) else { return Ok(Vec::new()) };
        let mut words = Vec::new();
        let flags = command.get_arguments().filter(|flag| !is_builtin(flag));
        let flags: Vec<(&str, &Arg)> = flags.filter_map(|flag| Some((flag.get_long()?, flag))).collect();
        let by_variable = self.variables.value(CONFIG, &ArgAction::Set).transpose();
        let by_variable = by_variable.map_err(|message| self.refuse(message))?;
        let named = match (self.given.get_one::<PathBuf>(CONFIG), &by_variable) {
            (Some(path), _) => Some((path.as_os_str(), "--config")),
            (None, Some(value)) => value.texts.first().map(|path| (path.as_os_str(), value.origin.as_str())),
            (None, None) => None,
        };
        let file = match named {
            Some((path, origin)) => {
                let read = ConfigFile::read(path.as_ref(), origin, known);
                read.map_err(|message| self.refuse(message))?
            }
            None => ConfigFile::default(),
        };
        for (name, flag) in flags {
            let is_given = self.given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
            // The folder of `dev` is an argument, and no flag; it is always followed.
            let is_of_serve = ["functions", "watch"].contains(&name) && self.name == "dev";
            if is_given || is_of_serve {
                continue;
            }
            let action = flag.get_action();
            let value = self.variables.value(name, action).or_else(|| file.value(name, action));
            if let Some(value) = value.transpose().map_err(|message| self.refuse(message))? {
                words.extend(self.checked(name, action, &value)?);
            }
        }
        Ok(words)
    }

    /// The words of a value, which the flag takes.
    fn checked(
        &self,
        flag: &str,
        action: &ArgAction,
        value: &FlagValue,
    ) -> Result<Vec<OsString>, clap::Error> {
        let words: Vec<OsString> = if matches!(action, ArgAction::SetTrue) {
            let is_on = value.texts.first().is_some_and(|text| text == "true");
            is_on.then(|| word(flag, None)).into_iter().collect()
        } else {
            value.texts.iter().map(|text| word(flag, Some(text))).collect()
        };
        let alone = [OsStr::new("picofaas"), OsStr::new(self.name)].into_iter().map(OsStr::to_owned);
        match self.root.clone().try_get_matches_from(alone.chain(words.iter().cloned())) {
            Ok(_) => Ok(words),
            // A flag that it needs may have a value from elsewhere, too.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Ok(words),
            Err(error) => Err(self.refuse(format!("{}: {}", value.origin, in_short(&error)))),
        }
    }

    fn refuse(&self, message: String) -> clap::Error {
        let command = self.root.find_subcommand(self.name).unwrap_or(self.root);
        command.clone().error(ErrorKind::ValueValidation, message)
    }
}

fn word(flag: &str, value: Option<&OsString>) -> OsString {
    let mut word = OsString::from(format!("--{flag}"));
    if let Some(value) = value {
        word.push("=");
        word.push(value);
    }
    word
}

/// The first paragraph of an error, without the word that begins it.
fn in_short(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.strip_prefix("error: ").unwrap_or(paragraph).to_owned()
}
