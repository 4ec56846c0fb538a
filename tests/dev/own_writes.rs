//! Files that a function itself writes in its folder.

use crate::support::{Dev, Folder, until};

/// Builds until it is noticed that a function writes its own files, and one more that may be under way.
const BUILDS_MAX: usize = 4;

/// Calls a function until this was said.
fn call_until_said(dev: &mut Dev, name: &str, text: &str) {
    until(text, || {
        dev.call(name);
        dev.has_said(text).then_some(())
    });
}

#[test]
fn a_log_that_a_function_keeps_open_builds_nothing_and_an_edit_still_does() {
    let folder = Folder::new();
    let log = "log = open('own.log', 'a', buffering=1)";
    folder.writing("greet", log, "print('called', file=log)");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    call_until_said(&mut dev, "greet", "greet writes own.log itself");
    assert_eq!(folder.builds("greet"), 1, "{}", dev.all());
    folder.other_word("greet", "one", "two");
    dev.answers("greet", "word", "two");
    for _ in 0..20 {
        dev.call("greet");
    }
    folder.other_word("greet", "two", "three");
    dev.answers("greet", "word", "three");
    assert_eq!(folder.builds("greet"), 3, "{}", dev.all());
}

#[test]
fn a_file_that_is_written_anew_at_each_start_builds_three_times_and_then_it_is_named() {
    let folder = Folder::new();
    let write = "open('server.pid', 'w').write(str(os.getpid()))";
    folder.writing("greet", write, "pass");
    let mut dev = folder.dev();
    let line = dev.line("server.pid");
    assert!(line.contains(".gitignore"), "{line}");
    assert!(folder.builds("greet") <= BUILDS_MAX, "{}", dev.all());
    dev.answers("greet", "word", "one");
    // An edit is built at once, and begins no other three.
    let builds = folder.builds("greet");
    folder.other_word("greet", "one", "two");
    dev.answers("greet", "word", "two");
    dev.line("greet: the new version is served");
    assert!(folder.builds("greet") <= builds + 1, "{}", dev.all());
}

#[test]
fn a_process_for_each_call_that_writes_a_file_builds_three_times_and_then_it_is_named() {
    let folder = Folder::new();
    folder.write("once/source", "one");
    let build = serde_json::json!([["sh", "-c", "echo once >> ../../builds.log"]]);
    folder.write(
        "once/function.yaml",
        &format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: once}}\nspec:\n  executionMode: JOB\n  \
             maxRetries: 0\n  local: {{build: {build}, command: [sh, -c, 'date +%s%N > last-call; exit 1']}}\n"
        ),
    );
    let mut dev = folder.dev();
    dev.line("once is ready");
    call_until_said(&mut dev, "once", "last-call");
    assert!(dev.all().contains(".gitignore"), "{}", dev.all());
    assert!(folder.builds("once") <= BUILDS_MAX, "{}", dev.all());
    let builds = folder.builds("once");
    for _ in 0..30 {
        dev.call("once");
    }
    assert_eq!(folder.builds("once"), builds, "{}", dev.all());
}

/// A function of one process for each call, which runs a line of shell.
fn once(folder: &Folder, line: &str) {
    folder.write("once/source", "one");
    let build = serde_json::json!([["sh", "-c", "echo once >> ../../builds.log"]]);
    let command = serde_json::json!(["sh", "-c", line]);
    folder.write(
        "once/function.yaml",
        &format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: once}}\nspec:\n  executionMode: JOB\n  \
             maxRetries: 0\n  local: {{build: {build}, command: {command}}}\n"
        ),
    );
}

#[test]
fn a_file_that_a_process_for_each_call_makes_and_deletes_builds_three_times_and_then_it_is_named() {
    let folder = Folder::new();
    // sleep: a look has to find the file between the two, and another one that it is gone, before the next call.
    once(&folder, "touch lock; sleep 1; rm lock; sleep 1; exit 1");
    let mut dev = folder.dev();
    dev.line("once is ready");
    call_until_said(&mut dev, "once", "once writes lock itself");
    assert!(folder.builds("once") <= BUILDS_MAX, "{}", dev.all());
    let builds = folder.builds("once");
    for _ in 0..3 {
        dev.call("once");
    }
    assert_eq!(folder.builds("once"), builds, "{}", dev.all());
}

#[test]
fn a_file_that_is_written_under_another_name_and_renamed_builds_three_times_and_then_it_is_named() {
    let folder = Folder::new();
    let write =
        "open('state.json.tmp', 'w').write(str(os.urandom(9))); os.rename('state.json.tmp', 'state.json')";
    folder.writing("greet", "pass", write);
    let mut dev = folder.dev();
    dev.line("greet is ready");
    call_until_said(&mut dev, "greet", "greet writes state.json itself");
    assert!(folder.builds("greet") <= BUILDS_MAX, "{}", dev.all());
    let builds = folder.builds("greet");
    for _ in 0..30 {
        dev.call("greet");
    }
    assert_eq!(folder.builds("greet"), builds, "{}", dev.all());
}

#[test]
fn edits_of_any_file_that_was_there_before_are_built_though_calls_never_pause() {
    let folder = Folder::new();
    // sleep: a process is alive at any time.
    once(&folder, "cat setting*; sleep 1; exit 1");
    folder.write("once/settings", "0");
    let mut dev = folder.dev();
    dev.line("once is ready");
    for edit in 1..=6 {
        dev.ask("v1/functions/once:enqueue", "-d '{\"input\":{}}'");
        dev.line("once | ");
        folder.write("once/settings", &format!("{edit}\n"));
        until("the build", || (folder.builds("once") > edit).then_some(()));
        dev.line("once: the new version is served");
    }
    assert!(!dev.has_said(".gitignore"), "{}", dev.all());
}

#[test]
fn edits_of_one_file_between_calls_are_each_built_at_once() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    for pair in words.windows(2) {
        folder.other_word("greet", pair[0], pair[1]);
        dev.answers("greet", "word", pair[1]);
    }
    assert_eq!(folder.builds("greet"), words.len(), "{}", dev.all());
    assert!(!dev.has_said(".gitignore"), "{}", dev.all());
}
