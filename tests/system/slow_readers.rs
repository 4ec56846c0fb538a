//! Clients that take an answer slowly, or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::job::Stage;
use crate::support::patience::{eventually, let_pass};
use crate::support::scrape::Scrape;
use crate::support::server::Server;
use crate::support::specification::pool;

/// More than the kernel holds for a client that takes nothing.
const OUTPUT_BYTES: usize = 32 << 20;
/// Bytes that a slow client takes at a time, and the pause after them: about 8 MiB a second.
const PIECE_BYTES: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(120);

/// Room for a large input and a large output.
const ROOM: [&str; 4] = ["--max-body", "67108864", "--max-output", "67108864"];

fn large() -> String {
    format!("\"{}\"", "x".repeat(OUTPUT_BYTES))
}

/// Reads an answer to its end, all the time and slowly.
fn take_slowly(client: &mut Client) -> usize {
    let answer = client.receive_head();
    assert_eq!(answer.status, 200, "{answer:?}");
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    let mut taken = 0;
    while taken < length {
        let piece = PIECE_BYTES.min(length - taken);
        client.take(piece);
        taken += piece;
        let_pass(PAUSE);
    }
    taken
}

/// Asks for the large output of a `POOL` function, which has been made when this returns.
fn ask_for_large(server: &Server, address: SocketAddr) -> Client {
    let endpoint = Endpoint::listen();
    let name = format!("large-{}", address.port());
    server.register(&pool(&name, endpoint.url()));
    let mut client = Client::connect(address);
    client.ask_invoke(&name, "", 1);
    endpoint.next().answer(200, &large());
    client
}

#[test]
fn every_byte_of_an_answer_comes_however_slowly_it_is_taken_on_each_listener() {
    let server = Server::start(&[&["--keep-alive", "1"][..], &ROOM].concat());
    let stage = Stage::new();
    server.register(&stage.function("job"));
    let id = server.client().enqueue("job", large());
    let process = stage.next();
    let (mut fetcher, path) = (process.client(), format!("/v1/internal/executions/{id}/input"));
    fetcher.ask(&format!("GET {path}"), &format!("authorization: Bearer {}\r\n", process.token()), "");
    let mut waiting = vec![fetcher];
    for address in [server.listen, server.management] {
        waiting.push(ask_for_large(&server, address));
    }
    let takers: Vec<_> =
        waiting.into_iter().map(|mut client| std::thread::spawn(move || take_slowly(&mut client))).collect();
    for taker in takers {
        assert!(taker.join().unwrap() > OUTPUT_BYTES);
    }
    process.post(&json!({ "success": true, "output": 1, "status": 200 }));
    process.exit(0);
    server.assert_others_are_served();
}

#[test]
fn every_byte_of_an_answer_comes_though_the_server_is_told_to_stop_meanwhile() {
    let server = Server::start(&ROOM);
    let mut client = ask_for_large(&server, server.listen);
    // It is being written, and nothing is under way any more.
    server.until_status(&format!("large-{}", server.listen.port()), "inFlight", 0);
    server.signal(Signal::TERM);
    assert!(take_slowly(&mut client) > OUTPUT_BYTES);
    let end = server.end();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn a_head_that_begins_while_an_answer_is_taken_is_timed_from_the_end_of_the_answer() {
    let flags = ["--head-timeout-ms", "300", "--keep-alive", "86400"];
    let server = Server::start(&[&flags[..], &ROOM].concat());
    for address in [server.listen, server.management] {
        let mut client = ask_for_large(&server, address);
        client.take(PIECE_BYTES);
        client.send("POST /v1/functions/bystander:invoke HTTP/1.1\r\nho");
        let rest = OUTPUT_BYTES - 2 * PIECE_BYTES;
        for _ in 0..rest / PIECE_BYTES {
            client.take(PIECE_BYTES);
            let_pass(PAUSE / 4);
        }
        while client.take_some() > 0 {}
    }
    server.assert_others_are_served();
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_is_given_up() {
    let flags = ["--body-timeout-ms", "1000", "--keep-alive", "86400"];
    let server = Server::start(&[&flags[..], &ROOM].concat());
    let client = ask_for_large(&server, server.listen);
    let mut operator = server.operator();
    eventually("the connection is closed", || {
        (Scrape::of(&mut operator).series("picofaas_connections") == Some(0.0)).then_some(())
    });
    drop(client);
    server.assert_others_are_served();
}
