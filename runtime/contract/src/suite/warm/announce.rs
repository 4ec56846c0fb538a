//! Telling the control plane, which the suite plays, that it listens.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use picofaas_contract::control_plane::{Caller, ControlPlane, Request, TAKEN, refusal};
use picofaas_contract::patience::{Stopwatch, let_pass};
use picofaas_contract::process::TOKEN;
use rustix::process::Signal;
use serde_json::json;

use super::ages::ToldAges;
use super::sleepers::Sleepers;
use super::warm_instance::{ListenerKind, WarmInstance, free_port};
use crate::suite::case::Transport;
use crate::suite::subject::{Loads, Subject};

const LOAD: Duration = Duration::from_millis(500);
const POD: &str = "fn-contract-5d9c7b8f6d-x2x7k";
const POD_IP: &str = "10.244.1.17";
/// Longer than the pause after the first try of an instance that goes on although it was taken.
const AFTER_THE_FIRST: Duration = Duration::from_millis(400);
/// Less than a try may take that nobody answers.
const SOON: Duration = Duration::from_secs(4);
/// A busy machine may be late; an instance that waits for an answer is so each time.
const ROUNDS: usize = 5;

/// Sets the environment of a pod of Kubernetes.
fn set_pod<'c>(command: &'c mut Command, url: &str) -> &'c mut Command {
    command
        .env("PICOFAAS_RUNTIME_URL", url)
        .env("PICOFAAS_TOKEN", TOKEN)
        .env("POD_IP", POD_IP)
        .env("HOSTNAME", POD)
}

/// The next announcement, which must be the one that is expected.
#[track_caller]
fn announced(control_plane: &ControlPlane, instance: &WarmInstance, ip: &str) -> Caller {
    let mut caller = control_plane.accept();
    let request = caller.request();
    assert_announcement(&request, &format!("{ip}:{}", instance.port()));
    assert_eq!(request.header("host"), control_plane.url().strip_prefix("http://"));
    caller
}

#[track_caller]
fn assert_announcement(request: &Request, address: &str) {
    assert_eq!(request.line, "POST /v1/internal/instances HTTP/1.1");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.json(), json!({ "instance": POD, "address": address }));
}

#[track_caller]
fn assert_serves(instance: &WarmInstance) {
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
}

pub(crate) fn once_it_is_healthy(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let mut command = subject.command("echo");
    command.env("CONTRACT_LOAD_MS", LOAD.as_millis().to_string());
    let watch = Stopwatch::start();
    let instance = WarmInstance::start(set_pod(&mut command, &control_plane.url()), ListenerKind::Port);
    control_plane.watch(&instance);
    let mut caller = announced(&control_plane, &instance, POD_IP);
    assert_eq!(instance.health().expect("it listens"), 200, "it announces itself before it is healthy");
    if matches!(subject.behaviour.loads, Loads::AtStart) {
        assert!(watch.elapsed() >= LOAD, "announced after {:?}, before it can be loaded", watch.elapsed());
    }
    caller.answer(TAKEN);
    assert_serves(&instance);
    let_pass(AFTER_THE_FIRST);
    assert!(!control_plane.is_called(), "it announces itself again though it is known");
}

pub(crate) fn with_its_ages(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let mut command = subject.command("echo");
    let instance = WarmInstance::start(set_pod(&mut command, &control_plane.url()), ListenerKind::Port);
    control_plane.watch(&instance);
    let since_start = Stopwatch::start();
    let mut caller = control_plane.accept();
    let request = caller.request();
    let first = ToldAges::of(|name| request.header(name));
    let least = Stopwatch::start();
    let_pass(AFTER_THE_FIRST);
    let least = least.elapsed();
    caller.answer(refusal(503, "CONTROL_BUSY"));
    let mut caller = control_plane.accept();
    let request = caller.request();
    let again = ToldAges::of(|name| request.header(name));
    again.assert_grown(first, least, since_start.elapsed());
    caller.answer(TAKEN);
    let answer = instance.connect().get("/health");
    let told = ToldAges::of(|name| answer.header(name));
    told.assert_grown(again, Duration::ZERO, since_start.elapsed());
}

pub(crate) fn again_until_it_is_taken(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let url = control_plane.url().replace("127.0.0.1", "localhost");
    let mut instance = WarmInstance::start(set_pod(&mut subject.command("echo"), &url), ListenerKind::Port);
    control_plane.watch(&instance);
    let address = format!("{POD_IP}:{}", instance.port());
    let thanks = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let refusals =
        [refusal(503, "CONTROL_BUSY"), refusal(401, "UNAUTHORIZED"), String::new(), thanks.to_owned()];
    for answer in refusals {
        let mut caller = control_plane.accept();
        assert_announcement(&caller.request(), &address);
        caller.answer(&answer);
        // After an empty answer this is the end of the connection.
        drop(caller);
        assert_serves(&instance);
    }
    let mut caller = control_plane.accept();
    assert_announcement(&caller.request(), &address);
    caller.answer(TAKEN);
    let said = instance.line_with("warning");
    assert!(said.contains("503") && said.contains("CONTROL_BUSY"), "the first failure is named, not: {said}");
    assert!(!said.contains(TOKEN), "it tells its token: {said}");
    // The pause after four failures is 400 ms, the next would be 800 ms.
    let_pass(Duration::from_millis(1000));
    assert!(!control_plane.is_called(), "it announces itself again though it is known");
    instance.signal(Signal::TERM);
    let (code, rest) = instance.end();
    assert_eq!(code, 0, "{rest}");
    assert!(!rest.contains("warning"), "one line a minute is enough: {rest}");
}

pub(crate) fn to_one_that_comes_later(subject: &Subject) {
    let port = free_port();
    let url = format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
    let mut instance = WarmInstance::start(set_pod(&mut subject.command("echo"), &url), ListenerKind::Port);
    instance.wait_until_healthy();
    instance.line_with("warning");
    assert_serves(&instance);
    let control_plane = ControlPlane::at(port);
    control_plane.watch(&instance);
    announced(&control_plane, &instance, POD_IP).answer(TAKEN);
    assert_serves(&instance);
}

pub(crate) fn serves_though_it_is_not_taken(subject: &Subject) {
    let mut late = Vec::new();
    while late.len() < ROUNDS {
        let took = stop_of_one_that_is_not_taken(subject);
        if took < SOON {
            return;
        }
        late.push(took);
    }
    panic!("it waits for an answer, {late:?}");
}

/// Time from SIGTERM to its end.
fn stop_of_one_that_is_not_taken(subject: &Subject) -> Duration {
    let control_plane = ControlPlane::open();
    let mut instance =
        WarmInstance::start(set_pod(&mut subject.command("echo"), &control_plane.url()), ListenerKind::Port);
    instance.wait_until_healthy();
    // Held to the end, and never answered.
    let mut caller = announced(&control_plane, &instance, POD_IP);
    let mut connection = instance.connect();
    for _ in 0..50 {
        assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
    }
    let watch = Stopwatch::start();
    instance.signal(Signal::TERM);
    let (code, said) = instance.end();
    let took = watch.elapsed();
    assert_eq!(code, 0, "{said}");
    assert!(caller.is_closed());
    took
}

pub(crate) fn stops_between_two_tries(subject: &Subject) {
    let url = format!("http://{}:{}", Ipv4Addr::LOCALHOST, free_port());
    let mut instance = WarmInstance::start(set_pod(&mut subject.command("sleep"), &url), ListenerKind::Port);
    instance.wait_until_healthy();
    instance.line_with("warning");
    let mut running = Sleepers::together(&instance, Transport::Http, 1, 300);
    instance.signal(Signal::TERM);
    running.wake();
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn over_ipv6(subject: &Subject) {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("skipped on {}: this machine has no IPv6", subject.name);
        return;
    }
    let control_plane = ControlPlane::open_ipv6();
    let mut command = subject.command("echo");
    let instance = WarmInstance::start(
        set_pod(&mut command, &control_plane.url()).env("POD_IP", "fd00::17"),
        ListenerKind::Port,
    );
    control_plane.watch(&instance);
    announced(&control_plane, &instance, "[fd00::17]").answer(TAKEN);
    assert_serves(&instance);
    let itself = std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, instance.port()));
    assert!(itself.is_ok(), "it does not listen where it says: {itself:?}");
}

pub(crate) fn nothing_where_it_is_not_asked_to(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let without = |name: &str| {
        let mut command = subject.command("echo");
        set_pod(&mut command, &control_plane.url()).env_remove(name);
        WarmInstance::start(&mut command, ListenerKind::Port)
    };
    let mut instances = Vec::from(["PICOFAAS_RUNTIME_URL", "PICOFAAS_TOKEN", "POD_IP"].map(without));
    let mut command = subject.command("echo");
    instances.push(WarmInstance::start(set_pod(&mut command, &control_plane.url()), ListenerKind::Socket));
    for instance in &mut instances {
        instance.wait_until_healthy();
        assert_serves(instance);
    }
    let_pass(AFTER_THE_FIRST);
    assert!(!control_plane.is_called(), "it announces itself");
    for instance in instances {
        instance.signal(Signal::TERM);
        let (code, said) = instance.end();
        assert!(code == 0 && !said.contains("warning"), "{code}: {said}");
    }
}

pub(crate) fn a_mistake_stops_nothing(subject: &Subject) {
    let control_plane = ControlPlane::open();
    for (name, value) in [("POD_IP", "pod"), ("PICOFAAS_RUNTIME_URL", "https://h:1")] {
        let mut command = subject.command("echo");
        set_pod(&mut command, &control_plane.url()).env(name, value);
        let mut instance = WarmInstance::start(&mut command, ListenerKind::Port);
        instance.wait_until_healthy();
        let said = instance.line_with("warning");
        assert!(said.contains(name) && said.contains(value), "it does not name what is wrong: {said}");
        assert_serves(&instance);
    }
}
