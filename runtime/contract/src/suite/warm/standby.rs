//! An instance that takes one invocation and ends.

use std::time::Duration;

use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::{Stopwatch, until};
use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::limits::MARGIN;
use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::{BEYOND_ASCII, Subject};

const VARIABLE: &str = "PICOFAAS_STANDBY";
/// Time for which it waits for the end of the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Less than that.
const SOON: Duration = Duration::from_millis(800);
/// A busy machine may be late; an instance that waits for its time is so each time.
const ROUNDS: usize = 5;

fn standby(subject: &Subject, function: &str) -> WarmInstance {
    let [text, locale] = BEYOND_ASCII;
    WarmInstance::with(subject, function, ListenerKind::Socket, &[(VARIABLE, "1"), text, locale])
}

fn already_used() -> (u16, String) {
    (503, "ALREADY_USED".to_owned())
}

/// An invocation of the function `late`, which makes the file `go` when it runs and waits for `said`.
fn waiting(folder: &TempDir, go: &str) -> Invocation {
    let file = |name: &str| folder.path().join(name);
    Invocation::of(&json!({ "go": file(go), "said": file("said"), "begin": false }).to_string())
}

pub(crate) fn serves_one(subject: &Subject, transport: Transport) {
    let instance = standby(subject, "late");
    // One that runs no handler is not the one.
    let mut connection = instance.connect();
    connection.send("POST /invoke HTTP/1.1\r\nHost: fn\r\nContent-Length: 11\r\n\r\n{\"input\":1}");
    assert_eq!(connection.receive().failure(), (400, "MISSING_EXECUTION_ID".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut client = instance.client(transport);
    client.begin(&waiting(&folder, "go-1"));
    until(|| "it does not run".to_owned(), || file("go-1").exists().then_some(()));
    assert_eq!(instance.client(transport).invoke(&waiting(&folder, "go-2")).failure(), already_used());
    let mut connection = instance.connect();
    connection.send(waiting(&folder, "go-2").http_expecting("100-continue"));
    assert_eq!(connection.receive().failure(), already_used(), "a 100 would say that it began");
    std::fs::write(file("said"), "").unwrap();
    assert_eq!(client.receive().status, 200);
    assert!(!file("go-2").exists(), "it was run though it was refused");
    if transport == Transport::Http {
        // The second comes when the first is answered, and is there before.
        let instance = standby(subject, "echo");
        let mut connection = instance.connect();
        connection.send([Invocation::of("1").http(), Invocation::of("2").http()].concat());
        assert_eq!(connection.receive().text(), "1");
        assert_eq!(connection.receive().failure(), already_used());
    }
}

/// A standby that has answered its one, and its caller.
fn used(subject: &Subject, transport: Transport) -> (WarmInstance, Client) {
    let instance = standby(subject, "last");
    let mut client = instance.client(transport);
    let answer = client.invoke_with("1");
    assert_eq!((answer.status, answer.json()), (200, json!(BEYOND_ASCII[0].1)));
    (instance, client)
}

/// Waits for the end, which must be a good one with all lines written.
#[track_caller]
fn assert_ends(instance: WarmInstance) {
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(BEYOND_ASCII[0].1), "its last line is lost: {said}");
}

pub(crate) fn ends_after_its_one(subject: &Subject, transport: Transport) {
    let mut late = Vec::new();
    while late.len() < ROUNDS {
        let (instance, client) = used(subject, transport);
        // Another connection, which asks nothing.
        let silent = instance.connect();
        let watch = Stopwatch::start();
        drop(client);
        assert_ends(instance);
        let took = watch.elapsed();
        drop(silent);
        if took < SOON {
            return;
        }
        late.push(took);
    }
    panic!("its caller has closed the connection, and it ends after {late:?}");
}

pub(crate) fn ends_while_its_caller_stays(subject: &Subject, transport: Transport) {
    let watch = Stopwatch::start();
    let (instance, mut client) = used(subject, transport);
    assert!(client.is_closed());
    assert_ends(instance);
    let took = watch.elapsed();
    assert!(took >= LINGER && took < LINGER + MARGIN, "it ended after {took:?}");
}

pub(crate) fn whose_caller_goes_away(subject: &Subject, transport: Transport) {
    let instance = standby(subject, "late");
    let folder = tempfile::tempdir().unwrap();
    let mut client = instance.client(transport);
    client.begin(&waiting(&folder, "go"));
    until(|| "it does not run".to_owned(), || folder.path().join("go").exists().then_some(()));
    drop(client);
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn not_said_with_one(subject: &Subject) {
    for value in ["0", "yes"] {
        let mut command = subject.command("echo");
        let instance = WarmInstance::start(command.env(VARIABLE, value), ListenerKind::Socket);
        let (code, said) = instance.end();
        assert!(code > 0, "it ends with another code than 0, not {code}: {said}");
        assert!(said.contains(VARIABLE) && said.contains(&format!("`{value}`")), "it is named, not: {said}");
    }
    let instance = WarmInstance::with(subject, "echo", ListenerKind::Socket, &[(VARIABLE, "")]);
    for _ in 0..2 {
        assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
    }
}
