//! The rule about the length of functions is a lint of clippy. This rule says that it is on, with its limit, and
//! that no file turns it off for a part of itself.

use std::path::Path;

use super::{Fault, Text};

/// The lines of a function's body, without comments and blank ones.
const LINES_MAX: usize = 70;

const LINT: &str = concat!("too_many", "_lines");

/// Whether the lint is on.
pub(super) fn check(texts: &[Text<'_>], faults: &mut Vec<Fault>) {
    let wanted = [
        ("Cargo.toml", format!("{LINT} = \"warn\"")),
        ("clippy.toml", format!("too-many-lines-threshold = {LINES_MAX}")),
    ];
    for (path, line) in wanted {
        let path = Path::new(path);
        let is_there =
            texts.iter().any(|text| text.path == path && text.lines().any(|(_, found)| found == line));
        if !is_there {
            faults.push(Fault::at(
                path,
                0,
                format!("a function has at most {LINES_MAX} lines: add `{line}`"),
            ));
        }
    }
    for text in texts.iter().filter(|text| text.path.file_name().is_some_and(|name| name == "Cargo.toml")) {
        let has = |wanted: &str| text.lines().any(|(_, line)| line == wanted);
        if has("[package]") && !has("workspace = true") {
            let message = "the lints of the workspace are off: add `[lints]` and `workspace = true`";
            faults.push(Fault::of_file(text, message));
        }
    }
}

/// Functions that are longer, as their files turn the lint off for them.
pub(super) fn exceptions(texts: &[Text<'_>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for text in texts.iter().filter(|text| text.has_extension("rs")) {
        for (index, _) in text.lines().filter(|(_, line)| line.contains(LINT)) {
            faults.push(Fault::of_line(text, index, format!("`{LINT}`: split the function by its nouns")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<Text<'_>> =
            files.iter().map(|(path, content)| Text { path: Path::new(path), content }).collect();
        let mut faults = Vec::new();
        check(&texts, &mut faults);
        faults.extend(exceptions(&texts));
        faults.iter().map(Fault::to_string).collect()
    }

    fn on() -> Vec<(&'static str, String)> {
        vec![
            ("Cargo.toml", format!("[workspace.lints.clippy]\n{LINT} = \"warn\"\n")),
            ("clippy.toml", "too-many-lines-threshold = 70\n".to_owned()),
        ]
    }

    fn with(path: &str, content: &str) -> Vec<String> {
        let on = on();
        let mut files: Vec<(&str, &str)> =
            on.iter().map(|(path, content)| (*path, content.as_str())).collect();
        files.push((path, content));
        messages(&files)
    }

    #[test]
    fn the_lint_is_on_with_its_limit() {
        assert!(with("src/a.rs", "fn a() {}\n").is_empty());
        let found = messages(&[("Cargo.toml", ""), ("clippy.toml", "too-many-lines-threshold = 100\n")]);
        let remedy = format!("Cargo.toml: a function has at most 70 lines: add `{LINT} = \"warn\"`");
        assert!(found.len() == 2 && found[0] == remedy, "{found:?}");
    }

    #[test]
    fn no_file_and_no_crate_turns_it_off() {
        let found = with("src/a.rs", &format!("\n#[expect(clippy::{LINT}, reason = \"\")]\nfn a() {{}}\n"));
        assert_eq!(found, [format!("src/a.rs:2: `{LINT}`: split the function by its nouns")]);
        assert_eq!(with("a/Cargo.toml", "[package]\nname = \"a\"\n").len(), 1);
        assert!(with("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n").is_empty());
    }
}
