//! Web requests as the Rust runtime alone has them; what all runtimes do is in the suite of the contract.

use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::control_plane::{ControlPlane, TAKEN};
use crate::instance::{Instance, job_of};
use crate::wire::{Connection, invocation};

type Wire = Connection<UnixStream>;

fn ask(connection: &mut Wire, path: &str, headers: &str) {
    connection.send(format!("GET /web{path} HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: e-1\r\n{headers}\r\n"));
}

#[test]
fn a_function_that_answers_web_requests_takes_no_json() {
    let instance = Instance::of("web");
    let mut connection = instance.connect();
    for _ in 0..2 {
        connection.send(invocation("", r#"{"input":1}"#));
        let refused = connection.receive();
        assert_eq!(refused.failure(), (501, "NOT_A_JSON_FUNCTION".to_owned()));
        assert!(refused.is_final());
    }
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"rejected\"} 2");

    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "web", &[]);
    let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
    let posted = caller.request().json();
    caller.answer(TAKEN);
    assert_eq!((&posted["status"], &posted["error"]["code"]), (&json!(501), &json!("NOT_A_JSON_FUNCTION")));
    assert_eq!(posted["error"]["retryable"], json!(false));
    assert_eq!(job.end().0, 0);
}

#[test]
fn a_handler_that_fails_before_the_head_is_answered_for() {
    let mut instance = Instance::of("web");
    let mut connection = instance.connect();
    ask(&mut connection, "/fail", "X-Trace-Id: t-1\r\n");
    assert_eq!(connection.receive().failure(), (418, "TEAPOT".to_owned()));
    let line = instance.line_with("TEAPOT");
    assert!(line.starts_with("error executionId=e-1 traceId=t-1 code=TEAPOT status=418 "), "{line}");
    ask(&mut connection, "/panic", "");
    let failed = connection.receive();
    assert_eq!(failed.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert_eq!(failed.message(), "it falls over, as told");
    ask(&mut connection, "/status/600", "");
    assert_eq!(connection.receive().failure(), (500, "HANDLER_ERROR".to_owned()));
    ask(&mut connection, "/status/200", "X-Attempt: none\r\n");
    assert_eq!(connection.receive().failure(), (400, "BAD_HEADER".to_owned()));
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"error\"} 3");
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"rejected\"} 1");
}

#[test]
fn a_body_that_goes_wrong_is_sent_as_far_as_it_went_and_the_log_says_why() {
    let mut instance = Instance::of("web");
    for (path, why) in [
        ("/break", "the answer broke off: it breaks off, as told"),
        ("/panic?late=1", "the answer broke off: it falls over late, as told"),
        ("/short", "the answer broke off: the body ended 5 bytes before its Content-Length"),
    ] {
        let mut connection = instance.connect();
        ask(&mut connection, path, "");
        assert_eq!(connection.receive_head().status, 200);
        let said = String::from_utf8(connection.rest()).unwrap();
        assert!(said.contains("begin") && !said.ends_with("0\r\n\r\n"), "{said:?}");
        let line = instance.line_with("the answer broke off");
        assert!(line.starts_with("error executionId=e-1 ") && line.contains(why), "{line}");
    }
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"error\"} 3");
}

#[test]
fn the_deadline_is_that_of_the_head_and_not_of_the_body() {
    let instance = Instance::of("web");
    let folder = tempfile::tempdir().unwrap();
    let (gone, go) = (folder.path().join("gone"), folder.path().join("go"));
    let mut connection = instance.connect();
    ask(&mut connection, &format!("/never?gone={}", gone.display()), "X-Deadline-Ms: 20\r\n");
    assert_eq!(connection.receive().failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    assert!(gone.exists(), "the handler was dropped before its answer");
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"timeout\"} 1");

    ask(&mut connection, &format!("/pieces?go={}", go.display()), "X-Deadline-Ms: 3000\r\n");
    assert_eq!(connection.receive_head().status, 200);
    assert_eq!(connection.chunk(), b"first");
    // Another whose deadline is later ends at it: that of the first is over then.
    let mut later = instance.connect();
    ask(&mut later, "/never", "X-Deadline-Ms: 3100\r\n");
    assert_eq!(later.receive().status, 504);
    std::fs::write(go, "").unwrap();
    assert_eq!((connection.chunk(), connection.chunk()), (b"second".to_vec(), Vec::new()));
}

#[test]
fn a_handler_that_does_not_read_its_body_is_dropped_when_its_caller_goes() {
    let instance = Instance::of("web");
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let mut connection = instance.connect();
    ask(&mut connection, &format!("/never?gone={}", gone.display()), "Content-Length: 3\r\n");
    connection.send("abc");
    instance.wait_for("picofaas_runtime_in_flight 1");
    drop(connection);
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
    assert!(gone.exists());
}
