//! Requests whose client does not wait: `Prefer: respond-async`. The answer of the function is kept, and read later.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, job, pool, warm};

const WISH: &str = "prefer: respond-async\r\n";

/// A server with a web function `later` whose endpoint the test plays.
fn later(flags: &[&str], web: Value, change: impl FnOnce(Value) -> Value) -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(flags), Endpoint::listen());
    let function = pool("later", format!("http://{}", endpoint.address())).with("web", web);
    server.register(&change(function));
    (server, endpoint)
}

/// The id in an answer that says that the other one is to be read later.
#[track_caller]
fn id_of(accepted: &Answer) -> String {
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.header("x-execution-id").unwrap().to_owned();
    assert_eq!(accepted.header("location"), Some(format!("/v1/executions/{id}").as_str()));
    assert_eq!(accepted.header("preference-applied"), Some("respond-async"));
    assert_eq!(accepted.header("vary"), Some("Prefer"));
    id
}

/// Asks for something that is kept.
#[track_caller]
fn leave(server: &Server, line: &str, body: &str) -> String {
    id_of(&server.client().call(line, WISH, body))
}

/// The answer that is kept, once its execution has ended.
fn output(server: &Server, id: &str) -> Answer {
    server.client().get(&format!("/v1/executions/{id}/output?wait=60"))
}

/// Asserts that a browser takes an answer for a file.
#[track_caller]
fn assert_is_a_file(answer: &Answer) {
    for (name, value) in [
        ("content-disposition", "attachment"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_kept_with_its_type_and_its_bytes() {
    let (server, endpoint) = later(&[], json!({}), |function| function);
    let mut client = server.client();
    let answer =
        client.call("POST /fn/later/a?b=%20", "prefer: wait=5, Respond-Async\r\ncookie: c=1\r\n", "<x>");
    let id = id_of(&answer);
    assert_eq!(answer.json(), json!({ "executionId": id, "status": "queued" }));
    let request = endpoint.next();
    assert_eq!((request.line.as_str(), request.body.as_str()), ("POST /a?b=%20 HTTP/1.1", "<x>"));
    assert_eq!((request.header("cookie"), request.header("prefer")), (Some("c=1"), None));
    assert_eq!(request.header("x-execution-id"), Some(id.as_str()));
    let early = client.get(&format!("/v1/executions/{id}/output"));
    early.assert_refused(409, "NOT_ENDED", &["running", "?wait=SECONDS", &id]);
    assert_eq!(client.get(&format!("/v1/executions/{id}")).json()["status"], "running");

    let head = "HTTP/1.1 201 Created\r\ncontent-type: text/html; charset=latin1\r\ncontent-encoding: x\r\ncontent-language: en\r\n\
                set-cookie: s=1\r\nlocation: /there\r\naccess-control-allow-origin: *\r\ncontent-security-policy: default-src *\r\n\
                content-length: 17\r\n\r\n<script></script>";
    request.answer_raw(head);
    let record = client.ended(&id);
    assert_eq!((&record["status"], &record["output"]), (&json!("success"), &Value::Null));
    let web = json!({ "status": 201, "requestBytes": 3, "answerBytes": 17, "kept": true });
    assert_eq!(record["web"], web, "{record}");

    for _ in 0..2 {
        let kept = output(&server, &id);
        assert_eq!((kept.status, kept.text()), (200, "<script></script>"));
        assert_eq!(kept.header("content-type"), Some("text/html; charset=latin1"));
        assert_eq!(kept.header("content-encoding"), Some("x"));
        assert_eq!(kept.header("content-language"), Some("en"));
        assert_is_a_file(&kept);
        for gone in ["set-cookie", "location", "access-control-allow-origin", "x-error-source"] {
            assert_eq!(kept.header(gone), None, "{gone}");
        }
    }
    client.send(format!("HEAD /v1/executions/{id}/output HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    let head = client.receive_head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=latin1")));
}

#[test]
fn bodies_of_any_framing_are_kept_whole() {
    let (server, endpoint) = later(&[], json!({}), |function| function);
    let mut client = server.client();
    client.send(format!(
        "PUT /fn/later HTTP/1.1\r\nhost: localhost\r\n{WISH}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    ));
    let id = id_of(&client.receive());
    let request = endpoint.next();
    assert_eq!((request.body.as_str(), request.header("content-length")), ("abcde", Some("5")));
    let kept = request.answer_raw(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\n\u{0}cd\r\n0\r\nx: y\r\n\r\n",
    );
    let answer = output(&server, &id);
    assert_eq!(
        (answer.text(), answer.header("content-type")),
        ("ab\u{0}cd", Some("application/octet-stream"))
    );
    // The connection was left as it was found.
    let id = leave(&server, "GET /fn/later/next", "");
    kept.next().answer_raw("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end");
    assert_eq!(output(&server, &id).text(), "to the end");
    // More than a web request is read whole otherwise.
    let large = "x".repeat(300_000);
    let id = leave(&server, "POST /fn/later", &large);
    let request = endpoint.next();
    assert_eq!(request.body.len(), large.len());
    request.answer(200, &large);
    assert_eq!(output(&server, &id).body.len(), large.len());
    client.send(format!("HEAD /fn/later HTTP/1.1\r\nhost: localhost\r\n{WISH}\r\n"));
    let head = client.receive_head();
    endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 9\r\n\r\n");
    let answer = output(&server, &id_of(&head));
    assert_eq!((answer.text(), answer.header("content-type")), ("", Some("a/b")));
}

#[test]
fn an_error_of_the_function_is_kept_with_its_status_and_any_other_end_is_an_error() {
    let (server, endpoint) = later(&[], json!({}), |function| function);
    for (status, is_error) in [(404, false), (503, true)] {
        let id = leave(&server, "POST /fn/later", "");
        endpoint.next().answer(status, "no");
        let answer = output(&server, &id);
        assert_eq!((answer.status, answer.text()), (status, "no"));
        assert_eq!(answer.header("x-error-source"), Some("function"));
        assert_is_a_file(&answer);
        let record = server.client().get(&format!("/v1/executions/{id}")).json();
        assert_eq!(record["status"], if is_error { "error" } else { "success" });
        assert_eq!(record["web"]["status"], status);
    }
    // A redirection is what was asked for, and is not followed.
    let id = leave(&server, "GET /fn/later", "");
    endpoint.next().answer_raw("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 5\r\n\r\nthere");
    assert_eq!((output(&server, &id).status, output(&server, &id).header("location")), (200, None));
    let id = leave(&server, "POST /fn/later", "");
    drop(endpoint.next());
    output(&server, &id).assert_error(502, "INSTANCE_CRASHED", "function", &["went away"]);
    let id = leave(&server, "POST /fn/later", "");
    let request = endpoint.next();
    assert_eq!(server.client().delete(&format!("/v1/executions/{id}")).status, 202);
    request.until_closed();
    output(&server, &id).assert_refused(503, "CANCELLED", &["by a client"]);
    for unknown in ["0", &format!("{}0", &id[..39])] {
        let answer = server.client().get(&format!("/v1/executions/{unknown}/output"));
        answer.assert_refused(404, "EXECUTION_NOT_FOUND", &[unknown]);
    }
}

#[test]
fn an_answer_that_breaks_off_was_seen_by_nobody_and_is_asked_for_again_where_that_may_be() {
    let (server, endpoint) = later(&[], json!({}), |function| function);
    let id = leave(&server, "GET /fn/later", "");
    drop(endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"));
    endpoint.next().answer(200, "whole");
    assert_eq!(output(&server, &id).text(), "whole");
    let record = server.client().get(&format!("/v1/executions/{id}")).json();
    assert_eq!((&record["attempt"], &record["web"]["answerBytes"]), (&json!(2), &json!(5)));
    let id = leave(&server, "POST /fn/later", "");
    drop(endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"));
    output(&server, &id).assert_error(502, "INSTANCE_CRASHED", "function", &["went away"]);
    let record = server.client().get(&format!("/v1/executions/{id}")).json();
    assert_eq!((&record["attempt"], &record["web"]["status"]), (&json!(1), &Value::Null));
}

#[test]
fn bodies_that_are_larger_than_may_be_kept_are_refused_with_the_remedy() {
    let flags = ["--max-body", "1024", "--max-output", "2048"];
    let (server, endpoint) = later(&flags, json!({}), |function| function);
    let mut client = server.client();
    client.send_in_vain(format!(
        "POST /fn/later HTTP/1.1\r\nhost: localhost\r\n{WISH}content-length: 1025\r\n\r\n"
    ));
    let answer = client.receive();
    answer.assert_refused(413, "BODY_TOO_LARGE", &["1024 bytes (--max-body)", "send it without"]);
    answer.assert_closing();
    let mut client = server.client();
    let piece = "x".repeat(1025);
    client.send_in_vain(format!(
        "POST /fn/later HTTP/1.1\r\nhost: localhost\r\n{WISH}transfer-encoding: chunked\r\n\r\n401\r\n{piece}\r\n0\r\n\r\n"
    ));
    client.receive().assert_refused(413, "BODY_TOO_LARGE", &["send it without"]);
    let body = "y".repeat(2049);
    for head in
        ["content-length: 2049\r\n\r\n".to_owned(), "transfer-encoding: chunked\r\n\r\n801\r\n".to_owned()]
    {
        let id = leave(&server, "GET /fn/later", "");
        endpoint.next().answer_raw(&format!("HTTP/1.1 200 OK\r\n{head}{body}"));
        let answer = output(&server, &id);
        answer.assert_error(500, "OUTPUT_TOO_LARGE", "function", &["2048 bytes", "--max-output"]);
        let record = server.client().get(&format!("/v1/executions/{id}")).json();
        assert_eq!((&record["status"], &record["web"]["kept"]), (&json!("error"), &json!(false)));
        assert_eq!(record["web"]["status"], 200);
    }
    // As large as that may be.
    let id = leave(&server, "POST /fn/later", &"x".repeat(1024));
    endpoint.next().answer(200, &body[..2048]);
    assert_eq!(output(&server, &id).body.len(), 2048);
}

#[test]
fn a_kept_answer_has_its_time_for_the_whole_and_is_no_stream() {
    let (server, endpoint) = later(&[], json!({}), |function| function.with("timeoutMs", 1500));
    let id = leave(&server, "POST /fn/later", "");
    let request = endpoint.next();
    assert!(request.header("x-deadline-ms").unwrap().parse::<u32>().unwrap() <= 1500);
    // Its head has come in time, and the rest does not.
    let begun = request.answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
    output(&server, &id).assert_refused(504, "TIMEOUT", &["timeoutMs"]);
    begun.until_closed();
}

#[test]
fn the_wish_is_the_functions_own_where_it_is_not_granted() {
    let (server, endpoint) = later(&[], json!({ "async": false }), |function| function);
    let mut client = server.client();
    client.ask("POST /fn/later", WISH, "x");
    let request = endpoint.next();
    assert_eq!(request.header("prefer"), Some("respond-async"));
    request.answer(200, "now");
    let answer = client.receive();
    assert_eq!((answer.status, answer.text(), answer.header("vary")), (200, "now", None));
    let id = answer.header("x-execution-id").unwrap().to_owned();
    output(&server, &id).assert_refused(409, "NO_OUTPUT", &["Prefer: respond-async"]);

    server.register(&pool("site", format!("http://{}", endpoint.address())).with("web", json!({})));
    client.ask("GET /fn/site", "prefer: return=minimal\r\n", "");
    let request = endpoint.next();
    assert_eq!(request.header("prefer"), Some("return=minimal"));
    request.answer(200, "");
    assert_eq!(client.receive().status, 200);
    // A connection cannot be kept.
    client.send(format!(
        "GET /fn/site HTTP/1.1\r\nhost: localhost\r\n{WISH}connection: upgrade\r\nupgrade: websocket\r\n\r\n"
    ));
    let request = endpoint.next();
    assert_eq!(request.header("prefer"), Some("respond-async"));
    request.answer_raw("HTTP/1.1 101 -\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(client.receive_head().status, 101);
}

#[test]
fn a_function_that_takes_json_is_enqueued_by_the_same_wish_and_its_output_read_bare() {
    let server = Server::start(&[]);
    server.register(&warm("echo", "echo"));
    server.register(&job("once", "echo"));
    for name in ["echo", "once"] {
        let id = leave(&server, &format!("POST /fn/{name}"), r#"{"a":1}"#);
        let answer = output(&server, &id);
        assert_eq!((answer.status, answer.text()), (200, r#"{"a":1}"#), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_is_a_file(&answer);
        assert_eq!(server.client().ended(&id)["output"], json!({ "a": 1 }));
    }
    // However it was called.
    let id = server.client().enqueue("echo", "[7]");
    assert_eq!(output(&server, &id).text(), "[7]");
    let id = server.invoke("echo", "\"s\"").header("x-execution-id").unwrap().to_owned();
    assert_eq!(output(&server, &id).text(), "\"s\"");
    server.register(&warm("refuses", "status"));
    let input = r#"{"status":422}"#;
    let id = leave(&server, "POST /fn/refuses", input);
    let told = server.invoke("refuses", input);
    let answer = output(&server, &id);
    assert_eq!((answer.status, &answer.json()["error"]), (told.status, &told.json()["error"]), "{answer:?}");
    assert_eq!(answer.header("x-error-source"), Some("function"));
    let refused = server.client().call("POST /fn/echo", WISH, "not JSON");
    refused.assert_refused(400, "INVALID_JSON", &["not one JSON value"]);
}

#[test]
fn a_kept_answer_is_read_on_every_listener_and_wherever_it_was_asked_for() {
    let flags = ["--gateway-threads", "2", "--route-host", "{name}.localhost"];
    let (server, endpoint) = later(&flags, json!({}), |function| function);
    // Connections are taken by turns.
    for _ in 0..4 {
        let mut client = server.client();
        client.send(format!("GET /x HTTP/1.1\r\nhost: later.localhost\r\n{WISH}\r\n"));
        let id = id_of(&client.receive());
        let request = endpoint.next();
        assert_eq!(request.line, "GET /x HTTP/1.1");
        request.answer(200, "kept");
        for mut reader in [server.client(), server.client(), Client::connect(server.management)] {
            let answer = reader.get(&format!("/v1/executions/{id}/output?wait=60"));
            assert_eq!((answer.status, answer.text()), (200, "kept"));
            assert_is_a_file(&answer);
        }
    }
}

#[test]
fn a_drain_waits_until_a_kept_answer_was_read_and_not_its_record_alone() {
    let (server, endpoint) = later(&["--drain", "60"], json!({}), |function| function);
    let mut reader = server.client();
    let (read, unread) = (leave(&server, "GET /fn/later", ""), leave(&server, "GET /fn/later", ""));
    endpoint.next().answer(200, "1");
    let running = endpoint.next();
    let running_id = running.header("x-execution-id").unwrap().to_owned();
    let ended = if running_id == read { &unread } else { &read };
    assert_eq!(reader.ended(ended)["status"], "success");
    let mut other = server.client();
    other.get("/healthz");
    server.signal(Signal::TERM);
    eventually("it drains", || {
        let answer = Client::connect(server.management).get("/readyz");
        (answer.status == 503).then_some(())
    });
    running.answer(200, "2");
    let second = other.get(&format!("/v1/executions/{running_id}/output?wait=60"));
    assert_eq!(second.text(), "2");
    // The record of the first one was read, its answer was not: it is there to be read.
    let first = reader.get(&format!("/v1/executions/{ended}/output"));
    assert_eq!(first.text(), "1");
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn heads_of_requests_that_wait_count_among_the_bytes_that_are_held() {
    let (server, _endpoint) =
        later(&["--max-payload-bytes", "1048576", "--reserved-output", "1024"], json!({}), |function| {
            function
        });
    let mut client = server.client();
    let mut ask = || client.call("GET /fn/later", &format!("{WISH}cookie: {}\r\n", "c".repeat(15_000)), "");
    // A function may hold half of them.
    let mut accepted = 0;
    let refused = loop {
        let answer = ask();
        if answer.status != 202 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 64, "no head was too much");
    };
    refused.assert_refused(503, "PAYLOAD_BYTES_FULL", &["--max-payload-bytes"]);
    assert_eq!(accepted, 524_288 / 15_100);
    assert_eq!(server.scrape().refused("later", "payload_bytes_full"), 1.0);
}
