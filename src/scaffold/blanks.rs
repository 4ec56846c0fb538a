//! Values that are filled into a template.

use crate::spec::FunctionName;

/// Names that cargo gives no program, because its own folders are called so.
const TAKEN: [&str; 4] = ["build", "deps", "examples", "incremental"];

/// Begin of the names of the runtime's crates: a lock file cannot have two packages from folders with one name and
/// version.
const OURS: &str = "picofaas-";

/// The words between `{{` and `}}`, and what stands for each.
#[derive(Debug)]
pub(super) struct Blanks {
    values: [(&'static str, String); 3],
}

impl Blanks {
    /// For a function called `name`.
    pub(super) fn new(name: &FunctionName) -> Self {
        Self {
            values: [
                ("name", name.to_string()),
                ("package", package(name.as_str())),
                ("class", class(name.as_str())),
            ],
        }
    }

    /// The template with its blanks filled in.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (word, behind) = after.split_once("}}").expect("a test fills every template");
            let value = self.values.iter().find(|(known, _)| *known == word);
            filled.push_str(before);
            filled.push_str(&value.expect("a test fills every template").1);
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }
}

/// The name of a crate and its program. Words of the language are allowed there.
fn package(name: &str) -> String {
    if TAKEN.contains(&name) || name.starts_with(OURS) { format!("fn-{name}") } else { name.to_owned() }
}

/// The name of a class: `word-stats` gives `WordStatsFunction`. What stands behind it keeps it from
/// being `Class` or `Override`, which Java has.
fn class(name: &str) -> String {
    let mut class = String::with_capacity(name.len());
    for word in name.split('-') {
        let mut letters = word.chars();
        class.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        class.push_str(letters.as_str());
    }
    class + "Function"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_called_by_the_words_of_the_name_and_never_as_one_of_javas() {
        for (name, expected) in [
            ("greet", "GreetFunction"),
            ("word-stats", "WordStatsFunction"),
            ("a--b-2c", "AB2cFunction"),
            ("class", "ClassFunction"),
        ] {
            assert_eq!(class(name), expected);
        }
    }

    #[test]
    fn a_program_is_called_as_the_function_unless_cargo_has_that_name_already() {
        for (name, expected) in [
            ("match", "match"),
            ("test", "test"),
            ("deps", "fn-deps"),
            ("picofaas-runtime", "fn-picofaas-runtime"),
        ] {
            assert_eq!(package(name), expected);
        }
    }
}
