//! A command in one text: the words of a shell, or an array in JSON.

use std::iter::Peekable;
use std::str::Chars;

/// The words of a command. A text that begins with `[` is a JSON array of strings; in any
/// other, blanks separate words, `'…'` and `"…"` keep them together, and `\` takes the next
/// character as it is. Nothing is expanded: `$`, `*`, `~`, `|` and `>` are characters.
///
/// # Errors
/// The fault of the text.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let words = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|fault| format!("it is no JSON array of strings: {fault}"))?
    } else {
        shell_words(text)?
    };
    match words.first() {
        None => Err("it names no program".to_owned()),
        Some(program) if program.is_empty() => Err("its first word, the program, is empty".to_owned()),
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err("it has a zero byte".to_owned()),
        Some(_) => Ok(words),
    }
}

fn shell_words(text: &str) -> Result<Vec<String>, String> {
    let mut characters = text.chars().peekable();
    let mut words = Vec::new();
    loop {
        while characters.next_if(|character| character.is_ascii_whitespace()).is_some() {}
        if characters.peek().is_none() {
            return Ok(words);
        }
        words.push(word(&mut characters)?);
    }
}

fn word(characters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut word = String::new();
    while let Some(character) = characters.next_if(|character| !character.is_ascii_whitespace()) {
        match character {
            '\'' => loop {
                match characters.next() {
                    Some('\'') => break,
                    Some(inside) => word.push(inside),
                    None => return Err("a ' has no end".to_owned()),
                }
            },
            '"' => loop {
                match characters.next() {
                    Some('"') => break,
                    // As in a shell: before any other character the backslash is one itself.
                    Some('\\') => match characters.next() {
                        Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                        Some(other) => word.extend(['\\', other]),
                        None => return Err("a \" has no end".to_owned()),
                    },
                    Some(inside) => word.push(inside),
                    None => return Err("a \" has no end".to_owned()),
                }
            },
            '\\' => word.push(characters.next().ok_or("a \\ has nothing after it")?),
            plain => word.push(plain),
        }
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells_and_nothing_is_expanded() {
        for (text, words) in [
            ("wc -w", vec!["wc", "-w"]),
            ("  jq\t'.a | length' \n", vec!["jq", ".a | length"]),
            (r#"sh -c "echo \"$HOME\" 'x' \n""#, vec!["sh", "-c", r#"echo "$HOME" 'x' \n"#]),
            (r"a\ b c'd'e''f '' \'", vec!["a b", "cdef", "", "'"]),
            (r#" ["sh", "-c", "echo 'a  b'"]"#, vec!["sh", "-c", "echo 'a  b'"]),
            ("cat *.txt ~ > x", vec!["cat", "*.txt", "~", ">", "x"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_command_is_refused_with_the_reason() {
        for (text, said) in [
            ("", "names no program"),
            (" \n", "names no program"),
            ("[]", "names no program"),
            ("'' x", "first word"),
            ("a 'b", "' has no end"),
            ("a \"b\\\"", "\" has no end"),
            ("a \\", "nothing after it"),
            ("[\"a\", 1]", "JSON array of strings"),
            ("[\"a\"", "JSON array of strings"),
            ("[\"a\\u0000\"]", "zero byte"),
        ] {
            let fault = split(text).unwrap_err();
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }
}
