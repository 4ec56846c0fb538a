//! Frames: attempts that share a connection to an instance, and instances that speak them wrong.

use std::time::Duration;

use picofaas_frames::{DoneReason, Field, NotAnswered, Settings};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::endpoint::EndpointProcess;
use crate::support::framed_endpoint::{END, FramedEndpoint, GO_AWAY, HEAD, frame, opened};
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::{With, framed, pool, warm};

/// The payload of an answer: 200 and one byte of body.
const ANSWER: &[u8] = &[200, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'7'];

/// Clients that invoke at once and wait for their answers.
fn ask(server: &Server, name: &str, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.ask_invoke(name, "", at);
    }
    clients
}

/// How many of the answers have this output.
fn count(answers: &[Answer], output: impl Into<Value>) -> usize {
    let output = output.into();
    answers.iter().filter(|answer| answer.output() == output).count()
}

fn is_over_http(client: &mut Client, name: &str) -> bool {
    client.invoke(name, 1).output() == "http"
}

#[test]
fn attempts_share_a_connection_and_are_answered_in_any_order_with_all_that_headers_say() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let mut peer = opened(&server, &framed("many", endpoint.url()), &endpoint);
    let mut clients = ask(&server, "many", 8);
    let mut attempts: Vec<_> = (0..8).map(|_| peer.attempt()).collect();
    attempts.reverse();
    for attempt in &attempts {
        peer.answer(attempt.sequence, 200, std::str::from_utf8(&attempt.body).unwrap()).unwrap();
    }
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.receive().output()["input"], at);
    }
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = format!(
        "traceparent: {parent}\r\ntracestate: a=1,b=2\r\nx-trace-id: mine\r\nidempotency-key: key-1\r\nx-timeout-ms: 5000\r\n"
    );
    let mut client = server.client();
    client.ask_invoke("many", &headers, 5);
    let attempt = peer.attempt();
    let field = |id| attempt.fields.iter().find(|field| field.id == id).map(|field| field.value.to_vec());
    assert_eq!(field(Field::TRACESTATE).unwrap(), b"a=1,b=2");
    assert_eq!(field(Field::IDEMPOTENCY_KEY).unwrap(), b"key-1");
    assert_eq!(field(Field::TRACE_NAME).unwrap(), b"mine");
    assert_eq!(field(Field::TRACEPARENT), None, "the fixed places hold it");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&attempt.head.trace_id), parent[3..35]);
    assert_eq!(hex(&attempt.head.parent_span_id), parent[36..52]);
    assert_eq!((attempt.head.trace_flags, attempt.head.attempt), (1, 1));
    assert!((1..=5000).contains(&attempt.head.deadline_ms), "{}", attempt.head.deadline_ms);
    assert_eq!(attempt.body, "{\"input\":5}");
    peer.answer(attempt.sequence, 422, r#"{"error":{"code":"NO","message":"not this"}}"#).unwrap();
    let answer = client.receive();
    assert_eq!(answer.header("x-execution-id"), Some(&*hex(&attempt.head.execution_id)));
    answer.assert_error(422, "NO", "function", &["not this"]);
    assert_eq!(endpoint.http_calls(), 1, "all but the first came in frames");
}

#[test]
fn who_does_not_know_frames_is_asked_once_and_called_over_http() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::declining());
    server.register(&framed("old", endpoint.url()));
    let mut client = server.client();
    for _ in 0..20 {
        assert!(is_over_http(&mut client, "old"));
    }
    assert_eq!(endpoint.http_calls(), 20);
    // One that does not say that it speaks frames is not asked at all.
    let silent = FramedEndpoint::listen();
    server.register(&pool("silent", silent.url()));
    for _ in 0..20 {
        assert!(is_over_http(&mut client, "silent"));
    }
    assert!(!silent.was_asked());
}

#[test]
fn an_old_instance_beside_a_new_one_serves_as_ever() {
    let server = Server::start(&[]);
    let (new, old) = (EndpointProcess::start("identity", 0), FramedEndpoint::declining());
    let mut client = server.client();
    server.register(&framed("both", vec![new.url(), old.url()]));
    let answers: Vec<_> = (0..40).map(|_| client.invoke("both", 1)).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let by_old = count(&answers, "http");
    assert_eq!(by_old, 20, "endpoints take turns");
}

#[test]
fn frames_that_are_wrong_end_the_connection_and_the_instance_is_called_over_http_from_then_on() {
    let server = Server::start(&[]);
    let wrong: [(&str, Vec<u8>); 6] = [
        ("garbage", b"HTTP/1.1 500 Internal Server Error\r\n\r\n".to_vec()),
        (
            "too-long",
            frame(HEAD, END, 1, &[])[..]
                .iter()
                .enumerate()
                .map(|(at, byte)| if at == 2 { 1 } else { *byte })
                .collect(),
        ),
        ("nobody-asked", frame(HEAD, END, 99, ANSWER)),
        ("twice", [frame(HEAD, END, 1, ANSWER), frame(HEAD, END, 1, ANSWER)].concat()),
        ("no-head", frame(HEAD, END, 2, &[200, 0])),
        ("unknown-kind", frame(77, 0, 0, &[])),
    ];
    let mut urls = Vec::new();
    for (name, bytes) in &wrong {
        let endpoint = FramedEndpoint::listen();
        let specification = framed(name, endpoint.url()).with("maxRetries", 1).with("retryBackoffMs", 0);
        let mut peer = opened(&server, &specification, &endpoint);
        let mut clients = ask(&server, name, 3);
        for _ in 0..3 {
            peer.attempt();
        }
        peer.send(bytes);
        let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
        // The first of two answers counts. All others were lost, and are tried again.
        let answered = usize::from(*name == "twice");
        assert_eq!(count(&answers, 7), answered, "{name}");
        let again: Vec<_> = answers.iter().filter(|answer| answer.output() == "http").collect();
        assert_eq!(again.len(), 3 - answered, "{name}: {answers:?}");
        assert!(again.iter().all(|answer| answer.header("x-attempts") == Some("2")), "{name}: {again:?}");
        let last = peer.until_closed();
        assert_eq!(last.get(8), Some(&8), "{name}: it was told with a GOAWAY: {last:?}");
        assert!(is_over_http(&mut server.client(), name));
        assert!(!endpoint.was_asked(), "{name} is not asked again");
        urls.push(endpoint.url());
    }
    let log = server.stop().stderr;
    for ((name, _), url) in wrong.iter().zip(&urls) {
        assert_eq!(warnings(&log, "speaks frames in a wrong way", name, url), 1, "{name}: {log}");
    }
}

/// Lines of a log with these words that name the function and the instance.
fn warnings(log: &str, words: &str, function: &str, instance: &str) -> usize {
    let parts = [" WARN ", words, &format!("function={function} "), &format!("instance=\"{instance}\"")];
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[test]
fn an_instance_that_finds_frames_from_here_wrong_is_named_once_and_called_over_http_from_then_on() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let specification = framed("accuses", endpoint.url()).with("maxRetries", 1).with("retryBackoffMs", 0);
    let mut peer = opened(&server, &specification, &endpoint);
    let mut clients = ask(&server, "accuses", 3);
    for _ in 0..3 {
        peer.attempt();
    }
    let accusation = frame(GO_AWAY, 0, 3, &[&10_u16.to_le_bytes()[..], "too \n short".as_bytes()].concat());
    for _ in 0..100 {
        peer.send(&accusation);
    }
    drop(peer);
    for client in &mut clients {
        let answer = client.receive();
        assert_eq!((answer.output(), answer.header("x-attempts")), ("http".into(), Some("2")));
    }
    // sleep: one that was only lost would be asked again after a second.
    let_pass(Duration::from_millis(1100));
    let mut client = server.client();
    assert!((0..20).all(|_| is_over_http(&mut client, "accuses")));
    assert!(!endpoint.was_asked(), "it is asked again");
    let log = server.stop().stderr;
    let words = "says that frames from here are wrong";
    assert_eq!(warnings(&log, words, "accuses", &endpoint.url()), 1, "{log}");
    assert!(log.contains("code=10 text=\"too \\n short\""), "{log}");
}

#[test]
fn half_a_frame_or_a_greeting_that_does_not_come_and_silence_lose_the_connection_and_no_execution() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let specification = framed("half", endpoint.url()).with("maxRetries", 1).with("retryBackoffMs", 0);
    let mut peer = opened(&server, &specification, &endpoint);
    let mut clients = ask(&server, "half", 2);
    for _ in 0..2 {
        peer.attempt();
    }
    let watch = Stopwatch::start();
    peer.send(&frame(HEAD, END, 1, ANSWER)[..15]);
    for client in &mut clients {
        let answer = client.receive();
        assert_eq!(answer.output(), "http");
        assert_eq!(answer.header("x-attempts"), Some("2"));
    }
    assert!(watch.elapsed() >= Duration::from_millis(1900), "{:?}", watch.elapsed());
    // It is asked again, greets nobody this time, and is left alone after that.
    let mut client = server.client();
    let silent = eventually("it is asked again", || {
        assert!(is_over_http(&mut client, "half"));
        endpoint.was_asked().then(|| endpoint.opened())
    });
    let mut peer = silent;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut peer, &mut bytes).unwrap();
    assert!(is_over_http(&mut client, "half"));
}

#[test]
fn a_connection_that_is_lost_costs_each_of_a_hundred_attempts_one_retry_and_none_two() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let specification = framed("lost", endpoint.url()).with("maxRetries", 1).with("retryBackoffMs", 0);
    let mut peer = opened(&server, &specification, &endpoint);
    let mut clients = ask(&server, "lost", 100);
    let attempts: Vec<_> = (0..100).map(|_| peer.attempt()).collect();
    for attempt in &attempts[..10] {
        peer.answer(attempt.sequence, 200, "\"frames\"").unwrap();
    }
    drop(peer);
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    let of = |body: &str, attempts: &str| {
        let fits =
            |answer: &&Answer| answer.output() == body && answer.header("x-attempts") == Some(attempts);
        answers.iter().filter(fits).count()
    };
    // An answer may have been lost with the connection as well, once.
    assert_eq!(of("frames", "1") + of("http", "2"), 100, "{answers:?}");
    assert!(of("http", "2") >= 90);
    assert_eq!(endpoint.http_calls(), 1 + of("http", "2") as u64);
}

#[test]
fn a_cancelled_attempt_is_told_to_the_instance_and_its_late_answer_is_dropped() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let mut peer = opened(&server, &framed("late", endpoint.url()).with("maxRetries", 0), &endpoint);
    let mut client = server.client();
    client.ask_invoke("late", "x-timeout-ms: 300\r\n", 1);
    let attempt = peer.attempt();
    assert_eq!(client.receive().status, 504);
    assert_eq!(peer.cancelled(), attempt.sequence);
    assert_eq!(peer.answer(attempt.sequence, 200, "7"), Err(NotAnswered::Cancelled));
    server.until_status("late", "inFlight", 0);
    // The answer of one that was cancelled meanwhile is nobody's, and costs the others nothing.
    client.ask_invoke("late", "x-timeout-ms: 300\r\n", 2);
    let attempt = peer.attempt();
    let mut other = server.client();
    other.ask_invoke("late", "", 3);
    let second = peer.attempt();
    assert_eq!(client.receive().status, 504);
    peer.send(&frame(HEAD, END, attempt.sequence.get(), ANSWER));
    server.until_status("late", "inFlight", 1);
    peer.send(&frame(HEAD, END, second.sequence.get(), ANSWER));
    assert_eq!(other.receive().output(), 7);
    server.until_status("late", "inFlight", 0);
}

#[test]
fn an_attempt_that_goes_on_after_its_end_gives_its_permit_back_and_keeps_its_place() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    let specification = framed("stuck", endpoint.url())
        .with("concurrency", 2)
        .with("instanceConcurrency", 2)
        .with("maxRetries", 0)
        .with("queueSize", 10);
    let mut peer = opened(&server, &specification, &endpoint);
    let mut client = server.client();
    client.ask_invoke("stuck", "x-timeout-ms: 200\r\n", 1);
    let stuck = peer.attempt();
    assert_eq!(client.receive().status, 504);
    assert_eq!(peer.cancelled(), stuck.sequence);
    server.until_status("stuck", "inFlight", 0);
    // Of its two places one is left.
    let mut clients = ask(&server, "stuck", 2);
    let first = peer.attempt();
    server.until_status("stuck", "queued", 1);
    peer.answer(first.sequence, 200, "1").unwrap();
    let second = peer.attempt();
    peer.answer(second.sequence, 200, "2").unwrap();
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
    // With the end of the first, both are free.
    peer.done(stuck.sequence, DoneReason::Cancelled);
    eventually("two run at once", || {
        let mut clients = ask(&server, "stuck", 2);
        let first = peer.attempt();
        let both = eventually("the other runs, or waits", || {
            let status = server.function("stuck")["status"].clone();
            match (status["inFlight"].as_u64(), status["queued"].as_u64()) {
                (Some(2), _) => Some(true),
                (_, Some(1)) => Some(false),
                (_, _) => None,
            }
        });
        peer.answer(first.sequence, 200, "1").unwrap();
        let second = peer.attempt();
        peer.answer(second.sequence, 200, "2").unwrap();
        clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
        both.then_some(())
    });
}

#[test]
fn what_an_instance_that_goes_away_has_not_accepted_goes_elsewhere_at_no_cost() {
    let server = Server::start(&[]);
    let (leaving, other) = (FramedEndpoint::listen(), EndpointProcess::start("identity", 0));
    let specification = framed("leaving", vec![leaving.url(), other.url()]).with("maxRetries", 0);
    server.register(&specification);
    let mut client = server.client();
    let mut peer = eventually("it is asked", || {
        client.invoke("leaving", 1);
        leaving.was_asked().then(|| leaving.greeted())
    });
    let mut clients = ask(&server, "leaving", 20);
    let accepted = peer.attempt();
    // The others that have come are not looked at any more.
    peer.frames.go_away("bye");
    peer.flush();
    peer.answer(accepted.sequence, 200, "\"accepted\"").unwrap();
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert!(answers.iter().all(|answer| answer.header("x-attempts") == Some("1")), "{answers:?}");
    assert_eq!(count(&answers, "accepted"), 1);
}

#[test]
fn a_process_that_stands_still_is_lost_after_three_seconds_and_asked_nothing_until_it_goes_on() {
    let server = Server::start(&[]);
    let specification = warm("still", "identity")
        .with("replicas", json!({ "min": 2, "max": 2 }))
        .with("concurrency", 16)
        .with("instanceConcurrency", 8)
        .with("maxRetries", 1);
    server.register(&specification);
    server.until_status("still", "ready", 2);
    let mut client = server.client();
    let mut pid = 0;
    for _ in 0..40 {
        pid = client.invoke("still", 1).output()["pid"].as_i64().unwrap();
    }
    let signal = |signal| {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    };
    signal(Signal::STOP);
    let watch = Stopwatch::start();
    for _ in 0..2 {
        for client in &mut ask(&server, "still", 8) {
            assert_ne!(client.receive().output()["pid"], pid);
        }
    }
    let took = watch.elapsed();
    assert!(took < Duration::from_secs(25), "it waited for the deadline: {took:?}");
    assert!(took >= Duration::from_millis(2900), "nothing was asked of it: {took:?}");
    signal(Signal::CONT);
    server.until_status("still", "ready", 2);
}

#[test]
fn an_instance_that_takes_few_at_once_gets_the_others_over_http() {
    let (server, endpoint) = (Server::start(&[]), FramedEndpoint::listen());
    server.register(&framed("few", endpoint.url()));
    assert_eq!(server.invoke("few", 1).output(), "http");
    let mut peer = endpoint.greeted_with(Settings { attempts_max: 2, ..Settings::default() });
    let mut clients = ask(&server, "few", 5);
    let framed = [peer.attempt(), peer.attempt()];
    eventually("the others are answered", || (endpoint.http_calls() == 4).then_some(()));
    for attempt in &framed {
        peer.answer(attempt.sequence, 200, "\"frames\"").unwrap();
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    assert_eq!(count(&answers, "frames"), 2, "{answers:?}");
    assert_eq!(count(&answers, "http"), 3, "{answers:?}");
}

#[test]
fn a_handler_that_holds_up_its_thread_for_seconds_loses_nothing() {
    let server = Server::start(&[]);
    server.register(&warm("hold", "hold").with("concurrency", 8).with("maxRetries", 0));
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.invoke("hold", r#"{"ms":0}"#).status, 200);
    }
    let mut others = Vec::new();
    client.ask_invoke("hold", "", r#"{"ms":4500}"#);
    for _ in 0..4 {
        let mut other = server.client();
        other.ask_invoke("hold", "", r#"{"ms":0}"#);
        others.push(other);
    }
    assert_eq!(client.receive().status, 200);
    others.iter_mut().for_each(|other| assert_eq!(other.receive().status, 200));
}

#[test]
fn a_handler_that_holds_up_its_thread_while_more_comes_than_its_socket_takes_loses_nothing() {
    let (server, endpoint) = (Server::start(&[]), EndpointProcess::start("hold", 0));
    let specification = framed("full", endpoint.url()).with("instanceConcurrency", 200).with("maxRetries", 0);
    server.register(&specification);
    let mut client = server.client();
    for _ in 0..20 {
        assert_eq!(client.invoke("full", r#"{"ms":0}"#).status, 200);
    }
    client.ask_invoke("full", "", r#"{"ms":4500}"#);
    server.until_status("full", "inFlight", 1);
    // Each may send its window: together more than the buffers of both sockets have.
    let large = format!("{{\"ms\":0,\"rest\":\"{}\"}}", "x".repeat(100_000));
    let mut clients: Vec<Client> = (0..150).map(|_| server.client()).collect();
    for other in &mut clients {
        other.ask_invoke("full", "", &large);
    }
    for client in clients.iter_mut().chain([&mut client]) {
        let answer = client.receive();
        assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("1")), "{answer:?}");
    }
}

#[test]
fn an_instance_that_never_lets_go_of_what_it_was_told_to_stop_is_replaced() {
    let server = Server::start(&["--stop-timeout-ms", "500"]);
    let specification = warm("hung", "hold").with("concurrency", 2).with("maxRetries", 0);
    server.register(&specification);
    let mut client = server.client();
    let mut pid = Value::Null;
    for _ in 0..20 {
        pid = client.invoke("hung", r#"{"ms":0}"#).output();
    }
    for _ in 0..2 {
        let mut other = server.client();
        other.ask_invoke("hung", "x-timeout-ms: 300\r\n", r#"{"ms":3600000}"#);
        assert_eq!(other.receive().status, 504);
    }
    let answer = client.invoke("hung", r#"{"ms":0}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.output(), pid, "another process serves it");
}
