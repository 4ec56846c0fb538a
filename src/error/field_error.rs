//! The error of one field of a request or a manifest.

use std::fmt;

use serde::Serialize;

/// One error of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field, such as `replicas.min` or `env[2].name`. Empty for the whole.
    pub field: String,
    /// Bounds of the field, and its value.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            out.write_str(&self.message)
        } else {
            write!(out, "{}: {}", self.field, self.message)
        }
    }
}

/// Longest piece of the sender's own text, in characters, that is repeated in a message.
const EXCERPT_CHARS_MAX: usize = 64;

/// The sender's own text, cut to a length fit for a message, with control characters escaped so that
/// it cannot forge a log line.
#[must_use]
pub(crate) fn excerpt(text: &str) -> String {
    cut(text, |_| false)
}

/// The same for text that stands in no quotes and may have its own: they and backslashes are not escaped.
#[must_use]
pub(crate) fn excerpt_as_is(text: &str) -> String {
    cut(text, |character| "\"'\\".contains(character))
}

fn cut(text: &str, is_plain: impl Fn(char) -> bool) -> String {
    let mut cut = String::new();
    for character in text.chars().take(EXCERPT_CHARS_MAX) {
        if is_plain(character) {
            cut.push(character);
        } else {
            cut.extend(character.escape_debug());
        }
    }
    if text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), "a\\nb");
        assert_eq!(excerpt(&"x".repeat(1000)).chars().count(), EXCERPT_CHARS_MAX + 1);
    }
}
