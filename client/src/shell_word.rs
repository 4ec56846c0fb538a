//! Words of a command as a shell reads them back.

/// The word as it is where a shell reads it so, else between single quotes.
pub(crate) fn quoted_if_needed(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted_if_needed;

    #[test]
    fn a_shell_reads_every_word_back() {
        for word in ["plain-word_1.2/x=y:z", "two words", "it's", "", "$HOME", "{\"a\":1}", "a\nb"] {
            let script = format!("printf %s {}", quoted_if_needed(word));
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
        }
        assert_eq!(quoted_if_needed("plain"), "plain");
    }
}
