//! The rule about imports: a folder of `src/` imports what the table allows it, and nothing else.
//!
//! The table is `xtask/src/tidy/arrows.txt`, and its lines stand in ARCHITECTURE.md under the heading *Imports*.
//! `cargo xtask tidy --arrows` prints the folders, the arrows that the code has, with counts, and the circles.
//!
//! | file | is |
//! |---|---|
//! | `table` | the arrows that are allowed |
//! | `imports` | the paths that a file names |
//! | `graph` | the arrows that the code has, and their circles |

mod graph;
mod imports;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use self::graph::Graph;
pub(super) use self::graph::report;
use self::imports::Import;
use self::table::Table;
use super::{Fault, Text};

/// Where the table is.
pub(super) const TABLE: &str = "xtask/src/tidy/arrows.txt";

/// Where a person reads it.
const DOCUMENT: &str = "ARCHITECTURE.md";
const HEADING: &str = "## Imports";

/// The crate that the table is about.
const SOURCES: &str = "src";

pub(super) fn check(texts: &[Text<'_>], faults: &mut Vec<Fault>) {
    let find = |path: &str| texts.iter().find(|text| text.path == Path::new(path));
    let Some(file) = find(TABLE) else {
        return faults.push(Fault::at(Path::new(TABLE), 0, "the table of allowed imports is gone"));
    };
    let table = match Table::parse(file.content) {
        Ok(table) => table,
        Err((index, message)) => return faults.push(Fault::of_line(file, index, message)),
    };
    match find(DOCUMENT) {
        Some(document) => documented(document, &table, faults),
        None => faults.push(Fault::at(Path::new(DOCUMENT), 0, format!("it has no lines of {TABLE}"))),
    }
    let imports = imports::of(texts, SOURCES);
    refused(&imports, &table, faults);
    unknown(&imports, file, &table, faults);
}

/// Imports that no line allows.
fn refused(imports: &[Import<'_>], table: &Table, faults: &mut Vec<Fault>) {
    let mut without_a_line = BTreeSet::new();
    for import in imports.iter().filter(|import| !import.in_test) {
        match table.allows(&import.importer, &import.imported) {
            table::Permission::Allowed => {}
            table::Permission::NoLine => {
                if without_a_line.insert(import.importer_folder()) {
                    let message =
                        format!("`{}` has no line in {TABLE}: say what it imports", import.importer_folder());
                    faults.push(Fault::at(import.path, import.line + 1, message));
                }
            }
            table::Permission::Refused { line, allowed } => {
                let message = format!(
                    "`{line}` imports `crate::{}`, and may import only {allowed}: turn the dependency round, or \
                     allow it in {TABLE}",
                    import.imported.join("::")
                );
                faults.push(Fault::at(import.path, import.line + 1, message));
            }
        }
    }
}

/// Lines of the table about what is not there, and arrows that the code does not have.
fn unknown(imports: &[Import<'_>], file: &Text<'_>, table: &Table, faults: &mut Vec<Fault>) {
    for (index, name) in table.names() {
        let path: Vec<&str> = name.split("::").collect();
        let is_there =
            imports.iter().any(|import| import.importer_is_in(&path) || import.imported_is_in(&path));
        if !is_there {
            let message = format!("no module `{name}` of {SOURCES}/ imports or is imported: remove it");
            faults.push(Fault::of_line(file, index, message));
        }
    }
    for (index, from, to) in table.arrows() {
        let (from_path, to_path) = (from.split("::").collect::<Vec<_>>(), to.split("::").collect::<Vec<_>>());
        if !imports.iter().any(|import| import.importer_is_in(&from_path) && import.imported_is_in(&to_path))
        {
            let message = format!("the arrow {from} -> {to} is of no import: remove it");
            faults.push(Fault::of_line(file, index, message));
        }
    }
}

/// Whether the document has the lines of the table, in the first block of code below the heading.
fn documented(document: &Text<'_>, table: &Table, faults: &mut Vec<Fault>) {
    let mut lines = document.lines().skip_while(|(_, line)| *line != HEADING);
    let Some((heading, _)) = lines.next() else {
        let message = format!("no heading `{HEADING}` with the lines of {TABLE}");
        return faults.push(Fault::of_file(document, message));
    };
    let block = lines.skip_while(|(_, line)| !line.starts_with("```")).skip(1);
    let block = block.take_while(|(_, line)| !line.starts_with("```"));
    let mut wanted = table.lines().iter();
    let mut last = heading;
    for (index, line) in block {
        last = index;
        match wanted.next() {
            Some(wanted) if wanted == line => {}
            Some(wanted) => {
                let message = format!("{TABLE} has `{wanted}` here: copy its lines");
                return faults.push(Fault::of_line(document, index, message));
            }
            None => {
                let message = format!("{TABLE} has no further line: copy its lines");
                return faults.push(Fault::of_line(document, index, message));
            }
        }
    }
    if let Some(wanted) = wanted.next() {
        let message = format!("{TABLE} goes on with `{wanted}`: copy its lines");
        faults.push(Fault::of_line(document, last, message));
    }
}

/// Output of `cargo xtask tidy --arrows`.
pub(super) fn describe(texts: &[Text<'_>]) -> String {
    report(&Graph::of(&imports::of(texts, SOURCES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &str = "leaves: clock\ngateway -> store\nstore -> nothing\nstartup -> everything\n";
    const FILES: [(&str, &str); 4] = [
        ("src/gateway/mod.rs", "use crate::store::Store;\nuse crate::clock::Clock;\n"),
        ("src/store.rs", "use crate::clock;\n"),
        ("src/startup.rs", "use crate::gateway;\n"),
        ("src/clock.rs", "\n"),
    ];

    fn messages(table: &str, documented: &str, files: &[(&str, &str)]) -> Vec<String> {
        let document = format!("# A\n\n## Imports\n\nText.\n\n```text\n{documented}```\n\n```text\nb\n```\n");
        let fixed = [(TABLE, table), (DOCUMENT, &document)];
        let texts: Vec<Text<'_>> = fixed
            .iter()
            .chain(files)
            .map(|(path, content)| Text { path: Path::new(path), content })
            .collect();
        let mut faults = Vec::new();
        check(&texts, &mut faults);
        faults.iter().map(Fault::to_string).collect()
    }

    fn with(file: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
        let mut files = FILES.to_vec();
        files.push(file);
        files
    }

    #[test]
    fn imports_that_the_table_allows_are_fine() {
        assert_eq!(messages(ALLOWED, ALLOWED, &FILES), [""; 0]);
    }

    #[test]
    fn another_import_is_refused_with_its_line_and_what_is_allowed() {
        let found =
            messages(ALLOWED, ALLOWED, &with(("src/store/expiry.rs", "\nuse crate::gateway::Gateway;\n")));
        let wanted = "src/store/expiry.rs:2: `store` imports `crate::gateway::Gateway`, and may import only the \
                      leaves: turn the dependency round, or allow it in xtask/src/tidy/arrows.txt";
        assert_eq!(found, [wanted]);
        for path in ["super::super::gateway::x()", "crate::gateway::x()", "crate::{clock, gateway::{a, b}}"] {
            let content = format!("fn a() {{ {path} }}\n");
            assert!(
                !messages(ALLOWED, ALLOWED, &with(("src/store/expiry.rs", content.leak()))).is_empty(),
                "{path}"
            );
        }
    }

    #[test]
    fn a_leaf_imports_leaves_alone_and_tests_import_as_they_like() {
        assert_eq!(messages(ALLOWED, ALLOWED, &with(("src/clock/a.rs", "use crate::store;\n"))).len(), 1);
        for (path, content) in [
            ("src/store/tests.rs", "use crate::gateway;\n"),
            ("src/store/a.rs", "#[cfg(test)]\nmod tests { use crate::gateway; }\n"),
            ("src/store/a.rs", "// use crate::gateway;\nconst A: &str = \"crate::gateway\";\n"),
        ] {
            assert_eq!(messages(ALLOWED, ALLOWED, &with((path, content))), [""; 0], "{content}");
        }
    }

    #[test]
    fn a_folder_without_a_line_is_named_once() {
        let found =
            messages(ALLOWED, ALLOWED, &with(("src/new.rs", "use crate::clock;\nuse crate::store;\n")));
        assert_eq!(
            found,
            ["src/new.rs:1: `new` has no line in xtask/src/tidy/arrows.txt: say what it imports"]
        );
    }

    #[test]
    fn an_arrow_or_a_folder_that_is_gone_is_taken_out_of_the_table() {
        let table = ALLOWED.replace("store -> nothing", "store -> gateway\nqueue -> store");
        let found = messages(&table, &table, &FILES);
        assert!(
            found.iter().any(|it| it.contains("arrows.txt:3: the arrow store -> gateway is of no")),
            "{found:?}"
        );
        assert!(found.iter().any(|it| it.contains("arrows.txt:4: no module `queue`")), "{found:?}");
    }

    #[test]
    fn the_document_has_the_lines_of_the_table() {
        for documented in [
            "",
            "leaves: clock\n",
            &ALLOWED.replace("store -> nothing", "store -> clock"),
            &format!("{ALLOWED}x\n"),
        ] {
            let found = messages(ALLOWED, documented, &FILES);
            assert!(found.len() == 1 && found[0].starts_with("ARCHITECTURE.md:"), "{found:?}");
        }
    }
}
