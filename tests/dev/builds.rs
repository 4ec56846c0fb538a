//! Builds that hang, that are edited meanwhile, that warn, and what they leave to others.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it ends there")]

use std::fs;
use std::path::PathBuf;

use crate::support::{Folder, runs, until};

/// Makes the program of what the source says.
const MAKE: &str = "cp function.src server && chmod +x server";

/// A line of shell that hangs while the source says HANG, with a child whose number is in the file `pid`.
fn hanging() -> String {
    format!(
        "if grep -q HANG function.src; then sleep 1000 & echo $! > .pid.new; mv .pid.new .pid; echo stuck; wait; fi; {MAKE}"
    )
}

/// The number of the process that a build hangs in.
fn hung(folder: &Folder, name: &str) -> u64 {
    let file: PathBuf = folder.path().join(name).join(".pid");
    let pid = until("the build that hangs", || fs::read_to_string(&file).ok());
    fs::remove_file(file).unwrap();
    pid.trim().parse().unwrap()
}

#[test]
fn functions_whose_builds_hang_keep_no_other_from_being_built_and_served() {
    let folder = Folder::new();
    for name in ["a-hangs", "b-hangs"] {
        folder.built_by(name, &hanging());
        folder.source(name, "HANG");
    }
    folder.function("good", "one");
    let mut dev = folder.dev();
    let first = hung(&folder, "a-hangs");
    let second = hung(&folder, "b-hangs");
    dev.line("waiting until other builds end or have taken long: good");
    dev.line("building a-hangs: 10 s so far; stuck");
    dev.line("good is ready");
    dev.answers("good", "word", "one");
    folder.source("good", "two");
    dev.answers("good", "word", "two");
    assert!(runs(first) && runs(second));
    folder.source("b-hangs", "repaired");
    dev.line("b-hangs is ready");
    assert!(runs(first) && !runs(second));
}

#[test]
fn a_newer_edit_ends_a_build_with_all_its_processes_and_is_built() {
    let folder = Folder::new();
    folder.built_by("greet", &hanging());
    folder.source("greet", "HANG");
    let mut dev = folder.dev();
    // Again and again, and with any of its files.
    for text in ["HANG again", "HANG once more"] {
        let pid = hung(&folder, "greet");
        folder.source("greet", text);
        dev.line("function.src changed, so its build was ended and begins anew");
        until("the end of the build", || (!runs(pid)).then_some(()));
    }
    let pid = hung(&folder, "greet");
    folder.write("greet/more.txt", "new");
    dev.line("more.txt changed, so its build was ended and begins anew");
    until("the end of the build", || (!runs(pid)).then_some(()));
    let pid = hung(&folder, "greet");
    folder.source("greet", "two");
    dev.answers("greet", "word", "two");
    until("the end of the build", || (!runs(pid)).then_some(()));
    // Another build command is an edit, too.
    folder.source("greet", "HANG");
    let pid = hung(&folder, "greet");
    dev.answers("greet", "word", "two");
    folder.built_by("greet", MAKE);
    dev.answers("greet", "word", "one");
    until("the end of the build", || (!runs(pid)).then_some(()));
}

#[test]
fn a_build_that_is_not_over_in_time_is_killed_and_named_with_its_limit_and_flag() {
    let folder = Folder::new();
    folder.built_by("greet", &hanging());
    folder.source("greet", "HANG");
    let mut dev = folder.dev_with(&["--build-timeout", "2"]);
    let pid = hung(&folder, "greet");
    let line = dev.line("greet: its build failed: sh -c ");
    assert!(
        line.contains("the build was not over after 2 s and was killed; --build-timeout SECONDS "),
        "{line}"
    );
    dev.line("    stuck");
    dev.line("greet: it is built again when a file of it changes; it is not served");
    until("the end of the build", || (!runs(pid)).then_some(()));
    folder.source("greet", "two");
    dev.answers("greet", "word", "two");
}

#[test]
fn a_build_that_asks_for_something_to_read_finds_its_end() {
    let folder = Folder::new();
    folder.built_by("greet", &format!("if read -r answer; then echo \"$answer\"; exit 1; fi; {MAKE}"));
    let mut dev = folder.dev();
    dev.line("greet is ready");
}

#[test]
fn what_a_build_that_succeeds_warns_of_is_shown() {
    let folder = Folder::new();
    folder.built_by(
        "greet",
        &format!("echo ordinary; echo 'warning no archive'; echo '  because' >&2; {MAKE}"),
    );
    let mut dev = folder.dev();
    dev.line("greet: a warning of its build: sh -c ");
    dev.line("    warning no archive");
    dev.line("greet is ready");
    assert!(!dev.all().contains("ordinary\n"), "{}", dev.all());
}

#[test]
fn a_build_that_changes_its_own_sources_is_left_to_end_at_last() {
    let folder = Folder::new();
    // sleep: it goes on for a while after the change, as a compiler does.
    folder.built_by("greet", &format!("date +%s%N > stamp.txt; sleep 1; {MAKE}"));
    let mut dev = folder.dev();
    dev.line("stamp.txt changed, so its build was ended and begins anew");
    dev.line("greet: its build seems to change its own sources, ");
    dev.line("greet is ready");
}

#[test]
fn ctrl_c_ends_all_builds_and_their_processes() {
    let folder = Folder::new();
    for name in ["one", "two"] {
        folder.built_by(name, &hanging());
        folder.source(name, "HANG");
    }
    let dev = folder.dev();
    let builds = [hung(&folder, "one"), hung(&folder, "two")];
    assert!(dev.end("INT").success());
    for pid in builds {
        until("the end of the build", || (!runs(pid)).then_some(()));
    }
}
