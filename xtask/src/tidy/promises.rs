//! The rule for tables of promises: each names the tests that fail where it is broken, and they exist.
//!
//! It is about tables whose last column is headed `test` or `tests`. There, a link to a file of Rust or Python is followed
//! by the names of tests in that file, or of cases of the runtimes' suite, each in backticks; a promise that
//! nothing tests says so in bold.

use std::path::{Path, PathBuf};

use super::markdown::{links, resolve};
use super::{Fault, Text};

/// Headings of the last column of such a table.
const HEADINGS: [&str; 2] = ["test", "tests"];

/// Text in the place of a name where there is none.
const NONE: &str = "**none";

/// `read` gives the content of a file of the tree, by its path relative to the root.
pub(super) fn check(text: &Text<'_>, read: impl Fn(&Path) -> Option<String>, faults: &mut Vec<Fault>) {
    let mut in_table = false;
    for (index, line) in text.lines() {
        let Some(cell) = last_cell(line) else {
            in_table = false;
            continue;
        };
        if HEADINGS.contains(&cell) {
            in_table = true;
        } else if in_table && !is_rule(cell) {
            row(text, index, cell, &read, faults);
        }
    }
}

fn row(
    text: &Text<'_>,
    index: usize,
    cell: &str,
    read: impl Fn(&Path) -> Option<String>,
    faults: &mut Vec<Fault>,
) {
    let mut fault = |message: String| faults.push(Fault::of_line(text, index, message));
    let mut file: Option<(PathBuf, String)> = None;
    let mut named = 0;
    // Every second piece stands between backticks. A link is in the pieces between.
    for (at, piece) in cell.split('`').enumerate() {
        if at % 2 == 0 {
            if let Some(target) = links(piece).pop() {
                let path = resolve(text.path, target);
                file = path.and_then(|path| read(&path).map(|content| (path, content)));
                if file.is_none() {
                    fault(format!("there is no `{target}` to look for tests in"));
                }
            }
            continue;
        }
        named += 1;
        match &file {
            None => fault(format!("`{piece}`: before it, a link to the file that it is in")),
            Some((path, content)) if !has_test(content, piece) => {
                fault(format!("no test `{piece}` in {}", path.display()));
            }
            Some(_) => {}
        }
    }
    if named == 0 && !cell.contains(NONE) {
        fault(format!("a promise without a test: name one, or say `{NONE}: …**` and why"));
    }
}

/// Text between the last two bars of a table's row.
fn last_cell(line: &str) -> Option<&str> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    row.rsplit('|').next().map(str::trim)
}

/// Whether it is of the line between the heading and the rows.
fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|c| "-:".contains(c))
}

/// Whether a function of the name is there and is a test, or there is a case of the name.
fn has_test(content: &str, name: &str) -> bool {
    let case = format!("Case {{ name: \"{name}\", run: ");
    if content.lines().any(|line| line.trim().starts_with(&case)) {
        return true;
    }
    let openings = [format!("fn {name}("), format!("void {name}(")];
    // In Python, pytest goes by the name.
    let python = format!("def {name}(");
    if name.starts_with("test_") && content.lines().any(|line| line.starts_with(&python)) {
        return true;
    }
    let mut is_test = false;
    for line in content.lines().map(str::trim) {
        if ["#[test]", "#[tokio::test", "@Test"].iter().any(|mark| line.starts_with(mark)) {
            is_test = true;
        } else if line.contains("fn ") || line.contains("void ") {
            if is_test && openings.iter().any(|opening| line.contains(opening)) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "fn narrow() {}\n\n#[test]\nfn a_full_queue_refuses() {\n}\n\nfn later() {}\n";

    fn messages(row: &str) -> Vec<String> {
        let content = format!("| promised | test |\n|---|---|\n{row}\n\n| `x` | not a table of tests |\n");
        let text = Text { path: Path::new("tests/README.md"), content: &content };
        let mut faults = Vec::new();
        let read = |path: &Path| (path == Path::new("tests/system/queue.rs")).then(|| QUEUE.to_owned());
        check(&text, read, &mut faults);
        assert!(faults.iter().all(|fault| fault.line == 3), "{faults:?}");
        faults.into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn a_row_that_names_a_test_that_is_there_is_fine_whatever_it_promises() {
        assert!(
            messages("| `queue_size` holds | [queue](system/queue.rs) `a_full_queue_refuses` |").is_empty()
        );
        assert!(messages("| p | **none: the tests cannot change what a name resolves to** |").is_empty());
    }

    #[test]
    fn a_test_in_java_is_a_method_that_is_marked_as_one() {
        let content = "class QueueTest {\n    void helper() {\n    }\n\n    @Test\n    void aFullQueueRefuses() throws Exception {\n";
        assert!(has_test(content, "aFullQueueRefuses"));
        assert!(!has_test(content, "helper"));
    }

    #[test]
    fn a_column_of_tests_is_looked_at_as_one_of_a_test_is_and_from_its_own_page() {
        for (page, link) in
            [("tests/README.md", "system/queue.rs"), ("docs/security.md", "../tests/system/queue.rs")]
        {
            for heading in HEADINGS {
                let content =
                    format!("| reaches | {heading} |\n|---|---|\n| p | [queue]({link}) `is_gone` |\n");
                let mut faults = Vec::new();
                let read =
                    |path: &Path| (path == Path::new("tests/system/queue.rs")).then(|| QUEUE.to_owned());
                check(&Text { path: Path::new(page), content: &content }, read, &mut faults);
                assert_eq!(
                    faults,
                    [Fault::at(Path::new(page), 3, "no test `is_gone` in tests/system/queue.rs")]
                );
            }
        }
    }

    #[test]
    fn a_test_that_is_gone_or_is_no_test_is_named_with_the_file() {
        for name in ["a_full_queue", "narrow", "later", "refuses"] {
            let found =
                messages(&format!("| p | [queue](system/queue.rs) `a_full_queue_refuses`, `{name}` |"));
            assert_eq!(found, [format!("no test `{name}` in tests/system/queue.rs")]);
        }
    }

    #[test]
    fn a_case_of_the_runtimes_suite_counts_as_a_test() {
        let cases = "[\n    Case { name: \"an exit\", run: failures::exit },\n]\n";
        assert!(has_test(cases, "an exit"));
        assert!(!has_test(cases, "an") && !has_test(cases, "exit"));
    }

    #[test]
    fn a_test_in_python_is_found_by_its_name() {
        let content = "def started(): pass\n\ndef test_it_starts(run: Run) -> None:\n    pass\n";
        assert!(has_test(content, "test_it_starts"));
        assert!(!has_test(content, "test_it") && !has_test(content, "started"));
    }

    #[test]
    fn a_row_without_a_test_without_a_file_or_with_one_that_is_gone_is_at_fault() {
        assert_eq!(messages("| p | |").len(), 1);
        assert_eq!(messages("| p | [queue](system/queue.rs) |").len(), 1);
        assert_eq!(messages("| p | `a_full_queue_refuses` |").len(), 1);
        let found = messages("| p | [gone](system/gone.rs) `a_full_queue_refuses` |");
        assert_eq!(found[0], "there is no `system/gone.rs` to look for tests in");
    }
}
