//! The rules for Rust files.

use std::path::Path;

use super::{Fault, Text};

/// A file that needs more lines than this holds more than one noun.
const LINES_MAX: usize = 500;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Words that promise to finish something later, and the mark of tests that are there but do not run.
const LEFTOVERS: [(&str, &str); 5] = [
    (concat!("to", "do!"), "finish it or leave it out"),
    (concat!("unimple", "mented!"), "finish it or leave it out"),
    (concat!("FIX", "ME"), "fix it, or say in a sentence what is so and why"),
    (concat!("X", "XX"), "say in a sentence what is so and why"),
    (concat!("#[ig", "nore"), "a test runs, or is not there"),
];

/// Ends of the paths by which a sleep is called.
const SLEEPS: [&str; 2] = [concat!("thread::sl", "eep("), concat!("time::sl", "eep(")];

/// Word that a comment beside a sleep in a test must contain, followed by the reason.
const SLEEP_REASON: &str = concat!("sl", "eep:");

pub(super) fn check(text: &Text<'_>, faults: &mut Vec<Fault>) {
    length(text, faults);
    leftovers(text, faults);
    sleeps(text, faults);
    for (index, _) in text.lines().filter(|(_, line)| line.contains('\t')) {
        faults.push(Fault::of_line(text, index, "a tab: indent with spaces, write `\\t` in strings"));
    }
}

fn length(text: &Text<'_>, faults: &mut Vec<Fault>) {
    let lines = text.lines().count();
    let allowed = LONG_FILES.iter().any(|(path, _)| text.path == Path::new(path));
    if lines > LINES_MAX && !allowed {
        let message = format!("{lines} lines, more than {LINES_MAX}: split it by its nouns");
        faults.push(Fault::of_file(text, message));
    }
}

fn leftovers(text: &Text<'_>, faults: &mut Vec<Fault>) {
    for (index, line) in text.lines() {
        for (word, remedy) in LEFTOVERS {
            if contains_word(line, word) {
                faults.push(Fault::of_line(text, index, format!("`{word}`: {remedy}")));
            }
        }
    }
}

/// Whether `word` stands in `line` on its own, not as a part of a longer one.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let goes_on = word.ends_with(is_part) && line[at + word.len()..].starts_with(is_part);
        !goes_on && !line[..at].ends_with(is_part)
    })
}

/// A test waits for the event itself; one that cannot says why beside its sleep.
fn sleeps(text: &Text<'_>, faults: &mut Vec<Fault>) {
    let is_test_file = text.path.components().any(|part| part.as_os_str() == "tests")
        || text.path.file_name().is_some_and(|name| name == "tests.rs");
    let mut in_tests = is_test_file;
    let mut previous = "";
    for (index, line) in text.lines() {
        in_tests |= line.trim_start().starts_with("#[cfg(test)]");
        let has_reason = |line: &str| line.split_once("//").is_some_and(|(_, c)| c.contains(SLEEP_REASON));
        let sleeps = SLEEPS.iter().any(|call| line.contains(call));
        if in_tests && sleeps && !has_reason(line) && !has_reason(previous) {
            let message =
                format!("a test that sleeps: await the event, or say why not in `// {SLEEP_REASON} …`");
            faults.push(Fault::of_line(text, index, message));
        }
        previous = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_at_fault(path: &str, content: &str) -> Vec<usize> {
        let mut faults = Vec::new();
        check(&Text { path: Path::new(path), content }, &mut faults);
        faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn every_leftover_is_found_where_it_stands() {
        for (word, _) in LEFTOVERS {
            assert_eq!(lines_at_fault("src/a.rs", &format!("fn a() {{}}\n// {word}\n")), [2], "{word}");
        }
        let with_reason = format!("{} = \"slow\"]\n", concat!("#[ig", "nore"));
        assert_eq!(lines_at_fault("src/a.rs", &with_reason), [1]);
    }

    #[test]
    fn a_leftover_inside_a_longer_word_is_not_one() {
        let longer = format!("let a = \"/run/{}{}\";\n", concat!("X", "XX"), concat!("X", "XX"));
        assert!(lines_at_fault("src/a.rs", &longer).is_empty());
        assert!(lines_at_fault("src/a.rs", &format!("my_{}();\n", concat!("to", "do!"))).is_empty());
    }

    #[test]
    fn a_sleep_in_a_test_needs_its_reason_on_the_line_or_the_one_before() {
        for call in SLEEPS {
            let bare = format!("{call}TICK);\n");
            assert_eq!(lines_at_fault("tests/a.rs", &bare), [1], "{call}");
            let same = format!("{call}TICK); // {SLEEP_REASON} the kernel offers no event\n");
            assert!(lines_at_fault("tests/a.rs", &same).is_empty(), "{call}");
            let before = format!("// {SLEEP_REASON} the kernel offers no event\n{bare}");
            assert!(lines_at_fault("tests/a.rs", &before).is_empty(), "{call}");
            let product = format!("{bare}#[cfg(test)]\nmod tests {{\n{bare}}}\n");
            assert_eq!(lines_at_fault("src/a.rs", &product), [4], "{call}");
        }
    }

    #[test]
    fn a_file_may_have_500_lines_and_not_501() {
        assert!(lines_at_fault("src/a.rs", &"\n".repeat(500)).is_empty());
        assert_eq!(lines_at_fault("src/a.rs", &"\n".repeat(501)), [0]);
    }

    #[test]
    fn a_tab_is_found() {
        assert_eq!(lines_at_fault("src/a.rs", "fn a() {\n\u{9}b();\n}\n"), [2]);
    }
}
