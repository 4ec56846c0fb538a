//! Lines for the person in front of the terminal: plain text on standard output.

use std::io::Write;

/// Longest part of a command that is shown, in characters.
const COMMAND_CHARS_MAX: usize = 100;

/// Writes lines.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // When nobody reads any more there is nobody to tell.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Text with each of its lines set in, so that it stands out as somebody else's words.
#[must_use]
pub(crate) fn set_in(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// A command as a person would write it, cut where it is long.
#[must_use]
pub(crate) fn command_line(command: &[String]) -> String {
    let line = command.iter().map(|word| quote_if_needed(word)).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(COMMAND_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// A word between single quotes, as a shell reads it back.
#[must_use]
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The word as it is where a shell reads it so, else quoted.
#[must_use]
pub(crate) fn quote_if_needed(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quote(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(command_line(&words(&["cargo", "build", "--release"])), "cargo build --release");
        assert_eq!(command_line(&words(&["sh", "-c", "echo 'a'"])), "sh -c 'echo '\\''a'\\'''");
        assert_eq!(command_line(&[String::new()]), "''");
        assert!(command_line(&["é".repeat(500)]).ends_with('…'));
    }
}
