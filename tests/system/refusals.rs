//! Requests that are wrong, and what the client reads then.

use crate::support::bystander::while_others_are_served;
use crate::support::client::Answer;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::pool;

const INVOKE: &str = "POST /v1/functions/bystander:invoke";

/// Sends one request to a server of its own and returns the answer; others are served meanwhile.
fn answer(request: &str, headers: &str, body: &str) -> Answer {
    let server = Server::start(&[]);
    while_others_are_served(&server, || server.client().call(request, headers, body))
}

#[test]
fn an_unknown_function_is_named_and_the_message_says_how_to_list_those_there_are() {
    let answer = answer("POST /v1/functions/nobody:invoke", "", r#"{"input":1}"#);
    answer.assert_refused(404, "FUNCTION_NOT_FOUND", &["\"nobody\"", "GET /v1/functions"]);
}

#[test]
fn a_wrong_method_is_told_the_right_one() {
    let answer = answer("GET /v1/functions/bystander:invoke", "", "");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["GET is not allowed", "allowed: POST"]);
    assert_eq!(answer.header("allow"), Some("POST"), "RFC 9110 wants the methods in Allow");
}

#[test]
fn a_wrong_path_is_told_where_things_are() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.get("/v2/functions").assert_refused(404, "NOT_FOUND", &["/v2/functions", "/v1/functions"]);
    let verb = server.client().post("/v1/functions/bystander:call", r#"{"input":1}"#);
    verb.assert_refused(404, "NOT_FOUND", &["\"call\"", ":invoke", ":enqueue"]);
    server.assert_others_are_served();
}

#[test]
fn what_the_management_listener_serves_is_not_on_the_listener_of_clients() {
    let server = Server::start(&[]);
    for path in ["/metrics", "/readyz"] {
        server.client().get(path).assert_refused(404, "NOT_FOUND", &[path, "--management-listen"]);
        assert_eq!(server.operator().get(path).status, 200);
    }
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn another_content_type_than_json_is_refused_with_the_one_to_send() {
    let answer = answer(INVOKE, "content-type: text/plain\r\n", r#"{"input":1}"#);
    answer.assert_refused(415, "UNSUPPORTED_MEDIA_TYPE", &["text/plain", "application/json"]);
}

#[test]
fn a_header_is_told_up_to_a_length_fit_for_a_message() {
    let long = "x".repeat(1000);
    let cut = format!("\"{}…\"", "x".repeat(64));
    for (name, status, code) in [
        ("content-type", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("content-encoding", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("x-timeout-ms", 400, "BAD_REQUEST"),
    ] {
        let answer = answer(INVOKE, &format!("{name}: {long}\r\n"), r#"{"input":1}"#);
        answer.assert_refused(status, code, &[cut.as_str()]);
    }
}

#[test]
fn a_compressed_body_is_refused_and_not_taken_for_broken_json() {
    let answer = answer(INVOKE, "content-encoding: gzip\r\n", "\u{1f}not JSON");
    answer.assert_refused(415, "UNSUPPORTED_MEDIA_TYPE", &["gzip", "as it is"]);
    let server = Server::start(&[]);
    let plain = server.client().invoke_with(BYSTANDER, "content-encoding: identity\r\n", 7);
    assert_eq!(plain.output(), 7);
}

#[test]
fn json_with_a_charset_and_no_content_type_at_all_are_both_taken() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for headers in
        ["content-type: application/json; charset=utf-8\r\n", "Content-Type: APPLICATION/JSON\r\n", ""]
    {
        assert_eq!(client.invoke_with(BYSTANDER, headers, 7).output(), 7, "{headers}");
    }
}

#[test]
fn broken_json_is_refused_with_the_place_of_the_fault() {
    let answer = answer(INVOKE, "", "{\"input\": 1,\n \"metadata\" {}}");
    answer.assert_refused(400, "INVALID_JSON", &["not JSON", "line 2 column 13"]);
}

#[test]
fn an_empty_body_is_refused_with_an_example_of_a_right_one() {
    answer(INVOKE, "", "").assert_refused(400, "INVALID_JSON", &["empty", "{\"input\": {}}"]);
}

#[test]
fn a_body_without_input_names_the_missing_member() {
    let answer = answer(INVOKE, "", r#"{"metadata":{}}"#);
    answer.assert_refused(422, "INVALID_INVOCATION", &["\"input\"", "\"metadata\""]);
    assert!(answer.details()[0].starts_with("input: missing field"), "{answer:?}");
}

#[test]
fn an_unknown_member_of_the_body_is_named() {
    let answer = answer(INVOKE, "", r#"{"input":1,"inputs":2}"#);
    answer.assert_refused(422, "INVALID_INVOCATION", &["\"input\""]);
    assert!(answer.details()[0].starts_with("inputs: unknown field `inputs`"), "{answer:?}");
}

#[test]
fn metadata_that_is_not_all_strings_is_refused_and_named() {
    let answer = answer(INVOKE, "", r#"{"input":1,"metadata":{"a":"b","c":3}}"#);
    answer.assert_refused(422, "INVALID_INVOCATION", &["{string: string}"]);
    assert!(answer.details()[0].starts_with("metadata: invalid type: integer `3`"), "{answer:?}");
}

#[test]
fn a_timeout_that_is_not_a_number_of_milliseconds_is_refused_with_its_value() {
    for value in ["soon", "-1", "0", "1.5", "18446744073709551616"] {
        let server = Server::start(&[]);
        let answer = server.client().invoke_with(BYSTANDER, &format!("x-timeout-ms: {value}\r\n"), 1);
        answer.assert_refused(400, "BAD_REQUEST", &["X-Timeout-Ms", value, "milliseconds"]);
        server.assert_others_are_served();
    }
}

#[test]
fn an_idempotency_key_of_more_than_255_bytes_is_refused_with_its_length_and_255_are_taken() {
    let server = Server::start(&[]);
    let headers = |length: usize| format!("idempotency-key: {}\r\n", "k".repeat(length));
    assert_eq!(server.client().invoke_with(BYSTANDER, &headers(255), 1).output(), 1);
    let answer = server.client().invoke_with(BYSTANDER, &headers(256), 1);
    answer.assert_refused(400, "BAD_REQUEST", &["Idempotency-Key", "256", "255"]);
    server.assert_others_are_served();
}

#[test]
fn functions_are_changed_on_a_listener_that_is_open_to_others_only_with_leave() {
    let specification = pool("open", "http://127.0.0.1:9");
    for (flags, status) in [(&[][..], 403), (&["--allow-writes"][..], 201)] {
        let server = Server::start_at("0.0.0.0:0", flags);
        let answer = server.create(&specification);
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 403 {
            answer.assert_refused(403, "WRITES_DISABLED", &["--allow-writes", "management"]);
            let mut client = server.client();
            client.delete("/v1/functions/open").assert_refused(403, "WRITES_DISABLED", &[]);
            assert_eq!(server.operator().post("/v1/functions", &specification).status, 201);
        }
        // Reading is for everyone, under any name of the host.
        let read = server.client().call("GET /v1/functions/open", "", "");
        assert_eq!(read.status, 200, "{read:?}");
        let mut client = server.client();
        client.send("GET /healthz HTTP/1.1\r\nhost: faas.example\r\n\r\n");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn refusals_are_counted_by_reason_and_not_as_executions() {
    let server = Server::start(&[]);
    server.client().call(INVOKE, "", "{}").assert_refused(422, "INVALID_INVOCATION", &[]);
    let scrape = server.scrape();
    let invalid = "picofaas_function_rejected_total{function=\"bystander\",reason=\"invalid\"}";
    assert_eq!(scrape.series(invalid), Some(1.0));
    assert_eq!(scrape.of_function(BYSTANDER, "enqueued_total"), 0.0);
}
