//! Stopping in good order.

use rustix::process::Signal;

use crate::instance::Instance;
use crate::wire::invocation;

#[test]
fn sigterm_finishes_what_runs_and_exits_0_without_its_socket() {
    let mut instance = Instance::of("gate");
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let input = serde_json::json!({ "file": gate });
    let mut idle = instance.connect();
    assert_eq!(idle.get("/health").status, 200);
    let mut running = instance.connect();
    running.send(invocation("", &format!(r#"{{"input":{input}}}"#)));
    instance.wait_for("picofaas_runtime_in_flight 1");
    instance.signal(Signal::TERM);
    assert!(instance.line_with("stopping").contains("1 in flight"));
    assert!(!instance.socket().exists(), "nobody new may come");
    assert!(idle.is_closed(), "an idle connection is closed at once");
    // A second signal, as a terminal and a parent may both send one, changes nothing.
    instance.signal(Signal::INT);
    std::fs::write(&gate, "").unwrap();
    let answer = running.receive();
    assert_eq!((answer.status, answer.json()), (200, input));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(running.is_closed());
    let (code, _directory) = instance.end();
    assert_eq!(code, 0);
}

#[test]
fn requests_that_came_before_the_signal_are_answered() {
    let instance = Instance::of("echo");
    let mut known = instance.connect();
    assert_eq!(known.get("/health").status, 200);
    // While the process is halted all of this piles up, to be found at once.
    instance.signal(Signal::STOP);
    let mut fresh = instance.connect();
    for connection in [&mut known, &mut fresh] {
        connection.send(invocation("", r#"{"input":"in time"}"#));
    }
    instance.signal(Signal::TERM);
    instance.signal(Signal::CONT);
    for connection in [&mut known, &mut fresh] {
        assert_eq!(connection.receive().text(), "\"in time\"");
        assert!(connection.is_closed());
    }
    assert_eq!(instance.end().0, 0);
}

#[test]
fn an_idle_instance_ends_on_sigterm_and_on_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let instance = Instance::of("echo");
        let mut fresh = instance.connect();
        instance.signal(signal);
        assert!(fresh.is_closed(), "a connection that said nothing does not hold it up");
        assert_eq!(instance.end().0, 0);
    }
}

#[test]
fn the_socket_of_a_successor_survives_its_predecessor() {
    let instance = Instance::of("echo");
    std::fs::remove_file(instance.socket()).unwrap();
    let _successor = std::os::unix::net::UnixListener::bind(instance.socket()).unwrap();
    let socket = instance.socket();
    instance.signal(Signal::TERM);
    let (code, _directory) = instance.end();
    assert_eq!((code, socket.exists()), (0, true));
}
