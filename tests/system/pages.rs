//! Web pages that ask: by what a browser marks their requests with, and by whose pages they are.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::job::Stage;
use crate::support::server::{BYSTANDER, Server, run};
use crate::support::specification::{With, pool, warm};

const FRONT_END: &str = "https://app.example";

/// Headers that browsers send for a page that is not the listener's own, or somebody who imitates one.
const FOREIGN: [&str; 10] = [
    "origin: http://evil.example\r\n",
    "origin: null\r\n",
    "origin: \r\n",
    "origin: http://evil.example\r\nsec-fetch-site: cross-site\r\n",
    "origin: http://127.0.0.1:1\r\norigin: http://127.0.0.1:1\r\n",
    "origin: https://app.example\r\norigin: http://evil.example\r\n",
    "origin: http://b\u{fc}cher.example\r\n",
    "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
    "sec-fetch-site: same-site\r\n",
    "sec-fetch-site: none\r\nsec-fetch-site: none\r\n",
];

/// Every call, served where it is asked or not.
const CALLS: [&str; 23] = [
    "POST /v1/functions",
    "PUT /v1/functions/bystander",
    "DELETE /v1/functions/bystander",
    "PUT /v1/functions/bystander/replicas",
    "GET /v1/functions",
    "GET /v1/functions/bystander",
    "GET /v1/functions/bystander/logs",
    "POST /v1/functions/bystander:invoke",
    "POST /v1/functions/bystander:enqueue",
    "GET /v1/executions",
    "GET /v1/executions/1",
    "GET /v1/executions/1/logs",
    "GET /v1/executions/1/output",
    "DELETE /v1/executions/1",
    "GET /v1/internal/executions/1/input",
    "POST /v1/internal/executions/1:complete",
    "POST /v1/internal/instances",
    "GET /healthz",
    "GET /metrics",
    "GET /",
    "GET /debug/state",
    "GET /nowhere",
    "OPTIONS /v1/functions/bystander:invoke",
];

/// Asks with a body that is announced and never sent.
fn ask(address: SocketAddr, request: &str, headers: &str) -> (Answer, Client) {
    let mut client = Client::connect(address);
    client.send(format!("{request} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: 11\r\n\r\n"));
    (client.receive(), client)
}

#[track_caller]
fn assert_foreign(answer: &Answer, client: &mut Client) {
    answer.assert_refused(403, "FOREIGN_ORIGIN", &["a web page"]);
    answer.assert_closing();
    assert!(client.is_closed());
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
}

/// A server whose listeners all are open to others.
fn open_server(flags: &[&str]) -> Server {
    let open = ["--management-listen", "0.0.0.0:0", "--allow-writes", "--allow-local-exec"];
    let server = Server::start_on("0.0.0.0:0", "0.0.0.0:0", &[&open, flags].concat());
    server.register(&warm(BYSTANDER, "echo"));
    server
}

#[test]
fn what_a_browser_marks_is_refused_on_every_listener_whatever_it_asks_and_before_it_is_read() {
    for server in [Server::start(&[]), open_server(&[])] {
        while_others_are_served(&server, || {
            for address in [server.listen, server.management, server.runtime] {
                for call in CALLS {
                    for marks in FOREIGN {
                        let (answer, mut client) = ask(address, call, marks);
                        assert_foreign(&answer, &mut client);
                    }
                    let preflight = "origin: http://evil.example\r\naccess-control-request-method: POST\r\n";
                    let (answer, mut client) = ask(address, call, preflight);
                    assert_foreign(&answer, &mut client);
                }
            }
        });
        let functions = server.operator().get("/v1/functions").json();
        assert_eq!(functions["functions"].as_array().unwrap().len(), 1, "{functions}");
    }
}

#[test]
fn what_somebody_typed_into_a_browser_is_answered_on_every_listener() {
    let server = Server::start(&[]);
    let typed = "sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\n";
    for mut client in [server.client(), server.operator()] {
        assert_eq!(client.call("GET /healthz", typed, "").status, 200);
        assert_eq!(client.invoke_with(BYSTANDER, typed, 1).output(), 1);
    }
    let mut runtime = Client::connect(server.runtime);
    runtime.call("GET /v1/internal/executions/1/input", typed, "").assert_refused(401, "UNAUTHORIZED", &[]);
}

#[test]
fn no_page_registers_or_invokes_anything_though_its_requests_would_be_fine_without_their_marks() {
    let (server, endpoint) = (open_server(&[]), Endpoint::listen());
    server.register(&pool("watched", endpoint.url()));
    let run = json!({ "name": "made", "executionMode": "JOB", "local": { "command": ["/bin/true"] } });
    let made = pool("made", endpoint.url());
    let invocation = json!({ "input": 1 });
    for address in [server.listen, server.management] {
        for (request, body) in [
            ("POST /v1/functions", &run),
            ("POST /v1/functions", &made),
            ("PUT /v1/functions/made", &made),
            ("PUT /v1/functions/watched", &run),
            ("POST /v1/functions/watched:invoke", &invocation),
            ("POST /v1/functions/watched:enqueue", &invocation),
            ("DELETE /v1/functions/watched", &json!("")),
        ] {
            for marks in ["origin: null\r\n", "sec-fetch-site: cross-site\r\n"] {
                let mut client = Client::connect(address);
                let answer = client.call(request, marks, body.to_string());
                assert_foreign(&answer, &mut client);
            }
        }
    }
    let mut operator = server.operator();
    assert_eq!(operator.get("/v1/functions/made").status, 404);
    assert_eq!(operator.get("/v1/functions/watched").json()["executionMode"], "POOL");
    assert_eq!(operator.get("/v1/executions").json()["executions"], json!([]));
    // The first request that its endpoint sees is one that no page sent.
    let mut client = server.client();
    client.ask_invoke("watched", "", "\"mine\"");
    let request = endpoint.next();
    assert_eq!(request.body, "{\"input\":\"mine\"}");
    request.answer(200, "1");
    assert_eq!(client.receive().output(), 1);
}

#[test]
fn the_management_listener_answers_its_own_page_under_an_address_and_under_no_name_that_leads_here() {
    for server in [Server::start(&[]), open_server(&[])] {
        let address = server.management;
        let port = address.port();
        let asked = |host: &str, marks: &str| {
            let mut client = Client::connect(address);
            client.send(format!("GET /debug/state HTTP/1.1\r\nhost: {host}\r\n{marks}\r\n"));
            client.receive()
        };
        for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LOCALHOST:{port}")] {
            let origin = format!("origin: http://{}\r\n", host.to_lowercase());
            let site = "sec-fetch-site: same-origin\r\n";
            for marks in [origin.as_str(), site, &format!("{origin}{site}")] {
                assert_eq!(asked(&host, marks).status, 200, "{host} {marks}");
            }
            let other = format!("{origin}sec-fetch-site: cross-site\r\n");
            asked(&host, &other).assert_refused(403, "FOREIGN_ORIGIN", &["its own page"]);
        }
        // A page whose name was pointed here has the name in both.
        let rebound = format!("evil.example:{port}");
        for marks in [format!("origin: http://{rebound}\r\n"), "sec-fetch-site: same-origin\r\n".to_owned()] {
            asked(&rebound, &marks).assert_refused(403, "FOREIGN_ORIGIN", &["IP address", "--allow-origin"]);
        }
        // The own page of one listener is a foreign one on another.
        for other in [server.listen, server.runtime] {
            let origin = format!("origin: http://{other}\r\nsec-fetch-site: same-origin\r\n");
            let (answer, mut client) = ask(other, "GET /v1/functions", &origin);
            assert_foreign(&answer, &mut client);
        }
    }
}

#[test]
fn the_management_listener_answers_its_own_page_under_a_name_that_is_an_allowed_origin() {
    let server = open_server(&["--allow-origin", "https://faas.example", "--allow-origin", FRONT_END]);
    let asked = |host: &str, origin: &str| {
        let mut client = server.operator();
        let marks = format!("origin: {origin}\r\nsec-fetch-site: same-origin\r\n");
        client.send(format!("GET /debug/state HTTP/1.1\r\nhost: {host}\r\n{marks}\r\n"));
        client.receive()
    };
    assert_eq!(asked("faas.example", "https://faas.example").status, 200);
    asked("faas.example", FRONT_END).assert_refused(403, "FOREIGN_ORIGIN", &[FRONT_END]);
    let port = server.management.port();
    asked(&format!("127.0.0.1:{port}"), FRONT_END).assert_refused(403, "FOREIGN_ORIGIN", &[FRONT_END]);
}

/// Asserts that a page of the front end may read an answer with every header of its own.
#[track_caller]
fn assert_readable(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(FRONT_END), "{answer:?}");
    assert_eq!(answer.header("vary"), Some("origin"), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), None, "{answer:?}");
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in [
        "x-execution-id",
        "x-attempts",
        "x-error-source",
        "x-cold-start",
        "idempotency-replayed",
        "server-timing",
        "retry-after",
        "location",
        "etag",
        "allow",
    ] {
        assert!(exposed.split(", ").any(|known| known == name), "{name} is not exposed: {exposed}");
    }
}

#[test]
fn a_front_end_that_is_allowed_invokes_enqueues_and_reads_and_may_read_what_it_is_answered() {
    let flags = ["--allow-origin", "http://localhost:3000", "--allow-origin", FRONT_END];
    let (server, endpoint) =
        (open_server(&[&flags[..], &["--gateway-threads", "3"]].concat()), Endpoint::listen());
    server.register(&pool("asked", endpoint.url()).with("concurrency", 1).with("queueSize", 1));
    let page = format!("origin: {FRONT_END}\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: cors\r\n");
    let mut client = server.client();
    let mut answers = Vec::new();
    // The key leads to any of the gateways.
    for (key, status) in ["a", "b", "c", "d", "a"].into_iter().zip([200, 200, 200, 200, 200]) {
        let keyed = format!("{page}idempotency-key: {key}\r\ncontent-type: application/json\r\n");
        answers.push((client.invoke_with(BYSTANDER, &keyed, 1), status));
    }
    assert_eq!(answers[4].0.header("idempotency-replayed"), Some("true"));
    let enqueued = client.call("POST /v1/functions/bystander:enqueue", &page, "{\"input\":1}");
    let place = enqueued.header("location").unwrap().to_owned();
    answers.push((enqueued, 202));
    answers.push((client.call(&format!("GET {place}?wait=30"), &page, ""), 200));
    let timed = format!("{page}x-timeout-ms: 50\r\n");
    client.ask_invoke("asked", &timed, 1);
    let held = endpoint.next();
    answers.push((client.receive(), 504));
    held.until_closed();
    client.ask_invoke("asked", &page, 1);
    let held = endpoint.next();
    let waits = server.client().enqueue("asked", 1);
    answers.push((server.client().invoke_with("asked", &page, 1), 429));
    assert!(answers.last().unwrap().0.header("retry-after").is_some());
    held.answer(409, "{\"error\":{\"code\":\"SOLD_OUT\",\"message\":\"none left\"}}");
    answers.push((client.receive(), 409));
    endpoint.next().answer(200, "1");
    assert_eq!(server.client().ended(&waits)["status"], "success");
    for (request, body, status) in [
        ("POST /v1/functions/nobody:invoke", "{\"input\":1}", 404),
        ("POST /v1/functions/bystander:invoke", "{", 400),
        ("GET /v1/functions/bystander:invoke", "", 405),
        ("OPTIONS /v1/functions/bystander:invoke", "", 405),
        ("GET /metrics", "", 404),
        ("GET /nowhere", "", 404),
        ("GET /v1/functions", "", 200),
        ("GET /v1/functions/bystander", "", 200),
        ("GET /v1/executions", "", 200),
        ("GET /healthz", "", 200),
        ("GET /openapi.yaml", "", 200),
    ] {
        answers.push((server.client().call(request, &page, body), status));
    }
    let mut reader = server.client();
    reader.ask("GET /v1/functions/bystander/logs", &page, "");
    answers.push((reader.receive_streamed(), 200));
    for (answer, status) in &answers {
        assert_eq!(answer.status, *status, "{answer:?}");
        assert_readable(answer);
    }
    // A cache that keeps an answer to somebody else must not give it to a page.
    assert_eq!(server.client().get("/v1/functions").header("vary"), Some("origin"));
    assert_eq!(server.client().get("/v1/functions").header("access-control-allow-origin"), None);
}

#[test]
fn a_front_end_that_is_allowed_changes_no_function_and_cancels_nothing_and_calls_no_other_listener() {
    let server = open_server(&["--allow-origin", FRONT_END]);
    let page = format!("origin: {FRONT_END}\r\n");
    let id = server.client().enqueue(BYSTANDER, 1);
    for request in [
        "POST /v1/functions",
        "PUT /v1/functions/bystander",
        "DELETE /v1/functions/bystander",
        "PUT /v1/functions/bystander/replicas",
        &format!("DELETE /v1/executions/{id}"),
    ] {
        let (answer, mut client) = ask(server.listen, request, &page);
        answer.assert_refused(403, "FOREIGN_ORIGIN", &["functions are not changed", "not cancelled"]);
        assert_readable(&answer);
        assert!(client.is_closed());
    }
    for address in [server.management, server.runtime] {
        for request in ["GET /healthz", "POST /v1/functions/bystander:invoke"] {
            let (answer, mut client) = ask(address, request, &page);
            assert_foreign(&answer, &mut client);
        }
    }
    // Nor does the leave of one hold for another.
    for other in
        ["https://app.example:444", "http://app.example", "https://APP.example", "https://b.app.example"]
    {
        let (answer, mut client) = ask(server.listen, "GET /healthz", &format!("origin: {other}\r\n"));
        assert_foreign(&answer, &mut client);
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    server.assert_others_are_served();
}

#[test]
fn a_preflight_is_answered_to_an_allowed_origin_and_to_no_other() {
    let server = open_server(&["--allow-origin", FRONT_END]);
    let asks = "access-control-request-method: POST\r\naccess-control-request-headers: content-type,idempotency-key\r\n";
    let preflight = format!("origin: {FRONT_END}\r\nsec-fetch-site: cross-site\r\n{asks}");
    let mut client = server.client();
    for path in ["/v1/functions/bystander:invoke", "/v1/functions/nobody:enqueue", "/v1/functions"] {
        let answer = client.call(&format!("OPTIONS {path}"), &preflight, "");
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        assert_readable(&answer);
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
        let headers = answer.header("access-control-allow-headers").unwrap();
        for name in
            ["content-type", "idempotency-key", "x-timeout-ms", "x-trace-id", "traceparent", "tracestate"]
        {
            assert!(headers.split(", ").any(|known| known == name), "{name} may not be sent: {headers}");
        }
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    }
    // One that no browser marked is an OPTIONS like any other.
    let answer = server.client().call("OPTIONS /healthz", asks, "");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["GET, HEAD"]);
    for address in [server.listen, server.management, server.runtime] {
        let (answer, mut client) = ask(address, "OPTIONS /healthz", &format!("origin: null\r\n{asks}"));
        assert_foreign(&answer, &mut client);
        for name in ["access-control-allow-methods", "access-control-allow-headers"] {
            assert_eq!(answer.header(name), None);
        }
    }
}

#[test]
fn an_origin_that_no_browser_would_send_stops_the_start_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    for (origin, remedy) in [
        ("*", "name each origin"),
        ("null", "name each origin"),
        ("app.example", "http://localhost:3000"),
        ("https://app.example/", "write https://app.example"),
        ("https://app.example:443", "write https://app.example"),
        ("https://App.example", "lower-case"),
    ] {
        for program in ["serve", "dev"] {
            let end = run(&[program, "--allow-origin", origin], folder.path());
            assert_eq!(end.code, 2, "{end:?}");
            for part in [format!("'{origin}'"), "--allow-origin".to_owned(), remedy.to_owned()] {
                assert!(end.stderr.contains(&part), "no {part:?} in {}", end.stderr);
            }
        }
    }
}

#[test]
fn what_a_browser_says_of_a_page_reaches_no_instance_and_no_job() {
    let (server, endpoint, jobs) =
        (open_server(&["--allow-origin", FRONT_END]), Endpoint::listen(), Stage::new());
    server.register(&pool("asked", endpoint.url()));
    server.register(&jobs.function("job"));
    let page = format!("origin: {FRONT_END}\r\nsec-fetch-site: cross-site\r\nreferer: {FRONT_END}/\r\n");
    let mut client = server.client();
    client.ask_invoke("asked", &page, 1);
    let request = endpoint.next();
    for name in ["origin", "sec-fetch-site", "referer"] {
        assert_eq!(request.header(name), None);
    }
    request.answer(200, "1");
    assert_eq!(client.receive().output(), 1);
    client.ask_invoke("job", &page, 1);
    let process = jobs.next();
    let input = process.client().call(
        &format!("GET /v1/internal/executions/{}/input", process.execution()),
        &format!("authorization: Bearer {}\r\n", process.token()),
        "",
    );
    assert_eq!(input.status, 200, "{input:?}");
    for name in ["origin", "sec-fetch-site", "referer", "access-control-allow-origin", "vary"] {
        assert_eq!(input.header(name), None);
    }
    process.succeed(1);
    process.exit(0);
    assert_eq!(client.receive().output(), 1);
}
