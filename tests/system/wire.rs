//! HTTP/1.1 byte by byte: limits, slow clients, pipelining, old versions.

use std::time::Duration;

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::patience::Stopwatch;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::pool;

const HEAD: &str = "POST /v1/functions/bystander:invoke HTTP/1.1\r\nhost: localhost\r\n";

#[test]
fn a_body_that_is_announced_too_large_is_refused_before_it_is_sent() {
    let server = Server::start(&["--max-body", "2048"]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        client.send(format!("{HEAD}content-length: 2049\r\n\r\n"));
        let answer = client.receive();
        answer.assert_refused(413, "BODY_TOO_LARGE", &["2048", "--max-body"]);
        answer.assert_closing();
        assert!(client.is_closed());
    });
}

#[test]
fn a_chunked_body_is_refused_where_it_goes_over_the_limit() {
    let server = Server::start(&["--max-body", "2048"]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        client.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n"));
        client.send(format!("400\r\n{}\r\n", " ".repeat(1024)));
        client.send(format!("401\r\n{}\r\n", " ".repeat(1025)));
        let answer = client.receive();
        answer.assert_refused(413, "BODY_TOO_LARGE", &["2048", "--max-body"]);
        answer.assert_closing();
        assert!(client.is_closed());
    });
}

#[test]
fn a_body_of_exactly_the_limit_is_taken_whole_and_chunked() {
    let server = Server::start(&["--max-body", "2048"]);
    let body = format!("{{\"input\":\"{}\"}}", "x".repeat(2048 - 12));
    assert_eq!(body.len(), 2048);
    let mut client = server.client();
    let whole = client.call("POST /v1/functions/bystander:invoke", "", &body);
    client.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n"));
    for part in body.as_bytes().chunks(500) {
        client.send(format!("{:x}\r\n{}\r\n", part.len(), std::str::from_utf8(part).unwrap()));
    }
    client.send("0\r\n\r\n");
    assert_eq!(whole.output(), client.receive().output());
}

#[test]
fn a_body_of_one_mebibyte_goes_in_and_comes_out() {
    let server = Server::start(&[]);
    let length = (1 << 20) - 12;
    let input = format!("\"{}\"", "é".repeat(length / 2));
    assert_eq!(input.len() + 10, 1 << 20);
    let mut client = server.client();
    while_others_are_served(&server, || {
        let answer = client.invoke(BYSTANDER, &input);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let output = format!("\"output\":{input}");
        assert!(answer.text().contains(&output), "{} bytes came", answer.body.len());
    });
    assert_eq!(client.invoke(BYSTANDER, 1).output(), 1);
}

#[test]
fn a_head_that_is_not_sent_in_time_closes_the_connection_and_an_idle_one_stays() {
    let server = Server::start(&["--head-timeout-ms", "600"]);
    let mut idle = server.client();
    assert_eq!(idle.invoke(BYSTANDER, 1).output(), 1);
    let mut never_used = server.client();
    while_others_are_served(&server, || {
        let mut slow = server.client();
        let watch = Stopwatch::start();
        slow.send("POST /v1/functions/bystander:invoke HTTP/1.1\r\nho");
        assert!(slow.is_closed(), "it was answered");
        // The clock it is timed by is set once a sweep.
        assert!(watch.elapsed() > Duration::from_millis(200), "closed after {:?}", watch.elapsed());
        // A second head on a connection that has served a request is timed like the first.
        let mut second = server.client();
        assert_eq!(second.invoke(BYSTANDER, 2).output(), 2);
        second.send("G");
        assert!(second.is_closed(), "it was answered");
    });
    assert_eq!(idle.invoke(BYSTANDER, 3).output(), 3);
    assert_eq!(never_used.invoke(BYSTANDER, 4).output(), 4);
}

#[test]
fn an_idle_connection_is_closed_after_its_keep_alive() {
    let server = Server::start(&["--keep-alive", "1"]);
    let mut client = server.client();
    let watch = Stopwatch::start();
    assert_eq!(client.invoke(BYSTANDER, 1).output(), 1);
    assert!(client.is_closed());
    assert!(watch.elapsed() > Duration::from_millis(500), "closed after {:?}", watch.elapsed());
}

#[test]
fn a_body_that_stops_half_way_is_answered_408() {
    let server = Server::start(&["--body-timeout-ms", "200"]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        client.send(format!("{HEAD}content-length: 11\r\n\r\n{{\"inp"));
        let answer = client.receive();
        answer.assert_refused(408, "REQUEST_TIMEOUT", &["200 ms", "--body-timeout-ms"]);
        answer.assert_closing();
        assert!(client.is_closed());
    });
}

#[test]
fn too_many_headers_are_answered_431() {
    let server = Server::start(&[]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
        client.send_in_vain(format!("{HEAD}{many}content-length: 11\r\n\r\n{{\"input\":1}}"));
        let answer = client.receive();
        answer.assert_refused(431, "HEAD_TOO_LARGE", &["more than 100 headers"]);
        answer.assert_closing();
        assert!(client.is_closed());
    });
}

#[test]
fn a_head_of_too_many_bytes_is_answered_431() {
    let server = Server::start(&["--max-head-bytes", "8192"]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        let long = "x".repeat(9000);
        client.send_in_vain(format!("{HEAD}x-long: {long}\r\ncontent-length: 11\r\n\r\n{{\"input\":1}}"));
        let answer = client.receive();
        answer.assert_refused(431, "HEAD_TOO_LARGE", &["8192 bytes", "--max-head-bytes"]);
        answer.assert_closing();
        assert!(client.is_closed());
    });
}

#[test]
fn what_is_not_http_is_answered_400_and_closed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    while_others_are_served(&server, || {
        client.send_in_vain("\x16\x03\x01 hello\r\n\r\n");
        let answer = client.receive();
        answer.assert_refused(400, "BAD_REQUEST", &["not HTTP/1.1", "malformed"]);
        answer.assert_closing();
        assert!(client.is_closed());
        // Behind a request that was fine, whose answer comes first.
        let mut second = server.client();
        second.send_in_vain(format!("{HEAD}content-length: 11\r\n\r\n{{\"input\":1}}NOT HTTP\r\n\r\n"));
        assert_eq!(second.receive().output(), 1);
        second.receive().assert_refused(400, "BAD_REQUEST", &["malformed"]);
        assert!(second.is_closed());
    });
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let mut sent = String::new();
    for input in 0..20 {
        let body = format!("{{\"input\":{input}}}");
        sent.push_str(&format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len()));
    }
    // Cut where it falls within a head and within a body.
    for part in sent.as_bytes().chunks(77) {
        client.send(part);
    }
    for input in 0..20 {
        assert_eq!(client.receive().output(), input);
    }
}

#[test]
fn http_1_0_is_answered_and_the_connection_closed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(
        "POST /v1/functions/bystander:invoke HTTP/1.0\r\nhost: localhost\r\ncontent-length: 11\r\n\r\n{\"input\":1}",
    );
    let answer = client.receive();
    assert_eq!((answer.version.as_str(), answer.output()), ("HTTP/1.0", 1.into()));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on_and_only_where_it_should() {
    let server = Server::start(&["--max-body", "2048"]);
    let mut client = server.client();
    client.send(format!("{HEAD}expect: 100-continue\r\ncontent-length: 11\r\n\r\n"));
    assert_eq!(client.receive().status, 100);
    client.send("{\"input\":1}");
    assert_eq!(client.receive().output(), 1);
    client.send(format!("{HEAD}expect: 100-continue\r\ncontent-length: 4096\r\n\r\n"));
    client.receive().assert_refused(413, "BODY_TOO_LARGE", &["--max-body"]);
}

#[test]
fn a_foreign_host_on_loopback_is_refused_on_both_listeners() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        for address in [server.listen, server.management] {
            for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""] {
                let mut client = crate::support::client::Client::connect(address);
                client.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n"));
                let answer = client.receive();
                answer.assert_refused(403, "FOREIGN_HOST", &[host, "localhost", "127.0.0.1"]);
                assert!(client.is_closed());
            }
            for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "a.localhost"] {
                let mut client = crate::support::client::Client::connect(address);
                client.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n"));
                assert_eq!(client.receive().status, 200, "{host}");
            }
        }
    });
}

#[test]
fn head_is_answered_without_a_body() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(
        "HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    let mut first = Vec::new();
    while !first.ends_with(b"\r\n\r\n") {
        first.push(client.byte());
    }
    assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&first));
    assert_eq!(client.receive().json()["status"], "ok");
}

#[test]
fn connections_above_the_limit_are_closed_and_those_within_it_served() {
    let server = Server::start(&["--max-connections", "2"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()));
    let mut first = server.client();
    first.ask_invoke("held", "", 1);
    let request = endpoint.next();
    let mut second = server.client();
    assert_eq!(second.invoke(BYSTANDER, 1).output(), 1);
    let mut third = server.client();
    third.send_in_vain("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(third.is_closed());
    request.answer(200, "\"late\"");
    assert_eq!(first.receive().output(), "late");
}

#[test]
fn a_client_that_sends_all_of_a_body_that_was_refused_still_reads_the_refusal() {
    let server = Server::start(&[]);
    let mut client = server.client();
    // More than the sockets' buffers hold, so that it is still being sent when the answer comes.
    let body = vec![b' '; 8 << 20];
    let length = body.len();
    let path = format!("/v1/functions/{BYSTANDER}:invoke");
    client.send(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"));
    client.send(body);
    let answer = client.receive();
    answer.assert_refused(413, "BODY_TOO_LARGE", &["--max-body"]);
    answer.assert_closing();
    assert!(client.is_closed());
}
