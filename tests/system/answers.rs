//! Answers of an invocation and of an execution at each of their ends, and the requests that both calls refuse.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::scrape::Scrape;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

const STAGES: [&str; 5] = ["admit", "queue", "dispatch", "function", "reply"];

const ANSWER: [&str; 4] = ["error", "executionId", "output", "status"];

const EXECUTION: [&str; 13] = [
    "attempt",
    "cold",
    "coldStart",
    "createdAt",
    "error",
    "executionId",
    "finishedAt",
    "function",
    "output",
    "standby",
    "startedAt",
    "status",
    "timings",
];

#[track_caller]
fn assert_fields(object: &Value, fields: &[&str]) {
    let mut found: Vec<&String> = object.as_object().unwrap().keys().collect();
    found.sort();
    assert_eq!(found, fields, "{object}");
}

/// An answer of `:invoke` with its status, the execution's status, its error code and how many attempts
/// it took.
#[track_caller]
fn assert_end(answer: &Answer, status: u16, end: &str, code: Option<&str>, attempts: &str) {
    let body = answer.json();
    assert_fields(&body, &ANSWER);
    assert_eq!((answer.status, body["status"].as_str()), (status, Some(end)), "{answer:?}");
    assert_eq!(body["error"]["code"].as_str(), code, "{answer:?}");
    assert_eq!(answer.header("x-execution-id"), body["executionId"].as_str(), "{answer:?}");
    assert_eq!(answer.header("x-attempts"), Some(attempts), "{answer:?}");
    assert_eq!(answer.header("x-error-source").is_some(), status != 200, "{answer:?}");
    let timing = answer.header("server-timing").unwrap_or_else(|| panic!("{answer:?}"));
    let stages: Vec<&str> = timing.split(", ").filter_map(|stage| stage.split(';').next()).collect();
    assert_eq!(stages, STAGES);
    if code.is_some() {
        assert_eq!(body["output"], Value::Null);
        assert!(body["error"]["message"].is_string(), "{answer:?}");
    } else {
        assert_eq!(body["error"], Value::Null);
    }
}

/// The execution an answer is about has every field and the same end, and keeps it.
fn assert_readable(client: &mut Client, answer: &Answer) {
    let (body, id) = (answer.json(), answer.header("x-execution-id").unwrap());
    let read = client.ended(id);
    assert_fields(&read, &EXECUTION);
    for field in ANSWER {
        assert_eq!(read[field], body[field], "{field} of {read}");
    }
    assert_eq!(read["attempt"].to_string(), answer.header("x-attempts").unwrap());
    let known: Vec<&String> = read["timings"].as_object().unwrap().keys().collect();
    assert_eq!(known.len(), STAGES.len(), "{read}");
    for time in ["createdAt", "finishedAt"] {
        assert!(read[time].is_string(), "{read}");
    }
    assert_eq!(client.ended(id), read);
}

#[test]
fn an_invocation_says_the_same_things_of_itself_whatever_its_end() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("ends", endpoint.url()).with("maxRetries", 1).with("concurrency", 1));
    // The port of a listener that is gone.
    let nobody = Endpoint::listen().url();
    server.register(&pool("nobody", nobody).with("maxRetries", 0));
    let mut client = server.client();
    let mut answers = Vec::new();

    client.ask_invoke("ends", "", 1);
    endpoint.next().answer(200, "[1]");
    answers.push((client.receive(), 200, "success", None, "1"));

    client.ask_invoke("ends", "", 1);
    endpoint.next().answer(409, "{\"error\":{\"code\":\"SOLD_OUT\",\"message\":\"none left\"}}");
    answers.push((client.receive(), 409, "error", Some("SOLD_OUT"), "1"));

    client.ask_invoke("ends", "", 1);
    for _ in 0..2 {
        endpoint.next().answer(503, "{\"error\":{\"code\":\"BROKEN\",\"message\":\"no\"}}");
    }
    answers.push((client.receive(), 500, "error", Some("BROKEN"), "2"));

    answers.push((client.invoke("nobody", 1), 502, "error", Some("NO_INSTANCE"), "1"));

    // Long enough for a busy machine to have it begin.
    client.ask_invoke("ends", "x-timeout-ms: 2000\r\n", 1);
    let held = endpoint.next();
    answers.push((client.receive(), 504, "timeout", Some("TIMEOUT"), "1"));
    held.until_closed();

    client.ask_invoke("ends", "", 1);
    let held = endpoint.next();
    let id = held.header("x-execution-id").unwrap().to_owned();
    assert_eq!(server.client().delete(&format!("/v1/executions/{id}")).status, 202);
    answers.push((client.receive(), 503, "cancelled", Some("CANCELLED"), "1"));
    held.until_closed();

    for (answer, status, end, code, attempts) in &answers {
        assert_end(answer, *status, end, *code, attempts);
        assert_readable(&mut client, answer);
    }
}

#[test]
fn both_calls_refuse_alike_and_what_they_refuse_begins_nothing() {
    let server = Server::start(&["--body-timeout-ms", "100", "--max-body", "4096"]);
    let long_key = format!("idempotency-key: {}\r\n", "k".repeat(256));
    let long_head = format!("x-long: {}\r\n", "h".repeat(20_000));
    let large = format!("{{\"input\":\"{}\"}}", "x".repeat(5000));
    let good = "{\"input\":1}";
    let invocations: [(&str, &str, &str, u16, &str); 10] = [
        (BYSTANDER, "", "{\"input\":", 400, "INVALID_JSON"),
        (BYSTANDER, "x-timeout-ms: soon\r\n", good, 400, "BAD_REQUEST"),
        (BYSTANDER, &long_key, good, 400, "BAD_REQUEST"),
        ("nobody", "", good, 404, "FUNCTION_NOT_FOUND"),
        (BYSTANDER, "", &large, 413, "BODY_TOO_LARGE"),
        (BYSTANDER, "content-type: text/plain\r\n", good, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (BYSTANDER, "", "{}", 422, "INVALID_INVOCATION"),
        (BYSTANDER, "", "{\"input\":1,\"metadata\":{\"a\":1}}", 422, "INVALID_INVOCATION"),
        (BYSTANDER, "", "{\"input\":1,\"inptu\":1}", 422, "INVALID_INVOCATION"),
        (BYSTANDER, &long_head, good, 431, "HEAD_TOO_LARGE"),
    ];
    for call in ["invoke", "enqueue"] {
        for (function, headers, body, status, code) in &invocations {
            let request = format!("POST /v1/functions/{function}:{call}");
            let answer = server.client().call(&request, headers, body);
            answer.assert_refused(*status, code, &[]);
            assert_fields(&answer.json(), &["error"]);
        }
        let mut slow = server.client();
        slow.send(format!(
            "POST /v1/functions/{BYSTANDER}:{call} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20\r\n\r\n{{"
        ));
        slow.receive().assert_refused(408, "REQUEST_TIMEOUT", &["--body-timeout-ms"]);
    }
    assert_eq!(server.scrape().of_function(BYSTANDER, "enqueued_total"), 0.0);
    server.assert_others_are_served();
}

#[test]
fn both_calls_are_refused_while_draining_and_told_when_to_try_again() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("held", endpoint.url()));
    let mut client = server.client();
    client.ask_invoke("held", "", 1);
    let held = endpoint.next();
    let mut others = [server.client(), server.client()];
    let mut operator = server.operator();
    for other in &mut others {
        assert_eq!(other.invoke(BYSTANDER, 1).status, 200);
    }
    server.signal(Signal::TERM);
    eventually("it drains", || (operator.get("/readyz").status == 503).then_some(()));
    for (other, call) in others.iter_mut().zip(["invoke", "enqueue"]) {
        let answer = other.post(&format!("/v1/functions/{BYSTANDER}:{call}"), "{\"input\":1}");
        answer.assert_refused(503, "DRAINING", &["stopping"]);
        answer.assert_closing();
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(Scrape::of(&mut operator).refused(BYSTANDER, "draining"), 2.0);
    held.answer(200, "1");
    assert_eq!(client.receive().output(), 1);
    assert_eq!(server.end().code, 0);
}

#[test]
fn any_json_is_an_input_and_comes_back_as_an_output() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for input in [json!(null), json!(false), json!(-0.5), json!(""), json!([]), json!({ "a": [{}] })] {
        assert_eq!(client.invoke(BYSTANDER, &input).output(), input);
        let id = client.enqueue(BYSTANDER, &input);
        let ended = client.ended(&id);
        assert_eq!((&ended["status"], &ended["output"]), (&json!("success"), &input));
    }
}

#[test]
fn when_every_slot_is_taken_the_next_request_is_told_when_to_come_back() {
    let server = Server::start(&["--max-executions", "64", "--gateway-threads", "1"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("holding", endpoint.url()).with("concurrency", 64));
    let mut clients: Vec<Client> = (0..64).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("holding", "", 1);
    }
    server.until_status("holding", "inFlight", 64);
    let answer = server.invoke(BYSTANDER, 1);
    answer.assert_refused(503, "EXECUTIONS_FULL", &["--max-executions"]);
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let scrape = server.scrape();
    assert_eq!(scrape.refused(BYSTANDER, "executions_full"), 1.0);
    for _ in &clients {
        endpoint.next().answer(200, "1");
    }
    for client in &mut clients {
        assert_eq!(client.receive().output(), 1);
    }
    server.assert_others_are_served();
}

#[test]
fn a_call_that_follows_an_answer_on_its_connection_finds_that_ones_slot_free() {
    let server = Server::start(&["--max-executions", "64", "--gateway-threads", "1"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("holding", endpoint.url()).with("concurrency", 64));
    let mut clients: Vec<Client> = (0..63).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("holding", "", 1);
    }
    let held: Vec<_> = clients.iter().map(|_| endpoint.next()).collect();
    let mut last = server.client();
    // Both are there before the first is answered, so that the second is read right behind its answer.
    last.ask_invoke("holding", "", 2);
    last.ask_invoke("holding", "", 3);
    endpoint.next().answer(200, "2");
    assert_eq!(last.receive().output(), 2);
    endpoint.next().answer(200, "3");
    assert_eq!(last.receive().output(), 3);
    for call in held {
        call.answer(200, "1");
    }
    for client in &mut clients {
        assert_eq!(client.receive().output(), 1);
    }
}

#[test]
fn a_burst_longer_than_the_line_is_served_where_it_can_begin_at_once() {
    let (server, endpoint) = (Server::start(&["--gateway-threads", "1"]), Endpoint::listen());
    let function = pool("burst", endpoint.url()).with("concurrency", 64).with("queueSize", 32);
    server.register(&function);
    let mut first = server.client();
    first.ask_invoke("burst", "", 0);
    endpoint.next().answer(200, "0");
    assert_eq!(first.receive().output(), 0);
    let mut clients: Vec<Client> = (0..64).map(|_| server.client()).collect();
    // All are there when the gateway looks.
    server.signal(Signal::STOP);
    for client in &mut clients {
        client.ask_invoke("burst", "", 1);
    }
    server.signal(Signal::CONT);
    for _ in &clients {
        endpoint.next().answer(200, "1");
    }
    for client in &mut clients {
        assert_eq!(client.receive().output(), 1);
    }
}

#[test]
fn an_execution_of_invoke_goes_first_when_room_is_needed_and_says_that_it_has_expired() {
    let server = Server::start(&["--max-executions", "64", "--gateway-threads", "1"]);
    let mut client = server.client();
    let promised = client.enqueue(BYSTANDER, "\"promised\"");
    assert_eq!(client.ended(&promised)["output"], "promised");
    let evictable = client.invoke(BYSTANDER, 1).header("x-execution-id").unwrap().to_owned();
    for input in 0..200 {
        assert_eq!(client.invoke(BYSTANDER, input).output(), input);
    }
    client.get(&format!("/v1/executions/{evictable}")).assert_refused(404, "EXECUTION_EXPIRED", &[]);
    assert_eq!(client.ended(&promised)["output"], "promised");
}
