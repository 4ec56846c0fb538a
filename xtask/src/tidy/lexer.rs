//! The tokens of a Rust file, and where each stands: in which module, at the level of items, in a test.
//!
//! A small lexer: it knows comments, strings and lifetimes well enough that a rule never takes the text of one
//! for code.

/// A token with the line it begins on, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lexeme<'a> {
    pub line: usize,
    pub token: Token<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword or a name; a raw one with its `r#`.
    Word(&'a str),
    /// One sign of punctuation.
    Sign(char),
    /// A string, a character or a number.
    Literal,
    Lifetime,
    /// With its slashes.
    Comment(&'a str),
}

impl Token<'_> {
    pub(super) fn is_word(self, wanted: &str) -> bool {
        self == Token::Word(wanted)
    }
}

pub(super) fn lexemes(content: &str) -> Vec<Lexeme<'_>> {
    let mut lexer = Lexer { rest: content, line: 0 };
    let mut found = Vec::new();
    while let Some(lexeme) = lexer.next() {
        found.push(lexeme);
    }
    found
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Option<Lexeme<'a>> {
        let blanks = self.rest.len() - self.rest.trim_start().len();
        self.take(blanks);
        let first = self.rest.chars().next()?;
        let line = self.line;
        let token = match first {
            '/' if self.rest.starts_with("//") => {
                Token::Comment(self.take(self.rest.find('\n').unwrap_or(self.rest.len())).trim_end())
            }
            '/' if self.rest.starts_with("/*") => Token::Comment(self.take(block_comment(self.rest))),
            '"' => self.literal(1 + string(&self.rest[1..])),
            '\'' => self.quote(),
            _ if first.is_ascii_digit() => self.literal(word(self.rest)),
            _ if is_of_word(first) => self.word(),
            _ => {
                self.take(first.len_utf8());
                Token::Sign(first)
            }
        };
        Some(Lexeme { line, token })
    }

    /// Goes on by so many bytes and counts the lines in them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn literal(&mut self, bytes: usize) -> Token<'a> {
        self.take(bytes);
        Token::Literal
    }

    /// A character, else a lifetime.
    fn quote(&mut self) -> Token<'a> {
        let after = &self.rest[1..];
        let mut chars = after.chars();
        let first = chars.next().unwrap_or('\'');
        if first == '\\' {
            // The character after the backslash may be a quote itself.
            let end = after.char_indices().skip(2).find(|(_, c)| *c == '\'');
            return self.literal(1 + end.map_or(after.len(), |(at, _)| at + 1));
        }
        if chars.next() == Some('\'') {
            return self.literal(1 + first.len_utf8() + 1);
        }
        self.take(1 + word(after));
        Token::Lifetime
    }

    fn word(&mut self) -> Token<'a> {
        let length = word(self.rest);
        let (prefix, after) = self.rest.split_at(length);
        let hashes = after.len() - after.trim_start_matches('#').len();
        match prefix {
            "r" | "br" | "cr" if after[hashes..].starts_with('"') => {
                let end = format!("\"{}", "#".repeat(hashes));
                let inside = &after[hashes + 1..];
                let inside = inside.find(&end).map_or(inside.len(), |at| at + end.len());
                self.literal(length + hashes + 1 + inside)
            }
            "b" | "c" if after.starts_with('"') => self.literal(length + 1 + string(&after[1..])),
            "b" if after.starts_with('\'') => {
                self.take(length);
                self.quote()
            }
            "r" if hashes == 1 => Token::Word(self.take(length + 1 + word(&after[1..]))),
            _ => Token::Word(self.take(length)),
        }
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The bytes of the word or number that `text` begins with.
fn word(text: &str) -> usize {
    text.find(|c| !is_of_word(c)).unwrap_or(text.len())
}

/// The bytes of a string after its first quote, with the last one.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a text, in their order.
    fn words(content: &str) -> Vec<&str> {
        let word = |lexeme: Lexeme<'static>| match lexeme.token {
            Token::Word(word) => Some(word),
            Token::Sign(_) | Token::Literal | Token::Lifetime | Token::Comment(_) => None,
        };
        lexemes(content.to_owned().leak()).into_iter().filter_map(word).collect()
    }

    #[test]
    fn no_word_comes_out_of_a_string_a_character_or_a_comment() {
        assert_eq!(words(r#"a("no \" no", 'n', b'n', b"no", c"no") z"#), ["a", "z"]);
        assert_eq!(words("a(r\"no\\\", r#\"no \" no\"#, br##\"no\"# no\"##) z"), ["a", "z"]);
        assert_eq!(words("a /* no /* no */ no */ z // no"), ["a", "z"]);
        assert_eq!(words(r"a('\'', '\\', '\u{1F600}', '😀') z"), ["a", "z"]);
    }

    #[test]
    fn a_lifetime_is_no_character_and_a_raw_name_is_one_word() {
        assert_eq!(
            words("fn a<'life>(b: &'life str, c: &'static str) {}"),
            ["fn", "a", "b", "str", "c", "str"]
        );
        assert_eq!(words("r#type r"), ["r#type", "r"]);
        assert_eq!(words("0x1f_u64..12 z"), ["z"]);
    }

    #[test]
    fn a_token_has_the_line_it_begins_on() {
        let found = lexemes("a\n\"1\n2\" /* 2\n3 */ b\n\n// c\nd");
        let lines: Vec<usize> = found.iter().map(|lexeme| lexeme.line).collect();
        assert_eq!(lines, [0, 1, 2, 3, 5, 6]);
    }

    #[test]
    fn what_does_not_end_ends_with_the_file() {
        for content in ["\"a", "r#\"a", "/* a", "'\\", "'", "b'"] {
            assert!(!lexemes(content).is_empty(), "{content}");
        }
    }
}
