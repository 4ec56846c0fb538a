//! Rows over frames against an instance whose faults are known: each passes where it has none, and fails where it
//! has the one that the row looks for.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use picofaas_contract::built;

/// Rows over frames alone, each with the faults that it sees.
const SEEN: &[(&str, &[&str])] = &[
    ("opened", &["LengthOfOpening"]),
    ("opened for a web page", &["OpensForPages"]),
    ("opened without a host", &["OpensWithoutHost"]),
    ("another protocol", &["OpensAnything"]),
    ("HTTP/1.1 beside frames", &["KeepsHttpWaiting"]),
    ("two connections at once", &["OneConnection"]),
    ("a body in any pieces", &["ForgetsPiece"]),
    ("frames in pieces", &["ForgetsPiece"]),
    ("frames that may be skipped", &["StrictAboutKinds"]),
    ("answers out of order", &["AnswersInOrder"]),
    ("1,000 attempts", &["Swaps"]),
    ("the window of the gateway", &["IgnoresWindow"]),
    ("the window of the instance", &["NeverWidens"]),
    ("large answers in turns", &["NoTurns"]),
    ("a caller that cancels", &["IgnoresCancel", "KeepsCancelled"]),
    ("a cancelled answer", &["IgnoresCancel"]),
    ("a cancelled body", &["RunsHalfBodies"]),
    ("frames for what is over", &["StrictAboutLate"]),
    ("PING while a handler runs", &["NoSignOfLife"]),
    ("a gateway that falls silent", &["Patient", "Impatient", "DropsIdle"]),
    ("half a frame", &["Patient", "Impatient"]),
    ("no HELLO", &["Patient", "Impatient"]),
    ("GOAWAY at SIGTERM", &["NoGoAway", "WrongLast", "RunsAfterGoAway", "EndsAtOnce"]),
    ("violations", &["NoGoAway", "WrongCode", "DiesOfViolations"]),
    ("more attempts than it takes", &["TakesFewer", "TakesMore"]),
    // Rows over both, where frames can go wrong in their own way.
    ("context", &["LosesFields"]),
    ("trace context", &["LosesFields"]),
    ("1 MiB in and out", &["NeverWidens", "ForgetsPiece"]),
    ("cold start", &["AlwaysCold"]),
    ("a caller that goes away", &["KeepsLost"]),
    ("SIGTERM mid-request", &["EndsAtOnce"]),
];

/// Runs the contract on the rehearsed instance.
fn run(program: &Path, fault: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_picofaas-contract"))
        .args(["--frames", "--env", "HANDLER={function}", "--env", &format!("FAULT={fault}")])
        .args(["--command", program.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_row_over_frames_passes_on_an_instance_without_faults() {
    let output = run(&built::contract_example("rehearsed"), "", &["--case", ", frames"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_fault_is_seen_by_the_row_that_looks_for_it() {
    let wanted: Vec<_> =
        SEEN.iter().flat_map(|(row, faults)| faults.iter().map(move |fault| (row, fault))).collect();
    let next = AtomicUsize::new(0);
    let program = built::contract_example("rehearsed");
    // They wait more than they work.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((row, fault)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = format!("{row}, frames");
                    let output = run(&program, fault, &["--case", &row, "--patience", "5"]);
                    let said = said(&output);
                    let failed = said.contains(&format!("\nFAIL yours, WARM, {row}: "));
                    assert!(failed, "`{row}` does not see {fault}:\n{said}");
                }
            });
        }
    });
}

#[test]
fn every_row_over_frames_alone_has_a_fault_that_it_sees() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite/warm/mod.rs");
    let text = std::fs::read_to_string(cases).unwrap();
    let of_frames = text.lines().filter(|line| line.contains("run: Frames("));
    let rows: BTreeSet<_> = of_frames.map(|line| line.split('"').nth(1).unwrap()).collect();
    let seen: BTreeSet<_> = SEEN.iter().map(|(row, _)| *row).collect();
    assert!(rows.len() > 20 && rows.is_subset(&seen), "no fault for {:?}", rows.difference(&seen));
}
