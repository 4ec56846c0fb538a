//! Where each token of a file stands: in which inline module, at the level of items, in a part for tests.

use super::lexer::{Lexeme, Token};

/// A token of code. Comments have no place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub line: usize,
    pub token: Token<'a>,
    /// Inline modules around it, from the outside: an index into [`Places::modules`].
    pub module: usize,
    /// In no brackets but those of inline modules.
    pub of_item: bool,
    /// In a part that is compiled for tests alone.
    pub in_test: bool,
}

#[derive(Debug)]
pub(super) struct Places<'a> {
    pub tokens: Vec<Placed<'a>>,
    /// The names of each inline module and of those around it.
    pub modules: Vec<Vec<&'a str>>,
}

/// An open bracket.
struct Bracket {
    /// The module that it belongs to.
    module: usize,
    /// Whether it is the brace of an inline module.
    of_module: bool,
    in_test: bool,
}

impl<'a> Places<'a> {
    pub(super) fn of(lexemes: &[Lexeme<'a>]) -> Self {
        let code: Vec<&Lexeme<'a>> =
            lexemes.iter().filter(|lexeme| !matches!(lexeme.token, Token::Comment(_))).collect();
        let mut places = Self { tokens: Vec::new(), modules: vec![Vec::new()] };
        let mut open: Vec<Bracket> = Vec::new();
        // The number of open brackets around an attribute for tests whose item goes on.
        let mut test_item: Option<usize> = None;
        for (at, lexeme) in code.iter().enumerate() {
            let Token::Sign(sign) = lexeme.token else {
                places.push(lexeme, &open, test_item.is_some());
                continue;
            };
            match sign {
                '#' if is_for_tests(&code[at..]) => test_item = test_item.or(Some(open.len())),
                ';' if test_item == Some(open.len()) => test_item = None,
                // Of fields; between items there are only commas of generics.
                ',' if test_item == Some(open.len()) && open.last().is_some_and(|it| !it.of_module) => {
                    test_item = None;
                }
                ')' | ']' | '}' => {
                    open.pop();
                    // An item that ends without a semicolon, or what it stands in.
                    if sign == '}' && test_item.is_some_and(|depth| open.len() <= depth) {
                        test_item = None;
                    }
                }
                _ => {}
            }
            places.push(lexeme, &open, test_item.is_some());
            if matches!(sign, '(' | '[' | '{') {
                let (module, in_test) = (places.module(&open), test_item.is_some() || is_in_test(&open));
                let name = if sign == '{' { module_name(&code[..at]) } else { None };
                let module = match name {
                    Some(name) => {
                        let path = [&places.modules[module][..], &[name]].concat();
                        places.modules.push(path);
                        places.modules.len() - 1
                    }
                    None => module,
                };
                open.push(Bracket { module, of_module: name.is_some(), in_test });
            }
        }
        places
    }

    fn module(&self, open: &[Bracket]) -> usize {
        open.last().map_or(0, |bracket| bracket.module)
    }

    fn push(&mut self, lexeme: &Lexeme<'a>, open: &[Bracket], in_test: bool) {
        self.tokens.push(Placed {
            line: lexeme.line,
            token: lexeme.token,
            module: self.module(open),
            of_item: open.iter().all(|bracket| bracket.of_module),
            in_test: in_test || is_in_test(open),
        });
    }
}

fn is_in_test(open: &[Bracket]) -> bool {
    open.last().is_some_and(|bracket| bracket.in_test)
}

/// The name of the inline module whose brace comes after `code`.
fn module_name<'a>(code: &[&Lexeme<'a>]) -> Option<&'a str> {
    match code {
        [.., keyword, name] if keyword.token.is_word("mod") => match name.token {
            Token::Word(name) => Some(name),
            Token::Sign(_) | Token::Literal | Token::Lifetime | Token::Comment(_) => None,
        },
        _ => None,
    }
}

/// Whether `code` begins with an attribute such as `#[cfg(test)]` or `#[cfg(all(test, loom))]`.
fn is_for_tests(code: &[&Lexeme<'_>]) -> bool {
    let [_, bracket, cfg, rest @ ..] = code else { return false };
    if bracket.token != Token::Sign('[') || !cfg.token.is_word("cfg") {
        return false;
    }
    let condition = rest.iter().take_while(|lexeme| lexeme.token != Token::Sign(']'));
    let words: Vec<Token<'_>> = condition.map(|lexeme| lexeme.token).collect();
    let has = |wanted: &str| words.iter().any(|token| token.is_word(wanted));
    has("test") && !has("not") && !has("any")
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lexemes;
    use super::*;

    fn of(content: &str, word: &str) -> (String, bool, bool) {
        let lexemes = lexemes(content);
        let places = Places::of(&lexemes);
        let found = places.tokens.iter().find(|placed| placed.token.is_word(word)).unwrap();
        (places.modules[found.module].join("::"), found.of_item, found.in_test)
    }

    #[test]
    fn a_token_is_in_the_modules_whose_braces_are_open() {
        let content = "mod a { mod b { fn f(c: C) { x } } y } z";
        assert_eq!(of(content, "x"), ("a::b".to_owned(), false, false));
        assert_eq!(of(content, "f"), ("a::b".to_owned(), true, false));
        assert_eq!(of(content, "c"), ("a::b".to_owned(), false, false));
        assert_eq!(of(content, "y"), ("a".to_owned(), true, false));
        assert_eq!(of(content, "z"), (String::new(), true, false));
    }

    #[test]
    fn an_attribute_for_tests_holds_for_its_item_alone() {
        let content =
            "#[cfg(test)] use crate::{a, b}; use crate::c; #[cfg(test)] #[path = \"\"] mod d { e } f";
        for (word, in_test) in
            [("a", true), ("b", true), ("c", false), ("d", true), ("e", true), ("f", false)]
        {
            assert_eq!(of(content, word).2, in_test, "{word}");
        }
        let content = "struct S { #[cfg(test)] a: A, b: B, #[cfg(all(test, loom))] c: C } d";
        for (word, in_test) in [("a", true), ("b", false), ("c", true), ("d", false)] {
            assert_eq!(of(content, word).2, in_test, "{word}");
        }
        assert!(!of("#[cfg(not(test))] mod a { b }", "b").2);
    }
}
