//! Lines on stderr. Every line about an invocation carries its ids, those of a stack
//! too, so that the lines of one execution can be picked from those of its neighbours.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::caller::Ids;
use crate::failure::Failure;
use crate::limits::LOG_LINE_BYTES_MAX;
use crate::response::shortened;

/// Writes a line in one piece.
pub(crate) fn line(text: &str) {
    write(&format!("{text}\n"));
}

/// Writes a message about an invocation; each line of it carries the ids.
pub(crate) fn with_ids(ids: &Ids, level: &str, message: &str) {
    let prefix = prefix(ids);
    let mut text = String::new();
    let mut rest = message.trim_end_matches(['\r', '\n']);
    loop {
        let end = rest.find('\n').unwrap_or(rest.len()).min(rest.floor_char_boundary(LOG_LINE_BYTES_MAX));
        writeln!(text, "{level} {prefix} {}", rest[..end].trim_end_matches('\r'))
            .expect("a String takes everything");
        if end == rest.len() {
            break;
        }
        rest = rest[end..].strip_prefix('\n').unwrap_or(&rest[end..]);
    }
    write(&text);
}

/// Reports an invocation that failed.
pub(crate) fn failure(ids: &Ids, failure: &Failure, message: &str) {
    let prefix = prefix(ids);
    let status = failure.status().as_u16();
    let mut text =
        format!("error {prefix} code={} status={status} message={:?}", failure.code(), shortened(message));
    if let Some(causes) = failure.causes() {
        write!(text, " causes={:?}", shortened(causes)).expect("a String takes everything");
    }
    text.push('\n');
    for frame in failure.stack().into_iter().flat_map(str::lines) {
        writeln!(text, "error {prefix} {frame}").expect("a String takes everything");
    }
    write(&text);
}

fn prefix(ids: &Ids) -> String {
    format!("executionId={} traceId={}", ids.execution(), ids.trace())
}

fn write(text: &str) {
    // If stderr is closed there is nowhere to say so, and nothing to be done.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
