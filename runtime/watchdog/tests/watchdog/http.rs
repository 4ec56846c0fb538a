//! An HTTP server behind the watchdog: what it gets, and what becomes of what it answers.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http_server::{Fifo, start, told, write};
use crate::wire::invocation;

#[test]
fn the_input_is_posted_to_the_path_with_all_that_is_known_of_the_execution() {
    let secret = [("PICOFAAS_TOKEN", "secret"), ("PICOFAAS_RUNTIME_URL", "http://h:1")];
    let instance = start(&[&secret[..], &[("WATCHDOG_HTTP_PATH", "/fn?a=b"), ("MINE", "m")]].concat());
    let answer = instance.connect().invoke(
        "x-trace-id: t-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n\
         x-attempt: 3\r\nx-deadline-ms: 60000\r\n\
         idempotency-key: key 1\r\nx-other: not this\r\nsec-fetch-site: none\r\n",
        r#"{"metadata":{"k":"v"},"input": {"do":"tell", "a" : 1e400} }"#,
    );
    let told = answer.json();
    assert_eq!(told["line"], "POST /fn?a=b HTTP/1.1");
    assert_eq!(told["body"], r#"{"do":"tell", "a" : 1e400}"#);
    let port = told["environment"]["PORT"].as_str().unwrap();
    let mut headers = told["headers"].as_object().unwrap().clone();
    let left: u32 = headers.remove("x-deadline-ms").unwrap().as_str().unwrap().parse().unwrap();
    assert!((50_000..=60_000).contains(&left), "{left}");
    let expected = json!({
        "host": format!("127.0.0.1:{port}"),
        "content-type": "application/json",
        "content-length": "26",
        "x-execution-id": "e-1",
        "x-trace-id": "t-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1,b=2",
        "x-attempt": "3",
        "idempotency-key": "key 1",
    });
    assert_eq!(Value::Object(headers), expected);
    let environment = told["environment"].as_object().unwrap();
    assert_eq!((&environment["MINE"], &environment["LANG"]), (&json!("m"), &json!("C.UTF-8")));
    for name in ["PICOFAAS_TOKEN", "PICOFAAS_RUNTIME_URL", "PICOFAAS_SOCKET"] {
        assert!(!environment.contains_key(name), "{name} is the watchdog's");
    }
}

#[test]
fn what_is_absent_is_left_out_and_the_first_attempt_is_1() {
    let told = told(&start(&[]));
    assert_eq!(told["line"], "POST / HTTP/1.1");
    let headers = told["headers"].as_object().unwrap();
    assert_eq!(headers["x-attempt"], "1");
    for name in ["x-trace-id", "traceparent", "tracestate", "x-deadline-ms", "idempotency-key"] {
        assert!(!headers.contains_key(name), "{headers:?}");
    }
}

#[test]
fn a_server_may_have_the_envelope() {
    let instance = start(&[("WATCHDOG_INPUT", "envelope")]);
    let mut connection = instance.connect();
    let answer = connection.invoke("", r#"{"metadata":{"k":"v"},"more":1, "input":[ 1e400 ]}"#);
    assert_eq!(answer.text(), r#"{"input":[ 1e400 ],"metadata":{"k":"v"}}"#);
}

#[test]
fn an_output_is_one_json_value_byte_for_byte_and_nothing_is_null() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    for input in ["null", "1e400", "12345678901234567890123", r#"{ "a" : [ 1 ,2 ], "a":"é\u00e9" }"#] {
        let answer = connection.invoke("", &format!(r#"{{"input":{input}}}"#));
        assert_eq!((answer.status, answer.text()), (200, input));
    }
    for nothing in ["204 No Content\r\n\r\n", "200 OK\r\ncontent-length: 0\r\n\r\n"] {
        let answer = connection.invoke("", &write(&format!("HTTP/1.1 {nothing}")));
        assert_eq!((answer.status, answer.text()), (200, "null"), "{nothing}");
    }
    let answer = connection.invoke("", &write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"));
    assert_eq!(answer.failure(), (500, "BAD_OUTPUT".to_owned()));
}

#[test]
fn a_text_becomes_a_json_string() {
    let instance = start(&[("WATCHDOG_OUTPUT", "text")]);
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":[ 1 ]}"#).text(), r#""[ 1 ]""#);
    assert_eq!(connection.invoke("", &write("HTTP/1.1 204 No Content\r\n\r\n")).text(), "null");
}

#[test]
fn an_error_keeps_its_status_and_its_object_or_its_first_bytes() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    let long = format!("{{\"detail\":\"{}\"}}", "x".repeat(300));
    for (status, body, code, message) in [
        (422, r#"{"error":{"code":"MINE","message":"my own"}}"#, "MINE", "my own"),
        (503, r#"{"error":{"code":"BUSY","message":"later","status":200}}"#, "BUSY", "later"),
        (400, "no number", "BAD_INPUT", "no number"),
        (404, "<p>not here</p>\n", "HANDLER_ERROR", "<p>not here</p>"),
        (500, "", "HANDLER_ERROR", "the server answered 500"),
        (500, &long, "HANDLER_ERROR", &long[..200]),
        (504, "late", "HANDLER_TIMEOUT", "late"),
    ] {
        let bytes = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let answer = connection.invoke("", &write(&bytes));
        assert_eq!(answer.failure(), (status, code.to_owned()), "{body}");
        assert_eq!(answer.message(), message);
    }
}

#[test]
fn a_redirect_is_not_followed_but_named() {
    let instance = start(&[]);
    let moved = "HTTP/1.1 302 Found\r\nLocation: /there\r\ncontent-length: 0\r\n\r\n";
    let answer = instance.connect().invoke("", &write(moved));
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    let message = answer.message();
    assert!(message.contains("302") && message.contains("`/there`"), "{message}");
    assert!(message.contains("WATCHDOG_HTTP_PATH"), "{message}");
    assert!(answer.is_final(), "another attempt would be sent there, too: {}", answer.text());
}

#[test]
fn a_mebibyte_goes_in_and_out_and_not_a_byte_more() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    let fits = "x".repeat((1 << 20) - 2);
    let answer = connection.invoke("", &format!(r#"{{"input":"{fits}"}}"#));
    assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));
    let answer = connection.invoke("", &format!(r#"{{"input":"{fits}y"}}"#));
    assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
    assert!(answer.message().contains("MAX_OUTPUT"));
}

#[test]
fn sixty_four_at_once_are_asked_beside_each_other() {
    let (instance, mut gate) = (start(&[]), Fifo::new());
    let mut connections: Vec<_> = (0..64).map(|_| instance.connect()).collect();
    for connection in &mut connections {
        connection.send(invocation("", &gate.wait()));
    }
    // None of them is answered before the last has begun.
    instance.wait_for("picofaas_runtime_in_flight 64");
    gate.open(64);
    for connection in &mut connections {
        assert_eq!(connection.receive().text(), "17");
    }
}

#[test]
fn both_outputs_of_the_server_go_to_the_log_and_have_ids_while_they_can_only_be_of_one() {
    let mut instance = start(&[]);
    let who = "info executionId=e-1 traceId=t-1";
    let mut connection = instance.connect();
    let body = json!({"input": {"do": "log", "out": "to out", "err": "to err"}}).to_string();
    assert_eq!(connection.invoke("x-trace-id: t-1\r\n", &body).status, 200);
    let mut lines = [instance.line_with("to "), instance.line_with("to ")];
    lines.sort();
    assert_eq!(lines, [format!("{who} to err\n"), format!("{who} to out\n")]);

    let (mut one, mut gate) = (instance.connect(), Fifo::new());
    one.send(invocation("x-trace-id: t-1\r\n", &gate.wait()));
    assert_eq!(instance.line_with("waiting"), format!("{who} waiting\n"));
    let mut another = instance.connect();
    another.send(invocation("", &gate.wait()));
    assert_eq!(instance.line_with("waiting"), "waiting\n", "it may be of either");
    gate.open(2);
    for connection in [&mut one, &mut another] {
        assert_eq!(connection.receive().text(), "17");
    }
}

#[test]
fn a_line_that_was_written_before_an_answer_is_passed_on_before_it() {
    let (mut instance, mut begin, mut done) = (start(&[]), Fifo::new(), Fifo::new());
    let mut connection = instance.connect();
    let order = json!({"do": "order", "for": begin.path(), "then": done.path()});
    connection.send(invocation("", &json!({"input": order}).to_string()));
    instance.line_with("waiting");
    // When the watchdog goes on it has three things to see: first more of this connection, for
    // which it looks whether there is an answer, then the line, then the answer.
    instance.signal(Signal::STOP);
    connection.send("POST");
    begin.open(1);
    done.wait_for_byte();
    instance.signal(Signal::CONT);
    assert_eq!(connection.receive().text(), "1");
    assert_eq!(instance.line_with("before"), "info executionId=e-1 traceId=- before\n");
}
