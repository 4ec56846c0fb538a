//! The codes of the runtimes: those in their sources are those of the catalogue.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CATALOGUE: &str = include_str!("../../../docs/errors.md");

/// The runtimes as the catalogue names them, each with its sources.
const RUNTIMES: [(&str, &str); 4] = [
    ("Rust", "runtime/rust/src"),
    ("watchdog", "runtime/watchdog/src"),
    ("Java", "runtime/java/library/src/main"),
    ("Python", "pyruntime/src/picofaas_runtime"),
];

/// Variables of an environment, and of that of a request after WSGI (PEP 3333), which are written as codes are.
const VARIABLES: [&str; 26] = [
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "DEADLINE_MS",
    "EXECUTION_ID",
    "EXECUTION_MODE",
    "FUNCTION_NAME",
    "HTTP_COOKIE",
    "IDEMPOTENCY_KEY",
    "INIT_DURATION_MS",
    "MAX_BODY",
    "MAX_OUTPUT",
    "PATH_INFO",
    "POD_IP",
    "QUERY_STRING",
    "RAW_URI",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "TIMEOUT_MS",
    "TRACE_ID",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
];

/// Prefixes of variables of ours.
const OURS: [&str; 2] = ["PICOFAAS_", "WATCHDOG_"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| ["rs", "java", "py"].iter().any(|one| kind == *one)) {
            found.push(path);
        }
    }
}

/// The codes of a source: texts of capital letters with an underscore, of what is not a test or a comment.
fn codes_in(source: &str) -> BTreeSet<String> {
    let is_code = |text: &str| {
        text.contains('_')
            && text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            && !VARIABLES.contains(&text)
            && !OURS.iter().any(|prefix| text.starts_with(prefix))
    };
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = source
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with(['*', '#']) && !line.starts_with("//"));
    lines
        .flat_map(|line| line.split(['"', '\'']).skip(1).step_by(2))
        .filter(|text| is_code(text))
        .map(str::to_owned)
        .collect()
}

/// The rows of the table: each code with its status, and the runtimes that say it.
fn table() -> BTreeMap<String, (u16, BTreeSet<String>)> {
    let (_, section) = CATALOGUE.split_once("\n## Codes of the runtimes\n").expect("the section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let row = |row: &str| {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [code, status, _meaning, _remedy, by] = cells[..] else { panic!("{row} has not five cells") };
        let status = status.parse().unwrap_or_else(|_| panic!("{status} is no status: {row}"));
        (code.trim_matches('`').to_owned(), (status, by.split(", ").map(str::to_owned).collect()))
    };
    rows.map(row).collect()
}

#[test]
fn every_code_in_the_source_of_a_runtime_is_in_the_catalogue_and_every_code_there_is_in_its_source() {
    let table = table();
    assert!(table.len() > 10, "{table:?}");
    for (runtime, folder) in RUNTIMES {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
        let said: BTreeSet<String> =
            files.iter().flat_map(|file| codes_in(&fs::read_to_string(file).unwrap())).collect();
        assert!(said.contains("HANDLER_ERROR"), "{runtime}: {said:?}");
        let documented: BTreeSet<String> =
            table.iter().filter(|(_, (_, by))| by.contains(runtime)).map(|(code, _)| code.clone()).collect();
        let missing: Vec<_> = said.difference(&documented).collect();
        assert!(missing.is_empty(), "docs/errors.md does not say that {runtime} says {missing:?}");
        let excess: Vec<_> = documented.difference(&said).collect();
        assert!(excess.is_empty(), "docs/errors.md says that {runtime} says {excess:?}, and it does not");
    }
}

#[test]
fn the_table_has_the_statuses_that_the_runtimes_are_held_to() {
    // Of the codes that picofaas has, too, the table and the list say one status.
    for (code, (status, by)) in table() {
        assert!((400..=599).contains(&status) && !by.is_empty(), "{code}");
        if let Some(section) = CATALOGUE.split(&format!("\n### `{code}`\n\n")).nth(1) {
            assert!(section.starts_with(&format!("{status} ·")), "{code} has another status in the list");
        }
    }
}
