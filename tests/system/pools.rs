//! `POOL` functions: what already runs somewhere, and comes and goes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::endpoint::{Endpoint, EndpointProcess};
use crate::support::gate::Gate;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, pool};

#[test]
fn a_list_of_endpoints_spreads_the_load_over_tcp_and_unix_sockets() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let folder = tempfile::tempdir().unwrap();
    let processes = [
        EndpointProcess::start("gate", 0),
        EndpointProcess::start("gate", 0),
        EndpointProcess::start_at("gate", &folder.path().join("fn.sock")),
    ];
    let urls: Vec<String> = processes.iter().map(EndpointProcess::url).collect();
    let specification = pool("spread", urls).with("instanceConcurrency", 2).with("concurrency", 6);
    server.register(&specification);
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("spread", "", gate.input());
    }
    // All six at once is possible on all three only.
    server.until_status("spread", "inFlight", 6);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.receive().output(), gate.input());
    }
    server.assert_others_are_served();
}

#[test]
fn idle_endpoints_take_turns() {
    let server = Server::start(&[]);
    let processes = [EndpointProcess::start("identity", 0), EndpointProcess::start("identity", 0)];
    server.register(&pool("turns", processes.iter().map(EndpointProcess::url).collect::<Vec<_>>()));
    let mut client = server.client();
    let mut served: HashMap<u64, u32> = HashMap::new();
    for _ in 0..40 {
        *served.entry(client.invoke("turns", 1).output()["pid"].as_u64().unwrap()).or_default() += 1;
    }
    for process in &processes {
        let count = served.get(&u64::from(process.pid())).copied().unwrap_or(0);
        assert!(count >= 10, "{served:?}");
    }
}

#[test]
fn an_endpoint_that_is_down_is_a_502_with_its_reason_and_is_used_again_when_it_is_back() {
    let server = Server::start(&[]);
    let mut process = EndpointProcess::start("identity", 0);
    server.register(&pool("down", process.url()).with("maxRetries", 1));
    let mut client = server.client();
    assert_eq!(client.invoke("down", 1).output()["pid"], process.pid());
    while_others_are_served(&server, || {
        process.kill();
        let first = client.invoke("down", 2);
        first.assert_error(502, "NO_INSTANCE", "gateway", &["could not connect", "refused", &process.url()]);
        for _ in 0..10 {
            client.invoke("down", 2).assert_error(502, "NO_INSTANCE", "gateway", &[&process.url()]);
        }
        let conditions = eventually("the reason shows", || {
            let text = server.function("down")["status"]["conditions"].to_string();
            text.contains("Degraded").then_some(text)
        });
        assert!(conditions.contains(&process.url()) && conditions.contains("refused"), "{conditions}");
        let back = EndpointProcess::start("identity", process.port);
        let answer = eventually("it is served again", || {
            let answer = client.invoke("down", 3);
            (answer.status == 200).then_some(answer)
        });
        assert_eq!(answer.output()["pid"], back.pid());
        assert!(!server.function("down")["status"].to_string().contains("Degraded"));
    });
}

#[test]
fn one_endpoint_of_two_that_is_down_costs_no_request() {
    let server = Server::start(&[]);
    let (mut dying, living) = (EndpointProcess::start("identity", 0), EndpointProcess::start("identity", 0));
    server.register(&pool("half", vec![dying.url(), living.url()]));
    let mut client = server.client();
    for _ in 0..4 {
        assert_eq!(client.invoke("half", 1).status, 200);
    }
    dying.kill();
    for _ in 0..20 {
        let answer = client.invoke("half", 2);
        assert_eq!(answer.output()["pid"], living.pid());
        // Nothing was sent to the one that is down: that costs no attempt.
        assert_eq!(answer.header("x-attempts"), Some("1"));
    }
}

#[test]
fn a_host_that_cannot_be_resolved_is_named() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(&pool("lost", "http://no-such-host.invalid:1"));
        let answer = server.client().invoke_with("lost", "x-timeout-ms: 5000\r\n", 1);
        answer.assert_error(502, "NO_INSTANCE", "gateway", &["no-such-host.invalid", "resolved"]);
    });
}

#[test]
fn an_idle_connection_to_an_endpoint_is_closed_before_the_endpoint_would_and_each_time_again() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("rarely", endpoint.url()));
    let mut client = server.client();
    for _ in 0..2 {
        client.ask_invoke("rarely", "", 1);
        let kept = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
        assert_eq!(client.receive().output(), 1);
        let watch = Stopwatch::start();
        kept.until_closed();
        // Without that it would stay open for ever.
        assert!(watch.elapsed() < Duration::from_secs(60), "closed after {:?}", watch.elapsed());
    }
}

#[test]
fn a_name_that_moves_to_another_address_is_followed_while_the_old_one_still_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let say = |address: &str| std::fs::write(&hosts, format!("{address} moving.test\n")).unwrap();
    say("127.0.0.21");
    let server = match Server::start_with_hosts(&hosts) {
        Ok(server) => server,
        Err(why) => {
            println!("skipped: a process cannot have files of its own here: {why}");
            return;
        }
    };
    let old = Endpoint::listen_at(SocketAddr::from(([127, 0, 0, 21], 0)));
    let port = old.address().port();
    let new = Endpoint::listen_at(SocketAddr::from(([127, 0, 0, 22], port)));
    server.register(&pool("moving", format!("http://moving.test:{port}")).with("maxRetries", 0));
    let mut client = server.client();
    client.ask_invoke("moving", "", 1);
    old.next().answer(200, "\"old\"");
    assert_eq!(client.receive().output(), "old");
    say("127.0.0.22");
    // The old one accepts and does not answer any more.
    new.answer_all(200, "\"new\"");
    eventually("the new one is called", || {
        let answer = client.invoke_with("moving", "x-timeout-ms: 1000\r\n", 1);
        assert!([200, 504].contains(&answer.status), "{answer:?}");
        (answer.status == 200).then(|| assert_eq!(answer.output(), "new"))
    });
}

#[test]
fn an_answer_of_a_status_without_a_body_ends_with_its_head_whatever_it_says_of_one() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("silent", endpoint.url()).with("maxRetries", 0));
    for fields in ["Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", ""] {
        let mut client = server.client();
        client.ask_invoke("silent", "", 1);
        let held = endpoint
            .next()
            .answer_raw(&format!("HTTP/1.1 204 No Content\r\nConnection: close\r\n{fields}\r\n"));
        assert_eq!(client.receive().output(), Value::Null);
        client.ask_invoke("silent", "", 1);
        let second = endpoint.next().answer_raw(&format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"));
        client.receive().assert_error(500, "INVALID_ANSWER", "function", &["304"]);
        held.until_closed();
        drop(second);
    }
    server.assert_others_are_served();
}

#[test]
fn an_endpoint_is_asked_by_its_own_host_and_with_a_length_and_a_status_counts_as_its_class() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("classes", endpoint.url()).with("maxRetries", 0));
    let mut client = server.client();
    for (status, answered) in [(299, 200), (499, 499), (599, 500)] {
        client.ask_invoke("classes", "", 1);
        let request = endpoint.next();
        assert_eq!(request.header("host"), Some(endpoint.address().to_string().as_str()));
        assert_eq!(request.header("transfer-encoding"), None);
        assert!(request.header("content-length").is_some());
        request.answer(status, "1");
        assert_eq!(client.receive().status, answered, "{status}");
    }
}
