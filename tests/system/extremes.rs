//! Bodies and answers at the edge of what anyone would send: refused or served, never the end of the process.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

const KEYS: usize = 100_000;
const LEVELS: usize = 10_000;

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn a_hundred_thousand_keys_of_metadata_are_taken_or_refused_by_their_size_alone() {
    let metadata: Vec<String> = (0..KEYS).map(|at| format!("\"key-{at}\":\"value\"")).collect();
    let body = format!("{{\"input\":1,\"metadata\":{{{}}}}}", metadata.join(","));
    let small = Server::start(&[]);
    let mut client = small.client();
    client.send(format!(
        "POST /v1/functions/{BYSTANDER}:invoke HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    client.receive().assert_refused(413, "BODY_TOO_LARGE", &["--max-body"]);
    small.assert_others_are_served();

    let large = Server::start(&["--max-body", "8388608"]);
    while_others_are_served(&large, || {
        for call in ["invoke", "enqueue"] {
            let request = format!("POST /v1/functions/{BYSTANDER}:{call}");
            let answer = large.client().call(&request, "", &body);
            // The function's own limit may be lower; then the refusal is the function's.
            let taken = [200, 202].contains(&answer.status);
            assert!(taken || answer.header("x-error-source") == Some("function"), "{answer:?}");
        }
        let one_wrong = body.replace("\"key-99999\":\"value\"", "\"key-99999\":7");
        let answer = large.client().call(&format!("POST /v1/functions/{BYSTANDER}:invoke"), "", &one_wrong);
        answer.assert_refused(422, "INVALID_INVOCATION", &[]);
    });
}

#[test]
fn ten_thousand_levels_of_nesting_are_answered_wherever_json_is_read() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("deep", endpoint.url()).with("maxRetries", 0));
    while_others_are_served(&server, || {
        let deep = nested(LEVELS);
        let mut client = server.client();
        // As an input: passed on as it is, or refused as the function's bad input.
        let answer = client.invoke(BYSTANDER, &deep);
        assert!(
            [200, 400, 422].contains(&answer.status),
            "{} {:?}",
            answer.status,
            answer.header("x-error-source")
        );
        // As an input that never ends, as the whole body, and as metadata.
        for body in [
            format!("{{\"input\":{}", "[".repeat(LEVELS)),
            "{\"input\":".repeat(LEVELS),
            deep.clone(),
            format!("{{\"input\":1,\"metadata\":{deep}}}"),
            format!("{{\"input\":1,\"metadata\":{{\"a\":{deep}}}}}"),
        ] {
            let answer = client.call(&format!("POST /v1/functions/{BYSTANDER}:invoke"), "", &body);
            assert!([400, 422].contains(&answer.status), "{answer:?}");
            assert_eq!(answer.header("x-error-source"), Some("gateway"), "{answer:?}");
        }
        // As an output: any JSON is one.
        client.ask_invoke("deep", "", 1);
        endpoint.next().answer(200, &deep);
        let answer = client.receive();
        assert_eq!(answer.status, 200, "{} bytes", answer.body.len());
        assert!(answer.text().contains(&deep), "{} bytes", answer.body.len());
        // As the error of a function.
        client.ask_invoke("deep", "", 2);
        endpoint.next().answer(500, &format!("{{\"error\":{deep}}}"));
        assert_eq!(client.receive().status, 500);
        // As a specification, and as replicas.
        for (request, body) in [
            ("POST /v1/functions", deep.clone()),
            ("POST /v1/functions", format!("{{\"name\":\"deeper\",\"env\":{deep}}}")),
            ("PUT /v1/functions/deep", format!("{{\"resources\":{deep}}}")),
            ("PUT /v1/functions/bystander/replicas", deep.clone()),
        ] {
            let answer = client.call(request, "", &body);
            assert!([400, 422].contains(&answer.status), "{request}: {answer:?}");
        }
    });
}

/// The whole answer of a function, a byte at a time.
fn drip(endpoint: &Endpoint, bytes: &str, pause: Duration) {
    let mut request = endpoint.next();
    for at in 0..bytes.len() {
        request = request.answer_raw(&bytes[at..=at]);
        thread::park_timeout(pause);
    }
    // The connection stays until everything was sent.
    drop(request);
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_read_whole_while_others_are_served() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("slow", endpoint.url()).with("maxRetries", 0));
    let mut client = server.client();
    while_others_are_served(&server, || {
        for (head, body) in [
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\n", "\"slowly\""),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
                "4\r\n\"slo\r\n4\r\nwly\"\r\n0\r\n\r\n",
            ),
        ] {
            client.ask_invoke("slow", "", 1);
            drip(&endpoint, &format!("{head}{body}"), Duration::from_millis(1));
            assert_eq!(client.receive().output(), json!("slowly"));
        }
    });
}

#[test]
fn an_answer_that_comes_too_slowly_is_a_504_at_the_deadline_however_far_it_is() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("slower", endpoint.url()).with("maxRetries", 0).with("timeoutMs", 3000));
    let mut client = server.client();
    while_others_are_served(&server, || {
        for sent in ["HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n\"some"] {
            client.ask_invoke("slower", "", 1);
            let request = endpoint.next().answer_raw(sent);
            client.receive().assert_error(504, "TIMEOUT", "gateway", &[]);
            request.until_closed();
            server.until_status("slower", "inFlight", 0);
        }
    });
}
