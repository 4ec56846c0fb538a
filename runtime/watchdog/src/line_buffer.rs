//! The bytes of a child's log on their way to whole lines. A line belongs to the execution that its
//! child works on.

use std::rc::Rc;

use picofaas_child::line::{execution_id, execution_of, first_piece};
use picofaas_runtime::{Context, Logger};
use tokio::time::Instant;

use crate::http::InFlight;
use crate::last_line::{LastLine, LastLines, LineRead, TextReaders};
use crate::limits::{AHEAD_AFTER_LINE, IDS_BYTES_MAX, LINE_BYTES_MAX};
use crate::log;

/// The beginning of a line of which its child says that it is of no execution.
const OF_NONE: &str = "executionId=- ";

/// A line without its end yet, and the owner of the lines.
#[derive(Default)]
pub(crate) struct LineBuffer {
    /// Less than a piece and one read.
    line: Vec<u8>,
    /// Execution that the lines belong to.
    owner: Option<Logger>,
    /// Executions of a server: a line belongs to the only one.
    in_flight: Option<Rc<InFlight>>,
    /// Time of the last line without an execution's id.
    unattributed_at: Option<Instant>,
    /// The way in which the line without its end yet was read.
    read: LineRead,
    /// It is the rest of one that was too long.
    rest_of: Option<LineOf>,
    /// The lines that errors may show.
    last: LastLines,
}

/// The execution that a line is of.
#[derive(Clone)]
enum LineOf {
    /// The owner's, which is not in it; of none where there is no owner.
    Owner,
    /// Of the one that it names itself.
    Named(Box<str>),
    /// Of none, as it says.
    None,
}

impl LineBuffer {
    /// For a child that was started for one attempt.
    pub(crate) fn of_attempt(key: u32, context: &Context) -> Self {
        let mut lines = Self { owner: Some(context.logger()), ..Self::default() };
        lines.last.begin(key, context.execution_id());
        lines
    }

    /// For a server with these executions.
    pub(crate) fn of_server(in_flight: Rc<InFlight>) -> Self {
        Self { in_flight: Some(in_flight), ..Self::default() }
    }

    /// Sets the owner of the lines that end from now on.
    pub(crate) fn set_owner(&mut self, owner: Option<Logger>) {
        self.owner = owner;
    }

    /// Whether a line without an execution's id ended a moment ago.
    pub(crate) fn had_unattributed_line_recently(&self) -> bool {
        self.unattributed_at.is_some_and(|at| at.elapsed() < AHEAD_AFTER_LINE)
    }

    /// Readers of a text that the child wrote elsewhere than in its log.
    pub(crate) fn readers(&self) -> TextReaders {
        self.last.readers()
    }

    /// Whether the child never had an attempt.
    pub(crate) fn is_of_start(&self) -> bool {
        self.last.had_none()
    }

    /// Begins an attempt, under a key of its own.
    pub(crate) fn begin_attempt(&mut self, key: u32, execution: &str) {
        if !self.line.is_empty() {
            self.read = LineRead::BegunEarlier;
        }
        self.last.begin(key, execution);
    }

    /// Ends an attempt.
    pub(crate) fn end_attempt(&mut self, key: u32) {
        self.last.end(key);
    }

    /// The last line as the caller of an attempt may read it.
    pub(crate) fn last_line(&self, key: u32) -> LastLine {
        self.last.of(key)
    }

    /// The last line of the start, where the child never had an attempt.
    pub(crate) fn start_line(&self) -> LastLine {
        self.last.at_start()
    }

    /// Takes the bytes of one read.
    pub(crate) fn take(&mut self, mut text: &[u8]) {
        if !self.line.is_empty() && !text.starts_with(b"\n") {
            self.read = self.read.max(LineRead::InParts);
        }
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            self.append(&text[..end]);
            self.write_end();
            text = &text[end + 1..];
        }
        self.append(text);
    }

    fn append(&mut self, text: &[u8]) {
        self.line.extend_from_slice(text);
        while self.line.len() > LINE_BYTES_MAX + IDS_BYTES_MAX {
            self.write_piece();
        }
    }

    /// Ends a line that has no end.
    pub(crate) fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.write_end();
        }
        self.rest_of = None;
    }

    fn write_end(&mut self) {
        while self.line.len() > self.piece_bytes_max() {
            self.write_piece();
        }
        self.write_line(self.line.len());
        self.rest_of = None;
    }

    /// Bytes of the first piece: the ids that a child writes itself are besides.
    fn piece_bytes_max(&self) -> usize {
        if self.line.len() <= LINE_BYTES_MAX || self.rest_of.is_some() {
            return LINE_BYTES_MAX;
        }
        if self.line.starts_with(OF_NONE.as_bytes()) {
            return LINE_BYTES_MAX + OF_NONE.len();
        }
        let names = execution_id(&String::from_utf8_lossy(&self.line[..LINE_BYTES_MAX])).is_some();
        LINE_BYTES_MAX + if names { IDS_BYTES_MAX } else { 0 }
    }

    fn write_piece(&mut self) {
        let length = first_piece(&self.line, self.piece_bytes_max());
        self.write_line(length);
    }

    /// Writes the first bytes as a line of its own.
    fn write_line(&mut self, length: usize) {
        let mut bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes[..length]);
        let line = line.trim_end_matches('\r');
        if !line.contains("executionId") {
            self.unattributed_at = Some(Instant::now());
        }
        if self.rest_of.is_none() {
            self.last.take(line, self.read);
        }
        let only = self.in_flight.as_ref().and_then(|in_flight| in_flight.only());
        let owner = only.as_ref().or(self.owner.as_ref());
        let of = match &self.rest_of {
            Some(LineOf::Named(id)) => {
                log::line(&format!("executionId={id} {line}"));
                LineOf::Named(id.clone())
            }
            Some(of @ (LineOf::Owner | LineOf::None)) => {
                write_to(owner.filter(|_| matches!(of, LineOf::Owner)), line);
                of.clone()
            }
            None => self.write_beginning(owner, line),
        };
        self.rest_of = Some(of);
        self.read = LineRead::Whole;
        bytes.drain(..length);
        self.line = bytes;
    }

    /// Writes a line or its beginning; the execution that it is of.
    fn write_beginning(&self, owner: Option<&Logger>, line: &str) -> LineOf {
        if let Some(line) = line.strip_prefix(OF_NONE) {
            write_of_none(line);
            return LineOf::None;
        }
        let is_own = |id: &str| owner.is_none_or(|owner| owner.execution_id() == id);
        if let Some(id) = execution_of(line).filter(|id| !id.is_empty() && is_own(id)) {
            log::line(line);
            return LineOf::Named(id.into());
        }
        // A child that names the execution itself knows best: a late line may be of another execution
        // than the one that it has now.
        if let Some(id) = execution_id(line).filter(|id| !id.is_empty() && self.last.had_several()) {
            log::line(line);
            return LineOf::Named(id.into());
        }
        write_to(owner, line);
        LineOf::Owner
    }
}

fn write_to(owner: Option<&Logger>, line: &str) {
    match owner {
        Some(owner) => owner.log(line),
        None => write_of_none(line),
    }
}

/// Writes a line, or the rest of one, that is of no execution. Where an id is at its head, which may be text that a
/// client sent, it goes on saying so.
fn write_of_none(line: &str) {
    match execution_of(line) {
        Some(_) => log::line(&format!("{OF_NONE}{line}")),
        None => log::line(line),
    }
}
