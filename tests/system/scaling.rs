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
