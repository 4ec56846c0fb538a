//! Handlers that fail, and how the rest lives on.

use crate::instance::{Instance, Process};

#[test]
fn a_panic_is_answered_logged_with_its_stack_and_survived() {
    let mut instance = Instance::of("panic");
    let mut connection = instance.connect();
    for _ in 0..2 {
        let answer = connection.invoke("x-trace-id: t-1\r\n", r#"{"input":"ouch"}"#);
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
        assert_eq!(answer.message(), "ouch");
    }
    let head = instance.line_with("ouch");
    assert!(head.starts_with("error executionId=e-1 traceId=t-1 code=HANDLER_ERROR status=500"), "{head}");
    let place = instance.line_with("panicked at");
    assert!(place.starts_with("error executionId=e-1 traceId=t-1 ") && place.contains("main.rs"), "{place}");
    let frame = instance.line_with("faulty::panic");
    assert!(frame.starts_with("error executionId=e-1 traceId=t-1 "), "{frame}");
}

#[test]
fn a_panic_beside_another_invocation_leaves_that_one_alone() {
    let instance = Instance::of("panic");
    let mut half_sent = instance.connect();
    half_sent.send(
        "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ncontent-length: 11\r\n\r\n{\"input\"",
    );
    assert_eq!(instance.connect().invoke("", r#"{"input":"first"}"#).message(), "first");
    half_sent.send(":2}");
    assert_eq!(half_sent.receive().message(), "told to panic");
}

#[test]
fn a_handler_chooses_its_status_code_and_message() {
    let mut instance = Instance::of("status");
    let mut connection = instance.connect();
    for status in [400, 404, 422, 500, 503, 599] {
        let body = format!(r#"{{"input":{{"status":{status},"code":"MINE","message":"my \"own\""}}}}"#);
        let answer = connection.invoke("", &body);
        assert_eq!(answer.failure(), (status, "MINE".to_owned()));
        assert_eq!(answer.message(), "my \"own\"");
    }
    assert!(instance.line_with("code=MINE").contains(r#"message="my \"own\"""#));
}

#[test]
fn a_process_that_dies_in_a_request_closes_without_an_answer() {
    let instance = Instance::of("exit");
    let mut connection = instance.connect();
    connection.send(crate::wire::invocation("", r#"{"input":1}"#));
    assert!(connection.is_closed());
    assert_eq!(instance.end().0, 3);
}

#[test]
fn the_broken_servers_break_what_they_promise_to() {
    let invocation = crate::wire::invocation("", r#"{"input":1}"#);

    let garbage = Instance::of("garbage");
    let mut connection = garbage.connect();
    assert_eq!(connection.get("/health").status, 200);
    connection.send(&invocation);
    let bytes = connection.rest();
    assert!(!bytes.is_empty() && !bytes.starts_with(b"HTTP/"), "{bytes:?}");

    let half = Instance::of("half");
    let mut connection = half.connect();
    connection.send(&invocation);
    assert!(connection.rest().ends_with(b"content-length: 12\r\n\r\n\"half a"));
    assert_eq!(half.end().0, 3);

    let too_much = Instance::of("too-much");
    let mut connection = too_much.connect();
    connection.send(invocation.replace("host: fn", "connection: close"));
    let mut streamed = vec![0; 2 << 20];
    connection.fill(&mut streamed);
    assert!(streamed.starts_with(b"HTTP/1.1 200 OK\r\n"));

    let (code, said) = Process::start("faulty", &[("HANDLER", "exit-at-start"), ("PORT", "0")]).end();
    assert_eq!((code, said.is_empty()), (7, false));
}
