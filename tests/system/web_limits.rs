//! Limits of web requests: bytes of their bodies, and the time of an answer that streams.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// A server with a web function `site` whose endpoint the test plays.
fn site(flags: &[&str], web: Value) -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(flags), Endpoint::listen());
    server.register(&pool("site", format!("http://{}", endpoint.address())).with("web", web));
    (server, endpoint)
}

/// The newest execution, once it has ended.
fn newest(server: &Server) -> Value {
    eventually("it has ended", || {
        let list = server.client().get("/v1/executions").json();
        let newest = list["executions"][0].clone();
        newest["finishedAt"].is_string().then_some(newest)
    })
}

fn begin(client: &mut Client, framing: &str) {
    client.send(format!("PUT /fn/site HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n"));
}

#[test]
fn a_body_that_is_announced_longer_than_it_may_be_never_reaches_the_function() {
    for (flags, web, setting) in [
        (&["--web-body-max", "5"][..], json!({}), "--web-body-max"),
        (&[], json!({ "maxBodyBytes": 5 }), "web.maxBodyBytes"),
        (&["--web-body-max", "6"], json!({ "maxBodyBytes": 5 }), "web.maxBodyBytes"),
        (&["--web-body-max", "5"], json!({ "maxBodyBytes": 6 }), "--web-body-max"),
    ] {
        let (server, endpoint) = site(flags, web);
        for wish in ["", "\r\nprefer: respond-async"] {
            let mut client = server.client();
            begin(&mut client, &format!("content-length: 6{wish}"));
            let answer = client.receive();
            answer.assert_refused(413, "BODY_TOO_LARGE", &[&format!("5 bytes ({setting})")]);
            answer.assert_closing();
        }
        assert!(!endpoint.is_asked());
        assert_eq!(server.scrape().refused("site", "invalid"), 2.0);
        let mut client = server.client();
        client.ask("PUT /fn/site", "", "12345");
        let request = endpoint.next();
        assert_eq!(request.body, "12345");
        request.answer(200, "");
        assert_eq!(client.receive().status, 200);
    }
}

#[test]
fn a_body_in_chunks_is_broken_off_where_it_goes_over_its_limit() {
    let (server, endpoint) = site(&[], json!({ "maxBodyBytes": 100_000 }));
    let piece = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000));
    let mut client = server.client();
    begin(&mut client, "transfer-encoding: chunked");
    client.send(&piece);
    client.send(&piece);
    let request = endpoint.next();
    client.send_in_vain("1\r\nx\r\n0\r\n\r\n");
    let answer = client.receive();
    answer.assert_refused(413, "BODY_TOO_LARGE", &["100000 bytes (web.maxBodyBytes)"]);
    answer.assert_closing();
    request.until_closed_after_more();
    assert_eq!(newest(&server)["error"]["code"], "BODY_TOO_LARGE");
    // All that it may have.
    let mut client = server.client();
    begin(&mut client, "transfer-encoding: chunked");
    let mut request = endpoint.next();
    client.send(format!("{piece}{piece}0\r\n\r\n"));
    while request.line() != "0" {}
    request.answer(200, "all");
    assert_eq!(client.receive().text(), "all");
    // The answer has begun: it is broken.
    let mut client = server.client();
    begin(&mut client, "transfer-encoding: chunked");
    let request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    assert_eq!(client.receive_head().status, 200);
    client.send(&piece);
    client.send(&piece);
    client.send_in_vain("1\r\nx\r\n");
    assert_eq!(client.until_end(), "half");
    request.until_closed_after_more();
    let record = newest(&server);
    assert_eq!((&record["error"]["code"], &record["web"]["status"]), (&json!("BODY_TOO_LARGE"), &json!(200)));
    // One that is kept is read whole, and no further.
    let mut client = server.client();
    begin(&mut client, "transfer-encoding: chunked\r\nprefer: respond-async");
    client.send(&piece);
    client.send(&piece);
    client.send_in_vain("1\r\nx\r\n0\r\n\r\n");
    client.receive().assert_refused(413, "BODY_TOO_LARGE", &["100000 bytes (web.maxBodyBytes)"]);
    assert!(!endpoint.is_asked());
}

#[test]
fn a_stream_ends_when_its_time_is_over_though_it_goes_on() {
    let (server, endpoint) = site(&[], json!({ "maxStreamMs": 1000 }));
    let mut client = server.client();
    client.ask("GET /fn/site", "", "");
    let begun = Stopwatch::start();
    let mut request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n");
    assert_eq!(client.receive_head().status, 200);
    // Neither end waits for the other.
    let writer = std::thread::spawn(move || request.write_until_stuck(usize::MAX));
    client.pass_over_the_rest();
    assert!(begun.elapsed() >= Duration::from_millis(1000));
    assert!(writer.join().unwrap() > 0);
    let record = newest(&server);
    assert_eq!(record["status"], "timeout");
    assert!(record["error"]["message"].as_str().unwrap().contains("web.maxStreamMs"), "{record}");
    // One that waits for its function ends as well, and one that is through in time does not.
    client = server.client();
    client.ask("GET /fn/site", "", "");
    let request =
        endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
    assert_eq!(client.receive_head().status, 200);
    assert_eq!(client.until_end(), "1\r\nx\r\n");
    request.until_closed();
    assert_eq!(newest(&server)["status"], "timeout");
    client = server.client();
    client.ask("GET /fn/site", "", "");
    endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.receive_streamed().text(), "x");
    assert_eq!(newest(&server)["status"], "success");
}
