//! What a function's process writes to its standard output and error, as bounded lines.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::AbortHandle;

use crate::clock::Nanos;

/// Longest line that is passed on whole, in bytes; the rest of a longer one is a line of its own.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Lines kept to explain why a process ended.
const TAIL_LINES_MAX: usize = 20;

/// How long what a process wrote last may take to be read when it has ended. What it left behind
/// may hold its output open for ever (ns).
const LAST_WORDS_NS: Nanos = 2_000_000_000;

/// Takes the name of a function and a line that it wrote.
type Sink = dyn Fn(&str, &str);

/// Where the lines go.
#[derive(Clone)]
pub struct Lines(Rc<Sink>);

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lines")
    }
}

impl Lines {
    /// Each line goes to `sink` with the name of its function.
    #[must_use]
    pub fn to(sink: impl Fn(&str, &str) + 'static) -> Self {
        Self(Rc::new(sink))
    }

    /// Into the log of this process.
    #[must_use]
    pub fn to_log() -> Self {
        Self::to(|function, line| tracing::info!(target: "function", function, "{line}"))
    }
}

/// The last lines of one process.
#[derive(Debug, Default, Clone)]
pub struct Tail(Rc<RefCell<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.borrow_mut();
        if lines.len() == TAIL_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The lines, joined.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.borrow().iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Those who read what processes that have ended wrote last.
#[derive(Debug, Default)]
pub struct LastWords(VecDeque<(Nanos, AbortHandle)>);

impl LastWords {
    /// The process of these has ended.
    pub fn leave(&mut self, followers: Vec<AbortHandle>, now: Nanos) {
        let until = now + LAST_WORDS_NS;
        let unread = followers.into_iter().filter(|follower| !follower.is_finished());
        self.0.extend(unread.map(|follower| (until, follower)));
    }

    /// Gives those up whose time is over.
    pub fn tidy(&mut self, now: Nanos) {
        while let Some((_, follower)) = self.0.pop_front_if(|(until, _)| *until <= now) {
            // One that has come to its end is none the worse for it.
            follower.abort();
        }
    }
}

/// Reads a stream to its end, line by line.
pub async fn follow(mut stream: impl AsyncRead + Unpin, function: String, tail: Tail, lines: Lines) {
    let mut buffer = Vec::with_capacity(1024);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let mut start = 0;
        while let Some(length) = buffer[start..].iter().position(|byte| *byte == b'\n') {
            pass_on(&buffer[start..start + length], &function, &tail, &lines);
            start += length + 1;
        }
        buffer.drain(..start);
        if buffer.len() >= LINE_BYTES_MAX {
            pass_on(&buffer, &function, &tail, &lines);
            buffer.clear();
        }
    }
    if !buffer.is_empty() {
        pass_on(&buffer, &function, &tail, &lines);
    }
}

fn pass_on(line: &[u8], function: &str, tail: &Tail, lines: &Lines) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    tail.push(text);
    (lines.0)(function, text);
}
