//! Handlers that take too long, and callers that do not wait.

use crate::instance::Instance;

#[test]
fn the_handler_is_stopped_at_its_deadline_and_the_process_serves_on() {
    let mut instance = Instance::of("never");
    let mut connection = instance.connect();
    for _ in 0..2 {
        let answer = connection.invoke("x-deadline-ms: 20\r\nx-trace-id: t-9\r\n", r#"{"input":1}"#);
        assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    }
    let line = instance.line_with("HANDLER_TIMEOUT");
    assert!(line.contains("executionId=e-1 traceId=t-9"), "{line}");
}

#[test]
fn a_handler_that_is_done_in_time_is_not_hurt_by_a_deadline() {
    let instance = Instance::of("sleep");
    let answer = instance.connect().invoke("x-deadline-ms: 60000\r\n", r#"{"input":{"ms":1}}"#);
    assert_eq!((answer.status, answer.text()), (200, r#"{"ms":1}"#));
}

#[test]
fn a_deadline_that_has_passed_runs_nothing() {
    let instance = Instance::of("exit");
    let answer = instance.connect().invoke("x-deadline-ms: 0\r\n", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
}

#[test]
fn a_deadline_counts_while_the_body_is_still_on_its_way() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    connection.send(
        "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\nx-deadline-ms: 20\r\ncontent-length: 11\r\n\r\n{\"in",
    );
    assert_eq!(connection.receive().failure(), (504, "HANDLER_TIMEOUT".to_owned()));
}

#[test]
fn a_waiting_handler_keeps_nobody_else_waiting() {
    let instance = Instance::of("sleep");
    let mut slow = instance.connect();
    slow.send(crate::wire::invocation("", r#"{"input":{"ms":3600000}}"#));
    assert_eq!(instance.connect().invoke("", r#"{"input":{"ms":0}}"#).status, 200);
}

#[test]
fn a_caller_that_hangs_up_stops_its_handler() {
    let instance = Instance::of("never");
    let mut gone = instance.connect();
    gone.send(crate::wire::invocation("", r#"{"input":1}"#));
    instance.wait_for("picofaas_runtime_in_flight 1");
    drop(gone);
    instance.wait_for("picofaas_runtime_in_flight 0");
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
}
