//! The rule about type names: a crate has each once, so that a search for it ends at one place.
//!
//! A crate is the folder of the nearest `Cargo.toml`; in it, each folder or file of `tests`, `benches` and
//! `examples` is one of its own. It is about types at the level of items, those of tests too. Associated types,
//! and types in the bodies of functions and macros, are not seen from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::lexer::{Token, lexemes};
use super::placed::Places;
use super::{Fault, Text};

const KEYWORDS: [&str; 5] = ["struct", "enum", "union", "trait", "type"];

/// Folders of a package whose entries are crates.
const OF_CRATES: [&str; 3] = ["tests", "benches", "examples"];

/// Where the first type of a name is.
struct Definition<'a> {
    path: &'a Path,
    line: usize,
}

/// `packages` are the folders that hold a `Cargo.toml`.
pub(super) fn check(texts: &[Text<'_>], packages: &[&Path]) -> Vec<Fault> {
    let mut first: BTreeMap<(PathBuf, &str), Definition<'_>> = BTreeMap::new();
    let mut faults = Vec::new();
    for text in texts.iter().filter(|text| text.has_extension("rs")) {
        let owner = crate_of(text.path, packages);
        for (line, name) in names(text.content) {
            let key = (owner.clone(), name);
            if let Some(Definition { path, line: other }) = first.get(&key) {
                let message = format!(
                    "a second type `{name}`, beside {}:{}: give each the name of what it is alone",
                    path.display(),
                    other + 1
                );
                faults.push(Fault::of_line(text, line, message));
            } else {
                first.insert(key, Definition { path: text.path, line });
            }
        }
    }
    faults
}

fn crate_of(path: &Path, packages: &[&Path]) -> PathBuf {
    let package = path.ancestors().skip(1).find(|folder| packages.contains(folder)).unwrap_or(Path::new(""));
    let inside = path.strip_prefix(package).unwrap_or(path);
    let mut parts = inside.components();
    let top = parts.next().map(|part| part.as_os_str());
    match (top, parts.next()) {
        (Some(top), Some(entry)) if OF_CRATES.iter().any(|folder| top == *folder) => {
            package.join(top).join(entry)
        }
        _ => package.to_path_buf(),
    }
}

/// The types that a file defines at the level of items.
fn names(content: &str) -> Vec<(usize, &str)> {
    let lexemes = lexemes(content);
    let places = Places::of(&lexemes);
    let mut found = Vec::new();
    for pair in places.tokens.windows(2) {
        if let ([keyword, name], Token::Word(word)) = (pair, pair[1].token)
            && keyword.of_item
            && KEYWORDS.iter().any(|known| keyword.token.is_word(known))
        {
            found.push((name.line, word));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<Text<'_>> =
            files.iter().map(|(path, content)| Text { path: Path::new(path), content }).collect();
        let packages = [Path::new(""), Path::new("xtask")];
        check(&texts, &packages).iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_second_type_of_a_name_is_refused_with_where_both_are() {
        let found =
            messages(&[("src/a.rs", "struct Place;\n"), ("src/b/c.rs", "\npub(crate) enum Place {}\n")]);
        let wanted =
            "src/b/c.rs:2: a second type `Place`, beside src/a.rs:1: give each the name of what it is alone";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn every_kind_of_type_counts_and_those_of_tests_too() {
        for other in
            ["enum A {}", "pub trait A: B {}", "type A<T> = T;", "#[cfg(test)]\nmod tests { struct A; }"]
        {
            assert_eq!(messages(&[("src/a.rs", "struct A;\n"), ("src/b.rs", other)]).len(), 1, "{other}");
        }
    }

    #[test]
    fn a_name_may_come_again_in_another_crate() {
        for other in
            ["xtask/src/a.rs", "tests/system/a.rs", "tests/cluster/a.rs", "benches/a.rs", "xtask/tests/a.rs"]
        {
            assert!(messages(&[("src/a.rs", "struct A;\n"), (other, "struct A;\n")]).is_empty(), "{other}");
        }
        assert_eq!(
            messages(&[("tests/system/a.rs", "struct A;"), ("tests/system/b/c.rs", "struct A;")]).len(),
            1
        );
    }

    #[test]
    fn types_that_are_not_seen_from_outside_do_not_count() {
        for other in [
            "impl Iterator for B { type A = C; }",
            "trait B { type A; }",
            "fn b() { struct A; }",
            "macro_rules! b { () => { struct A; } }",
            "// struct A;\nconst B: &str = \"struct A;\";",
        ] {
            assert!(messages(&[("src/a.rs", "struct A;\n"), ("src/b.rs", other)]).is_empty(), "{other}");
        }
    }
}
