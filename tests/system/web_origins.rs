//! Web pages that call functions: their own, those that a function names, and all others.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// Asks for a function with the headers of a browser; `Some` where the function was asked.
fn asked(server: &Server, endpoint: &Endpoint, line: &str, marks: &str) -> Answer {
    let mut client = server.client();
    client.ask(line, marks, "");
    if client.is_answered_or(endpoint) {
        return client.receive();
    }
    endpoint.next().answer(200, "let in");
    client.receive()
}

#[test]
fn pages_call_their_own_functions_and_those_that_name_them_and_no_other() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let url = format!("http://{}", endpoint.address());
    server.register(&pool("own", url.as_str()).with("web", json!({})));
    server.register(&pool("shared", url.as_str()).with("web", json!({ "origins": ["https://app.example"] })));
    server.register(&pool("open", url.as_str()).with("web", json!({ "origins": ["*"] })));
    let own = "origin: http://localhost\r\nsec-fetch-site: same-origin\r\n".to_owned();
    let foreign = "origin: https://app.example\r\nsec-fetch-site: cross-site\r\n";
    let evil = "origin: https://evil.example\r\nsec-fetch-site: cross-site\r\n";
    let link = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n";
    let image = "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n";
    let twice = "origin: https://app.example\r\norigin: https://app.example\r\n";
    for (line, marks, is_let_in) in [
        ("POST /fn/own", own.as_str(), true),
        ("GET /fn/own", "sec-fetch-site: same-origin\r\n", true),
        ("GET /fn/own", "sec-fetch-site: none\r\n", true),
        ("GET /fn/own", link, true),
        ("POST /fn/own", link, false),
        ("GET /fn/own", image, false),
        ("GET /fn/own", foreign, false),
        ("GET /fn/own", evil, false),
        ("GET /fn/own", "origin: null\r\n", false),
        ("GET /fn/shared", foreign, true),
        ("OPTIONS /fn/shared", foreign, true),
        ("GET /fn/shared", evil, false),
        ("GET /fn/shared", image, false),
        ("GET /fn/shared", twice, false),
        ("POST /fn/open", evil, true),
        ("GET /fn/open", image, true),
        ("GET /fn/open", "origin: null\r\n", true),
    ] {
        let answer = asked(&server, &endpoint, line, marks);
        if is_let_in {
            assert_eq!((answer.status, answer.text()), (200, "let in"), "{line} {marks}");
        } else {
            answer.assert_refused(403, "FOREIGN_ORIGIN", &["web.origins"]);
        }
    }
}

#[test]
fn no_page_of_a_function_reaches_the_api_that_is_served_beside_it() {
    let server = Server::start(&[]);
    for marks in [
        format!("origin: http://{}\r\nsec-fetch-site: same-origin\r\n", server.listen),
        "sec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\n".to_owned(),
    ] {
        for line in ["GET /v1/functions", "GET /v1/executions", "POST /v1/functions/bystander:invoke"] {
            let answer = server.client().call(line, &marks, "");
            answer.assert_refused(403, "FOREIGN_ORIGIN", &[]);
        }
    }
}

#[test]
fn a_name_that_was_made_to_lead_here_makes_no_page_the_function_s_own() {
    let (server, endpoint) = (Server::start_at("0.0.0.0:0", &[]), Endpoint::listen());
    let url = format!("http://{}", endpoint.address());
    for (name, web) in [("plain", json!({})), ("named", json!({ "origins": ["https://faas.example"] }))] {
        server.operator().post("/v1/functions", pool(name, url.as_str()).with("web", web));
    }
    let asked = |name: &str, host: &str, marks: &str| {
        let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server.listen.port())));
        client.send(format!("GET /fn/{name} HTTP/1.1\r\nhost: {host}\r\n{marks}\r\n"));
        if client.is_answered_or(&endpoint) {
            return client.receive().status;
        }
        endpoint.next().answer(200, "");
        client.receive().status
    };
    let evil = "origin: http://evil.example:8080\r\nsec-fetch-site: same-origin\r\n";
    assert_eq!(asked("plain", "evil.example:8080", evil), 403);
    let frame = "sec-fetch-site: same-origin\r\nsec-fetch-mode: navigate\r\n";
    assert_eq!(asked("plain", "evil.example:8080", frame), 403);
    assert_eq!(asked("plain", "evil.example:8080", "sec-fetch-site: same-origin\r\n"), 403);
    // A program, which no page sent, asks by any name.
    assert_eq!(asked("plain", "evil.example:8080", ""), 200);
    // The function names the host under which its own pages are.
    for own in
        ["origin: https://faas.example\r\nsec-fetch-site: same-origin\r\n", "sec-fetch-site: same-origin\r\n"]
    {
        assert_eq!(asked("named", "faas.example", own), 200, "{own}");
        assert_eq!(asked("plain", "faas.example", own), 403, "{own}");
    }
}

#[test]
fn no_script_becomes_the_service_worker_of_every_function() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("site", format!("http://{}", endpoint.address())).with("web", json!({})));
    let script = "service-worker: script\r\nsec-fetch-site: same-origin\r\n";
    let answer = asked(&server, &endpoint, "GET /fn/site", script);
    answer.assert_refused(403, "FOREIGN_ORIGIN", &["service worker"]);
    assert_eq!(asked(&server, &endpoint, "GET /fn/site/worker.js", script).status, 200);
}
