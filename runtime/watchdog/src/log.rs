//! Lines on stderr that belong to no execution, or name theirs themselves.

use std::io::Write as _;

/// Writes a line in one piece.
pub(crate) fn line(text: &str) {
    // If stderr is closed there is nowhere to say so, and nothing to be done.
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
