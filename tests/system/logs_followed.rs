//! Lines that are followed: they come when they are written, and the answer ends when it should.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::lines::{Followed, texts};
use crate::support::patience::{eventually, let_pass};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, warm};

/// Registers a function of the handler `write` whose first lines are past.
fn register_writer(server: &Server, name: &str) {
    server.register(&warm(name, "write"));
    let answer = server.invoke(name, json!({ "to": "stdout", "text": "it is there" }));
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("it is kept", || {
        let lines = texts(&mut server.client(), &format!("/v1/functions/{name}/logs?tail=1"));
        (lines == ["it is there"]).then_some(())
    });
}

#[test]
fn a_line_that_is_written_later_comes_at_once_and_a_deletion_ends_the_answer() {
    let server = Server::start(&[]);
    register_writer(&server, "followed");
    let mut client = server.client();
    let write = |client: &mut Client, text: &str| {
        assert_eq!(client.invoke("followed", json!({ "to": "stdout", "text": text })).status, 200);
    };
    write(&mut client, "before");
    let mut readers = [server.client(), server.operator()]
        .map(|client| Followed::ask(client, "/v1/functions/followed/logs?follow=true&tail=1"));
    for reader in &mut readers {
        assert_eq!(reader.next().unwrap(), "before");
    }
    for n in 0..3 {
        write(&mut client, &format!("after {n}"));
        for reader in &mut readers {
            assert_eq!(reader.next().unwrap(), format!("after {n}"));
        }
    }
    assert_eq!(client.delete("/v1/functions/followed").status, 204);
    for mut reader in readers {
        reader.until_end();
        // The connection serves on.
        assert_eq!(reader.into_client().invoke(BYSTANDER, 7).output(), 7);
    }
}

#[test]
fn a_deletion_ends_the_answer_also_of_a_function_that_never_wrote() {
    let server = Server::start(&[]);
    server.register(&warm("asleep", "echo").with("replicas", json!({ "min": 0, "max": 1 })));
    let readers = [server.client(), server.operator()]
        .map(|client| Followed::ask(client, "/v1/functions/asleep/logs?follow=true"));
    assert_eq!(server.client().delete("/v1/functions/asleep").status, 204);
    for mut reader in readers {
        assert_eq!(reader.until_end(), Vec::<String>::new());
    }
}

#[test]
fn the_lines_of_an_execution_are_followed_to_its_end() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    register_writer(&server, "running");
    let mut client = server.client();
    let input = json!({ "to": "stderr", "text": "executionId={id} {n}", "times": 2, "until": gate.file() });
    let id = client.enqueue("running", input);
    let mut reader = Followed::ask(server.client(), &format!("/v1/executions/{id}/logs?follow=1"));
    assert_eq!(reader.next().unwrap(), format!("executionId={id} 0"));
    assert_eq!(reader.next().unwrap(), format!("executionId={id} 1"));
    let other = client.invoke("running", json!({ "to": "stderr", "text": "executionId={id} of another" }));
    assert_eq!(other.status, 200);
    assert_eq!(client.get(&format!("/v1/executions/{id}")).json()["status"], "running");
    gate.open();
    assert_eq!(reader.until_end(), Vec::<String>::new());
    assert_eq!(client.get(&format!("/v1/executions/{id}")).json()["status"], "success");
    // One that has ended is followed for a moment only.
    let mut again = Followed::ask(server.operator(), &format!("/v1/executions/{id}/logs?follow=1&tail=1"));
    assert_eq!(again.until_end(), [format!("executionId={id} 1")]);
}

#[test]
fn a_streamed_answer_is_not_idle_however_long_it_says_nothing() {
    let server = Server::start(&["--keep-alive", "1", "--head-timeout-ms", "500"]);
    register_writer(&server, "silent");
    let mut reader = Followed::ask(server.client(), "/v1/functions/silent/logs?follow=true&tail=0");
    let_pass(Duration::from_millis(2500));
    let answer = server.invoke("silent", json!({ "to": "stdout", "text": "at last" }));
    assert_eq!(answer.status, 200);
    assert_eq!(reader.next().unwrap(), "at last");
    assert_eq!(server.client().delete("/v1/functions/silent").status, 204);
    reader.until_end();
    assert!(reader.into_client().is_closed(), "and idle after its end");
}

#[test]
fn a_drain_ends_those_who_follow_and_is_not_held_up_by_them() {
    let server = Server::start(&[]);
    let path = format!("/v1/functions/{BYSTANDER}/logs?follow=true");
    let mut readers = [server.client(), server.operator()].map(|client| Followed::ask(client, &path));
    // One that never reads.
    let mut silent = server.client();
    silent.ask(&format!("GET {path}"), "", "");
    server.signal(Signal::TERM);
    for reader in &mut readers {
        reader.until_end();
    }
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn a_reader_that_is_too_slow_is_told_how_many_lines_it_missed() {
    let server = Server::start(&["--log-bytes-per-function", "65536"]);
    register_writer(&server, "fast");
    let mut reader = Followed::ask(server.client(), "/v1/functions/fast/logs?follow=true&tail=0");
    // More than the sockets between here and there hold, and all of it while nobody reads.
    let text = "x".repeat(8000);
    let mut client = server.client();
    for _ in 0..8 {
        let answer =
            client.invoke("fast", json!({ "to": "stdout", "text": format!("{{n}} {text}"), "times": 500 }));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(client.invoke("fast", json!({ "to": "stdout", "text": "the end" })).status, 200);
    eventually("everything is read of the function", || {
        texts(&mut client, "/v1/functions/fast/logs?tail=1").contains(&"the end".to_owned()).then_some(())
    });
    let (mut came, mut skipped) = (0, 0);
    loop {
        let line = reader.next_whole().expect("it goes on");
        if let Some(rest) = line.strip_prefix("… ") {
            assert!(rest.contains("lines of fast skipped"), "{rest}");
            skipped += rest.split(' ').next().unwrap().parse::<u64>().unwrap();
            continue;
        }
        came += 1;
        if line.ends_with("the end") {
            break;
        }
    }
    assert_eq!(came + skipped, 4001, "{came} came and {skipped} were skipped");
    assert!(skipped > 0, "the test did not outrun the sockets");
}

#[test]
fn so_many_follow_at_once_and_no_more_and_who_goes_makes_room() {
    let server = Server::start(&[]);
    let path = format!("/v1/functions/{BYSTANDER}/logs?follow=true&tail=0");
    let mut readers: Vec<Followed> = (0..64).map(|_| Followed::ask(server.client(), &path)).collect();
    let mut client = server.client();
    let refused = client.get(&path);
    refused.assert_refused(503, "LOG_READERS_FULL", &["without follow"]);
    assert!(refused.header("retry-after").is_some());
    let plain = format!("/v1/functions/{BYSTANDER}/logs");
    assert_eq!(client.get(&plain).status, 200, "a short answer needs no place");
    readers.pop().unwrap().into_client().hang_up();
    let _again = eventually("its place is free", || {
        let mut client = server.client();
        client.ask(&format!("GET {path}"), "", "");
        (client.receive_head().status == 200).then_some(client)
    });
    server.assert_others_are_served();
    drop(readers);
}
