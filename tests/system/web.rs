//! Requests for functions that answer HTTP as it is: each reaches its function unchanged, and so does the answer its
//! client.

use serde_json::json;

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, pool, warm};

/// A server with a web function `site` whose endpoint the test plays.
fn site(flags: &[&str]) -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(flags), Endpoint::listen());
    server.register(&web_pool("site", &endpoint));
    (server, endpoint)
}

fn web_pool(name: &str, endpoint: &Endpoint) -> serde_json::Value {
    pool(name, format!("http://{}", endpoint.address())).with("web", json!({}))
}

#[test]
fn method_path_query_headers_and_body_reach_the_function_as_they_were_sent() {
    let (server, endpoint) = site(&[]);
    for (line, target) in [
        ("PROPFIND /fn/site/a/../b//%2e%2F?x=%20&y=? ", "PROPFIND /a/../b//%2e%2F?x=%20&y=? "),
        ("DELETE /fn/site ", "DELETE / "),
        ("PUT /fn/site/health ", "PUT /health "),
        ("POST /fn/site/v1/functions? ", "POST /v1/functions? "),
    ] {
        let mut client = server.client();
        let body = b"\xff\x00 raw";
        client.send(format!(
            "{line}HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\ncookie: a=1\r\ncookie: b=2\r\nauthorization: Bearer x\r\n\r\n",
            body.len()
        ));
        client.send(body);
        let mut request = endpoint.next_without_body();
        assert_eq!(request.line, format!("{target}HTTP/1.1"));
        assert_eq!(request.take(body.len()), body);
        assert_eq!(request.values("cookie"), ["a=1", "b=2"]);
        assert_eq!(request.header("authorization"), Some("Bearer x"));
        assert_eq!(request.header("host"), Some("localhost"));
        request.answer(200, "");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn headers_that_are_ours_are_ours_whatever_a_client_says() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    let forged = "x-execution-id: forged\r\nx-attempt: 9\r\nx-deadline-ms: 1\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-proto: https\r\n\
                  x-forwarded-prefix: /evil\r\nforwarded: for=1.1.1.1\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nte: trailers\r\n\
                  proxy-authorization: secret\r\nx-trace-id: mine\r\n";
    client.ask("GET /fn/site/x", forged, "");
    let request = endpoint.next();
    let id = request.header("x-execution-id").unwrap().to_owned();
    assert_eq!(id.len(), 40);
    assert_eq!(request.header("x-attempt"), Some("1"));
    assert!(request.header("x-deadline-ms").unwrap().parse::<u32>().unwrap() > 1000);
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-prefix"), Some("/fn/site"));
    assert_eq!(request.header("x-trace-id"), Some("mine"));
    assert!(request.header("traceparent").is_some());
    for gone in ["forwarded", "x-hop", "te", "proxy-authorization", "connection", "keep-alive"] {
        assert_eq!(request.header(gone), None, "{gone}");
    }
    request.answer_raw(
        "HTTP/1.1 200 OK\r\nx-execution-id: forged\r\nx-error-source: gateway\r\ncontent-length: 0\r\n\r\n",
    );
    let answer = client.receive();
    assert_eq!(answer.header("x-execution-id"), Some(id.as_str()));
    assert_eq!(answer.header("x-error-source"), None);
    assert!(answer.header("server-timing").unwrap().contains("function;dur="), "{answer:?}");
}

#[test]
fn the_word_of_a_proxy_that_is_trusted_is_passed_on() {
    let (server, endpoint) = site(&["--trust-forwarded", "127.0.0.0/8"]);
    let mut client = server.client();
    let said = "x-forwarded-for: 1.1.1.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n";
    client.ask("GET /fn/site/x", said, "");
    let request = endpoint.next();
    assert_eq!(request.header("x-forwarded-for"), Some("1.1.1.1, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-host"), Some("shop.example"));
    request.answer(200, "");
    assert_eq!(client.receive().status, 200);
}

#[test]
fn status_headers_and_body_come_back_as_the_function_gave_them() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    for (status, is_error) in
        [(201, false), (302, false), (404, false), (418, false), (500, true), (503, true)]
    {
        client.ask("GET /fn/site", "", "");
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/x\r\nset-cookie: a\r\nset-cookie: b\r\nlocation: /y\r\nkeep-alive: timeout=1\r\n\
             service-worker-allowed: /\r\nconnection: close\r\ncontent-length: 3\r\n\r\nab\n"
        );
        endpoint.next().answer_raw(&head);
        let answer = client.receive();
        assert_eq!((answer.status, answer.text()), (status, "ab\n"));
        assert_eq!(answer.header("location"), Some("/y"));
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
        for gone in ["keep-alive", "service-worker-allowed", "connection"] {
            assert_eq!(answer.header(gone), None, "{gone} of {status}");
        }
        let id = answer.header("x-execution-id").unwrap();
        let record = server.client().get(&format!("/v1/executions/{id}")).json();
        assert_eq!(record["status"], if is_error { "error" } else { "success" }, "{record}");
    }
}

#[test]
fn an_answer_without_a_body_has_none_and_keeps_what_it_says_of_its_length() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    client.ask("HEAD /fn/site", "", "");
    let kept = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n");
    let answer = client.receive_head();
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("12345")));
    client.ask("GET /fn/site", "if-none-match: x\r\n", "");
    // On the same connection, which was left as it was found.
    let kept = kept.next().answer_raw("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n");
    let answer = client.receive();
    assert_eq!((answer.status, answer.header("etag")), (304, Some("x")));
    client.ask("GET /fn/site", "", "");
    kept.next().answer_raw("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.receive().status, 204);
}

#[test]
fn a_request_is_repeated_only_where_that_has_the_effect_of_one() {
    let (server, endpoint) = site(&[]);
    // Lost before a byte of the answer: each of these may be sent again.
    for (method, body) in [("GET", ""), ("PUT", "x"), ("DELETE", "")] {
        let mut client = server.client();
        client.ask(&format!("{method} /fn/site"), "", body);
        drop(endpoint.next());
        endpoint.next().answer(200, "again");
        let answer = client.receive();
        assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("2")), "{method}");
    }
    let mut client = server.client();
    client.ask("POST /fn/site", "", "pay");
    drop(endpoint.next());
    let answer = client.receive();
    answer.assert_error(502, "INSTANCE_CRASHED", "function", &["went away"]);
    assert_eq!(answer.header("x-attempts"), Some("1"));
    // A body that is passed on as it comes is not kept.
    let mut client = server.client();
    client.send("PUT /fn/site HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
    drop(endpoint.next());
    assert_eq!(client.receive().status, 502);
    // An answer is an answer: a 503 is not tried again.
    let mut client = server.client();
    client.ask("GET /fn/site", "", "");
    endpoint.next().answer(503, "no");
    let answer = client.receive();
    assert_eq!((answer.status, answer.header("x-attempts")), (503, Some("1")));
}

#[test]
fn the_head_of_an_answer_has_a_deadline() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&web_pool("late", &endpoint).with("timeoutMs", 1500));
    let mut client = server.client();
    client.ask("POST /fn/late", "", "x");
    let request = endpoint.next();
    let answer = client.receive();
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (504, Some("TIMEOUT")),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-error-source"), Some("gateway"));
    request.until_closed();
    client.ask("GET /fn/late", "x-timeout-ms: 1000\r\n", "");
    let request = endpoint.next();
    assert_eq!(client.receive().status, 504);
    request.until_closed();
}

#[test]
fn a_client_that_leaves_takes_its_request_along_and_frees_its_place() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&web_pool("one", &endpoint).with("concurrency", 1));
    let mut client = server.client();
    client.ask("POST /fn/one", "", "x");
    let request = endpoint.next();
    client.hang_up();
    request.until_closed();
    let mut client = server.client();
    client.ask("GET /fn/one", "", "");
    endpoint.next().answer(200, "free");
    assert_eq!(client.receive().text(), "free");
    eventually("it is cancelled", || {
        let list = server.client().get("/v1/executions").json();
        list["executions"].as_array().unwrap().iter().any(|one| one["status"] == "cancelled").then_some(())
    });
}

#[test]
fn what_is_no_answer_is_a_502_that_says_so() {
    let (server, endpoint) = site(&[]);
    for (bytes, part) in [
        ("rubbish\r\n\r\n".to_owned(), "not HTTP"),
        ("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n".to_owned(), "unasked"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_owned(), "two lengths"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nxx".to_owned(), "Transfer-Encoding"),
        ("HTTP/1.1 999 OK\r\n\r\n".to_owned(), "status"),
        (format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(20_000)), "head is larger"),
    ] {
        let mut client = server.client();
        client.ask("GET /fn/site", "", "");
        let kept = endpoint.next().answer_raw(&bytes);
        let answer = client.receive();
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(answer.message().contains(part), "{part}: {answer:?}");
        kept.until_closed();
    }
    // Chunks win over a length, and the connection carries no other request.
    let mut client = server.client();
    client.ask("GET /fn/site", "", "");
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let kept = endpoint.next().answer_raw(both);
    let answer = client.receive_streamed();
    assert_eq!((answer.text(), answer.header("content-length")), ("ok", None));
    kept.until_closed();
}

#[test]
fn a_request_that_says_its_length_in_two_ways_is_refused_or_answered_once_and_followed_by_nothing() {
    let (server, endpoint) = site(&[]);
    for framing in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: +5\r\n",
    ] {
        let mut client = server.client();
        client.send_in_vain(format!(
            "POST /fn/site HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n0\r\n\r\nGET /fn/site/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
        ));
        if !client.is_answered_or(&endpoint) {
            // Chunks win, and the function sees nothing of the length.
            let mut request = endpoint.next_without_body();
            assert!(
                request.line.starts_with("POST / ") && request.header("content-length").is_none(),
                "{framing}"
            );
            assert_eq!((request.line(), request.line()), ("0".to_owned(), String::new()));
            request.answer(400, "");
        }
        assert_eq!(client.receive().status, 400, "{framing}");
        assert!(client.is_closed(), "{framing} was followed by another answer");
    }
    assert!(!endpoint.is_asked(), "a request was smuggled in");
}

#[test]
fn a_function_that_takes_json_takes_it_bare_and_gives_it_bare() {
    let server = Server::start(&[]);
    server.register(&warm("echo", "echo"));
    let mut client = server.client();
    for headers in ["", "content-type: application/x-www-form-urlencoded\r\n"] {
        let answer = client.call("POST /fn/echo", headers, r#"{"a":[1,2]}"#);
        assert_eq!((answer.status, answer.json()), (200, json!({"a": [1, 2]})), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("x-execution-id").is_some());
    }
    assert_eq!(client.call("POST /fn/echo/", "", "").text(), "null");
    let answer = client.call("POST /fn/echo", "", r#"1,"metadata":{}"#);
    answer.assert_refused(400, "INVALID_JSON", &["not one JSON value"]);
    let mut client = server.client();
    let answer = client.call("GET /fn/echo", "", "");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["takes JSON, by POST", "web"]);
    assert_eq!(answer.header("allow"), Some("POST"));
    let mut client = server.client();
    client.call("POST /fn/echo/x", "", "1").assert_refused(404, "NOT_FOUND", &["has no paths"]);
    let mut client = server.client();
    client.call("GET /fn/nobody/x", "", "").assert_refused(404, "FUNCTION_NOT_FOUND", &["nobody"]);
}

#[test]
fn a_json_function_s_error_is_told_as_it_is_by_invoke_with_its_status() {
    let server = Server::start(&[]);
    server.register(&warm("refuses", "status"));
    let input = r#"{"status":422}"#;
    let bare = server.client().call("POST /fn/refuses", "", input);
    let told = server.client().invoke("refuses", input);
    assert_eq!((bare.status, &bare.json()["error"]), (told.status, &told.json()["error"]), "{bare:?}");
    assert_eq!(bare.header("x-error-source"), Some("function"));
}

#[test]
fn a_host_of_its_own_is_a_function_s_whatever_the_path_and_never_the_api_s() {
    let (server, endpoint) = site(&["--route-host", "{name}.localhost"]);
    for path in ["/", "/v1/functions", "/healthz", "/fn/other/x"] {
        let mut client = Client::connect(server.listen);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: site.localhost:{}\r\n\r\n", server.listen.port()));
        let request = endpoint.next();
        assert_eq!(request.line, format!("GET {path} HTTP/1.1"));
        assert_eq!(request.header("x-forwarded-prefix"), None);
        request.answer(200, "mine");
        assert_eq!(client.receive().text(), "mine", "{path}");
    }
    let mut client = Client::connect(server.listen);
    client.send("GET /v1/functions HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n");
    client.receive().assert_refused(404, "FUNCTION_NOT_FOUND", &["nobody"]);
    assert_eq!(server.client().get("/v1/functions").status, 200);
}

#[test]
fn a_full_queue_refuses_a_web_request_as_any_other() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&web_pool("full", &endpoint).with("concurrency", 1).with("queueSize", 1));
    let mut first = server.client();
    first.ask("GET /fn/full", "", "");
    let running = endpoint.next();
    let mut second = server.client();
    second.ask("GET /fn/full", "", "");
    eventually("it waits", || (server.function("full")["status"]["queued"] == 1).then_some(()));
    let answer = server.client().call("GET /fn/full", "", "");
    answer.assert_refused(429, "QUEUE_FULL", &["queueSize 1"]);
    assert!(answer.header("retry-after").is_some());
    running.answer(200, "");
    assert_eq!(first.receive().status, 200);
    endpoint.next().answer(200, "");
    assert_eq!(second.receive().status, 200);
}

#[test]
fn the_record_and_the_metrics_tell_of_the_exchange_and_not_of_its_bodies() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    client.ask("POST /fn/site", "", "12345");
    endpoint.next().answer(404, "1234567");
    let id = client.receive().header("x-execution-id").unwrap().to_owned();
    let record = server.client().get(&format!("/v1/executions/{id}")).json();
    assert_eq!(
        record["web"],
        json!({ "status": 404, "requestBytes": 5, "answerBytes": 7, "kept": false }),
        "{record}"
    );
    assert_eq!((&record["status"], &record["output"]), (&json!("success"), &json!(null)));
    client.ask("GET /fn/site", "", "");
    drop(endpoint.next());
    drop(endpoint.next());
    drop(endpoint.next());
    drop(endpoint.next());
    let id = client.receive().header("x-execution-id").unwrap().to_owned();
    let record = server.client().get(&format!("/v1/executions/{id}")).json();
    assert_eq!(record["web"]["status"], json!(null), "{record}");
    let text = Client::connect(server.management).get("/metrics").text().to_owned();
    let line = "picofaas_function_web_responses_total{function=\"site\",status_class=\"4xx\"} 1";
    assert!(text.contains(line) && !text.contains("status_class=\"2xx\""), "{text}");
}

#[test]
fn an_answer_of_any_length_that_has_gone_whole_is_a_success() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    for length in [0, 1, 3000, 4096, 8000, 12_000, 70_000, 300_000] {
        client.ask("GET /fn/site", "", "");
        let body = "x".repeat(length);
        endpoint.next().answer(200, &body);
        let answer = client.receive();
        assert_eq!(answer.body.len(), length);
        let id = answer.header("x-execution-id").unwrap();
        eventually("it has ended", || {
            let record = server.client().get(&format!("/v1/executions/{id}")).json();
            assert_ne!(record["status"], "cancelled", "{length}: {record}");
            (record["status"] == "success" && record["web"]["answerBytes"] == length).then_some(())
        });
    }
}

#[test]
fn an_offer_of_http_2_is_passed_over_and_takes_no_body_away() {
    let (server, endpoint) = site(&[]);
    let mut client = server.client();
    let offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    for line in ["POST /fn/site", "GET /fn/site"] {
        client.ask(line, offer, "body");
        let request = endpoint.next();
        assert_eq!((request.body.as_str(), request.header("upgrade")), ("body", None), "{line}");
        assert_eq!(request.header("http2-settings"), None);
        request.answer(200, "");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn a_path_that_leaves_its_function_is_refused_and_every_hop_has_a_host() {
    let (server, endpoint) = site(&[]);
    for path in ["/..", "/../admin", "/a/%2e%2e/..%2fx"] {
        let answer = server.client().call(&format!("GET /fn/site{path}"), "", "");
        answer.assert_refused(400, "BAD_REQUEST", &["leaves the function"]);
    }
    let mut client = server.client();
    client.send("GET /fn/site HTTP/1.1\r\nhost: localhost\r\nconnection: host, keep-alive\r\n\r\n");
    let request = endpoint.next();
    assert_eq!(request.header("host"), Some("localhost"));
    request.answer(200, "");
    assert_eq!(client.receive().status, 200);
    let mut client = server.client();
    client.send("GET /fn/site HTTP/1.0\r\n\r\n");
    let request = endpoint.next();
    assert_eq!(request.header("host"), Some("localhost"));
    request.answer(200, "");
    assert_eq!(client.receive_head().status, 200);
}

#[test]
fn a_request_that_waits_is_not_given_to_a_version_that_does_not_answer_http() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let function = web_pool("changes", &endpoint).with("concurrency", 1);
    server.register(&function);
    let mut running = server.client();
    running.ask("GET /fn/changes", "", "");
    let request = endpoint.next();
    let mut waits = server.client();
    waits.ask("POST /fn/changes", "", "x");
    eventually("it waits", || (server.function("changes")["status"]["queued"] == 1).then_some(()));
    let mut other = function;
    other.as_object_mut().unwrap().remove("web");
    assert_eq!(server.client().put("/v1/functions/changes", &other).status, 200);
    eventually("it has taken over", || {
        let conditions = server.function("changes")["status"]["conditions"].to_string();
        (!conditions.contains("Progressing")).then_some(())
    });
    request.answer(200, "");
    assert_eq!(running.receive().status, 200);
    let answer = waits.receive();
    assert_eq!(answer.json()["error"]["code"], "FUNCTION_REMOVED", "{answer:?}");
    assert!(!endpoint.is_asked());
}

#[test]
fn a_request_whose_body_nobody_took_is_refused_with_its_connection() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&web_pool("busy", &endpoint).with("concurrency", 1).with("timeoutMs", 1500));
    let mut running = server.client();
    running.ask("GET /fn/busy", "", "");
    let held = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(running.receive_head().status, 200);
    let mut client = server.client();
    client
        .send("POST /fn/busy HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let answer = client.receive();
    assert_eq!(answer.status, 504, "{answer:?}");
    answer.assert_closing();
    drop(held);
}

#[test]
fn an_attempt_over_its_own_time_says_which_that_was() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&web_pool("slow", &endpoint).with("timeoutMs", 20_000).with("attemptTimeoutMs", 1000));
    let mut client = server.client();
    client.ask("POST /fn/slow", "", "x");
    let request = endpoint.next();
    let answer = client.receive();
    assert_eq!((answer.status, answer.header("x-attempts")), (504, Some("1")), "{answer:?}");
    assert!(answer.message().contains("attemptTimeoutMs"), "{answer:?}");
    request.until_closed();
}

#[test]
fn a_request_that_waited_for_the_start_of_its_instance_is_told_so_and_the_next_one_is_not() {
    let server = Server::start(&[]);
    let function = warm("site", "web").with("web", json!({})).with("replicas", json!({ "min": 0, "max": 1 }));
    server.register(&function);
    let mut client = server.client();
    let first = client.get("/fn/site/x");
    assert_eq!((first.status, first.header("x-cold-start")), (200, Some("true")), "{first:?}");
    let timing = first.header("server-timing").unwrap();
    assert!(timing.contains(", cold-announced;dur="), "{timing}");
    let record = client.ended(first.header("x-execution-id").unwrap());
    assert!(record["cold"]["announced"].is_u64(), "{record}");
    let second = client.get("/fn/site/x");
    assert_eq!((second.status, second.header("x-cold-start")), (200, None), "{second:?}");
    assert_eq!(server.scrape().of_function("site", "cold_starts_total"), 1.0);
}
