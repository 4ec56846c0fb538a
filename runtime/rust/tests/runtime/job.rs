//! A JOB that gets its input, runs once and says how it went.

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, EXECUTION_ID, TAKEN, input};
use crate::instance::job_of;

/// Runs `handler` on `body` and takes its completion; that, and what was written to stderr.
fn completed(handler: &str, more: &[(&str, &str)], headers: &str, body: &str) -> (Value, String) {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, handler, more);
    let mut caller = control_plane.hand_out(headers, body);
    let completion = caller.request();
    caller.answer(TAKEN);
    assert!(caller.is_closed(), "it says one thing and ends");
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
    (completion.json(), said)
}

#[test]
fn it_asks_for_its_input_runs_the_handler_and_posts_the_output_on_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("fn.sock");
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "context", &[("PICOFAAS_SOCKET", socket.to_str().unwrap())]);
    let mut caller = control_plane.accept();
    let asked = caller.request();
    assert_eq!(asked.line, format!("GET /v1/internal/executions/{EXECUTION_ID}/input HTTP/1.1"));
    assert_eq!(asked.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(asked.header("host"), Some(format!("127.0.0.1:{}", control_plane.port()).as_str()));
    caller.answer(input(
        "X-Trace-Id: t-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Attempt: 3\r\nX-Deadline-Ms: 60000\r\n\
         Idempotency-Key: k-1\r\n",
        r#"{"input":[7],"metadata":{"a":"b"}}"#,
    ));
    let posted = caller.request();
    assert!(!socket.exists(), "a JOB does not listen");
    caller.answer(TAKEN);
    assert_eq!(posted.line, format!("POST /v1/internal/executions/{EXECUTION_ID}:complete HTTP/1.1"));
    assert_eq!(posted.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(posted.header("content-type"), Some("application/json"));
    let init_ms: u64 = posted.header("x-init-duration-ms").unwrap().parse().unwrap();
    assert!((1..10_000).contains(&init_ms), "{init_ms}");
    let completion = posted.json();
    let left_ms = completion["output"]["leftMs"].as_u64().unwrap();
    assert!((1..=60_000).contains(&left_ms), "{left_ms}");
    assert_eq!(
        completion,
        json!({
            "success": true,
            "output": {
                "input": [7],
                "executionId": EXECUTION_ID,
                "traceId": "t-1",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "tracestate": null,
                "attempt": 3,
                "leftMs": left_ms,
                "idempotencyKey": "k-1",
                "metadata": {"a": "b"},
            },
            "error": null,
            "status": 200,
        })
    );
    let (code, said) = job.end();
    assert_eq!((code, said.as_str()), (0, ""), "there is nothing to say about a success");
}

#[test]
fn the_output_is_spliced_in_as_the_text_it_is() {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "echo", &[]);
    let value = r#"{ "a" : [ 1e400 ,12345678901234567890123 ], "a":"é\u00e9" }"#;
    let mut caller = control_plane.hand_out("", &format!(r#"{{"input":{value}}}"#));
    let posted = String::from_utf8(caller.request().body).unwrap();
    caller.answer(TAKEN);
    assert_eq!(posted, format!(r#"{{"success":true,"output":{value},"error":null,"status":200}}"#));
    assert_eq!(job.end().0, 0);
}

#[test]
fn every_failure_is_posted_with_the_status_it_would_have_been_answered_with() {
    let long = "x".repeat(40);
    let long_body = format!(r#"{{"input":"{long}"}}"#);
    for (handler, more, headers, body, status, code) in [
        ("status", None, "", r#"{"input":{"status":422,"code":"MINE","message":"m"}}"#, 422, "MINE"),
        ("status", None, "", r#"{"input":{"status":503,"code":"MINE","message":"m"}}"#, 503, "MINE"),
        ("panic", None, "", r#"{"input":"ouch"}"#, 500, "HANDLER_ERROR"),
        ("sleep", None, "", r#"{"input":"x"}"#, 400, "BAD_INPUT"),
        ("echo", None, "", "", 400, "BAD_INPUT"),
        ("exit", None, "X-Attempt: 0\r\n", r#"{"input":1}"#, 400, "BAD_HEADER"),
        ("exit", None, "X-Deadline-Ms: 0\r\n", r#"{"input":1}"#, 504, "HANDLER_TIMEOUT"),
        ("never", None, "X-Deadline-Ms: 20\r\n", r#"{"input":1}"#, 504, "HANDLER_TIMEOUT"),
        ("compute", None, "X-Deadline-Ms: 20\r\n", r#"{"input":{"ms":86400000}}"#, 504, "HANDLER_TIMEOUT"),
        ("echo", Some(("MAX_OUTPUT", "40")), "", &long_body, 500, "OUTPUT_TOO_LARGE"),
    ] {
        let headers = format!("X-Trace-Id: t-1\r\n{headers}");
        let (completion, said) = completed(handler, more.as_slice(), &headers, body);
        let message = completion["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty());
        let mut error = json!({"code": code, "message": message});
        if code == "OUTPUT_TOO_LARGE" {
            error["retryable"] = json!(false);
        }
        let posted = json!({"success": false, "output": null, "error": error, "status": status});
        assert_eq!(completion, posted, "{handler} on {body}");
        let line = format!("error executionId={EXECUTION_ID} traceId=t-1 code={code} status={status}");
        assert!(said.starts_with(&line), "{said}");
        assert!(said.lines().all(|line| line.contains(EXECUTION_ID)), "{said}");
    }
}

#[test]
fn an_input_that_names_no_execution_is_not_run() {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "exit", &[]);
    let mut caller = control_plane.accept();
    caller.request();
    caller.answer("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"input\":1}");
    let completion = caller.request().json();
    caller.answer(TAKEN);
    assert_eq!(
        (&completion["status"], &completion["error"]["code"]),
        (&json!(400), &json!("MISSING_EXECUTION_ID"))
    );
    assert_eq!(job.end().0, 0);
}

#[test]
fn an_input_that_is_too_large_is_not_read_but_said_so_on_another_connection() {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "exit", &[("MAX_BODY", "10")]);
    let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
    assert!(caller.is_closed());
    let mut caller = control_plane.accept();
    let completion = caller.request().json();
    caller.answer(TAKEN);
    assert_eq!(
        (&completion["status"], &completion["error"]["code"]),
        (&json!(413), &json!("BODY_TOO_LARGE"))
    );
    assert_eq!(job.end().0, 0);
}

#[test]
fn a_mebibyte_goes_in_and_out() {
    let text = "x".repeat((1 << 20) - 2);
    let (completion, _) = completed("echo", &[], "", &format!(r#"{{"input":"{text}"}}"#));
    assert_eq!(completion["output"], json!(text));
    assert_eq!(completion["status"], 200);
}

#[test]
fn an_input_in_chunks_and_small_pieces_is_put_together() {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "echo", &[]);
    let mut caller = control_plane.accept();
    caller.request();
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Execution-Id: {EXECUTION_ID}\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\n{{\"in\r\n5;x=y\r\nput\":\r\n5\r\n[1,2]\r\n1\r\n}}\r\n0\r\n\r\n"
    );
    for piece in answer.as_bytes().chunks(7) {
        caller.answer(piece);
    }
    assert_eq!(caller.request().json()["output"], json!([1, 2]));
    caller.answer(TAKEN);
    assert_eq!(job.end().0, 0);
}

#[test]
fn lines_of_a_handler_carry_its_execution() {
    let (completion, said) =
        completed("log", &[], "X-Trace-Id: t-2\r\n", r#"{"input":{"text":"one\ntwo","ms":0}}"#);
    assert_eq!(completion["success"], true);
    let who = format!("info executionId={EXECUTION_ID} traceId=t-2");
    assert_eq!(said, format!("{who} one\n{who} two\n{who} dropped\n"));
}
