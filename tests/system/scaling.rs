//! `WARM` functions grow with their work, shrink when it is over, and start from nothing.

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::server::Server;
use crate::support::specification::{With, warm};

#[test]
fn instances_are_started_on_demand_up_to_max_and_stop_when_they_have_been_idle() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let specification = warm("elastic", "gate")
        .with("replicas", json!({ "min": 1, "max": 3 }))
        .with("instanceConcurrency", 1)
        .with("concurrency", 8)
        .with("timeoutMs", 120_000)
        .with("idleTimeoutMs", 300);
    server.register(&specification);
    server.until_status("elastic", "ready", 1);
    let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
    while_others_are_served(&server, || {
        for client in &mut clients {
            client.ask_invoke("elastic", "", gate.input());
        }
        server.until_status("elastic", "ready", 3);
        server.until_status("elastic", "inFlight", 3);
        assert_eq!(server.function("elastic")["status"]["replicas"], 3);
        gate.open();
        for client in &mut clients {
            assert_eq!(client.receive().output(), gate.input());
        }
        server.until_status("elastic", "replicas", 1);
        assert_eq!(server.invoke("elastic", gate.input()).status, 200);
    });
    assert_eq!(server.function("elastic")["status"]["ready"], 1);
}

#[test]
fn from_zero_the_first_request_is_held_until_an_instance_is_there() {
    let server = Server::start(&[]);
    let specification =
        warm("zero", "identity").with("replicas", json!({ "min": 0, "max": 1 })).with("idleTimeoutMs", 200);
    server.register(&specification);
    assert_eq!(server.function("zero")["status"]["replicas"], 0);
    let mut pids = Vec::new();
    while_others_are_served(&server, || {
        for _ in 0..2 {
            let answer = server.invoke("zero", 1);
            assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
            pids.push(answer.output()["pid"].clone());
            server.until_status("zero", "replicas", 0);
        }
    });
    assert_ne!(pids[0], pids[1]);
}

#[test]
fn many_who_come_to_an_empty_function_at_once_are_all_served() {
    let server = Server::start(&[]);
    let specification = warm("rush", "echo").with("replicas", json!({ "min": 0, "max": 2 }));
    server.register(&specification.with("instanceConcurrency", 2));
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.ask_invoke("rush", "", at);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.receive().output(), at);
    }
    assert!(server.scrape().of_function("rush", "cold_starts_total") <= 2.0);
}

#[test]
fn an_instance_that_is_killed_from_outside_is_replaced() {
    let server = Server::start(&[]);
    server.register(&warm("mortal", "identity"));
    let pid = server.invoke("mortal", 1).output()["pid"].as_i64().unwrap();
    while_others_are_served(&server, || {
        let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        let answer = server.invoke("mortal", 2);
        assert_ne!(answer.output()["pid"], pid);
    });
}

/// Has a client call the function, and waits until so many calls run.
fn begin(server: &Server, name: &str, gate: &Gate, in_flight: u64) -> Client {
    let mut client = server.client();
    client.ask_invoke(name, "", gate.input());
    server.until_status(name, "inFlight", in_flight);
    client
}

/// Starts of instances of a function, for calls, for `replicas.min`, for its headroom and ahead.
fn starts(server: &Server, name: &str) -> [Option<f64>; 4] {
    let scrape = server.scrape();
    ["call", "min", "headroom", "ahead"].map(|reason| {
        let labels = format!("{{function=\"{name}\",reason=\"{reason}\"}}");
        scrape.series(&format!("picofaas_function_instances_started_total{labels}"))
    })
}

#[test]
fn headroom_is_idle_beside_what_is_busy_up_to_max_and_goes_when_no_calls_come() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let specification = warm("roomy", "gate")
        .with("replicas", json!({ "min": 1, "max": 4 }))
        .with("headroom", 2)
        .with("instanceConcurrency", 1)
        .with("concurrency", 8)
        .with("timeoutMs", 120_000)
        .with("idleTimeoutMs", 300);
    server.register(&specification);
    server.until_status("roomy", "ready", 1);
    while_others_are_served(&server, || {
        // One is busy and two are idle; then two are busy, and there are as many as there may be.
        let mut clients = Vec::new();
        for (nth, ready) in (1..).zip([3, 4, 4, 4]) {
            clients.push(begin(&server, "roomy", &gate, nth));
            server.until_status("roomy", "ready", ready);
        }
        gate.open();
        clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
        // No call waited for a start.
        assert_eq!(starts(&server, "roomy"), [None, Some(1.0), Some(3.0), None]);
        server.until_status("roomy", "replicas", 1);
    });
}

#[test]
fn from_zero_headroom_comes_with_the_first_call_and_goes_to_zero() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let specification = warm("zero", "gate")
        .with("replicas", json!({ "min": 0, "max": 9 }))
        .with("headroom", 1)
        .with("instanceConcurrency", 1)
        .with("timeoutMs", 120_000)
        .with("idleTimeoutMs", 300);
    server.register(&specification);
    let mut client = begin(&server, "zero", &gate, 1);
    server.until_status("zero", "ready", 2);
    gate.open();
    assert_eq!(client.receive().header("x-cold-start"), Some("true"));
    assert_eq!(starts(&server, "zero"), [Some(1.0), None, Some(1.0), None]);
    server.until_status("zero", "replicas", 0);
}

#[test]
fn an_instance_is_started_ahead_while_the_one_before_has_a_place_left() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let specification = |name: &str, ahead: bool| {
        warm(name, "gate")
            .with("replicas", json!({ "min": 1, "max": 2 }))
            .with("scaleAhead", ahead)
            .with("instanceConcurrency", 10)
            .with("concurrency", 30)
            .with("timeoutMs", 120_000)
            .with("idleTimeoutMs", 300)
    };
    server.register(&specification("foreseen", true));
    server.register(&specification("plain", false));
    let mut clients: Vec<Client> = Vec::new();
    while_others_are_served(&server, || {
        for name in ["plain", "foreseen"] {
            server.until_status(name, "ready", 1);
            clients.extend((1..=9).map(|nth| begin(&server, name, &gate, nth)));
        }
        // Nine of ten places are busy, and no call waits.
        server.until_status("foreseen", "ready", 2);
        assert_eq!(starts(&server, "foreseen"), [None, Some(1.0), None, Some(1.0)]);
        assert_eq!(starts(&server, "plain"), [None, Some(1.0), None, None]);
        gate.open();
        clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
        server.until_status("foreseen", "replicas", 1);
    });
}
