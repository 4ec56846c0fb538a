//! Text of others on its way to a terminal.

use std::borrow::Cow;

/// The text without control characters, which could move a terminal's cursor or colour all that follows.
/// Line breaks and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// At most `chars_max` characters of the first line.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(chars_max).collect();
    if shown.len() < text.trim().len() {
        shown.push('…');
    }
    printable(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\u{1b}[31mb\u{7}"), "a\\u{1b}[31mb\\u{7}");
        assert_eq!(printable("grüße\n\tb"), "grüße\n\tb");
    }

    #[test]
    fn an_excerpt_is_one_line_and_says_where_it_was_cut() {
        assert_eq!(excerpt("<html>\n<body>", 20), "<html>…");
        assert_eq!(excerpt("abcdef", 3), "abc…");
        assert_eq!(excerpt("abc", 3), "abc");
    }
}
