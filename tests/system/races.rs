//! Two things at once, and each keeps its promise.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, pool, warm};

/// Sends the head and half of the body of an invocation, and answers with the other half.
fn begin(client: &mut Client, name: &str) -> &'static str {
    let (first, rest) = (r#"{"input":"in "#, r#"two halves"}"#);
    let length = first.len() + rest.len();
    client.send(format!(
        "POST /v1/functions/{name}:invoke HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{first}"
    ));
    rest
}

/// Waits until the server holds nothing of a version that was replaced or deleted.
fn until_old_version_is_gone(server: &Server, pid: i64) {
    eventually("the old version's instance is gone", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    server.assert_others_are_served();
}

#[test]
fn a_body_that_ends_after_its_function_was_replaced_is_served_by_the_new_version() {
    let server = Server::start(&[]);
    server.register(&warm("slow-body", "identity"));
    let pid = server.invoke("slow-body", 1).output()["pid"].as_i64().unwrap();
    let mut client = server.client();
    let rest = begin(&mut client, "slow-body");
    let answer = server.client().put("/v1/functions/slow-body", warm("slow-body", "echo"));
    assert_eq!(answer.status, 200, "{answer:?}");
    until_old_version_is_gone(&server, pid);
    client.send(rest);
    assert_eq!(client.receive().output(), "in two halves");
}

#[test]
fn a_body_that_ends_after_its_function_was_deleted_is_refused() {
    let server = Server::start(&[]);
    server.register(&warm("slow-body", "identity"));
    let pid = server.invoke("slow-body", 1).output()["pid"].as_i64().unwrap();
    let mut client = server.client();
    let rest = begin(&mut client, "slow-body");
    assert_eq!(server.client().delete("/v1/functions/slow-body").status, 204);
    until_old_version_is_gone(&server, pid);
    client.send(rest);
    client.receive().assert_refused(404, "FUNCTION_NOT_FOUND", &["slow-body"]);
}

/// Answers each request with a 422 after so many microseconds.
fn refuse_after(listener: &TcpListener, pause_us: &AtomicU64) {
    for stream in listener.incoming() {
        let mut stream: TcpStream = stream.unwrap();
        let mut request = [0; 4096];
        if stream.read(&mut request).unwrap() == 0 {
            continue;
        }
        thread::park_timeout(Duration::from_micros(pause_us.load(Ordering::Relaxed)));
        let body = r#"{"error":{"code":"REFUSED","message":"no"}}"#;
        let length = body.len();
        // The server closes the connection where the deadline was first.
        let _ =
            write!(stream, "HTTP/1.1 422 -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    }
}

/// The function's answer and the deadline come at the same time: one of them wins, whole.
#[test]
fn an_error_at_the_very_deadline_is_never_answered_as_a_success() {
    const TIMEOUT_MS: u64 = 10;
    /// By which the next answer comes later or earlier than this one.
    const STEP_US: u64 = 50;
    let server = Server::start(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/invoke", listener.local_addr().unwrap());
    let pause_us = Arc::new(AtomicU64::new(TIMEOUT_MS * 1000));
    let pause = pause_us.clone();
    thread::spawn(move || refuse_after(&listener, &pause));
    server.register(&pool("at-the-deadline", url).with("timeoutMs", TIMEOUT_MS));
    let mut client = server.client();
    let (mut refused, mut timed_out) = (0, 0);
    for number in 0..600 {
        let answer = client.invoke("at-the-deadline", number);
        let error = answer.json()["error"]["code"].clone();
        match answer.status {
            422 if error == "REFUSED" => {
                refused += 1;
                pause_us.fetch_add(STEP_US, Ordering::Relaxed);
            }
            504 if error == "TIMEOUT" => {
                timed_out += 1;
                // However slow the machine is, it comes to where the two meet.
                pause_us.store(pause_us.load(Ordering::Relaxed).saturating_sub(STEP_US), Ordering::Relaxed);
            }
            _ => panic!("{answer:?}"),
        }
    }
    println!("{refused} refused by the function, {timed_out} ended by the deadline");
    assert!(refused > 0 && timed_out > 0, "they never met: {refused} refused, {timed_out} timed out");
}
