//! The rule about comments: each paragraph begins with the noun it is about or with a verb.
//!
//! A paragraph that begins with a pronoun says its noun late or never. A question may begin with one.

use super::lexer::{Lexeme, Token, lexemes};
use super::{Fault, Text};

const PRONOUNS: [&str; 8] = ["What", "Who", "Whoever", "Whatever", "Whom", "Whose", "Those", "That"];

/// Around code in a comment.
const FENCE: &str = "```";

pub(super) fn check(text: &Text<'_>, faults: &mut Vec<Fault>) {
    for Paragraph { line, words } in paragraphs(text.content) {
        let first: String = words.chars().take_while(|c| c.is_alphabetic()).collect();
        let is_pronoun = PRONOUNS.iter().any(|pronoun| first.eq_ignore_ascii_case(pronoun));
        if is_pronoun && !is_question(&words) {
            let message = format!(
                "a comment that begins with `{first}`: begin with the noun that it is about, or with a verb"
            );
            faults.push(Fault::of_line(text, line, message));
        }
    }
}

struct Paragraph {
    /// From 0.
    line: usize,
    /// Without slashes, on one line.
    words: String,
}

/// Whether the first sentence ends as a question does.
fn is_question(words: &str) -> bool {
    let ends = words.match_indices(['.', '?', '!']).find(|(at, end)| {
        let after = &words[at + end.len()..];
        after.is_empty() || after.starts_with(' ')
    });
    ends.is_some_and(|(_, end)| end == "?")
}

/// The paragraphs of all comments. Comments on lines that follow each other are one, where no code comes between
/// and their slashes are alike.
fn paragraphs(content: &str) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    // The line, the slashes, and whether it is within a paragraph and within code, of the comment before.
    let mut before: Option<(usize, &str)> = None;
    let (mut goes_on, mut in_code) = (false, false);
    let mut last_code = None;
    for Lexeme { line, token } in lexemes(content) {
        let Token::Comment(comment) = token else {
            last_code = Some(line);
            continue;
        };
        let (slashes, words) = split(comment);
        let follows = last_code.is_none_or(|code| code < line)
            && before.is_some_and(|(above, slashes_above)| above + 1 == line && slashes_above == slashes);
        if !follows {
            (goes_on, in_code) = (false, false);
        }
        before = if last_code == Some(line) { None } else { Some((line, slashes)) };
        if words.starts_with(FENCE) {
            (goes_on, in_code) = (false, !in_code);
        } else if words.is_empty() {
            goes_on = false;
        } else if in_code {
        } else if let Some(paragraph) = found.last_mut().filter(|_| goes_on) {
            paragraph.words.push(' ');
            paragraph.words.push_str(words);
        } else {
            found.push(Paragraph { line, words: words.to_owned() });
            goes_on = true;
        }
    }
    found
}

/// The slashes or the star of a comment, and its words.
fn split(comment: &str) -> (&str, &str) {
    let length = comment.find(|c| !"/!*".contains(c)).unwrap_or(comment.len());
    let (slashes, words) = comment.split_at(length);
    (slashes, words.trim_end_matches("*/").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_at_fault(content: &str) -> Vec<usize> {
        let mut faults = Vec::new();
        check(&Text { path: std::path::Path::new("src/a.rs"), content }, &mut faults);
        faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn a_pronoun_at_the_beginning_is_refused_with_its_line_and_the_remedy() {
        let mut faults = Vec::new();
        let content = "fn a() {}\n/// What bodies hold.\n";
        check(&Text { path: std::path::Path::new("src/a.rs"), content }, &mut faults);
        let wanted = "src/a.rs:2: a comment that begins with `What`: begin with the noun that it is about, or \
                      with a verb";
        assert_eq!(faults.iter().map(Fault::to_string).collect::<Vec<_>>(), [wanted]);
        for pronoun in PRONOUNS {
            for slashes in ["//", "///", "//!", "let a = 1; //"] {
                assert_eq!(
                    lines_at_fault(&format!("{slashes} {pronoun} it is.\n")),
                    [1],
                    "{slashes}{pronoun}"
                );
            }
        }
    }

    #[test]
    fn every_paragraph_is_read_and_a_line_that_goes_on_is_not_one() {
        assert_eq!(lines_at_fault("//! Bytes.\n//!\n//! Those of all.\n"), [3]);
        assert!(lines_at_fault("// Bytes and\n// what they are.\n").is_empty());
        assert_eq!(lines_at_fault("// Bytes\nlet a = 1; // that of a\n// who reads\n"), [2, 3]);
        assert_eq!(lines_at_fault("/// Bytes.\n// Who reads.\n"), [2]);
    }

    #[test]
    fn nouns_verbs_questions_and_code_may_begin_as_they_like() {
        for content in [
            "/// Bytes held by all bodies.\n",
            "/// Whatsoever.\n",
            "// What is lost when it ends? Nothing.\n",
            "// Who of\n// them?\n",
            "/// ```\n/// Who::new();\n/// ```\n",
            "let a = \"// What\";\n",
        ] {
            assert!(lines_at_fault(content).is_empty(), "{content}");
        }
    }
}
