//! The rule about comments: each paragraph begins with the noun it is about or with a verb.
//!
//! A paragraph that begins with a pronoun says its noun late or never. A question may begin with one.

use super::comment_line::{CommentLine, comment_lines};
use super::{Fault, Text};

const PRONOUNS: [&str; 8] = ["What", "Who", "Whoever", "Whatever", "Whom", "Whose", "Those", "That"];

/// Around code in a comment.
const FENCE: &str = "```";

pub(super) fn check(text: &Text<'_>, faults: &mut Vec<Fault>) {
    for Paragraph { line, words } in paragraphs(text) {
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
    /// Without signs, on one line.
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
/// and their signs are alike.
fn paragraphs(text: &Text<'_>) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    let mut before: Option<CommentLine<'_>> = None;
    let (mut goes_on, mut in_code) = (false, false);
    for comment in comment_lines(text.path, text.content) {
        let follows = comment.may_go_on
            && before.is_some_and(|above| {
                above.line + 1 == comment.line && above.sign == comment.sign && !above.is_behind_code
            })
            && !comment.is_behind_code;
        if !follows {
            (goes_on, in_code) = (false, false);
        }
        before = Some(comment);
        let words = comment.words;
        if words.starts_with(FENCE) {
            (goes_on, in_code) = (false, !in_code);
        } else if words.is_empty() {
            goes_on = false;
        } else if in_code {
        } else if let Some(paragraph) = found.last_mut().filter(|_| goes_on) {
            paragraph.words.push(' ');
            paragraph.words.push_str(words);
        } else {
            found.push(Paragraph { line: comment.line, words: words.to_owned() });
            goes_on = true;
        }
    }
    found
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
    fn comments_of_java_and_docstrings_of_python_are_held_to_the_rule() {
        let lines = |path: &str, content: &str| -> Vec<usize> {
            let mut faults = Vec::new();
            check(&Text { path: std::path::Path::new(path), content }, &mut faults);
            faults.iter().map(|fault| fault.line).collect()
        };
        let java = [
            "/**",
            " * Bytes of",
            " * whose.",
            " *",
            " * <p>Those of all.",
            " */",
            "/** What. */",
            "int a; // Who it is.",
        ]
        .join("\n");
        assert_eq!(lines("A.java", &java), [5, 7, 8]);
        assert_eq!(lines("A.java.in", &java), [5, 7, 8]);
        let python = [
            "\"\"\"Bytes of",
            "whose.",
            "",
            "Those of all.",
            "\"\"\"",
            "def a():",
            "    \"\"\"What.\"\"\"",
            "    # Who",
            "    # it is?",
            "    b()  # That one.",
        ]
        .join("\n");
        assert_eq!(lines("a.py", &python), [4, 7, 10]);
        assert!(lines("a.md", &python).is_empty());
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
