//! `picofaas dev` from outside: real processes, real files, and the lines that it prints.

mod answers;
mod builds;
mod manifests;
mod own_writes;
mod support;
mod swaps;
mod values;
mod watchdog;

use std::fs;

use support::{Folder, runs, shell, until};

#[test]
fn a_function_is_built_and_served_and_the_printed_lines_work_as_they_are() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("building greet: sh -c ");
    dev.line("built greet in ");
    dev.line("greet is ready (WARM, ");
    let invoke = dev.line("curl ");
    let answer: serde_json::Value = serde_json::from_str(&shell(&invoke)).unwrap();
    assert_eq!(answer["output"]["word"], "one", "{invoke}");
    assert_eq!(answer["output"]["given"], serde_json::json!({"it's": [1, "a b"]}));
    let enqueue = dev.line("curl ");
    let execution: serde_json::Value = serde_json::from_str(&shell(&enqueue)).unwrap();
    assert_eq!(execution["status"], "success", "{enqueue}");
    assert_eq!(execution["output"]["word"], "one");
    assert!(dev.all().contains("greet | hello from one"), "{}", dev.all());
}

#[test]
fn each_function_has_a_host_of_its_own_below_localhost() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let (status, answer) = dev.ask("", "-H 'host: greet.localhost' -d '{}'");
    assert_eq!((&*status, &answer["word"]), ("200", &serde_json::json!("one")), "{answer}");
    let (status, answer) = dev.ask("v1/functions", "-H 'host: nobody.localhost'");
    assert_eq!((&*status, &answer["error"]["code"]), ("404", &serde_json::json!("FUNCTION_NOT_FOUND")));
}

#[test]
fn a_change_of_the_code_is_served() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    folder.source("greet", "two");
    dev.answers("greet", "word", "two");
    dev.line("greet: the new version is served");
    // The program that the build made is no change of the code.
    assert_eq!(folder.builds("greet"), 2);
}

#[test]
fn each_request_has_a_line_with_its_answer_and_a_crowd_of_them_a_few() {
    let folder = Folder::new();
    folder.function("greet", "FAILING");
    folder.function("good", "one");
    let mut dev = folder.dev();
    dev.answers("good", "word", "one");
    let line = dev.line("POST /v1/functions/good:invoke 200 in ");
    assert!(line.ends_with(" ms"), "{line}");
    until("its answer", || (dev.call("greet").0 == "500").then_some(()));
    dev.line("POST /v1/functions/greet:invoke 500 (function) in ");
    dev.call("good-bye");
    dev.line("POST /v1/functions/good-bye:invoke 404 (gateway) in ");
    dev.run("curl -s 'http://ADDRESS/v1/executions/[1-1000]' > /dev/null");
    let mut more = 0;
    // They come over several seconds, of which the first may have seen few.
    while more <= 20 {
        more += dev.line(" more requests").split(' ').nth(2).unwrap().parse::<usize>().unwrap();
    }
    let told = dev.all().matches("GET /v1/executions/").count();
    assert!(told < 1000, "{told} lines");
}

#[test]
fn each_attempt_after_the_first_is_told_with_its_number_and_the_failure_before() {
    let folder = Folder::new();
    folder.function("greet", "FAILING");
    folder.function("good", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    until("its answer", || (dev.call("greet").0 == "500").then_some(()));
    for attempt in 2..=4 {
        let line = dev.line(&format!("greet | attempt {attempt} of 4 "));
        let before = format!("NO_LUCK: not on attempt {}", attempt - 1);
        assert!(line.contains(&before) && line.contains("maxRetries 3"), "{line}");
    }
    dev.answers("good", "word", "one");
    assert!(!dev.all().contains("good | attempt"), "{}", dev.all());
}

#[test]
fn a_change_of_the_manifest_is_served_without_a_build() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    folder.manifest("greet", "env: [{name: EXTRA, value: more}]");
    dev.answers("greet", "env", "more");
    dev.line("greet: the new version is served");
    assert_eq!(folder.builds("greet"), 1);
}

#[test]
fn a_broken_build_is_shown_while_the_others_serve_and_tried_again_when_it_is_repaired() {
    let folder = Folder::new();
    folder.function("bad", "BROKEN");
    folder.function("good", "one");
    let mut dev = folder.dev();
    dev.line("bad: its build failed: sh -c ");
    dev.line("    word = \"BROKEN\"");
    dev.line("bad: it is built again when a file of it changes; it is not served");
    dev.answers("good", "word", "one");
    assert_eq!(dev.call("bad").1["error"]["code"], "FUNCTION_BUILD_FAILED");
    folder.source("bad", "repaired");
    dev.answers("bad", "word", "repaired");
    folder.source("bad", "BROKEN");
    dev.line("bad: it is built again when a file of it changes; the version before is served until then");
    dev.answers("bad", "word", "repaired");
}

#[test]
fn a_version_that_does_not_start_is_told_while_the_one_before_serves() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    folder.write("greet/function.src", "#!/usr/bin/env python3\nimport sys\nsys.exit('no such luck')\n");
    dev.line("greet: an instance failed to start: it exited with status 1");
    dev.line("the version before is served until it starts");
    dev.answers("greet", "word", "one");
    folder.source("greet", "two");
    dev.answers("greet", "word", "two");
}

#[test]
fn a_job_without_its_program_is_not_called_ready_and_is_when_it_comes() {
    let folder = Folder::new();
    let manifest = "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: once}\nspec:\n  \
                    executionMode: JOB\n  local: {command: [./once]}\n";
    folder.write("once/function.yaml", manifest);
    let mut dev = folder.dev();
    let line = dev.line("once: its program is not there: ");
    assert!(line.contains("/once/once (local.command)"), "{line}");
    assert!(!dev.all().contains("once is ready"), "{}", dev.all());
    folder.write("once/once", "#!/bin/sh\n");
    dev.line("once is ready (JOB, ");
}

#[test]
fn a_broken_manifest_is_shown_with_its_line_and_field_and_served_when_it_is_repaired() {
    let folder = Folder::new();
    folder.function("good", "one");
    folder.function("bad", "one");
    folder.manifest("bad", "timeoutMs: soon");
    let mut dev = folder.dev();
    let line = dev.line("spec.timeoutMs: must be a whole number");
    assert!(line.contains("bad/function.yaml:13: spec.timeoutMs: "), "{line}");
    dev.answers("good", "word", "one");
    assert_eq!(dev.call("bad").0, "404");
    folder.manifest("bad", "timeoutMs: 5000");
    dev.answers("bad", "word", "one");
    // Broken again, it goes on as it was.
    folder.manifest("bad", "timeoutMs: later");
    dev.line("what it said before is served until then");
    dev.answers("bad", "word", "one");
}

#[test]
fn an_empty_folder_is_explained_and_a_new_function_is_picked_up_and_a_removed_one_is_gone() {
    let folder = Folder::new();
    let mut dev = folder.dev();
    dev.line("There is no function manifest here yet");
    dev.line("apiVersion: picofaas.dev/v1");
    folder.function("late", "one");
    dev.line("late is ready");
    let pid = dev.answers("late", "word", "one")["pid"].as_u64().unwrap();
    fs::remove_file(folder.path().join("late/function.yaml")).unwrap();
    dev.line("late: its manifest is gone");
    until("404", || (dev.call("late").0 == "404").then_some(()));
    until("the end of its process", || (!runs(pid)).then_some(()));
}

#[test]
fn a_function_that_needs_a_cluster_is_refused_with_the_reason_and_the_others_serve() {
    let folder = Folder::new();
    folder.function("good", "one");
    let text = "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: job}\nspec: {image: i}\n";
    folder.write("job.yaml", text);
    let mut dev = folder.dev();
    dev.line("job.yaml: job: this control plane cannot run the function");
    dev.line("local.command: is required");
    dev.answers("good", "word", "one");
}

#[test]
fn what_did_not_change_is_not_built_again_at_the_next_start() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    assert!(dev.end("TERM").success());
    let mut dev = folder.dev();
    dev.line("greet is ready");
    assert_eq!(folder.builds("greet"), 1, "{}", dev.all());
    assert!(dev.end("TERM").success());
    folder.source("greet", "two");
    let mut dev = folder.dev();
    dev.line("greet is ready");
    dev.answers("greet", "word", "two");
    assert_eq!(folder.builds("greet"), 2);
    assert!(dev.end("TERM").success());
    fs::remove_file(folder.path().join("greet/server")).unwrap();
    folder.dev().line("greet is ready");
    assert_eq!(folder.builds("greet"), 3);
}

#[test]
fn ctrl_c_stops_functions_and_builds_and_results_that_nobody_reads_do_not_hold_it_up() {
    let folder = Folder::new();
    folder.function("greet", "one");
    let pid_file = folder.path().join("../build.pid");
    let build =
        format!("[[sh, -c, 'sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait']]", pid_file.display());
    folder.write(
        "slow/function.yaml",
        &format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: slow}}\n\
             spec:\n  executionMode: WARM\n  local: {{build: {build}, command: [./none]}}\n"
        ),
    );
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let instance = dev.answers("greet", "word", "one")["pid"].as_u64().unwrap();
    let url = format!("http://{}/v1/functions/greet:enqueue", dev.address);
    assert!(
        shell(&format!("curl -s {url} -H 'content-type: application/json' -d '{{\"input\":{{}}}}'"))
            .contains("executionId")
    );
    let build: u64 = until("the slow build", || fs::read_to_string(&pid_file).ok()).trim().parse().unwrap();
    assert!(runs(instance) && runs(build));
    let status = dev.end("INT");
    assert_eq!(status.code(), Some(0));
    assert!(!runs(instance), "the instance is left");
    until("the end of the build", || (!runs(build)).then_some(()));
}
