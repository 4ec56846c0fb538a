//! Headers and bodies that are passed on to a function, and the part of its answer that comes back.

use std::time::Duration;

use serde_json::json;

use crate::support::endpoint::Endpoint;
use crate::support::patience::let_pass;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

/// A server with a function `seen` whose endpoint the test plays.
fn seen() -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("seen", endpoint.url()));
    (server, endpoint)
}

#[test]
fn the_body_is_passed_on_as_it_was_sent_byte_by_byte() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    let body = "{ \"metadata\" : {\"a\":\"b\"},\n\t\"input\":[1e2, 1.0,\"\\u00e9\"] }";
    client.ask("POST /v1/functions/seen:invoke", "content-type: application/json\r\n", body);
    let request = endpoint.next();
    assert_eq!(request.line, "POST /invoke HTTP/1.1");
    assert_eq!(request.body, body);
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("host"), Some(endpoint.address().to_string().as_str()));
    request.answer(200, " [1e2,  null] ");
    let answer = client.receive();
    assert!(answer.text().contains("\"output\": [1e2,  null] ,"), "{}", answer.text());
}

#[test]
fn the_idempotency_key_is_passed_on_and_none_is_made() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    for (headers, key) in [("idempotency-key: once only\r\n", Some("once only")), ("", None)] {
        client.ask_invoke("seen", headers, 1);
        let request = endpoint.next();
        assert_eq!(request.header("idempotency-key"), key);
        request.answer(200, "1");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn attempts_count_up_under_one_id_while_the_deadline_comes_nearer() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    client.ask_invoke("seen", "x-timeout-ms: 20000\r\n", 1);
    let mut left_ms = 20_001;
    let mut ids = Vec::new();
    for attempt in 1..=4 {
        let request = endpoint.next();
        assert_eq!(request.header("x-attempt"), Some(attempt.to_string().as_str()));
        let left = request.header("x-deadline-ms").unwrap().parse::<u32>().unwrap();
        assert!(left < left_ms && left > 1, "{left} ms are left after {left_ms}");
        left_ms = left;
        ids.push(request.header("x-execution-id").unwrap().to_owned());
        let_pass(Duration::from_millis(3));
        request.answer(if attempt < 4 { 500 } else { 200 }, "{}");
    }
    let answer = client.receive();
    assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("4")));
    ids.dedup();
    assert_eq!((ids.len(), Some(ids[0].as_str())), (1, answer.header("x-execution-id")));
    assert_eq!(ids[0].len(), 40);
}

#[test]
fn a_deadline_of_the_client_counts_only_where_it_is_the_shorter_one() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("seen", endpoint.url()).with("timeoutMs", 50_000));
    let mut client = server.client();
    for (headers, most) in
        [("", 50_000), ("x-timeout-ms: 20000\r\n", 20_000), ("x-timeout-ms: 60000\r\n", 50_000)]
    {
        client.ask_invoke("seen", headers, 1);
        let request = endpoint.next();
        let left = request.header("x-deadline-ms").unwrap().parse::<u32>().unwrap();
        assert!(left <= most && left > most - 15_000, "{left} of {most}");
        request.answer(200, "1");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn a_connection_to_an_instance_is_used_again_and_a_closed_one_replaced_at_no_cost() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    client.ask_invoke("seen", "", 1);
    let kept = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
    assert_eq!(client.receive().output(), 1);
    client.ask_invoke("seen", "", 2);
    // On the same connection, which then closes without having said so.
    let kept = kept.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2");
    assert_eq!(client.receive().output(), 2);
    drop(kept);
    client.ask_invoke("seen", "", 3);
    endpoint.next().answer(200, "3");
    let answer = client.receive();
    assert_eq!((answer.output(), answer.header("x-attempts")), (json!(3), Some("1")));
}

#[test]
fn answers_in_chunks_interim_answers_and_204_are_understood() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    for (bytes, output) in [
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n3;x=y\r\n,2]\r\n0\r\nx-t: 1\r\n\r\n",
            json!([1, 2]),
        ),
        ("HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n17", json!(17)),
        ("HTTP/1.1 204 No Content\r\n\r\n", json!(null)),
        ("HTTP/1.0 200 OK\r\n\r\n\"to the end\"", json!("to the end")),
    ] {
        client.ask_invoke("seen", "connection: keep-alive\r\n", 1);
        let request = endpoint.next();
        // It is closed after the answer: a body to the end needs that, and the others bear it.
        drop(request.answer_raw(bytes));
        assert_eq!(client.receive().output(), output, "{bytes}");
    }
}

#[test]
fn a_cold_start_is_told_on_the_first_answer_of_an_instance_only() {
    let server = Server::start_bare(&["--allow-local-exec"]);
    server.register(&crate::support::specification::warm(BYSTANDER, "echo"));
    let mut client = server.client();
    let first = client.invoke(BYSTANDER, 1);
    assert_eq!((first.output(), first.header("x-cold-start")), (json!(1), Some("true")));
    let second = client.invoke(BYSTANDER, 2);
    assert_eq!((second.output(), second.header("x-cold-start")), (json!(2), None));
    let read = client.ended(first.header("x-execution-id").unwrap());
    assert_eq!(read["coldStart"], true);
    assert_eq!(server.scrape().of_function(BYSTANDER, "cold_starts_total"), 1.0);
}

#[test]
fn the_management_listener_invokes_enqueues_and_reads_like_the_other() {
    let (server, endpoint) = seen();
    let mut operator = server.operator();
    operator.ask_invoke("seen", "x-trace-id: from-an-operator\r\n", 1);
    let request = endpoint.next();
    assert_eq!(request.header("x-trace-id"), Some("from-an-operator"));
    request.answer(200, "1");
    let answer = operator.receive();
    assert_eq!((answer.output(), answer.header("x-attempts")), (json!(1), Some("1")));
    let id = operator.enqueue("seen", 2);
    endpoint.next().answer(404, "{\"error\":{\"code\":\"GONE\",\"message\":\"it is gone\"}}");
    assert_eq!(operator.ended(&id)["error"]["code"], "GONE");
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let refused = operator.invoke("seen", large);
    refused.assert_refused(413, "BODY_TOO_LARGE", &["1048576", "--max-body"]);
}

#[test]
fn the_functions_own_message_comes_back_and_text_that_is_no_error_is_quoted() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    for (status, body, code, message) in [
        (
            404,
            "{\"error\":{\"code\":\"NO_ROW\",\"message\":\"row \\\"7\\\" is not there\"}}",
            "NO_ROW",
            "row \"7\" is not there",
        ),
        (400, "{\"error\":{\"code\":\"BARE\"}}", "BARE", ""),
        (400, "<h1>Bad</h1>", "HANDLER_ERROR", "the function answered 400: <h1>Bad</h1>"),
    ] {
        client.ask_invoke("seen", "", 1);
        endpoint.next().answer(status, body);
        let answer = client.receive();
        answer.assert_error(status, code, "function", &[]);
        assert_eq!(answer.message(), message);
    }
}
