//! The output of `kubectl get fn`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::pods::{put, until_ready, warm};
use crate::stage::{Stage, in_pods};
use crate::support::patience::eventually;

/// The rows of a table of kubectl by their names, each by the names of its columns. A cell may be empty, so it is
/// found by where its column begins.
fn rows(table: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let mut columns = Vec::new();
    for title in head.split_whitespace() {
        // Behind the one before: a title may be the end of another one.
        let from = columns.last().map_or(0, |(begin, before): &(usize, &str)| begin + before.len());
        columns.push((from + head[from..].find(title).unwrap(), title));
    }
    let row = |line: &str| {
        let cell = |at: usize| {
            let end = columns.get(at + 1).map_or(line.len(), |(begin, _)| (*begin).min(line.len()));
            line.get(columns[at].0..end).unwrap_or_default().trim().to_owned()
        };
        let cells: BTreeMap<String, String> =
            columns.iter().enumerate().map(|(at, (_, title))| ((*title).to_owned(), cell(at))).collect();
        (cells["NAME"].clone(), cells)
    };
    lines.map(row).collect()
}

#[test]
fn kubectl_prints_the_mode_the_instances_the_reason_the_image_and_the_age_of_functions() {
    let stage = Stage::new("columns");
    let server = stage.server(&[]);
    put(&server, &warm("serves", "echo", &json!({ "replicas": { "min": 1, "max": 2 } })));
    put(&server, &in_pods("once", "JOB", "echo"));
    put(&server, &warm("broken", "echo", &json!({ "image": "picofaas.invalid/there-is-no-such-image:1" })));
    until_ready(&server, "serves", 1);

    let cells = |row: &BTreeMap<String, String>| {
        ["MODE", "READY", "REPLICAS", "REASON", "IMAGE"].map(|title| row[title].clone())
    };
    let ours = in_pods("any", "JOB", "echo")["image"].as_str().unwrap().to_owned();
    let wanted = [
        ("broken", ["WARM", "0", "1", "NoInstanceReady", "picofaas.invalid/there-is-no-such-image:1"]),
        ("once", ["JOB", "", "", "ProcessPerAttempt", &ours]),
        ("serves", ["WARM", "1", "1", "InstanceReady", &ours]),
    ];
    let mut last = String::new();
    let rows = eventually("every function is printed as it stands", || {
        let table = stage.kubectl(&["get", "fn"]);
        let rows = rows(&table);
        if table != last {
            // For who reads why this failed.
            println!("{table}");
            last = table;
        }
        let is_right =
            |(name, wanted): &(&str, [&str; 5])| rows.get(*name).is_some_and(|row| cells(row) == *wanted);
        wanted.iter().all(is_right).then_some(rows)
    });
    for (name, row) in rows {
        assert!(row["AGE"].ends_with('s') || row["AGE"].ends_with('m'), "{name}: {row:?}");
    }
}
