//! The watchdog as a JOB.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, EXECUTION_ID, TAKEN};
use crate::http_server;
use crate::instance::{Process, shell, wait_for_end};

/// Runs a script on `body` and takes its completion; that, and what was written to stderr.
fn completed(mode: &str, script: &str, headers: &str, body: &str) -> (Value, String) {
    let control_plane = ControlPlane::open();
    let command = shell(script);
    let job = Process::job(&control_plane, &[("WATCHDOG_MODE", mode), ("WATCHDOG_CMD", &command)]);
    let mut caller = control_plane.hand_out(headers, body);
    let completion = caller.request();
    caller.answer(TAKEN);
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
    (completion.json(), said)
}

#[test]
fn the_program_runs_once_and_its_output_is_posted() {
    let (completion, said) =
        completed("stdio", "echo hello >&2; cat; test -z $PICOFAAS_TOKEN", "", r#"{"input":[7]}"#);
    assert_eq!((&completion["status"], &completion["output"]), (&json!(200), &json!([7])));
    assert!(said.contains(&format!("executionId={EXECUTION_ID} traceId=- hello")), "{said}");
    let (completion, _) = completed("stdio", "printf \"[$ATTEMPT]\"", "X-Attempt: 3\r\n", r#"{"input":1}"#);
    assert_eq!(completion, json!({"success": true, "output": [3], "error": null, "status": 200}));
}

#[test]
fn its_failures_are_posted() {
    for (script, headers, status, code) in [
        ("exit 1", "", 500, "HANDLER_ERROR"),
        ("exit 65", "", 400, "BAD_INPUT"),
        ("echo x", "", 500, "BAD_OUTPUT"),
        ("yes", "", 500, "OUTPUT_TOO_LARGE"),
        ("exec sleep 1000", "X-Deadline-Ms: 50\r\n", 504, "HANDLER_TIMEOUT"),
    ] {
        let (completion, _) = completed("stdio", script, headers, r#"{"input":1}"#);
        assert_eq!(
            (&completion["status"], &completion["error"]["code"]),
            (&json!(status), &json!(code)),
            "{script}"
        );
        let is_final = code == "BAD_OUTPUT" || code == "OUTPUT_TOO_LARGE";
        assert_eq!(completion["error"]["retryable"] == false, is_final, "{script}: {completion}");
    }
}

#[test]
fn a_program_that_is_not_there_is_posted_as_the_reason() {
    let control_plane = ControlPlane::open();
    let job = Process::job(&control_plane, &[("WATCHDOG_MODE", "stdio"), ("WATCHDOG_CMD", "no-such")]);
    let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
    let completion = caller.request().json();
    caller.answer(TAKEN);
    assert_eq!(completion["status"], 500);
    assert!(completion["error"]["message"].as_str().unwrap().contains("`no-such`"), "{completion}");
    assert_eq!(job.end().0, 0);
}

#[test]
fn sigterm_stops_the_program_and_posts_nothing() {
    let control_plane = ControlPlane::open();
    let command = shell("echo pid $$ >&2; exec sleep 1000");
    let mut job = Process::job(&control_plane, &[("WATCHDOG_MODE", "stdio"), ("WATCHDOG_CMD", &command)]);
    let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
    let pid = job.pid_after("pid");
    job.signal(Signal::TERM);
    wait_for_end(pid);
    assert!(caller.is_closed());
    assert_eq!(job.end().0, 143);
}

#[test]
fn a_server_is_started_for_one_request_and_ended_after_it() {
    let control_plane = ControlPlane::open();
    let command = http_server::command();
    let mut job = Process::job(&control_plane, &[("WATCHDOG_MODE", "http"), ("WATCHDOG_CMD", &command)]);
    let mut caller =
        control_plane.hand_out("X-Attempt: 3\r\nX-Deadline-Ms: 60000\r\n", r#"{"input":{"do":"tell"}}"#);
    let pid = job.pid_after("server pid");
    let completion = caller.request().json();
    caller.answer(TAKEN);
    assert_eq!((&completion["success"], &completion["status"]), (&json!(true), &json!(200)));
    let headers = &completion["output"]["headers"];
    assert_eq!((&headers["x-execution-id"], &headers["x-attempt"]), (&json!(EXECUTION_ID), &json!("3")));
    wait_for_end(pid);
    assert_eq!(job.end().0, 0);
}

#[test]
fn a_server_that_does_not_get_ready_is_posted_as_the_reason() {
    for (more, status, code, said) in [
        (("EXIT", "no such module"), 500, "HANDLER_ERROR", "exit status 7: no such module"),
        (("WATCHDOG_HTTP_HEALTH", "/nothing"), 504, "HANDLER_TIMEOUT", "deadline"),
    ] {
        let control_plane = ControlPlane::open();
        let command = http_server::command();
        let gate = http_server::Fifo::new();
        let fifo = gate.path();
        let job = Process::job(
            &control_plane,
            &[
                ("WATCHDOG_MODE", "http"),
                ("WATCHDOG_CMD", &command),
                ("LISTEN_FIFO", fifo.to_str().unwrap()),
                more,
            ],
        );
        let mut caller = control_plane.hand_out("X-Deadline-Ms: 2000\r\n", r#"{"input":1}"#);
        let completion = caller.request().json();
        caller.answer(TAKEN);
        assert_eq!(
            (&completion["status"], &completion["error"]["code"]),
            (&json!(status), &json!(code)),
            "{completion}"
        );
        assert!(completion["error"]["message"].as_str().unwrap().contains(said), "{completion}");
        assert_eq!(job.end().0, 0);
    }
}

#[test]
fn sigterm_stops_the_server_and_posts_nothing() {
    let control_plane = ControlPlane::open();
    let command = http_server::command();
    let mut job = Process::job(&control_plane, &[("WATCHDOG_MODE", "http"), ("WATCHDOG_CMD", &command)]);
    let mut caller = control_plane.hand_out("", r#"{"input":{"do":"watch"}}"#);
    let pid = job.pid_after("server pid");
    job.line_with("watching");
    job.signal(Signal::TERM);
    wait_for_end(pid);
    assert!(caller.is_closed());
    assert_eq!(job.end().0, 143);
}
