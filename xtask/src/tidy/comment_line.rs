//! Comments line by line, in Rust, Java and Python. A docstring counts as a comment.

use std::path::Path;

use super::lexer::{Lexeme, Token, lexemes};

/// A line of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CommentLine<'a> {
    /// From 0.
    pub line: usize,
    /// Slashes, `#`, or the beginning of a block: the lines of one comment have the same.
    pub sign: &'a str,
    /// Without the sign.
    pub words: &'a str,
    /// Whether it may go on with the line above it.
    pub may_go_on: bool,
    /// Whether code stands before it.
    pub is_behind_code: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Java,
    Python,
}

/// The lines of all comments of a file in a language whose comments are known; a template has the ending `in` behind
/// that of its language.
pub(super) fn comment_lines<'a>(path: &Path, content: &'a str) -> Vec<CommentLine<'a>> {
    let has_ending = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    let plain = if has_ending(path, "in") { path.with_extension("") } else { path.to_path_buf() };
    if has_ending(&plain, "rs") {
        of_rust(content)
    } else if has_ending(&plain, "java") {
        Scanner::new(content, Syntax::Java).lines()
    } else if has_ending(&plain, "py") {
        Scanner::new(content, Syntax::Python).lines()
    } else {
        Vec::new()
    }
}

fn of_rust(content: &str) -> Vec<CommentLine<'_>> {
    let mut found = Vec::new();
    let mut last_code = None;
    for Lexeme { line, token } in lexemes(content) {
        let Token::Comment(comment) = token else {
            last_code = Some(line);
            continue;
        };
        let length = comment.find(|c| !"/!*".contains(c)).unwrap_or(comment.len());
        let (sign, words) = comment.split_at(length);
        let words = words.trim_end_matches("*/").trim();
        found.push(CommentLine {
            line,
            sign,
            words,
            may_go_on: true,
            is_behind_code: last_code == Some(line),
        });
    }
    found
}

/// Goes through a file of Java or Python.
struct Scanner<'a> {
    rest: &'a str,
    language: Syntax,
    line: usize,
    last_code: Option<usize>,
    /// The last sign of code.
    last_sign: Option<char>,
    found: Vec<CommentLine<'a>>,
}

impl<'a> Scanner<'a> {
    fn new(content: &'a str, language: Syntax) -> Self {
        Self { rest: content, language, line: 0, last_code: None, last_sign: None, found: Vec::new() }
    }

    fn lines(mut self) -> Vec<CommentLine<'a>> {
        let line_comment = if self.language == Syntax::Java { "//" } else { "#" };
        loop {
            self.take(self.rest.len() - self.rest.trim_start().len());
            let Some(first) = self.rest.chars().next() else { return self.found };
            if self.rest.starts_with(line_comment) {
                self.line_comment();
            } else if self.language == Syntax::Java && self.rest.starts_with("/*") {
                let length = self.rest[2..].find("*/").map_or(self.rest.len(), |at| at + 4);
                self.block(length, "/*", "*/");
            } else if first == '"' || first == '\'' {
                self.string(first);
            } else {
                self.code(first.len_utf8(), first);
            }
        }
    }

    /// Goes on by so many bytes and counts the lines in them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn code(&mut self, bytes: usize, sign: char) {
        self.take(bytes);
        (self.last_code, self.last_sign) = (Some(self.line), Some(sign));
    }

    fn line_comment(&mut self) {
        let (line, is_behind_code) = (self.line, self.last_code == Some(self.line));
        let comment = self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        let (sign, words) = comment.split_at(comment.find(|c| c != '/' && c != '#').unwrap_or(comment.len()));
        self.found.push(CommentLine { line, sign, words: words.trim(), may_go_on: true, is_behind_code });
    }

    /// A string; in Python one that is the first statement of a block is a comment.
    fn string(&mut self, quote: char) {
        let triple = quote.to_string().repeat(3);
        let is_triple = self.rest.starts_with(&triple);
        let end = if is_triple { triple } else { quote.to_string() };
        let length = length_of_string(self.rest, &end);
        let is_docstring = self.language == Syntax::Python
            && is_triple
            && self.last_code != Some(self.line)
            && self.last_sign.is_none_or(|sign| sign == ':');
        if is_docstring {
            self.block(length, "\"\"\"", "\"\"\"");
            self.last_sign = Some(quote);
        } else {
            self.code(length, quote);
        }
    }

    fn block(&mut self, length: usize, sign: &'a str, end: &str) {
        let (begin, is_behind_code) = (self.line, self.last_code == Some(self.line));
        let text = self.take(length);
        for (at, line) in text.trim_end_matches(end).split('\n').enumerate() {
            let words = line.trim().trim_start_matches(['/', '*', '"', '\'']).trim();
            let may_go_on = at > 0;
            let words = words.strip_prefix("<p>").unwrap_or(words);
            self.found.push(CommentLine { line: begin + at, sign, words, may_go_on, is_behind_code });
        }
    }
}

/// The bytes of a string with both its quotes.
fn length_of_string(text: &str, quotes: &str) -> usize {
    let mut at = quotes.len();
    while at < text.len() {
        if text[at..].starts_with(quotes) {
            return at + quotes.len();
        }
        let mut chars = text[at..].chars();
        let is_escape = chars.next() == Some('\\');
        at += if is_escape {
            1 + chars.next().map_or(0, char::len_utf8)
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(path: &str, content: &'a str) -> Vec<(usize, &'a str)> {
        comment_lines(Path::new(path), content).iter().map(|comment| (comment.line, comment.words)).collect()
    }

    #[test]
    fn comments_of_java_are_found_and_strings_are_none() {
        let content = [
            "/** One.",
            " *",
            " * <p>Two. */",
            "String a = \"// no\" + '\"' + '\\''; // Three",
            "/* Four */ b(\"\"\"",
            "  // no \" no",
            "  \"\"\");",
        ]
        .join("\n");

        let wanted = [(0, "One."), (1, ""), (2, "Two."), (3, "Three"), (4, "Four")];
        assert_eq!(words("a.java", &content), wanted);
        assert_eq!(words("a.java.in", &content), wanted);
    }

    #[test]
    fn comments_and_docstrings_of_python_are_found_and_other_strings_are_none() {
        let content = [
            "\"\"\"One.",
            "",
            "Two.",
            "\"\"\"",
            "# Three",
            "a = '# no' + \"# no\"  # Four",
            "",
            "def f():",
            "    \"\"\"Five.\"\"\"",
            "    b(",
            "        \"\"\"no",
            "        # no\"\"\"",
            "    )",
            "    \"\"\"no\"\"\"",
        ]
        .join("\n");

        let wanted = [(0, "One."), (1, ""), (2, "Two."), (3, ""), (4, "Three"), (5, "Four"), (8, "Five.")];
        assert_eq!(words("a.py", &content), wanted);
    }

    #[test]
    fn other_files_and_files_that_end_too_early_have_nothing_that_fails() {
        assert!(words("a.sh", "# What\n").is_empty());
        for content in ["\"\"\"a", "/* a", "'\\", "\"", "'", "#", "/"] {
            for path in ["a.java", "a.py"] {
                let _ = words(path, content);
            }
        }
    }
}
