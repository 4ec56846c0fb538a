//! Requests by the letter of RFC 9110 and RFC 9112: for which host one is, and where it ends.

use std::net::SocketAddr;

use crate::support::bystander::while_others_are_served;
use crate::support::client::{Answer, Client};
use crate::support::job::Stage;
use crate::support::server::{BYSTANDER, Server};

/// Each listener, and a path that it serves to `GET`, with the status that it then answers.
fn listeners(server: &Server) -> [(SocketAddr, &'static str, u16); 3] {
    [
        (server.listen, "/healthz", 200),
        (server.management, "/metrics", 200),
        (server.runtime, "/v1/internal/executions/1/input", 401),
    ]
}

/// The answer to bytes, which may be more than it takes to refuse them.
fn answer_to(address: SocketAddr, bytes: &str) -> (Answer, Client) {
    let mut client = Client::connect(address);
    client.send_in_vain(bytes);
    (client.receive(), client)
}

#[track_caller]
fn assert_refused(address: SocketAddr, bytes: &str) {
    let (answer, mut client) = answer_to(address, bytes);
    answer.assert_refused(400, "BAD_REQUEST", &[]);
    answer.assert_closing();
    assert!(answer.header("date").is_some(), "{answer:?}");
    assert!(client.is_closed(), "{bytes:?} was followed by another answer");
}

#[test]
fn a_request_says_its_host_once_on_each_listener() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        for (address, path, status) in listeners(&server) {
            for hosts in [
                "",
                "host: localhost\r\nhost: localhost\r\n",
                "host: localhost\r\nhost: evil.example\r\n",
                "host: a b\r\n",
                "host: u@localhost\r\n",
                "host: localhost:x\r\n",
                "host: localhost:1:2\r\n",
                "host: http://localhost\r\n",
                "host: localhost/\r\n",
                "host: ::1\r\n",
                "host: [::1\r\n",
                "host: \u{e9}\r\n",
            ] {
                assert_refused(address, &format!("GET {path} HTTP/1.1\r\n{hosts}\r\n"));
            }
            assert_refused(address, &format!("GET {path} HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n"));
            let (answer, mut client) = answer_to(address, &format!("GET {path} HTTP/1.0\r\n\r\n"));
            assert_eq!(answer.status, status, "one of HTTP/1.0 need not say it");
            assert!(client.is_closed());
        }
    });
}

#[test]
fn the_authority_of_a_target_is_the_host_whatever_is_said_beside_it() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        for (address, path, status) in listeners(&server) {
            for own in ["localhost", "127.0.0.1:1", "[::1]"] {
                let request = format!("GET http://{own}{path} HTTP/1.1\r\nhost: evil.example\r\n\r\n");
                assert_eq!(answer_to(address, &request).0.status, status, "{own}");
            }
            for foreign in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1"] {
                let request = format!("GET http://{foreign}{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
                let (answer, mut client) = answer_to(address, &request);
                answer.assert_refused(403, "FOREIGN_HOST", &[foreign]);
                assert!(client.is_closed());
            }
            for target in [
                &format!("https://localhost{path}"),
                &format!("ws://localhost{path}"),
                &format!("http://u:p@localhost{path}"),
                &format!("http://{path}"),
                "localhost",
                "localhost:80",
            ] {
                assert_refused(address, &format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
            }
            assert_refused(address, "CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n");
            let without_host = format!("GET http://localhost{path} HTTP/1.1\r\n\r\n");
            assert_refused(address, &without_host);
        }
    });
}

#[test]
fn a_head_that_is_none_or_leaves_its_end_open_is_refused_on_each_listener() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        for (address, path, _) in listeners(&server) {
            for fields in [
                "content-length: 1\r\ncontent-length: 2\r\n",
                "content-length: 1, 2\r\n",
                "content-length: +1\r\n",
                "content-length: -1\r\n",
                "content-length: 0x1\r\n",
                "content-length: 1 1\r\n",
                "content-length:\r\n",
                "content-length: 99999999999999999999\r\n",
                "transfer-encoding: gzip\r\n",
                "transfer-encoding: gzip, chunked\r\n",
                "transfer-encoding: chunked, chunked\r\n",
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding: xchunked\r\n",
                "transfer-encoding: chunked, identity\r\n",
                "x: a\r\n b\r\n",
                " x: a\r\n",
                "x : a\r\n",
                "x\t: a\r\n",
                "x y: a\r\n",
                "x(y): a\r\n",
                ": a\r\n",
                "x\r\n",
                "x: a\rb\r\n",
                "x: a\0b\r\n",
            ] {
                let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n1");
                assert_refused(address, &request);
            }
            for line in [
                format!("GET {path} HTTP/2.0"),
                format!("GET {path} HTTP/0.9"),
                format!("GET {path} http/1.1"),
                format!("GET {path}"),
                format!("GET  {path} HTTP/1.1"),
                format!("GET {path} x HTTP/1.1"),
                format!("G(T {path} HTTP/1.1"),
                format!("GET {path}\r HTTP/1.1"),
                format!(" GET {path} HTTP/1.1"),
            ] {
                assert_refused(address, &format!("{line}\r\nhost: localhost\r\n\r\n"));
            }
            let in_1_0 = format!("GET {path} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
            assert_refused(address, &in_1_0);
        }
    });
}

#[test]
fn chunks_are_refused_where_their_size_is_none_and_read_whatever_is_beside_it() {
    let server = Server::start(&[]);
    let head = format!(
        "POST /v1/functions/{BYSTANDER}:invoke HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    while_others_are_served(&server, || {
        for address in [server.listen, server.management] {
            for chunks in [
                "\r\n\r\n",
                ";a=b\r\n\r\n",
                "-b\r\n{\"input\":1}\r\n0\r\n\r\n",
                "0xb\r\n{\"input\":1}\r\n0\r\n\r\n",
                "b\r\n{\"input\":1} \r\n0\r\n\r\n",
                "fffffffffffffffff\r\n{\"input\":1}\r\n0\r\n\r\n",
            ] {
                assert_refused(address, &format!("{head}{chunks}"));
            }
            let taken = "00B;name=\"v\"\r\n{\"input\":1}\r\n0;x\r\nx-trailer: 1\r\n\r\n";
            assert_eq!(answer_to(address, &format!("{head}{taken}")).0.output(), 1);
        }
    });
}

#[test]
fn a_request_with_both_a_length_and_chunks_ends_its_connection() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        for fields in [
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        ] {
            for address in [server.listen, server.management] {
                let mut client = Client::connect(address);
                client.send_in_vain(format!(
                    "POST /v1/functions/{BYSTANDER}:invoke HTTP/1.1\r\nhost: localhost\r\n{fields}\r\nb\r\n{{\"input\":1}}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
                ));
                let answer = client.receive();
                assert_eq!(answer.output(), 1, "chunks win over a length");
                answer.assert_closing();
                assert!(client.is_closed());
            }
        }
    });
}

#[test]
fn head_is_answered_as_get_is_without_the_body() {
    let server = Server::start(&[]);
    let id = server.client().enqueue(BYSTANDER, 1);
    server.client().ended(&id);
    let paths = [
        "/v1/functions".to_owned(),
        format!("/v1/functions/{BYSTANDER}"),
        format!("/v1/executions/{id}"),
        "/v1/executions".to_owned(),
        "/openapi.yaml".to_owned(),
        "/v1/functions/nobody".to_owned(),
    ];
    for address in [server.listen, server.management] {
        for path in &paths {
            let mut client = Client::connect(address);
            let got = client.get(path);
            client.send(format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
            let head = client.receive_head();
            assert_eq!((head.status, head.header("etag")), (got.status, got.header("etag")), "{path}");
            assert_eq!(head.header("content-type"), got.header("content-type"), "{path}");
            // Nothing of a body lies between.
            assert_eq!(client.get("/healthz").status, 200, "{path}");
        }
    }
}

#[test]
fn a_head_request_leaves_a_result_unread() {
    let server = Server::start(&[]);
    let id = server.client().enqueue(BYSTANDER, 1);
    let mut client = server.client();
    client.send(format!("HEAD /v1/executions/{id}?wait=60 HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    assert_eq!(client.receive_head().status, 200);
    server.signal(rustix::process::Signal::TERM);
    // The stop waits for somebody who reads it.
    assert_eq!(client.ended(&id)["output"], 1);
    assert_eq!(server.end().code, 0);
}

#[test]
fn who_has_no_token_is_told_of_which_kind_it_is() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    let id = server.client().enqueue("job", 1);
    let process = stage.next();
    let mut client = process.client();
    let answer = client.get(&format!("/v1/internal/executions/{id}/input"));
    answer.assert_refused(401, "UNAUTHORIZED", &["Bearer"]);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    process.succeed(1);
    process.exit(0);
}
