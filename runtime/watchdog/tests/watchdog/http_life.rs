//! The life of an HTTP server behind the watchdog: ready, ended, stuck, replaced, stopped.

use std::net::{Ipv4Addr, TcpListener};

use rustix::process::Signal;

use crate::http_server::{Fifo, command, start, told};
use crate::instance::{Process, wait_for_end};
use crate::wire::invocation;

const EXIT: &str = r#"{"input":{"do":"exit"}}"#;
const STOP: &str = r#"{"input":{"do":"stop"}}"#;
const TELL: &str = r#"{"input":{"do":"tell"}}"#;
const WATCH: &str = r#"{"input":{"do":"watch"}}"#;

/// A server that has been started and is not ready.
fn unready(more: &[(&str, &str)]) -> Process {
    let command = command();
    let mut variables = vec![("PORT", "0"), ("WATCHDOG_MODE", "http"), ("WATCHDOG_CMD", &command)];
    variables.extend(more);
    let mut process = Process::start(&variables);
    process.line_with("server pid");
    process
}

#[track_caller]
fn refuses(more: &[(&str, &str)], said: &str) {
    let command = command();
    let variables = [("PORT", "0"), ("WATCHDOG_MODE", "http"), ("WATCHDOG_CMD", &command)];
    let (code, text) = Process::start(&[&variables[..], more].concat()).end();
    assert_eq!(code, 1, "{text}");
    assert!(text.lines().last().unwrap().starts_with("error cannot start: "), "{text}");
    assert!(text.lines().last().unwrap().contains(said), "{text}");
}

/// A port that nobody has now.
fn free_port() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn nobody_can_connect_before_the_server_does_and_one_that_never_gets_ready_is_named() {
    let mut gate = Fifo::new();
    let mut process = unready(&[("LISTEN_FIFO", gate.path().to_str().unwrap())]);
    let line = process.line_with("not ready after 10 s");
    assert!(
        line.contains("nobody accepts connections on port ") && line.contains(" of 127.0.0.1 "),
        "{line}"
    );
    gate.open(1);
    process.line_with("the server is ready on port ");
    process.line_with("listening on ");
}

#[test]
fn a_server_with_a_path_for_that_is_ready_when_it_says_so() {
    let mut gate = Fifo::new();
    let fifo = gate.path();
    let mut process =
        unready(&[("WATCHDOG_HTTP_HEALTH", "/health"), ("HEALTH_FIFO", fifo.to_str().unwrap())]);
    // It is asked again after a 503.
    for _ in 0..3 {
        process.line_with("asked for /health");
    }
    gate.open(1);
    process.line_with("the server is ready");
}

#[test]
fn the_port_is_the_one_that_was_given_or_a_free_one_for_each_server() {
    let port = free_port();
    let instance = start(&[("WATCHDOG_HTTP_PORT", &port), ("WATCHDOG_HTTP_HEALTH", "/up")]);
    assert_eq!(told(&instance)["environment"]["PORT"], port);
    let (one, another) = (start(&[]), start(&[]));
    let ports = [&instance, &one, &another].map(|it| told(it)["environment"]["PORT"].clone());
    assert!(ports[0] != ports[1] && ports[1] != ports[2], "{ports:?}");
}

#[test]
fn a_port_that_another_listens_on_is_refused_and_not_taken_for_the_servers() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    refuses(&[("WATCHDOG_HTTP_PORT", &port)], &format!("port {port} (WATCHDOG_HTTP_PORT) is not free"));
}

#[test]
fn a_server_that_ends_before_it_is_ready_is_the_end_with_its_last_line() {
    refuses(&[("EXIT", "no module of that name")], "ended with exit status 7: no module of that name");
}

#[test]
fn a_server_that_ends_is_replaced_and_who_had_a_request_there_is_told_how() {
    let instance = start(&[]);
    let before = told(&instance)["pid"].clone();
    let mut waiting = instance.connect();
    waiting.send(invocation("", WATCH));
    instance.wait_for("picofaas_runtime_in_flight 1");
    let answer = instance.connect().invoke("", EXIT);
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert_eq!(answer.message(), "the server ended with exit status 3: out of words");
    assert_eq!(waiting.receive().message(), answer.message());
    // This one waits for the next server.
    assert_ne!(told(&instance)["pid"], before);
    assert_eq!(instance.connect().get("/health").status, 200);
    instance.wait_for("picofaas_watchdog_children_started_total 2");
}

#[test]
fn health_is_503_with_the_reason_until_there_is_another_and_requests_wait() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("there");
    std::fs::write(&file, "").unwrap();
    let mut instance = start(&[("EXIT_UNLESS", file.to_str().unwrap())]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(instance.connect().invoke("", EXIT).status, 500);
    let answer = instance.connect().get("/health");
    assert_eq!(answer.failure(), (503, "NOT_READY".to_owned()));
    assert!(answer.message().contains("the server ended with exit status "), "{}", answer.message());
    // Servers that end one after the other are started with a pause.
    for pause in ["200", "400"] {
        let line = instance.line_with(&format!("another is started in {pause} ms"));
        assert!(line.contains("exit status 7: nothing there (before it was ready)"), "{line}");
    }
    let late = instance.connect().invoke("x-deadline-ms: 1\r\n", TELL);
    assert_eq!(late.failure(), (504, "HANDLER_TIMEOUT".to_owned()), "it has a deadline of its own");
    let mut waiting = instance.connect();
    waiting.send(invocation("", TELL));
    instance.wait_for("picofaas_runtime_in_flight 1");
    std::fs::write(&file, "").unwrap();
    assert_eq!(waiting.receive().status, 200);
    let mut first = String::new();
    loop {
        let line = instance.line_with("server ");
        if line.starts_with("the server is ready") {
            break;
        }
        first = line;
    }
    assert!(first.starts_with("server pid"), "a request that waits has no part in it: {first}");
    assert_eq!(instance.connect().get("/health").status, 200);
}

#[test]
fn a_server_that_is_stuck_is_killed_and_replaced() {
    let port = free_port();
    let mut instance = start(&[("WATCHDOG_HTTP_PORT", &port), ("WATCHDOG_HTTP_HEALTH", "/up")]);
    let mut waiting = instance.connect();
    waiting.send(invocation("", WATCH));
    instance.line_with("watching");
    let answer = instance.connect().invoke("x-deadline-ms: 3000\r\n", STOP);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    let stuck = instance.pid_after("stopping pid");
    wait_for_end(stuck);
    let said = "the server did not answer GET /up within 2 s and was ended";
    assert_eq!(waiting.receive().message(), said);
    assert_ne!(told(&instance)["pid"], stuck.as_raw_pid());
    assert!(instance.line_with(said).ends_with("another is started\n"));
    // It is stopped, so SIGTERM does not reach it.
    instance.wait_for("picofaas_watchdog_children_killed_total 1");
}

#[test]
fn a_server_that_is_only_slow_with_one_request_is_left_alone() {
    let mut instance = start(&[("WATCHDOG_HTTP_HEALTH", "/up")]);
    let before = told(&instance)["pid"].clone();
    for _ in 0..2 {
        let answer = instance.connect().invoke("x-deadline-ms: 1000\r\n", WATCH);
        assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
        instance.line_with("asked for /up");
    }
    // Longer than a server that says nothing would live.
    let answer = instance.connect().invoke("x-deadline-ms: 2500\r\n", WATCH);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    assert_eq!(told(&instance)["pid"], before);
    instance.wait_for("picofaas_watchdog_children_started_total 1");
}

#[test]
fn at_the_deadline_or_when_the_caller_goes_the_server_sees_its_connection_end() {
    let mut instance = start(&[]);
    let answer = instance.connect().invoke("x-deadline-ms: 3000\r\n", WATCH);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    instance.line_with("the connection has ended");
    let mut gone = instance.connect();
    gone.send(invocation("", WATCH));
    instance.line_with("watching");
    drop(gone);
    instance.line_with("the connection has ended");
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
}

#[test]
fn sigterm_finishes_what_runs_then_ends_the_server_and_exits_0() {
    let (mut instance, mut gate) = (start(&[]), Fifo::new());
    let pid = told(&instance)["pid"].as_i64().unwrap();
    let mut running = instance.connect();
    running.send(invocation("", &gate.wait()));
    instance.line_with("waiting");
    instance.signal(Signal::TERM);
    assert!(instance.line_with("stopping").contains("1 in flight"));
    gate.open(1);
    assert_eq!(running.receive().text(), "17");
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("error"), "{said}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "it was waited for");
}

#[test]
fn sigterm_before_the_server_is_ready_ends_both() {
    let gate = Fifo::new();
    let command = command();
    let mut process = Process::start(&[
        ("PORT", "0"),
        ("WATCHDOG_MODE", "http"),
        ("WATCHDOG_CMD", &command),
        ("LISTEN_FIFO", gate.path().to_str().unwrap()),
    ]);
    let pid = process.pid_after("server pid");
    process.signal(Signal::TERM);
    wait_for_end(pid);
    assert_eq!(process.end().0, 0);
}

#[test]
fn a_watchdog_that_is_killed_takes_its_server_with_it() {
    let command = command();
    let mut process = Process::start(&[("PORT", "0"), ("WATCHDOG_MODE", "http"), ("WATCHDOG_CMD", &command)]);
    let pid = process.pid_after("server pid");
    process.signal(Signal::KILL);
    wait_for_end(pid);
}
