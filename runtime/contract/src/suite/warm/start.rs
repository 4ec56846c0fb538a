//! Being healthy, where it listens, and a function that is not there.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use picofaas_contract::patience::Stopwatch;

use super::warm_instance::{ListenerKind, WarmInstance, free_port};
use crate::suite::subject::{Loads, Subject};

const LOAD: Duration = Duration::from_millis(800);

pub(crate) fn healthy_only_when_loaded(subject: &Subject) {
    let load_ms = LOAD.as_millis().to_string();
    let watch = Stopwatch::start();
    let mut instance =
        WarmInstance::start(subject.command("echo").env("CONTRACT_LOAD_MS", load_ms), ListenerKind::Socket);
    match subject.behaviour.loads {
        Loads::AtStart => {
            let looks = instance.wait_until_healthy();
            assert!(watch.elapsed() >= LOAD, "healthy after {:?}, before it can be loaded", watch.elapsed());
            assert!(looks > 1, "it was asked before that, too");
            instance.line_with("loaded");
            assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
        }
        Loads::EachTime => {
            instance.wait_until_healthy();
            let asked = Stopwatch::start();
            assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).status, 200);
            assert!(asked.elapsed() >= LOAD, "answered after {:?}, before it can be", asked.elapsed());
            instance.line_with("loaded");
        }
    }
    assert_eq!(instance.health().unwrap(), 200, "it stays healthy");
}

pub(crate) fn healthy_over_tcp(subject: &Subject) {
    let instance = WarmInstance::with(subject, "echo", ListenerKind::Port, &[]);
    let mut connection = instance.connect();
    assert_eq!([(); 2].map(|()| connection.get("/health").status), [200, 200]);
}

pub(crate) fn socket_wins_over_port(subject: &Subject) {
    let port = free_port();
    let number = port.to_string();
    let instance = WarmInstance::with(subject, "echo", ListenerKind::Socket, &[("PORT", &number)]);
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "it listens on the port as well");
}

pub(crate) fn stale_socket_file_is_replaced(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fn.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "as one that was killed leaves it");
    let mut instance = WarmInstance::at_socket(&mut subject.command("echo"), path);
    instance.wait_until_healthy();
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
}

pub(crate) fn other_file_is_left_alone(subject: &Subject) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fn.sock");
    std::fs::write(&path, "precious").unwrap();
    let (code, said) = WarmInstance::at_socket(&mut subject.command("echo"), path.clone()).end();
    assert_ne!(code, 0, "it cannot listen there");
    assert!(said.contains("PICOFAAS_SOCKET"), "it names what is wrong, not: {said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

pub(crate) fn missing_function_is_named(subject: &Subject) {
    let (code, said) = WarmInstance::start(&mut subject.command_for_missing(), ListenerKind::Socket).end();
    assert!(code > 0, "it ends with another code than 0, not {code}: {said}");
    for part in &subject.missing_said {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}
