//! The bytes of a child's log on their way to whole lines. A line belongs to the execution that its
//! child works on.

use std::rc::Rc;

use picofaas_child::line::execution_id;
use picofaas_runtime::{Context, Logger};
use tokio::time::Instant;

use crate::http::InFlight;
use crate::last_line::{LastLine, LastLines, LineRead};
use crate::limits::{AHEAD_AFTER_LINE, LINE_BYTES_MAX};
use crate::log;

/// A line without its end yet, and the owner of the lines.
#[derive(Default)]
pub(crate) struct LineBuffer {
    /// At most [`LINE_BYTES_MAX`].
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
    is_rest: bool,
    /// The lines that errors may show.
    last: LastLines,
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
            self.write_line();
            self.is_rest = false;
            text = &text[end + 1..];
        }
        self.append(text);
    }

    fn append(&mut self, text: &[u8]) {
        let mut rest = text;
        while self.line.len() + rest.len() > LINE_BYTES_MAX {
            let (fits, more) = rest.split_at(LINE_BYTES_MAX - self.line.len());
            self.line.extend_from_slice(fits);
            self.write_line();
            self.is_rest = true;
            rest = more;
        }
        self.line.extend_from_slice(rest);
    }

    /// Ends a line that has no end.
    pub(crate) fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.write_line();
        }
        self.is_rest = false;
    }

    fn write_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches('\r');
        if !line.contains("executionId") {
            self.unattributed_at = Some(Instant::now());
        }
        if !self.is_rest {
            self.last.take(line, self.read);
        }
        let only = self.in_flight.as_ref().and_then(|in_flight| in_flight.only());
        // A child that names the execution itself knows best: a late line may be of another execution
        // than the one that it has now.
        let named = if self.is_rest { None } else { execution_id(line).filter(|id| !id.is_empty()) };
        let says =
            |owner: &Logger| named.is_some_and(|id| id == owner.execution_id() || self.last.had_several());
        match only.as_ref().or(self.owner.as_ref()) {
            Some(owner) if !says(owner) => owner.log(line),
            Some(_) | None => log::line(line),
        }
        self.read = LineRead::Whole;
        self.line.clear();
    }
}
