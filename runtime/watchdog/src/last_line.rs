//! The line of a process that an error may show to a caller: the one place of the watchdog that decides.
//!
//! A process may serve many callers, and an error shows each of them only their own lines. A line is an
//! attempt's where it was read while the attempt was in flight and
//!
//! - the process never had another execution: then every line is, or
//! - the line says so itself ([`execution_id`]), and was read in one piece. The writer of the beginning of a
//!   line must not get what another writes behind it.
//!
//! A line with the id of another execution is nobody's, nor is one that was begun before the attempt. Each
//! line stands for itself: a line that follows one with an id, as in a traceback, needs the id, too. Of a
//! line that is cut only the beginning counts.

use std::fmt;

use picofaas_child::line::execution_id;

/// Hexadecimal digits of an execution's id.
const ID_DIGITS: usize = 40;
const NAME: &str = "executionId";

/// The last line of each attempt that a process has.
#[derive(Default)]
pub(crate) struct LastLines {
    seen: ExecutionsSeen,
    in_flight: Vec<Attempt>,
    /// The last one before it had any execution.
    at_start: Option<String>,
}

/// The executions that a process ever had.
#[derive(Default)]
enum ExecutionsSeen {
    #[default]
    None,
    One(Box<str>),
    Several,
}

struct Attempt {
    key: u32,
    execution: Box<str>,
    last: AttemptLine,
}

/// The last line of an attempt.
enum AttemptLine {
    Nothing,
    /// There were lines, and none that is known to be its own.
    Withheld,
    Own(String),
}

/// The way in which a line was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineRead {
    /// At once.
    #[default]
    Whole,
    InParts,
    /// In parts, the first of them before an attempt in flight began.
    BegunEarlier,
}

/// Readers of a text of a process of which it is not known which execution it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextReaders {
    /// It never had an execution.
    Everybody,
    /// It never had another execution than theirs.
    ItsCallers,
    /// It had several, so the text is for the log alone.
    Operators,
}

/// The last line as an error shows it, after how the process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LastLine {
    /// There was none.
    Nothing,
    /// There were lines; they are to be read at this path.
    Withheld(String),
    Shown(String),
}

impl LastLines {
    /// Whether it never had an execution.
    pub(crate) fn had_none(&self) -> bool {
        matches!(self.seen, ExecutionsSeen::None)
    }

    /// Readers of a text of it that names no execution.
    pub(crate) fn readers(&self) -> TextReaders {
        match self.seen {
            ExecutionsSeen::None => TextReaders::Everybody,
            ExecutionsSeen::One(_) => TextReaders::ItsCallers,
            ExecutionsSeen::Several => TextReaders::Operators,
        }
    }

    /// Whether it had more than one.
    pub(crate) fn had_several(&self) -> bool {
        matches!(self.seen, ExecutionsSeen::Several)
    }

    /// Begins an attempt of an execution, under a key of its own.
    pub(crate) fn begin(&mut self, key: u32, execution: &str) {
        match &self.seen {
            ExecutionsSeen::None => self.seen = ExecutionsSeen::One(execution.into()),
            ExecutionsSeen::One(other) if **other == *execution => {}
            ExecutionsSeen::One(_) | ExecutionsSeen::Several => self.seen = ExecutionsSeen::Several,
        }
        self.in_flight.push(Attempt { key, execution: execution.into(), last: AttemptLine::Nothing });
    }

    /// Ends an attempt: later lines are not of it.
    pub(crate) fn end(&mut self, key: u32) {
        self.in_flight.retain(|attempt| attempt.key != key);
    }

    /// Takes the next line of the process.
    pub(crate) fn take(&mut self, line: &str, read: LineRead) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        let ids = Ids::of(line);
        let only = match self.seen {
            ExecutionsSeen::None => {
                if ids == Ids::None {
                    self.at_start = Some(line.to_owned());
                }
                return;
            }
            ExecutionsSeen::One(_) => true,
            ExecutionsSeen::Several => false,
        };
        for attempt in &mut self.in_flight {
            let own = &*attempt.execution;
            let is_own = match ids {
                Ids::None => only && read != LineRead::BegunEarlier,
                Ids::One(id) if id == own => match read {
                    LineRead::Whole => only || execution_id(line) == Some(own),
                    LineRead::InParts => only,
                    LineRead::BegunEarlier => false,
                },
                Ids::One(_) | Ids::Several => false,
            };
            match (is_own, &attempt.last) {
                (true, _) => attempt.last = AttemptLine::Own(line.to_owned()),
                (false, AttemptLine::Nothing) => attempt.last = AttemptLine::Withheld,
                (false, AttemptLine::Withheld | AttemptLine::Own(_)) => {}
            }
        }
    }

    /// The last line as the caller of an attempt may read it.
    pub(crate) fn of(&self, key: u32) -> LastLine {
        let Some(attempt) = self.in_flight.iter().find(|attempt| attempt.key == key) else {
            return LastLine::Nothing;
        };
        match &attempt.last {
            AttemptLine::Nothing => LastLine::Nothing,
            AttemptLine::Own(line) => LastLine::Shown(line.clone()),
            AttemptLine::Withheld => LastLine::Withheld(match self.seen {
                ExecutionsSeen::Several => match std::env::var("FUNCTION_NAME") {
                    Ok(function) => format!("/v1/functions/{function}/logs"),
                    Err(_) => "/v1/functions/{name}/logs".to_owned(),
                },
                ExecutionsSeen::None | ExecutionsSeen::One(_) => {
                    format!("/v1/executions/{}/logs", attempt.execution)
                }
            }),
        }
    }

    /// The last line that every caller may read: of a process that never had an execution.
    pub(crate) fn at_start(&self) -> LastLine {
        match &self.at_start {
            Some(line) if self.had_none() => LastLine::Shown(line.clone()),
            Some(_) | None => LastLine::Nothing,
        }
    }
}

impl LastLine {
    /// This one, or another that says more.
    pub(crate) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Shown(_), _) | (_, Self::Nothing) => self,
            (Self::Nothing | Self::Withheld(_), Self::Withheld(_) | Self::Shown(_)) => other,
        }
    }
}

impl fmt::Display for LastLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Withheld(path) => write!(f, " (the log has more: GET {path})"),
            Self::Shown(line) => write!(f, ": {line}"),
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
    /// The values of `executionId`, and every word in the form of an id.
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

    /// Lines of a process that has these attempts in flight, under keys from 0.
    fn with(executions: &[&str]) -> LastLines {
        let mut lines = LastLines::default();
        for (key, execution) in (0..).zip(executions) {
            lines.begin(key, execution);
        }
        lines
    }

    fn shown(line: &str) -> LastLine {
        LastLine::Shown(line.to_owned())
    }

    #[test]
    fn every_line_is_of_the_only_execution_that_a_process_ever_had() {
        let mut lines = with(&[A]);
        lines.take(" \t", LineRead::Whole);
        assert_eq!(lines.of(0), LastLine::Nothing);
        lines.take(" last words ", LineRead::InParts);
        assert_eq!(lines.of(0), shown("last words"));
        lines.take("begun before it", LineRead::BegunEarlier);
        assert_eq!(lines.of(0), shown("last words"));
        lines.end(0);
        lines.begin(1, A);
        assert_eq!(lines.of(1), LastLine::Nothing, "an attempt begins with nothing");
        lines.take("of the next attempt", LineRead::Whole);
        assert_eq!(lines.of(1), shown("of the next attempt"));
    }

    #[test]
    fn of_a_process_that_had_others_only_a_whole_line_with_its_id_is_an_executions() {
        let mut lines = with(&[A, B]);
        lines.end(0);
        lines.take("nobody's", LineRead::Whole);
        assert!(matches!(lines.of(1), LastLine::Withheld(_)), "{:?}", lines.of(1));
        let own = format!("executionId={B} last words");
        lines.take(&own, LineRead::InParts);
        lines.take(&format!("{B} with an id that is not called one"), LineRead::Whole);
        assert!(matches!(lines.of(1), LastLine::Withheld(_)), "{:?}", lines.of(1));
        lines.take(&own, LineRead::Whole);
        for other in ["nobody's".to_owned(), format!("executionId={A} another's")] {
            lines.take(&other, LineRead::Whole);
        }
        assert_eq!(lines.of(1), shown(&own));
    }

    #[test]
    fn what_was_told_to_be_its_own_before_another_came_stays_and_later_lines_need_the_id() {
        let mut lines = with(&[A]);
        lines.take("while it was alone", LineRead::Whole);
        lines.begin(1, B);
        lines.take("of either", LineRead::Whole);
        assert_eq!(lines.of(0), shown("while it was alone"));
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
            lines.take(&line, LineRead::Whole);
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
            lines.take(&line, LineRead::Whole);
            assert_eq!(lines.of(0), shown(&line));
        }
    }

    #[test]
    fn what_a_process_says_at_its_start_is_everybodys_until_it_has_an_execution() {
        let mut lines = LastLines::default();
        lines.take("no such module", LineRead::Whole);
        lines.take(&format!("executionId={A} x"), LineRead::Whole);
        assert_eq!(lines.at_start(), shown("no such module"));
        lines.begin(0, A);
        assert_eq!((lines.at_start(), lines.of(0)), (LastLine::Nothing, LastLine::Nothing));
    }
}
