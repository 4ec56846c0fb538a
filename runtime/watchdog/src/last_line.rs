//! Which line of a process an error may tell to a caller: the one place of the watchdog that decides.
//!
//! A process may serve many callers, and an error tells each of them only what is their own. A line is an
//! attempt's where it was read while the attempt was under way and
//!
//! - the process never had another execution: then every line is, or
//! - the line says so itself ([`execution_id`]), and was read in one piece. Who writes the beginning of a line
//!   must not get what another writes behind it.
//!
//! A line with the id of another execution is nobody's, nor is one that was begun before the attempt. Each
//! line stands for itself: what follows one with an id, as a traceback does, needs the id, too. Of a line
//! that is cut only the beginning counts.

use std::fmt;

use picofaas_child::line::execution_id;

/// How many hexadecimal digits an execution's id has.
const ID_DIGITS: usize = 40;
const NAME: &str = "executionId";

/// The last line of each attempt that a process has.
#[derive(Default)]
pub(crate) struct LastLines {
    had: Had,
    under_way: Vec<Attempt>,
    /// The last one before it had any execution.
    at_start: Option<String>,
}

/// Whose executions a process ever had.
#[derive(Default)]
enum Had {
    #[default]
    Nobodys,
    Only(Box<str>),
    Several,
}

struct Attempt {
    key: u32,
    execution: Box<str>,
    last: Last,
}

enum Last {
    Nothing,
    /// There were lines, and none that is known to be its own.
    Withheld,
    Own(String),
}

/// How a line was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    /// At once.
    #[default]
    Whole,
    InParts,
    /// In parts, the first of them before an attempt began that is under way.
    BegunBefore,
}

/// What an error says of the last line, after how the process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LastLine {
    /// There was none.
    Nothing,
    /// There were lines, and where they are to be read.
    Withheld(String),
    Told(String),
}

impl LastLines {
    /// Whether it never had an execution.
    pub(crate) fn had_nobodys(&self) -> bool {
        matches!(self.had, Had::Nobodys)
    }

    /// Whether it had more than one.
    pub(crate) fn had_several(&self) -> bool {
        matches!(self.had, Had::Several)
    }

    /// An attempt of an execution begins, under a key of its own.
    pub(crate) fn begin(&mut self, key: u32, execution: &str) {
        match &self.had {
            Had::Nobodys => self.had = Had::Only(execution.into()),
            Had::Only(other) if **other == *execution => {}
            Had::Only(_) | Had::Several => self.had = Had::Several,
        }
        self.under_way.push(Attempt { key, execution: execution.into(), last: Last::Nothing });
    }

    /// What is written from now on is not of this attempt.
    pub(crate) fn end(&mut self, key: u32) {
        self.under_way.retain(|attempt| attempt.key != key);
    }

    /// Takes the next line of the process.
    pub(crate) fn take(&mut self, line: &str, read: Read) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        let ids = Ids::of(line);
        let only = match self.had {
            Had::Nobodys => {
                if ids == Ids::None {
                    self.at_start = Some(line.to_owned());
                }
                return;
            }
            Had::Only(_) => true,
            Had::Several => false,
        };
        for attempt in &mut self.under_way {
            let own = &*attempt.execution;
            let is_own = match ids {
                Ids::None => only && read != Read::BegunBefore,
                Ids::One(id) if id == own => match read {
                    Read::Whole => only || execution_id(line) == Some(own),
                    Read::InParts => only,
                    Read::BegunBefore => false,
                },
                Ids::One(_) | Ids::Several => false,
            };
            match (is_own, &attempt.last) {
                (true, _) => attempt.last = Last::Own(line.to_owned()),
                (false, Last::Nothing) => attempt.last = Last::Withheld,
                (false, Last::Withheld | Last::Own(_)) => {}
            }
        }
    }

    /// What an attempt is told.
    pub(crate) fn of(&self, key: u32) -> LastLine {
        let Some(attempt) = self.under_way.iter().find(|attempt| attempt.key == key) else {
            return LastLine::Nothing;
        };
        match &attempt.last {
            Last::Nothing => LastLine::Nothing,
            Last::Own(line) => LastLine::Told(line.clone()),
            Last::Withheld => LastLine::Withheld(match self.had {
                Had::Several => match std::env::var("FUNCTION_NAME") {
                    Ok(function) => format!("/v1/functions/{function}/logs"),
                    Err(_) => "/v1/functions/{name}/logs".to_owned(),
                },
                Had::Nobodys | Had::Only(_) => format!("/v1/executions/{}/logs", attempt.execution),
            }),
        }
    }

    /// What may be told to everybody: of a process that never had an execution.
    pub(crate) fn at_start(&self) -> LastLine {
        match &self.at_start {
            Some(line) if self.had_nobodys() => LastLine::Told(line.clone()),
            Some(_) | None => LastLine::Nothing,
        }
    }
}

impl LastLine {
    /// This one, or another that says more.
    pub(crate) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Told(_), _) | (_, Self::Nothing) => self,
            (Self::Nothing | Self::Withheld(_), Self::Withheld(_) | Self::Told(_)) => other,
        }
    }
}

impl fmt::Display for LastLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Withheld(path) => write!(f, " (the log has more: GET {path})"),
            Self::Told(line) => write!(f, ": {line}"),
        }
    }
}

/// The ids of executions in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids<'a> {
    None,
    /// The same one, as often as it is there.
    One(&'a str),
    Several,
}

impl<'a> Ids<'a> {
    /// Those that are called `executionId`, and whatever has the form of one.
    fn of(line: &'a str) -> Self {
        let mut ids = Self::None;
        for (at, _) in line.match_indices(NAME) {
            if let Some(id) = value(&line[at + NAME.len()..]).filter(|id| !id.is_empty()) {
                ids = ids.and(id);
            }
        }
        for word in line.split(|character: char| !character.is_ascii_hexdigit()) {
            if word.len() == ID_DIGITS {
                ids = ids.and(word);
            }
        }
        ids
    }

    fn and(self, id: &'a str) -> Self {
        match self {
            Self::None => Self::One(id),
            Self::One(other) if other == id => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

/// Whether a name or an id goes on with a byte.
fn goes_on(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The value behind `executionId`: as in logfmt, or as in JSON.
fn value(rest: &str) -> Option<&str> {
    let quote = |character| matches!(character, '"' | '\'');
    let value = match rest.strip_prefix('=') {
        Some(value) => value,
        None => rest.strip_prefix(quote).unwrap_or(rest).trim_start().strip_prefix(':')?.trim_start(),
    };
    let value = value.strip_prefix(quote).unwrap_or(value);
    let digits = value.bytes().take_while(u8::is_ascii_hexdigit).count();
    if digits == ID_DIGITS && !value.as_bytes().get(digits).copied().is_some_and(goes_on) {
        return Some(&value[..digits]);
    }
    let end = |character: char| quote(character) || character.is_whitespace() || ",;)}]".contains(character);
    value.split(end).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// Lines of a process that has these attempts under way, under keys from 0.
    fn with(executions: &[&str]) -> LastLines {
        let mut lines = LastLines::default();
        for (key, execution) in (0..).zip(executions) {
            lines.begin(key, execution);
        }
        lines
    }

    fn told(line: &str) -> LastLine {
        LastLine::Told(line.to_owned())
    }

    #[test]
    fn every_line_is_of_the_only_execution_that_a_process_ever_had() {
        let mut lines = with(&[A]);
        lines.take(" \t", Read::Whole);
        assert_eq!(lines.of(0), LastLine::Nothing);
        lines.take(" last words ", Read::InParts);
        assert_eq!(lines.of(0), told("last words"));
        lines.take("begun before it", Read::BegunBefore);
        assert_eq!(lines.of(0), told("last words"));
        lines.end(0);
        lines.begin(1, A);
        assert_eq!(lines.of(1), LastLine::Nothing, "an attempt begins with nothing");
        lines.take("of the next attempt", Read::Whole);
        assert_eq!(lines.of(1), told("of the next attempt"));
    }

    #[test]
    fn of_a_process_that_had_others_only_a_whole_line_with_its_id_is_an_executions() {
        let mut lines = with(&[A, B]);
        lines.end(0);
        lines.take("nobody's", Read::Whole);
        assert!(matches!(lines.of(1), LastLine::Withheld(_)), "{:?}", lines.of(1));
        let own = format!("executionId={B} last words");
        lines.take(&own, Read::InParts);
        lines.take(&format!("{B} with an id that is not called one"), Read::Whole);
        assert!(matches!(lines.of(1), LastLine::Withheld(_)), "{:?}", lines.of(1));
        lines.take(&own, Read::Whole);
        for other in ["nobody's".to_owned(), format!("executionId={A} another's")] {
            lines.take(&other, Read::Whole);
        }
        assert_eq!(lines.of(1), told(&own));
    }

    #[test]
    fn what_was_told_to_be_its_own_before_another_came_stays_and_later_lines_need_the_id() {
        let mut lines = with(&[A]);
        lines.take("while it was alone", Read::Whole);
        lines.begin(1, B);
        lines.take("of either", Read::Whole);
        assert_eq!(lines.of(0), told("while it was alone"));
        assert!(matches!(lines.of(1), LastLine::Withheld(_)));
    }

    #[test]
    fn a_line_with_the_id_of_another_execution_is_told_to_nobody() {
        for line in [
            format!("executionId={B} x"),
            format!("executionId={A} executionId={B} x"),
            format!("executionId={A} and {B}"),
            format!("{{\"executionId\":\"{A}\",\"of\":\"{B}\"}}"),
            format!("{{'executionId': '{B}'}}"),
            format!("x{B}"),
            format!("executionId={}", &B[1..]),
            "executionId=\"e-1\" x".to_owned(),
        ] {
            let mut lines = with(&[A]);
            lines.take(&line, Read::Whole);
            assert_eq!(lines.of(0), LastLine::Withheld(format!("/v1/executions/{A}/logs")), "{line}");
        }
        for line in [
            format!("executionId={A} x"),
            format!("{{\"executionId\": \"{A}\"}} {A}"),
            format!("digest {A}{B}"),
            format!("executionId={A}: x, executionId=\"{A}\", (executionId={A})."),
            "executionId= executionId".to_owned(),
        ] {
            let mut lines = with(&[A]);
            lines.take(&line, Read::Whole);
            assert_eq!(lines.of(0), told(&line));
        }
    }

    #[test]
    fn what_a_process_says_at_its_start_is_everybodys_until_it_has_an_execution() {
        let mut lines = LastLines::default();
        lines.take("no such module", Read::Whole);
        lines.take(&format!("executionId={A} x"), Read::Whole);
        assert_eq!(lines.at_start(), told("no such module"));
        lines.begin(0, A);
        assert_eq!((lines.at_start(), lines.of(0)), (LastLine::Nothing, LastLine::Nothing));
    }
}
