//! The posted results.

use std::time::Duration;

use picofaas_contract::control_plane::{ControlPlane, EXECUTION_ID, Request, TAKEN, input};
use picofaas_contract::patience::Stopwatch;
use picofaas_contract::process::TOKEN;
use serde_json::{Value, json};

use crate::suite::subject::{BEYOND_ASCII, Fidelity, OnExit, OnMissing, Subject, start_job};
use crate::suite::traces;

/// Time that a busy machine may add to a deadline.
const MARGIN: Duration = Duration::from_secs(20);

/// Runs `function` on `body` and takes what is posted; that, and what was written to stderr. It
/// must end as a success.
fn completed(
    subject: &Subject,
    function: &str,
    more: &[(&str, &str)],
    headers: &str,
    body: &str,
) -> (Request, String) {
    let control_plane = ControlPlane::open();
    let job = subject.job_with(&control_plane, function, more);
    let mut caller = control_plane.hand_out(headers, body);
    let posted = caller.request();
    caller.answer(TAKEN);
    assert!(caller.is_closed(), "it says one thing and ends");
    let (code, said) = job.end();
    assert_eq!(code, 0, "what was posted was {}; stderr: {said}", posted.json());
    (posted, said)
}

/// Whether an error that is posted says that another attempt would not mend it.
#[derive(Clone, Copy)]
enum Finality {
    Final,
    ByStatus,
}

/// Runs `function` and expects a failure to be posted; its message, and what was written to stderr.
fn fails(
    subject: &Subject,
    function: &str,
    more: &[(&str, &str)],
    headers: &str,
    body: &str,
    (status, code, finality): (u16, &str, Finality),
) -> (String, String) {
    let (posted, said) = completed(subject, function, more, headers, body);
    let completion = posted.json();
    let message = completion["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(!message.is_empty(), "a message in {completion}");
    let error = match finality {
        Finality::Final => json!({"code": code, "message": message, "retryable": false}),
        Finality::ByStatus => json!({"code": code, "message": message}),
    };
    assert_eq!(completion, json!({"success": false, "output": null, "error": error, "status": status}));
    (message, said)
}

pub(crate) fn fetch_run_post(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("fn.sock");
    let control_plane = ControlPlane::open();
    let more = [("PICOFAAS_SOCKET", socket.to_str().unwrap())];
    let job = subject.job_with(&control_plane, "echo", &more);
    let mut caller = control_plane.accept();
    let asked = caller.request();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(asked.line, format!("GET /v1/internal/executions/{EXECUTION_ID}/input HTTP/1.1"));
    assert_eq!(asked.header("authorization"), Some(bearer.as_str()));
    assert!(asked.header("host").is_some());
    let value = match subject.behaviour.fidelity {
        Fidelity::Bytes => r#"{ "a" : [ 1e400 ,12345678901234567890123 ], "a":"é\u00e9" }"#,
        Fidelity::Values => r#"{"a":[1,0.1,null],"b":"é"}"#,
    };
    caller.answer(input("X-Attempt: 1\r\n", &format!(r#"{{"input":{value}}}"#)));
    let posted = caller.request();
    assert!(!socket.exists(), "a JOB does not listen");
    caller.answer(TAKEN);
    assert_eq!(posted.line, format!("POST /v1/internal/executions/{EXECUTION_ID}:complete HTTP/1.1"));
    assert_eq!(posted.header("authorization"), Some(bearer.as_str()));
    assert_eq!(posted.header("content-type"), Some("application/json"));
    let init_ms: u64 = posted.header("x-init-duration-ms").expect("X-Init-Duration-Ms").parse().unwrap();
    assert!(init_ms < 20_000, "{init_ms}");
    match subject.behaviour.fidelity {
        Fidelity::Bytes => {
            let body = String::from_utf8(posted.body).unwrap();
            assert!(body.contains(&format!(r#""output":{value},"#)), "not as it came: {body}");
        }
        Fidelity::Values => {
            let output: Value = serde_json::from_str(value).unwrap();
            let completion = json!({"success": true, "output": output, "error": null, "status": 200});
            assert_eq!(posted.json(), completion);
        }
    }
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains(TOKEN), "a token is nobody's business: {said}");
}

pub(crate) fn context(subject: &Subject) {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = format!(
        "X-Trace-Id: t-1\r\ntraceparent: {traceparent}\r\ntracestate: a=1,b=2\r\nX-Attempt: 3\r\nX-Deadline-Ms: 20000\r\n\
         Idempotency-Key: k 1\r\n"
    );
    let body = r#"{"input":[7],"metadata":{"a":"b"}}"#;
    let (posted, _) = completed(subject, "context", &[], &headers, body);
    let completion = posted.json();
    let left_ms = completion["output"]["leftMs"].as_u64();
    let left_ms = left_ms.unwrap_or_else(|| panic!("no leftMs in {completion}"));
    assert!((1..=20_000).contains(&left_ms), "{left_ms}");
    assert_eq!(
        completion,
        json!({
            "success": true,
            "output": {
                "input": [7],
                "executionId": EXECUTION_ID,
                "traceId": "t-1",
                "traceparent": traceparent,
                "tracestate": "a=1,b=2",
                "attempt": 3,
                "leftMs": left_ms,
                "idempotencyKey": "k 1",
                "metadata": {"a": "b"},
            },
            "error": null,
            "status": 200,
        })
    );
}

pub(crate) fn a_promised_output(subject: &Subject) {
    let (posted, _) = completed(subject, "later", &[], "", r#"{"input":["x"]}"#);
    assert_eq!(posted.json()["output"], json!(["x"]));
}

pub(crate) fn trace_context(subject: &Subject) {
    for given in traces::some() {
        let (posted, _) = completed(subject, "context", &[], &given.headers, r#"{"input":1}"#);
        given.assert_told(&posted.json()["output"]);
    }
}

pub(crate) fn mebibyte(subject: &Subject) {
    let text = "x".repeat((1 << 20) - 2);
    let (posted, _) = completed(subject, "echo", &[], "", &format!(r#"{{"input":"{text}"}}"#));
    let completion = posted.json();
    assert_eq!(completion["status"], 200);
    assert!(completion["output"] == text, "other text comes back");
}

pub(crate) fn broken_json(subject: &Subject) {
    for body in ["", "{", r#"{"metadata":{}}"#] {
        fails(subject, "echo", &[], "", body, (400, "BAD_INPUT", Finality::ByStatus));
    }
}

pub(crate) fn error_with_status_and_code(subject: &Subject) {
    for status in [422, 503] {
        let body = format!(r#"{{"input":{{"status":{status},"code":"MINE","message":"my \"own\""}}}}"#);
        let (message, _) = fails(subject, "status", &[], "", &body, (status, "MINE", Finality::ByStatus));
        assert_eq!(message, "my \"own\"");
    }
}

pub(crate) fn error_that_is_final(subject: &Subject) {
    let body = r#"{"input":{"status":503,"code":"MINE","message":"m","retryable":false}}"#;
    fails(subject, "status", &[], "", body, (503, "MINE", Finality::Final));
}

pub(crate) fn panic(subject: &Subject) {
    let wanted = (500, "HANDLER_ERROR", Finality::ByStatus);
    let (_, said) = fails(subject, "panic", &[], "", r#"{"input":"ouch"}"#, wanted);
    let line = said.lines().find(|line| line.contains("ouch"));
    let line = line.unwrap_or_else(|| panic!("no `ouch` in: {said}"));
    assert!(line.contains(EXECUTION_ID), "the log says whose it is, not: {line}");
}

pub(crate) fn exit(subject: &Subject) {
    match subject.behaviour.on_exit {
        OnExit::Ends => {
            let control_plane = ControlPlane::open();
            let job = subject.job(&control_plane, "exit");
            let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
            assert!(caller.is_closed(), "nothing is posted");
            assert_eq!(job.end().0, 3);
        }
        OnExit::Survives => {
            let wanted = (500, "HANDLER_ERROR", Finality::ByStatus);
            let (message, _) = fails(subject, "exit", &[], "", r#"{"input":1}"#, wanted);
            assert!(message.contains('3'), "how it ended is said, not: {message}");
        }
    }
}

pub(crate) fn unserialisable(subject: &Subject) {
    let wanted = (500, "BAD_OUTPUT", Finality::Final);
    fails(subject, "unserialisable", &[], "", r#"{"input":1}"#, wanted);
}

pub(crate) fn a_number_that_is_none(subject: &Subject) {
    fails(subject, "nan", &[], "", r#"{"input":"any"}"#, (500, "BAD_OUTPUT", Finality::Final));
}

pub(crate) fn output_too_large(subject: &Subject) {
    let body = r#"{"input":{"bytes":99}}"#;
    let wanted = (500, "OUTPUT_TOO_LARGE", Finality::Final);
    fails(subject, "big", &[("MAX_OUTPUT", "100")], "", body, wanted);
}

pub(crate) fn over_its_deadline(subject: &Subject) {
    for (function, body) in [("sleep", r#"{"input":{"ms":3600000}}"#), ("never", r#"{"input":1}"#)] {
        let control_plane = ControlPlane::open();
        let job = subject.job(&control_plane, function);
        let mut caller = control_plane.accept();
        caller.request();
        let watch = Stopwatch::start();
        caller.answer(input("X-Deadline-Ms: 500\r\n", body));
        let completion = caller.request().json();
        let took = watch.elapsed();
        caller.answer(TAKEN);
        assert_eq!(completion["status"], 504, "{completion}");
        assert_eq!(completion["error"]["code"], "HANDLER_TIMEOUT", "{completion}");
        let message = completion["error"]["message"].as_str().unwrap();
        assert!(message.contains("500 ms (X-Deadline-Ms)"), "the limit is told, not: {message}");
        let time = Duration::from_millis(500);
        assert!((time..time + MARGIN).contains(&took), "posted after {took:?}");
        let (code, said) = job.end();
        assert_eq!(code, 0, "{said}");
    }
}

pub(crate) fn log_lines(subject: &Subject) {
    let body = r#"{"input":"first word\nsecond word"}"#;
    let (posted, said) = completed(subject, "log", &[], "X-Trace-Id: t-3\r\n", body);
    assert_eq!(posted.json()["output"], json!(null));
    for word in ["first word", "second word"] {
        let line = said.lines().find(|line| line.contains(word));
        let line = line.unwrap_or_else(|| panic!("no `{word}` in: {said}"));
        assert!(line.contains(&format!("executionId={EXECUTION_ID} traceId=t-3 ")), "{line}");
    }
}

pub(crate) fn missing_function_is_named(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = start_job(&control_plane, &mut subject.command_for_missing());
    let reason = match subject.behaviour.on_missing_as_job {
        OnMissing::Ends => {
            let (code, said) = job.end();
            assert!(code > 0, "it ends with another code than 0, not {code}: {said}");
            said
        }
        OnMissing::Posts => {
            let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
            let completion = caller.request().json();
            caller.answer(TAKEN);
            assert_eq!(completion["status"], 500, "{completion}");
            assert_eq!(completion["error"]["code"], "HANDLER_ERROR", "{completion}");
            let (code, said) = job.end();
            assert_eq!(code, 0, "{said}");
            completion["error"]["message"].as_str().unwrap().to_owned()
        }
    };
    for part in &subject.missing_said {
        assert!(reason.contains(part), "no `{part}` in: {reason}");
    }
}

pub(crate) fn last_lines(subject: &Subject) {
    let (posted, said) = completed(subject, "last", &BEYOND_ASCII, "", r#"{"input":1}"#);
    assert_eq!(posted.json()["output"], json!(BEYOND_ASCII[0].1));
    assert!(said.contains(BEYOND_ASCII[0].1), "{said}");
}
