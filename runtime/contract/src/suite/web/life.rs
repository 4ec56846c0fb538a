//! Web requests in the life of an instance, and a change of the protocol.

use picofaas_contract::patience::until;
use picofaas_contract::wire::{Answer, Connection, SWITCHING_PROTOCOLS};
use rustix::process::Signal;

use super::streams::wait_for;
use super::web_client::{get, head, piece, start, streaming};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;
use crate::suite::warm::{IN_FLIGHT, Stream, WarmInstance};

const SUCCESS: &str = "picofaas_runtime_invocations_total{outcome=\"success\"}";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(crate) fn metrics(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut connection = instance.web(transport);
    for _ in 0..3 {
        assert_eq!(get(&mut connection, "/x").status, 200);
    }
    instance.wait_for_metric(&format!("{SUCCESS} 3"));
    connection.send(head("GET", &format!("/pieces?go={}", go.display()), ""));
    streaming(&mut connection);
    assert_eq!(piece(&mut connection, 5), b"first");
    // It is under way until its last piece.
    instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
    std::fs::write(&go, "").unwrap();
    assert_eq!(piece(&mut connection, usize::MAX), b"second");
    instance.wait_for_metric(&format!("{SUCCESS} 4"));
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    // A 500 is an answer of the function like any other.
    assert_eq!(get(&mut connection, "/status/500").status, 500);
    instance.wait_for_metric(&format!("{SUCCESS} 5"));
}

/// An answer that has begun is finished.
pub(crate) fn sigterm_mid_stream(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut connection = instance.web(transport);
    connection.send(head("GET", &format!("/pieces?go={}", go.display()), ""));
    streaming(&mut connection);
    assert_eq!(piece(&mut connection, 5), b"first");
    instance.signal(Signal::TERM);
    until(|| "it accepts on".to_owned(), || (!instance.is_reachable()).then_some(()));
    std::fs::write(&go, "").unwrap();
    assert_eq!(piece(&mut connection, usize::MAX), b"second");
    assert!(connection.is_closed());
    let (code, rest) = instance.end();
    assert_eq!(code, 0, "{rest}");
}

/// A connection that has changed the protocol.
fn upgraded(instance: &WarmInstance, path: &str) -> Connection<Stream> {
    let mut connection = instance.connect();
    connection.send(head("GET", path, UPGRADE));
    let answer = connection.receive_head();
    assert_eq!(answer.status, SWITCHING_PROTOCOLS, "{answer:?}");
    assert_eq!(answer.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"), "{answer:?}");
    assert!(has_connection_upgrade(&answer), "{answer:?}");
    connection
}

fn has_connection_upgrade(answer: &Answer) -> bool {
    answer.header("connection").is_some_and(|value| value.to_lowercase().contains("upgrade"))
}

/// The connection is the two ends' own: any bytes, both ways, until both ends are through.
pub(crate) fn upgrade(subject: &Subject) {
    let instance = start(subject);
    let mut connection = upgraded(&instance, "/upgrade");
    for bytes in [&b"\x00\xff\r\n\r\nHTTP/1.1"[..], &[7; 100_000]] {
        connection.send(bytes);
        let mut back = vec![0; bytes.len()];
        connection.fill(&mut back);
        assert!(back == bytes, "other bytes come back");
        instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
    }
    // The function has a last word when it has seen the end.
    connection.stream().end_writing();
    assert_eq!(connection.rest(), b"bye");
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    instance.wait_for_metric(&format!("{SUCCESS} 1"));
    // A function that does not want it answers in the usual way.
    let mut connection = instance.connect();
    connection.send(head("GET", "/x", UPGRADE));
    assert_eq!(connection.receive().status, 200);
    // A connection that has changed the protocol keeps nothing from ending.
    instance.signal(Signal::TERM);
    let (code, rest) = instance.end();
    assert_eq!(code, 0, "{rest}");
}

/// The end of a caller is the end of the function's side.
pub(crate) fn upgrade_given_up(subject: &Subject) {
    let mut instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let mut connection = upgraded(&instance, &format!("/upgrade?gone={}", gone.display()));
    connection.send("x");
    connection.fill(&mut [0]);
    drop(connection);
    wait_for(&gone);
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    instance.wait_until_healthy();
}

/// A function that never changes the protocol answers in the usual way.
pub(crate) fn upgrades_are_refused(subject: &Subject) {
    let instance = start(subject);
    let mut connection = instance.connect();
    connection.send(head("GET", "/upgrade", UPGRADE));
    let status = connection.receive().status;
    assert!((200..=599).contains(&status), "{status}");
}
