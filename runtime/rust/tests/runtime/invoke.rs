//! The answers to good and to bad invocations.

use std::net::TcpStream;

use serde_json::json;

use crate::instance::{Instance, PATIENCE, Process};
use crate::wire::{Connection, invocation};

#[test]
fn the_input_reaches_the_handler_and_its_output_comes_back_byte_for_byte() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    for input in ["null", "1e400", "12345678901234567890123", r#"{ "a" : [ 1 ,2 ], "a":"é\u00e9" }"#] {
        let answer = connection.invoke("", &format!(r#"{{"metadata":{{"k":"v"}},"input":{input}}}"#));
        assert_eq!((answer.status, answer.text()), (200, input));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_handler_may_ask_for_the_circumstances_of_its_invocation() {
    let instance = Instance::of("identity");
    let answer = instance.connect().invoke("x-attempt: 3\r\n", r#"{"input":[7]}"#).json();
    assert_eq!((&answer["attempt"], &answer["executionId"]), (&json!(3), &json!("e-1")));
    assert_eq!(answer["input"], json!([7]));
    assert!(answer["pid"].as_u64().unwrap() > 1);
}

#[test]
fn without_an_execution_id_nothing_is_run() {
    let instance = Instance::of("exit");
    let mut connection = instance.connect();
    for header in ["", "x-execution-id:\r\n"] {
        connection.send(format!(
            "POST /invoke HTTP/1.1\r\nhost: fn\r\n{header}content-length: 12\r\n\r\n{{\"input\": 1}}"
        ));
        assert_eq!(connection.receive().failure(), (400, "MISSING_EXECUTION_ID".to_owned()));
    }
}

#[test]
fn a_header_that_is_not_a_number_is_named() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    for (header, name) in [
        ("x-deadline-ms: soon\r\n", "X-Deadline-Ms"),
        ("x-deadline-ms: -1\r\n", "X-Deadline-Ms"),
        ("x-attempt: 0\r\n", "X-Attempt"),
    ] {
        let answer = connection.invoke(header, r#"{"input":1}"#);
        assert_eq!(answer.failure(), (400, "BAD_HEADER".to_owned()));
        assert!(answer.message().contains(name), "{}", answer.message());
    }
}

#[test]
fn bad_input_is_told_its_place_and_reason() {
    let instance = Instance::of("status");
    let mut connection = instance.connect();
    for (body, said) in [
        (
            r#"{"input":{"status":"x","code":"c","message":"m"}}"#,
            "input.status: invalid type: string \"x\", expected u16",
        ),
        (r#"{"input":{"status":400}}"#, "input: missing field `code`"),
        (r#"{"metadata":{"a":"b"}}"#, "missing field `input`"),
        (
            r#"{"input":{"status":400,"code":"c","message":"m"},"metadata":{"a":1}}"#,
            "metadata.a: invalid type",
        ),
        (r#"{"input":{"status":400,"code":"c","message":"m"}} x"#, "trailing characters"),
        ("", "EOF while parsing"),
        ("[1, {}]", "the body must be"),
    ] {
        let answer = connection.invoke("", body);
        assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()), "{body}");
        assert!(answer.message().contains(said), "{body} got: {}", answer.message());
    }
}

#[test]
fn a_message_that_quotes_the_input_is_bounded() {
    let instance = Instance::of("status");
    let body = format!(r#"{{"input":{{"status":"{}"}}}}"#, "x".repeat(1_000_000));
    let answer = instance.connect().invoke("", &body);
    assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()));
    assert!(answer.body.len() < 4096, "{} bytes", answer.body.len());
}

#[test]
fn a_body_is_refused_from_its_first_byte_too_many() {
    let instance = Instance::with("echo", &[("MAX_BODY", "20")]);
    let fits = r#"{"input":"123456789"}"#;
    assert_eq!(instance.connect().invoke("", &fits.replace('9', "")).text(), "\"12345678\"");
    // By its announced length, before it is sent.
    let mut connection = instance.connect();
    connection.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ncontent-length: 21\r\n\r\n");
    assert_eq!(connection.receive().failure(), (413, "BODY_TOO_LARGE".to_owned()));
    // In chunks, where nothing is announced.
    let mut connection = instance.connect();
    connection
        .send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.send(format!("b\r\n{}\r\na\r\n{}\r\n0\r\n\r\n", &fits[..11], &fits[11..]));
    assert_eq!(connection.receive().failure(), (413, "BODY_TOO_LARGE".to_owned()));
}

#[test]
fn a_body_in_many_pieces_is_put_together() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    connection
        .send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in ["{\"in", "put\":", "[1,2", ",3]}"] {
        connection.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    connection.send("0\r\n\r\n");
    assert_eq!(connection.receive().text(), "[1,2,3]");
}

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    connection.send([1, 2, 3].map(|n| invocation("", &format!("{{\"input\":{n}}}"))).concat());
    assert_eq!([1, 2, 3].map(|_| connection.receive().text().to_owned()), ["1", "2", "3"]);
}

#[test]
fn an_output_over_the_limit_is_an_error_and_not_cut() {
    let instance = Instance::with("echo", &[("MAX_OUTPUT", "8")]);
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":"123456"}"#).text(), "\"123456\"");
    let answer = connection.invoke("", r#"{"input":"1234567"}"#);
    assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
}

#[test]
fn the_default_limits_hold_a_mebibyte() {
    let instance = Instance::of("echo");
    let mut connection = instance.connect();
    let fits = "x".repeat((1 << 20) - 2);
    assert_eq!(connection.invoke("", &format!(r#"{{"input":"{fits}"}}"#)).body.len(), 1 << 20);
    let answer = connection.invoke("", &format!(r#"{{"input":"{fits}y"}}"#));
    assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
}

#[test]
fn a_port_serves_as_a_socket_does() {
    let mut process = Process::start("echo", &[("PORT", "0")]);
    let greeting = process.line_with("listening on http://");
    let port = greeting.split_once("0.0.0.0:").unwrap().1.split(' ').next().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(Connection::over(stream).invoke("", r#"{"input":"hi"}"#).text(), "\"hi\"");
}
