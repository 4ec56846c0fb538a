//! Rows over frames, and those about standbys, against an instance whose faults are known: each passes where it has none, and fails where it
//! has the one that the row looks for.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use picofaas_contract::built;

/// Rows over frames, each with the faults that it sees.
const SEEN_OVER_FRAMES: &[(&str, &[&str])] = &[
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
    ("a standby serves one", &["ServesTwo", "CountsRefused"]),
    ("a standby ends after its one", &["WaitsThoughClosed", "EndsBadly", "LosesLastLine"]),
    ("a standby ends while its caller stays", &["WaitsForItsCaller", "EndsBadly"]),
    ("a standby whose caller goes away", &["KeepsLost", "EndsBadly"]),
];

/// Rows over HTTP/1.1 of what a control plane relies on for standbys.
const SEEN_OVER_HTTP: &[(&str, &[&str])] = &[
    ("100 Continue before the handler", &["NoContinue", "LateContinue", "TwoContinues", "PickyAboutLetters"]),
    ("no 100 Continue unasked", &["ContinuesUnasked", "ContinuesAnything"]),
    (
        "healthy with its ages",
        &["NoAges", "NoAcknowledgement", "YoungProcess", "AgesInSeconds", "StaleAges", "AgesOfTheRuntime"],
    ),
    ("announced with its ages", &["NoAges", "NoAcknowledgement", "AgesInSeconds", "StaleAges"]),
    ("a standby serves one", &["ServesTwo", "CountsRefused", "ContinuesRefused"]),
    ("a standby ends after its one", &["WaitsThoughClosed", "EndsBadly", "LosesLastLine"]),
    ("a standby ends while its caller stays", &["WaitsForItsCaller", "EndsBadly"]),
    ("a standby whose caller goes away", &["KeepsLost", "EndsBadly"]),
    ("a standby that is not said with 1", &["TakesAnyStandby", "TakesEmptyStandby"]),
];

/// Parts of the lines of the suite that name these rows.
const OF_STANDBYS: [&str; 4] = ["(expect::", "(ages::", "(standby::", "(announce::with_its_ages"];

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

/// Faults that are to be seen, each with the name of the row that is to see it.
fn wanted() -> Vec<(String, &'static str)> {
    let of = |seen: &'static [(&'static str, &'static [&'static str])], suffix: &'static str| {
        seen.iter()
            .flat_map(move |(row, faults)| faults.iter().map(move |fault| (format!("{row}{suffix}"), *fault)))
    };
    of(SEEN_OVER_FRAMES, ", frames").chain(of(SEEN_OVER_HTTP, "")).collect()
}

#[test]
fn every_rehearsed_row_passes_on_an_instance_without_faults() {
    let program = built::contract_example("rehearsed");
    let rows = SEEN_OVER_HTTP.iter().map(|(row, _)| *row);
    for row in rows.chain([", frames"]) {
        let output = run(&program, "", &["--case", row]);
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn every_fault_is_seen_by_the_row_that_looks_for_it() {
    let wanted = wanted();
    let next = AtomicUsize::new(0);
    let program = built::contract_example("rehearsed");
    // They wait more than they work.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some((row, fault)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let output = run(&program, fault, &["--case", row, "--patience", "5"]);
                    let said = said(&output);
                    let failed = said.contains(&format!("\nFAIL yours, WARM, {row}: "));
                    assert!(failed, "`{row}` does not see {fault}:\n{said}");
                }
            });
        }
    });
}

#[test]
fn every_row_over_frames_alone_or_about_standbys_has_a_fault_that_it_sees() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite/warm/mod.rs");
    let text = std::fs::read_to_string(cases).unwrap();
    let rows = |parts: &[&str]| -> BTreeSet<String> {
        let named = text.lines().filter(|line| line.contains("run: "));
        let wanted = named.filter(|line| parts.iter().any(|part| line.contains(part)));
        wanted.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    };
    for (rows, seen, least) in
        [(rows(&["run: Frames("]), SEEN_OVER_FRAMES, 20), (rows(&OF_STANDBYS), SEEN_OVER_HTTP, 8)]
    {
        let seen: BTreeSet<_> = seen.iter().map(|(row, _)| (*row).to_owned()).collect();
        assert!(rows.len() > least && rows.is_subset(&seen), "no fault for {:?}", rows.difference(&seen));
    }
}
