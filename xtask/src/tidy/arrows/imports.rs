//! The paths of the crate that a file names: `crate::a::b`, `super::super::a`, trees of `use`.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::Text;
use super::super::lexer::{Token, lexemes};
use super::super::placed::{Placed, Places};

/// One path in one file.
#[derive(Debug)]
pub(super) struct Import<'a> {
    pub path: &'a Path,
    /// From 0.
    pub line: usize,
    /// The module that it is in, from the folder of `src/` downwards.
    pub importer: Vec<String>,
    /// The module or item that it names.
    pub imported: Vec<String>,
    pub in_test: bool,
}

impl Import<'_> {
    pub(super) fn importer_folder(&self) -> &str {
        self.importer.first().map_or("", String::as_str)
    }

    pub(super) fn imported_folder(&self) -> &str {
        self.imported.first().map_or("", String::as_str)
    }

    pub(super) fn importer_is_in(&self, module: &[&str]) -> bool {
        is_in(&self.importer, module)
    }

    pub(super) fn imported_is_in(&self, module: &[&str]) -> bool {
        is_in(&self.imported, module)
    }
}

fn is_in(path: &[String], module: &[&str]) -> bool {
    path.len() >= module.len() && path.iter().zip(module).all(|(found, wanted)| found == wanted)
}

/// Every import from one folder of `sources` into another.
pub(super) fn of<'a>(texts: &[Text<'a>], sources: &str) -> Vec<Import<'a>> {
    let of_crate = || {
        let rust = texts.iter().filter(|text| text.has_extension("rs"));
        rust.filter_map(|text| Some((text, module_of(text.path.strip_prefix(sources).ok()?))))
    };
    let folders: BTreeSet<String> = of_crate().filter_map(|(_, module)| module.first().cloned()).collect();
    let mut found = Vec::new();
    for (text, module) in of_crate() {
        // The files of the crate itself, as `main.rs`, put the folders together.
        if module.is_empty() {
            continue;
        }
        let lexemes = lexemes(text.content);
        let places = Places::of(&lexemes);
        let is_for_tests = is_for_tests(text.path);
        for (at, base) in paths(&places.tokens) {
            let first = &places.tokens[at];
            let mut inside = module.clone();
            inside.extend(places.modules[first.module].iter().map(|&name| name.to_owned()));
            let base = match base {
                PathStart::Crate => Vec::new(),
                PathStart::Super(levels) => inside[..inside.len().saturating_sub(levels)].to_vec(),
            };
            let mut tree = Tree { tokens: &places.tokens, at, found: Vec::new() };
            tree.read(base);
            for (line, to) in tree.found {
                let import = Import {
                    path: text.path,
                    line,
                    importer: module.clone(),
                    imported: to,
                    in_test: is_for_tests || first.in_test,
                };
                if folders.contains(import.imported_folder())
                    && import.imported_folder() != import.importer_folder()
                {
                    found.push(import);
                }
            }
        }
    }
    found
}

/// The module of a file, by its path below `src/`: none of `lib.rs` and of `main.rs`.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let mut parts: Vec<String> =
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let is_root = parts.len() == 1 && parts.last().is_some_and(|last| last == "lib" || last == "main");
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Whether a whole file is for tests, by its name.
fn is_for_tests(path: &Path) -> bool {
    path.with_extension("").components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == "tests" || part == "simulation" || part.ends_with("_tests")
    })
}

enum PathStart {
    Crate,
    /// So many modules upwards.
    Super(usize),
}

/// Where each path of the crate goes on after its `crate::` or its last `super::`.
fn paths(tokens: &[Placed<'_>]) -> Vec<(usize, PathStart)> {
    let goes_on = |at: usize| {
        let sign = |at: usize| tokens.get(at).is_some_and(|placed| placed.token == Token::Sign(':'));
        sign(at) && sign(at + 1)
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = at < 2 || !goes_on(at - 2);
        if begins && tokens[at].token.is_word("crate") && goes_on(at + 1) {
            found.push((at + 3, PathStart::Crate));
        } else if begins && tokens[at].token.is_word("super") {
            let mut levels = 0;
            while at < tokens.len() && tokens[at].token.is_word("super") && goes_on(at + 1) {
                levels += 1;
                at += 3;
            }
            if levels > 0 {
                found.push((at, PathStart::Super(levels)));
            }
        }
        at += 1;
    }
    found
}

/// A path, or a tree of them in the braces of a `use`.
struct Tree<'a> {
    tokens: &'a [Placed<'a>],
    at: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Tree<'_> {
    fn read(&mut self, mut path: Vec<String>) {
        let Some(first) = self.tokens.get(self.at) else { return };
        let line = first.line;
        loop {
            match self.tokens.get(self.at).map(|placed| placed.token) {
                Some(Token::Word("self" | "super")) => self.at += 1,
                Some(Token::Word(name)) => {
                    path.push(name.to_owned());
                    self.at += 1;
                }
                Some(Token::Sign('{')) => return self.branches(&path),
                _ => break,
            }
            if !self.takes(':') || !self.takes(':') {
                break;
            }
        }
        self.found.push((line, path));
    }

    fn branches(&mut self, path: &[String]) {
        self.at += 1;
        while self.at < self.tokens.len() && !self.takes('}') {
            self.read(path.to_vec());
            // `*`, `as name`.
            while self
                .tokens
                .get(self.at)
                .is_some_and(|placed| placed.token != Token::Sign(',') && placed.token != Token::Sign('}'))
            {
                self.at += 1;
            }
            self.takes(',');
        }
    }

    fn takes(&mut self, sign: char) -> bool {
        let is_there = self.tokens.get(self.at).is_some_and(|placed| placed.token == Token::Sign(sign));
        self.at += usize::from(is_there);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that a file of `src/a/` names, in a crate of the folders a, b and c.
    fn imports(path: &str, content: &str) -> Vec<String> {
        let files =
            [(path, content), ("src/b.rs", ""), ("src/c/mod.rs", ""), ("src/lib.rs", "use crate::b;")];
        let texts: Vec<Text<'_>> =
            files.iter().map(|(path, content)| Text { path: Path::new(path), content }).collect();
        of(&texts, "src").iter().map(|import| import.imported.join("::")).collect()
    }

    #[test]
    fn trees_and_paths_in_code_are_read_whole() {
        let content =
            "use crate::{a::X, b::{self, Y as Z, d::*}, c};\nfn f() -> crate::b::W<crate::c::V> {}\n";
        assert_eq!(imports("src/a/x.rs", content), ["b", "b::Y", "b::d", "c", "b::W", "c::V"]);
        assert_eq!(
            imports("src/a/x.rs", "pub(crate) use crate::b::Y;\nlet x = $crate::c::d!();\n"),
            ["b::Y", "c::d"]
        );
    }

    #[test]
    fn super_goes_up_from_the_module_it_stands_in() {
        assert_eq!(imports("src/a/x.rs", "use super::super::b::Y;"), ["b::Y"]);
        assert_eq!(imports("src/a/mod.rs", "use super::b::Y;"), ["b::Y"]);
        assert_eq!(imports("src/a.rs", "use super::{b::Y, c};"), ["b::Y", "c"]);
        assert_eq!(imports("src/a.rs", "mod d { use super::super::b; use super::b; }"), ["b"]);
        assert_eq!(imports("src/a/x.rs", "use super::b; use self::c; use b::d; use x::crate::b;"), [""; 0]);
    }

    #[test]
    fn items_of_the_crate_itself_and_other_crates_are_no_imports_of_a_folder() {
        assert_eq!(imports("src/a/x.rs", "use crate::VERSION; use std::b; pub(crate) fn b() {}"), [""; 0]);
    }
}
