//! SIGTERM.

use picofaas_contract::patience::until;
use rustix::process::Signal;

use super::sleepers::Sleepers;
use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;

pub(crate) fn idle(subject: &Subject, transport: Transport) {
    idle_behind(subject, transport, ListenerKind::Socket);
}

pub(crate) fn idle_over_tcp(subject: &Subject, transport: Transport) {
    idle_behind(subject, transport, ListenerKind::Port);
}

fn idle_behind(subject: &Subject, transport: Transport, listener: ListenerKind) {
    let instance = WarmInstance::with(subject, "echo", listener, &[]);
    let mut used = instance.client(transport);
    assert_eq!(used.invoke_with("1").status, 200);
    let mut silent = instance.client(transport);
    instance.signal(Signal::TERM);
    assert!(used.is_closed() && silent.is_closed());
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn mid_request(subject: &Subject, transport: Transport) {
    mid_request_behind(subject, transport, ListenerKind::Socket);
}

pub(crate) fn mid_request_over_tcp(subject: &Subject, transport: Transport) {
    mid_request_behind(subject, transport, ListenerKind::Port);
}

fn mid_request_behind(subject: &Subject, transport: Transport, listener: ListenerKind) {
    let instance = WarmInstance::with(subject, "sleep", listener, &[]);
    let mut running = Sleepers::together(&instance, transport, 1, 700);
    instance.signal(Signal::TERM);
    until(|| "it goes on accepting".to_owned(), || (!instance.is_reachable()).then_some(()));
    for client in running.wake() {
        assert!(client.is_closed());
    }
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}
