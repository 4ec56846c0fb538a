//! Lines on stderr. Every line about an invocation carries its ids, those of a stack
//! too, so that the lines of one execution can be picked from those of its neighbours.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::answer::shortened;
use crate::context::Ids;
use crate::failure::Failure;

/// Writes a line in one piece.
pub(crate) fn line(text: &str) {
    write(&format!("{text}\n"));
}

/// Reports an invocation that failed.
pub(crate) fn failure(ids: &Ids, failure: &Failure, message: &str) {
    let who = format!("executionId={} traceId={}", ids.execution(), ids.trace());
    let status = failure.status().as_u16();
    let mut text =
        format!("error {who} code={} status={status} message={:?}", failure.code(), shortened(message));
    if let Some(causes) = failure.causes() {
        write!(text, " causes={:?}", shortened(causes)).expect("a String takes everything");
    }
    text.push('\n');
    for frame in failure.stack().into_iter().flat_map(str::lines) {
        writeln!(text, "error {who} {frame}").expect("a String takes everything");
    }
    write(&text);
}

fn write(text: &str) {
    // If stderr is closed there is nowhere to say so, and nothing to be done.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
