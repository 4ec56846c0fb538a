//! Standard output and error of function processes, as bounded lines.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use picofaas_child::line::{execution_of, first_piece};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::tail::Tail;
use crate::id::ExecutionId;

/// Longest line that is passed on whole, in bytes as written; the rest of a longer one is a line
/// of its own.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Largest buffer of a stream, in bytes: more than the longest line, so that there is always
/// room to read.
const BUFFER_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;
/// Lines of one stream that are passed on before there is a pause.
const TURN_LINES: usize = 500;
/// Bytes of one stream that are read before there is a pause.
const TURN_BYTES: usize = 64 * 1024;
/// The pause. With the two above it bounds what a process that floods costs: at most 100,000 lines
/// and 13 MB are taken of a stream in a second, and the process waits for its reader.
const TURN_PAUSE: Duration = Duration::from_millis(5);

/// One of the two output streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// One of the two: the log of a pod does not tell them apart.
    Output,
}

impl OutputStream {
    /// As it is read in an answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
            OutputStream::Output => "output",
        }
    }
}

/// The execution that all lines of a process belong to, where it takes only one: known from its start on, or from
/// when it is given one.
#[derive(Clone, Debug, Default)]
pub struct OwnExecution(Rc<Cell<Option<(ExecutionId, Duration)>>>);

impl OwnExecution {
    /// One that is known, or not.
    #[must_use]
    pub fn of(execution: Option<ExecutionId>) -> Self {
        Self(Rc::new(Cell::new(execution.map(|execution| (execution, Duration::ZERO)))))
    }

    /// Makes it known: what is written from this time on, since the Unix epoch, is of the execution.
    pub fn set(&self, execution: ExecutionId, since: Duration) {
        self.0.set(Some((execution, since)));
    }

    /// The execution, where it is known.
    #[must_use]
    pub fn get(&self) -> Option<ExecutionId> {
        self.0.get().map(|(execution, _)| execution)
    }

    /// The execution of a line that was written at this time; without one, now.
    #[must_use]
    fn at(&self, written: Option<Duration>) -> Option<ExecutionId> {
        let (execution, since) = self.0.get()?;
        written.is_none_or(|written| written >= since).then_some(execution)
    }
}

/// The writer of a line.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The name of the function.
    pub function: Rc<str>,
    /// The instance that writes: the process id, or the name of the pod.
    pub instance: Rc<str>,
    /// The stream that is written to.
    pub stream: OutputStream,
    /// See [`OwnExecution`].
    pub execution: OwnExecution,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The writer of the line.
    pub writer: &'a Writer,
    /// The execution it belongs to, where that is known.
    pub execution: Option<ExecutionId>,
    /// Text, in which invalid UTF-8 was replaced.
    pub text: &'a str,
    /// Time at which it was written, since the Unix epoch, where that is known; else it is written now.
    pub written: Option<Duration>,
}

/// Takes a line.
type Sink = dyn Fn(&Line<'_>);

/// The way of lines to their sink.
#[derive(Clone)]
pub struct Lines(Rc<Sink>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Lines {
    /// Each line goes to `sink`.
    #[must_use]
    pub fn to(sink: impl Fn(&Line<'_>) + 'static) -> Self {
        Self(Rc::new(sink))
    }

    /// Into the log of this process.
    #[must_use]
    pub fn to_log() -> Self {
        Self::to(
            |line| tracing::info!(target: "function", function = &*line.writer.function, "{}", line.text),
        )
    }

    /// Passes a line on.
    pub fn write(&self, line: &Line<'_>) {
        (self.0)(line);
    }
}

/// Reads a stream to its end and passes its lines on.
pub(crate) async fn follow(stream: impl AsyncRead + Unpin, writer: Writer, tail: Tail, lines: Lines) {
    let mut assembler = LineAssembler::new(writer, tail, lines);
    // A process's end of a pipe does not fail; it ends.
    let _ = read(stream, |part| assembler.pass_on(part, None)).await;
}

/// Reads a stream to its end, part by part, with a pause after every turn.
///
/// # Errors
/// A stream that broke before its end. The beginning of its last line is not passed on.
pub(crate) async fn read(
    mut stream: impl AsyncRead + Unpin,
    mut pass_on: impl FnMut(LinePart<'_>),
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1024);
    let (mut turn_lines, mut turn_bytes) = (0, 0);
    loop {
        if buffer.len() == buffer.capacity() && buffer.capacity() < BUFFER_BYTES_MAX {
            buffer.reserve(buffer.capacity());
        }
        match stream.read_buf(&mut buffer).await? {
            0 => break,
            bytes => turn_bytes += bytes,
        }
        let mut start = 0;
        while let Some((part, length)) = first_part(&buffer[start..]) {
            pass_on(part);
            start += length;
            turn_lines += 1;
            if turn_lines >= TURN_LINES {
                (turn_lines, turn_bytes) = (0, 0);
                tokio::time::sleep(TURN_PAUSE).await;
            }
        }
        buffer.drain(..start);
        if turn_bytes >= TURN_BYTES {
            (turn_lines, turn_bytes) = (0, 0);
            tokio::time::sleep(TURN_PAUSE).await;
        }
    }
    if !buffer.is_empty() {
        pass_on(LinePart::Ended(&buffer));
    }
    Ok(())
}

/// A whole line, or one part of a line that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinePart<'a> {
    /// Up to a line's end.
    Ended(&'a [u8]),
    /// The beginning of a line that is too long, or more of it.
    Broken(&'a [u8]),
}

/// The first part of what was read, and how many bytes are done with it; `None` where more has to
/// be read first.
fn first_part(bytes: &[u8]) -> Option<(LinePart<'_>, usize)> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
        return Some((LinePart::Ended(&bytes[..end]), end + 1));
    }
    if bytes.len() <= LINE_BYTES_MAX {
        return None;
    }
    if bytes[LINE_BYTES_MAX] == b'\n' {
        return Some((LinePart::Ended(window), LINE_BYTES_MAX + 1));
    }
    let cut = first_piece(bytes, LINE_BYTES_MAX);
    Some((LinePart::Broken(&bytes[..cut]), cut))
}

/// Assembler of the lines of one stream from their parts.
#[derive(Debug)]
pub(crate) struct LineAssembler {
    writer: Writer,
    tail: Tail,
    lines: Lines,
    /// The part before was broken off, and belongs to this execution: so does its rest; and whether it may
    /// be told.
    broken: Option<(Option<ExecutionId>, bool)>,
}

impl LineAssembler {
    /// An assembler for this writer, with no line yet.
    #[must_use]
    pub(crate) fn new(writer: Writer, tail: Tail, lines: Lines) -> Self {
        Self { writer, tail, lines, broken: None }
    }

    /// Passes the next part on, which was written at this time, where that is known.
    pub(crate) fn pass_on(&mut self, part: LinePart<'_>, written: Option<Duration>) {
        let (bytes, breaks) = match part {
            LinePart::Ended(bytes) => (bytes, false),
            LinePart::Broken(bytes) => (bytes, true),
        };
        let text = String::from_utf8_lossy(bytes);
        let text = if breaks { &text } else { text.trim_end_matches('\r') };
        let (rest_of, may_be_told) = self.broken.take().unwrap_or((None, true));
        let execution = self.writer.execution.at(written).or(rest_of).or_else(|| own_execution(text));
        let told = may_be_told && self.tail.push(text, self.writer.execution.at(written));
        if breaks {
            self.broken = Some((execution, told));
        }
        self.lines.write(&Line { writer: &self.writer, execution, text, written });
    }
}

/// The execution that a line is of ([`execution_of`]).
fn own_execution(text: &str) -> Option<ExecutionId> {
    ExecutionId::parse(execution_of(text)?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::ticket::Ticket;

    fn id() -> ExecutionId {
        ExecutionId { incarnation: 7, ticket: Ticket::new(0, 99, 12), nonce: 5 }
    }

    fn writer() -> Writer {
        Writer {
            function: "f".into(),
            instance: "1".into(),
            stream: OutputStream::Stdout,
            execution: OwnExecution::default(),
        }
    }

    /// Lines made of bytes that a process writes before it ends.
    fn lines_of(written: &[u8], writer: Writer) -> Vec<(Option<ExecutionId>, String)> {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        let lines = Lines::to(move |line| sink.borrow_mut().push((line.execution, line.text.to_owned())));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(follow(written, writer, Tail::default(), lines));
        seen.take()
    }

    #[test]
    fn a_line_is_of_the_execution_whose_id_is_in_its_head_or_in_its_json_and_of_no_other() {
        let id = id();
        for named in [
            format!("error executionId={id} traceId=1"),
            format!("executionId={id}"),
            format!("executionId=\"{id}\" x"),
            format!("{{\"executionId\":\"{id}\"}}"),
            format!("{{\"executionId\": \"{id}\"}}"),
            format!("2026-11-29T06:00:00Z [main] executionId={id} x"),
            format!("[{id}] two"),
            format!("{{\"requestId\": \"{id}\"}}"),
            id.to_string(),
        ] {
            assert_eq!(own_execution(&named), Some(id), "{named}");
        }
        let text = id.to_string();
        for other in [
            format!("executionId={}", text.to_uppercase()),
            format!("executionId={text}0"),
            format!("executionId={}", &text[1..]),
            format!("executionId {text}"),
            format!("myexecutionId={text}"),
            format!("for user executionId={text}"),
            format!("{{\"user\":{{\"executionId\":\"{text}\"}}}}"),
            format!("executionId=ä{}", &text[2..]),
            format!("for user {text}"),
            String::new(),
        ] {
            assert_eq!(own_execution(&other), None, "{other}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters_and_its_rest_belongs_to_the_same_execution() {
        let id = id();
        let head = format!("executionId={id} ");
        // An `é` of two bytes lies across the limit.
        let filling = "x".repeat(LINE_BYTES_MAX - 1 - head.len());
        let lines = lines_of(format!("{head}{filling}é the rest\nanother\n").as_bytes(), writer());
        let cut = format!("{head}{filling}");
        assert_eq!(
            lines,
            [(Some(id), cut), (Some(id), "é the rest".to_owned()), (None, "another".to_owned())]
        );
        let exact = "y".repeat(LINE_BYTES_MAX);
        assert_eq!(lines_of(format!("{exact}\nz").as_bytes(), writer())[0].1, exact);
        assert_eq!(lines_of(format!("{exact}\nz").as_bytes(), writer())[1].1, "z");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_a_carriage_return_goes_with_its_line_end() {
        let lines = lines_of(b"a\xff\xfeb\r\n\n\x80", writer());
        let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["a\u{fffd}\u{fffd}b", "", "\u{fffd}"]);
    }

    #[test]
    fn every_line_of_a_process_with_one_execution_belongs_to_it() {
        let own = ExecutionId { nonce: 6, ..id() };
        let lines = lines_of(
            format!("plain\nexecutionId={}\n", id()).as_bytes(),
            Writer { execution: OwnExecution::of(Some(own)), ..writer() },
        );
        assert!(lines.len() == 2 && lines.iter().all(|(execution, _)| *execution == Some(own)), "{lines:?}");
    }

    /// The explanation made of lines that a process writes before it ends; one with a `|` is broken off there.
    fn told(written: &str, execution: Option<ExecutionId>, shared: bool) -> String {
        let (tail, lines) = (Tail::default(), Lines::to(|_| ()));
        if shared {
            tail.become_shared();
        }
        let mut assembler = LineAssembler::new(
            Writer { execution: OwnExecution::of(execution), ..writer() },
            tail.clone(),
            lines,
        );
        for line in written.lines() {
            let (begun, rest) = line.split_once('|').unwrap_or(("", line));
            if !begun.is_empty() {
                assembler.pass_on(LinePart::Broken(begun.as_bytes()), None);
            }
            assembler.pass_on(LinePart::Ended(rest.as_bytes()), None);
        }
        tail.explain("it ended", "/logs").to_string()
    }

    #[test]
    fn a_reason_has_what_the_process_wrote_for_its_own_execution_and_no_other() {
        let (own, other) = (id(), ExecutionId { nonce: 6, ..id() });
        let written = format!("one\nexecutionId={own} two\nexecutionId={other} th|ree\nfour {other}.\nfi|ve");
        assert_eq!(
            told(&written, Some(own), false),
            format!("it ended; it wrote: one\nexecutionId={own} two\nfi\nve")
        );
        // At a start there is no execution yet.
        assert_eq!(told(&written, None, false), "it ended; it wrote: one\nfi\nve");
        let withheld = "it ended; what it wrote is read with GET /logs";
        assert_eq!(told(&other.to_string(), Some(own), false), withheld);
        assert_eq!(told("", Some(own), false), "it ended, and wrote nothing");
        assert_eq!(told(&written, None, true), withheld);
    }
}
