//! Answers about a function that is being built, whose build failed, and of `/readyz` meanwhile.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it ends there")]

use std::fs;

use crate::support::{Dev, Folder, shell, until};

/// Makes the program of what the source says.
const MAKE: &str = "cp function.src server && chmod +x server";

/// A line of shell that waits until there is a file `.go`.
// sleep: the shell has no other way to wait for a file.
fn waiting() -> String {
    format!("until [ -e .go ]; do sleep 0.05; done; {MAKE}")
}

fn go_on(folder: &Folder, name: &str) {
    fs::write(folder.path().join(name).join(".go"), "").unwrap();
}

/// Each call that names a function, and its answer.
fn answers(dev: &Dev, name: &str) -> [(String, serde_json::Value); 3] {
    [
        dev.ask(&format!("v1/functions/{name}:invoke"), "-d '{\"input\":{}}'"),
        dev.ask(&format!("v1/functions/{name}:enqueue"), "-d '{\"input\":{}}'"),
        dev.ask(&format!("v1/functions/{name}"), ""),
    ]
}

fn readiness(dev: &Dev) -> String {
    shell(&format!("curl -s -w '%{{http_code}}' http://{}/readyz", dev.management))
}

#[test]
fn while_a_function_is_built_its_calls_say_so_and_nothing_is_ready() {
    let folder = Folder::new();
    folder.built_by("greet", &waiting());
    let mut dev = folder.dev();
    dev.line("building greet: sh -c ");
    for (status, body) in answers(&dev, "greet") {
        assert_eq!((status.as_str(), body["error"]["code"].as_str()), ("503", Some("FUNCTION_BUILDING")));
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"greet\" is being built"), "{message}");
    }
    let headers = shell(&format!("curl -si http://{}/v1/functions/greet", dev.address)).to_ascii_lowercase();
    assert!(headers.contains("retry-after: 1"), "{headers}");
    assert_eq!(dev.call("nobody").1["error"]["code"], "FUNCTION_NOT_FOUND");
    let ready = readiness(&dev);
    assert!(ready.ends_with("503") && ready.contains("greet"), "{ready}");
    go_on(&folder, "greet");
    dev.line("greet is ready");
    dev.line("the only function is served");
    dev.answers("greet", "word", "one");
    assert!(readiness(&dev).ends_with("200"));
}

#[test]
fn after_a_failed_build_the_calls_tell_its_failure_and_one_line_counts_what_is_served() {
    let folder = Folder::new();
    folder.built_by("bad", "echo no such luck >&2; exit 7");
    folder.built_by("slow", &waiting());
    folder.function("good", "one");
    let mut dev = folder.dev();
    dev.line("bad: its build failed");
    assert!(readiness(&dev).ends_with("503"), "slow is not built yet");
    for (status, body) in answers(&dev, "bad") {
        let error = &body["error"];
        assert_eq!((status.as_str(), error["code"].as_str()), ("503", Some("FUNCTION_BUILD_FAILED")));
        let message = error["message"].as_str().unwrap();
        for part in ["sh -c ", "it exited with status 7", "no such luck", "save a change"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
    go_on(&folder, "slow");
    dev.line("2 of 3 functions are served; not bad");
    let ready = readiness(&dev);
    assert!(ready.ends_with("503") && ready.contains("failed") && ready.contains("bad"), "{ready}");
    assert!(!ready.contains("good") && !ready.contains("slow"), "{ready}");
    assert!(dev.all().contains("(3 of 3)"), "{}", dev.all());
    folder.built_by("bad", MAKE);
    dev.line("all 3 functions are served");
    dev.answers("bad", "word", "one");
    assert!(readiness(&dev).ends_with("200"));
    // Not its first build any more: a version is served.
    folder.built_by("bad", "exit 7");
    dev.line("bad: its build failed");
    assert!(readiness(&dev).ends_with("200"));
}

#[test]
fn a_function_whose_manifest_goes_before_it_was_built_is_not_known_any_more() {
    let folder = Folder::new();
    folder.built_by("greet", &waiting());
    let mut dev = folder.dev();
    dev.line("building greet: sh -c ");
    fs::remove_file(folder.path().join("greet/function.yaml")).unwrap();
    until("404", || (dev.call("greet").1["error"]["code"] == "FUNCTION_NOT_FOUND").then_some(()));
    until("ready", || readiness(&dev).ends_with("200").then_some(()));
}

#[test]
fn a_program_that_is_not_there_keeps_a_job_from_counting_as_served() {
    let folder = Folder::new();
    let manifest = "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: once}\nspec:\n  \
                    executionMode: JOB\n  local: {command: [./once]}\n";
    folder.write("once/function.yaml", manifest);
    let mut dev = folder.dev();
    dev.line("0 of 1 functions are served; not once");
    folder.write("once/once", "#!/bin/sh\n");
    dev.line("the only function is served");
}
