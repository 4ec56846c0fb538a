//! SIGTERM.

use picofaas_contract::patience::until;
use rustix::process::Signal;

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::subject::Subject;

pub(crate) fn idle(subject: &Subject) {
    idle_behind(subject, ListenerKind::Socket);
}

pub(crate) fn idle_over_tcp(subject: &Subject) {
    idle_behind(subject, ListenerKind::Port);
}

fn idle_behind(subject: &Subject, listener: ListenerKind) {
    let instance = WarmInstance::with(subject, "echo", listener, &[]);
    let mut used = instance.connect();
    assert_eq!(used.invoke("", r#"{"input":1}"#).status, 200);
    let mut silent = instance.connect();
    instance.signal(Signal::TERM);
    assert!(used.is_closed() && silent.is_closed());
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn mid_request(subject: &Subject) {
    mid_request_behind(subject, ListenerKind::Socket);
}

pub(crate) fn mid_request_over_tcp(subject: &Subject) {
    mid_request_behind(subject, ListenerKind::Port);
}

fn mid_request_behind(subject: &Subject, listener: ListenerKind) {
    let instance = WarmInstance::with(subject, "sleep", listener, &[]);
    let (mut running, ms) = instance.sleeping_together(1, 700).remove(0);
    instance.signal(Signal::TERM);
    until(|| "it goes on accepting".to_owned(), || (!instance.is_reachable()).then_some(()));
    let answer = running.receive();
    assert_eq!((answer.status, &answer.json()["ms"]), (200, &serde_json::json!(ms)), "{answer:?}");
    assert!(running.is_closed());
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}
