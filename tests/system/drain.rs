//! SIGTERM: what was accepted is answered, nothing more is, and nothing is left behind.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Alarm, eventually};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

/// The process of a function of the handler `identity`.
fn process_of(server: &Server, name: &str) -> Pid {
    let pid = server.invoke(name, 1).output()["pid"].as_i64().unwrap();
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

fn until_not_ready(operator: &mut Client) {
    let answer = eventually("readyz fails", || {
        let answer = operator.get("/readyz");
        (answer.status != 200).then_some(answer)
    });
    answer.assert_refused(503, "DRAINING", &["stopping"]);
}

#[test]
fn requests_in_flight_and_in_line_are_all_answered_and_the_exit_is_0() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1));
    let mut clients = [server.client(), server.client(), server.client()];
    clients[0].ask_invoke("held", "", 0);
    let request = endpoint.next();
    clients[1].ask_invoke("held", "", 1);
    clients[2].ask_invoke("held", "", 2);
    server.until_status("held", "queued", 2);
    let (mut idle, mut operator) = (server.client(), server.operator());
    assert_eq!(idle.get("/healthz").status, 200);

    server.signal(Signal::TERM);
    until_not_ready(&mut operator);
    assert_eq!(operator.get("/healthz").status, 200, "the scheduler ticks on");
    let refused = idle.invoke(BYSTANDER, 1);
    refused.assert_refused(503, "DRAINING", &["stopping"]);
    refused.assert_closing();
    assert!(refused.header("retry-after").is_some());

    request.answer(200, "0");
    for (at, client) in clients.iter_mut().enumerate() {
        if at > 0 {
            endpoint.next().answer(200, &at.to_string());
        }
        let answer = client.receive();
        assert_eq!(answer.output(), at);
        answer.assert_closing();
    }
    let end = server.end();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn a_promised_result_is_readable_while_draining_and_its_reader_ends_the_drain() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("promised", endpoint.url()));
    let mut client = server.client();
    let id = client.enqueue("promised", 1);
    let request = endpoint.next();
    let mut operator = server.operator();
    server.signal(Signal::TERM);
    until_not_ready(&mut operator);
    request.answer(200, "\"kept\"");
    assert_eq!(Client::connect(server.listen).ended(&id)["output"], "kept");
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn a_promised_result_that_nobody_reads_is_counted_in_the_log_at_the_end() {
    let server = Server::start(&["--drain", "1"]);
    let mut client = server.client();
    let _unread = client.enqueue(BYSTANDER, 1);
    let read = client.enqueue(BYSTANDER, 2);
    assert_eq!(client.ended(&read)["output"], 2);
    let end = server.stop();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(end.stderr.contains("promised results were not read before the end results=1"), "{}", end.stderr);
}

#[test]
fn what_does_not_end_within_the_drain_time_is_answered_and_the_process_ends() {
    let server = Server::start(&["--drain", "1"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("never", endpoint.url()).with("concurrency", 1));
    let (mut running, mut waiting) = (server.client(), server.client());
    running.ask_invoke("never", "", 1);
    let request = endpoint.next();
    waiting.ask_invoke("never", "", 2);
    server.until_status("never", "queued", 1);
    server.signal(Signal::TERM);
    for client in [&mut running, &mut waiting] {
        let answer = client.receive();
        answer.assert_error(503, "SHUTTING_DOWN", "gateway", &["--drain"]);
    }
    let end = server.end();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(end.stderr.contains("stopped in_time=false"), "{}", end.stderr);
    request.until_closed();
}

#[test]
fn the_end_takes_the_processes_of_functions_along_and_frees_the_ports() {
    let server = Server::start(&[]);
    server.register(&warm("child", "identity"));
    let process = process_of(&server, "child");
    let listen = server.listen;
    let end = server.stop();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(test_kill_process(process).is_err(), "{process:?} still runs");
    assert_eq!(TcpStream::connect(listen).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_server_that_is_killed_takes_the_processes_of_functions_along() {
    let server = Server::start(&[]);
    server.register(&warm("child", "identity"));
    let process = process_of(&server, "child");
    server.signal(Signal::KILL);
    // Its end is the end of its stderr, which its children have not inherited.
    assert_eq!(server.end().code, -9);
    eventually("the child has ended", || test_kill_process(process).is_err().then_some(()));
}

#[test]
fn a_second_signal_ends_the_wait_with_1() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("never", endpoint.url()));
    let mut client = server.client();
    client.ask_invoke("never", "", 1);
    let _request = endpoint.next();
    let mut operator = server.operator();
    server.signal(Signal::TERM);
    until_not_ready(&mut operator);
    server.signal(Signal::INT);
    let end = server.end();
    assert!(end.code == 1 && end.stderr.contains("a second time"), "{end:?}");
}

/// Starts a server with what it does about SIGHUP set, which it would else have of whoever runs the
/// tests, and has it serve.
fn with_hang_ups(how: &str) -> (Child, Alarm, impl Iterator<Item = String>) {
    let mut command = Command::new("env");
    command.args([how, env!("CARGO_BIN_EXE_picofaas"), "serve", "--listen", "127.0.0.1:0"]);
    command.args(["--management-listen", "127.0.0.1:0", "--runtime-listen", "127.0.0.1:0"]);
    let mut child = command.env_remove("RUST_LOG").stderr(Stdio::piped()).spawn().unwrap();
    let alarm = Alarm::of(&child);
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains(" serving ")), "{how}");
    (child, alarm, log)
}

#[test]
fn a_terminal_that_goes_stops_the_server_in_good_order() {
    let (mut child, _alarm, mut log) = with_hang_ups("--default-signal=HUP");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert!(log.any(|line| line.contains("stopped in_time=true")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_was_started_to_outlive_its_terminal_does() {
    let (mut child, _alarm, mut log) = with_hang_ups("--ignore-signal=HUP");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).unwrap();
    // To a hang-up that counted, this would be the second signal.
    kill_process(pid, Signal::TERM).unwrap();
    assert!(log.any(|line| line.contains("stopped in_time=true")), "a hang-up and a SIGTERM stop twice");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
