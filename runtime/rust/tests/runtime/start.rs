//! Starting, and refusing to.

use std::os::unix::net::UnixListener;

use crate::instance::{Instance, Process};
use rustix::process::Signal;

#[track_caller]
fn refuses(example: &str, variables: &[(&str, &str)], code: i32, said: &[&str]) {
    let (ended, text) = Process::start(example, variables).end();
    assert_eq!(ended, code, "{text}");
    for part in said {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn a_missing_or_wrong_address_is_refused_by_name() {
    refuses("echo", &[], 2, &["PICOFAAS_SOCKET", "PORT"]);
    for port in ["http", "65536", "-1", "80 "] {
        refuses("echo", &[("PORT", port)], 2, &["PORT", port]);
    }
}

#[test]
fn an_unknown_mode_is_refused_with_those_that_exist() {
    refuses(
        "echo",
        &[("PORT", "0"), ("EXECUTION_MODE", "warm")],
        2,
        &["EXECUTION_MODE", "`warm`", "WARM, POOL or JOB"],
    );
}

#[test]
fn an_unknown_handler_is_refused_with_those_that_exist() {
    refuses("faulty", &[("PORT", "0"), ("HANDLER", "ecco")], 2, &["`ecco`", "echo, identity, sleep"]);
    refuses("faulty", &[("PORT", "0")], 2, &["HANDLER is not set", "echo, identity, sleep"]);
}

#[test]
fn a_socket_left_by_a_killed_predecessor_is_replaced() {
    let killed = Instance::of("echo");
    killed.signal(Signal::KILL);
    let socket = killed.socket();
    let (code, _directory) = killed.end();
    assert_eq!((code, socket.exists()), (-9, true));
    let mut successor = Process::start("echo", &[("PICOFAAS_SOCKET", socket.to_str().unwrap())]);
    successor.line_with("listening");
}

#[test]
fn a_socket_that_answers_and_a_file_that_is_none_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("taken");
    let taken = path.to_str().unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    refuses("echo", &[("PICOFAAS_SOCKET", taken)], 1, &["PICOFAAS_SOCKET", "another process", taken]);
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    refuses("echo", &[("PICOFAAS_SOCKET", taken)], 1, &["PICOFAAS_SOCKET", "not a socket", taken]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = directory.path().join("no/such/place");
    refuses(
        "echo",
        &[("PICOFAAS_SOCKET", nowhere.to_str().unwrap())],
        1,
        &["PICOFAAS_SOCKET", "no/such/place"],
    );
}

#[test]
fn the_start_up_line_says_where_it_listens() {
    let instance = Instance::of("echo");
    let socket = instance.socket();
    assert!(instance.greeting.contains(&format!("unix:{}", socket.display())), "{}", instance.greeting);
}
