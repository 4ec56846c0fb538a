//! Functions and executions as they are named on a command line: `function NAME`, `fn/NAME`, `executions`.

use std::fmt;
use std::str::FromStr;

use crate::client_error::ClientError;

/// Characters of an execution's id.
const ID_CHARS: usize = 40;

/// A kind of things that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceKind {
    /// Functions.
    Function,
    /// Executions.
    Execution,
}

impl ResourceKind {
    /// The word for one.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Execution => "execution",
        }
    }
}

impl FromStr for ResourceKind {
    type Err = ClientError;

    fn from_str(word: &str) -> Result<Self, ClientError> {
        match word.to_ascii_lowercase().as_str() {
            "function" | "functions" | "fn" | "function.picofaas.dev" | "functions.picofaas.dev" => {
                Ok(Self::Function)
            }
            "execution" | "executions" | "exec" | "ex" => Ok(Self::Execution),
            _ => Err(ClientError::Usage(format!(
                "there is no kind {word:?}: there are functions (function, fn) and executions (execution, exec, ex)"
            ))),
        }
    }
}

/// A name that a function can have, so that it may stand in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionName(String);

impl FunctionName {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for FunctionName {
    type Err = ClientError;

    /// `NAME`, or `function/NAME`.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let name = without_kind(text, ResourceKind::Function)?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(ClientError::Usage(format!(
                "{name:?} is no name of a function: it has lower-case letters, digits and hyphens"
            )));
        }
        Ok(Self(name.to_owned()))
    }
}

/// An id that an execution can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecutionId(String);

impl ExecutionId {
    /// Whether a text is one.
    pub(crate) fn is_one(text: &str) -> bool {
        text.len() == ID_CHARS && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for ExecutionId {
    type Err = ClientError;

    /// `ID`, or `execution/ID`.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let id = without_kind(text, ResourceKind::Execution)?;
        if Self::is_one(id) {
            return Ok(Self(id.to_owned()));
        }
        Err(ClientError::Usage(format!(
            "{id:?} is no id of an execution: it has {ID_CHARS} digits of 0-9 and a-f, as `get executions` lists them"
        )))
    }
}

fn without_kind(text: &str, wanted: ResourceKind) -> Result<&str, ClientError> {
    let Some((kind, name)) = text.split_once('/') else { return Ok(text) };
    if kind.parse::<ResourceKind>()? == wanted {
        return Ok(name);
    }
    Err(ClientError::Usage(format!("{text:?} is no {}", wanted.word())))
}

/// Functions or executions, all of them or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resources {
    /// Functions, all where none is named.
    Functions(Vec<FunctionName>),
    /// Executions, all where none is named.
    Executions(Vec<ExecutionId>),
}

impl Resources {
    /// Reads `function`, `function NAME …` or `function/NAME …`.
    ///
    /// # Errors
    /// A kind, a name or an id that is none, and two kinds at once.
    pub(crate) fn parse(words: &[String]) -> Result<Self, ClientError> {
        let Some(first) = words.first() else {
            let message =
                "name what: functions or executions, as in `get functions` or `describe function NAME`";
            return Err(ClientError::Usage(message.to_owned()));
        };
        let (kind, names) = match first.split_once('/') {
            Some((kind, _)) => (kind, words),
            None => (first.as_str(), &words[1..]),
        };
        match kind.parse()? {
            ResourceKind::Function => {
                names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map(Self::Functions)
            }
            ResourceKind::Execution => {
                names.iter().map(|id| id.parse()).collect::<Result<_, _>>().map(Self::Executions)
            }
        }
    }
}

/// A function or an execution, as `logs` is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FunctionOrExecution {
    /// A function.
    Function(FunctionName),
    /// An execution.
    Execution(ExecutionId),
}

impl FromStr for FunctionOrExecution {
    type Err = ClientError;

    /// A name of 40 hexadecimal digits is an id, unless `function/` stands before it.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let is_execution = match text.split_once('/') {
            Some((kind, _)) => kind.parse::<ResourceKind>()? == ResourceKind::Execution,
            None => ExecutionId::is_one(text),
        };
        if is_execution { text.parse().map(Self::Execution) } else { text.parse().map(Self::Function) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "2a6f9b0e00000000000000010c5b5c4f8f0b7f62";

    fn parse(words: &[&str]) -> Result<Resources, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Resources::parse(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn every_alias_of_kubectls_grammar_is_understood() {
        let function = |name: &str| Resources::Functions(vec![FunctionName(name.to_owned())]);
        for kind in ["function", "functions", "fn", "Function", "functions.picofaas.dev"] {
            assert_eq!(parse(&[kind]), Ok(Resources::Functions(Vec::new())));
            assert_eq!(parse(&[kind, "a"]), Ok(function("a")));
            assert_eq!(parse(&[&format!("{kind}/a")]), Ok(function("a")));
        }
        for kind in ["execution", "executions", "exec", "ex"] {
            assert_eq!(parse(&[kind, ID]), Ok(Resources::Executions(vec![ExecutionId(ID.to_owned())])));
        }
        assert!(matches!(ID.parse(), Ok(FunctionOrExecution::Execution(_))));
        assert!(matches!("word-stats".parse(), Ok(FunctionOrExecution::Function(_))));
        assert!(matches!(format!("fn/{}", &ID[1..]).parse(), Ok(FunctionOrExecution::Function(_))));
    }

    #[test]
    fn a_word_that_is_none_is_refused_with_those_there_are() {
        for (words, part) in [
            (&["pods"] as &[&str], "there is no kind \"pods\""),
            (&[], "name what"),
            (&["fn/a", "ex/b"], "\"ex/b\" is no function"),
            (&["fn", "a/../b"], "there is no kind \"a\""),
            (&["fn", "A b"], "\"A b\" is no name of a function"),
            (&["fn", ""], "is no name of a function"),
            (&["ex", "abc"], "\"abc\" is no id of an execution"),
        ] {
            let message = parse(words).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }
}
