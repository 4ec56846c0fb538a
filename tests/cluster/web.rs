//! Web requests whose pod goes: with its version, by hand, and those of a control plane that stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::pods::{pods, put, until_ready, warm};
use crate::stage::Stage;
use crate::support::client::Client;
use crate::support::lines::objects;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;

/// The frame by which the client of a WebSocket is told that its server goes away.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

/// A function of one pod that answers HTTP itself.
fn live(version: &str) -> Value {
    let env = json!([{ "name": "HANDLER", "value": "web" }, { "name": "VERSION", "value": version }]);
    let one = json!({ "min": 1, "max": 1 });
    warm("live", "web", &json!({ "web": {}, "env": env, "replicas": one, "concurrency": 8 }))
}

/// The pod that a new request comes to.
fn pod_of(client: &mut Client) -> String {
    client.ask("GET /fn/live/host", "", "");
    let answer = client.receive_streamed();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text().to_owned()
}

/// A stream of events that the test lets go on: each piece is one that the client has sent.
struct EventStream {
    client: Client,
    id: String,
}

impl EventStream {
    fn open(server: &Server) -> Self {
        let mut client = server.client();
        let chunked = "host: localhost\r\naccept: text/event-stream\r\ntransfer-encoding: chunked\r\n";
        client.send(format!("POST /fn/live/echo HTTP/1.1\r\n{chunked}\r\n"));
        let head = client.receive_head();
        assert_eq!(head.status, 200, "{head:?}");
        let id = head.header("x-execution-id").unwrap().to_owned();
        let mut stream = Self { client, id };
        stream.goes_on();
        stream
    }

    /// One more event comes.
    fn goes_on(&mut self) {
        let event = "data: more\n\n";
        self.client.send(format!("{:x}\r\n{event}\r\n", event.len()));
        assert_eq!(self.client.chunk().as_deref(), Some(event.as_bytes()));
    }

    /// It comes to its end, whole and at its first attempt.
    fn ends(mut self, server: &Server) {
        self.goes_on();
        self.client.send("0\r\n\r\n");
        assert_eq!(self.client.chunk(), None);
        let ended = server.client().ended(&self.id);
        assert_eq!((&ended["status"], &ended["attempt"]), (&json!("success"), &json!(1)), "{ended}");
    }
}

fn web_socket(server: &Server) -> Client {
    let mut client = server.client();
    client.ask("GET /fn/live/upgrade", "connection: upgrade\r\nupgrade: websocket\r\n", "");
    let head = client.receive_head();
    assert_eq!(head.status, 101, "{head:?}");
    client.send(b"\x82\x02hi");
    assert_eq!(client.bytes(4), b"\x82\x02hi");
    client
}

/// The client of a WebSocket is told that its server goes away.
fn is_told(mut socket: Client) {
    assert_eq!(socket.bytes(GOING_AWAY.len()), GOING_AWAY);
    socket.hang_up();
}

/// Somebody who asks one time after the other, on one connection.
struct Visitor {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Visitor {
    fn start(server: &Server) -> Self {
        let (mut client, over) = (server.client(), Arc::new(AtomicBool::new(false)));
        let seen = over.clone();
        let thread = thread::spawn(move || {
            let mut pods = Vec::new();
            while !seen.load(Ordering::Acquire) {
                pods.push(pod_of(&mut client));
                pods.dedup();
            }
            pods
        });
        Self { over, thread }
    }

    /// The pods that answered, in order. Each request was answered.
    fn stop(self) -> Vec<String> {
        self.over.store(true, Ordering::Release);
        self.thread.join().expect("every request is answered")
    }
}

/// Waits until a pod is being deleted and its program was told to stop.
fn until_told_to_stop(stage: &Stage, server: &Server, pod: &str) {
    let is_deleted =
        |one: &Value| one["metadata"]["name"] == pod && !one["metadata"]["deletionTimestamp"].is_null();
    stage.until("the pod is being deleted", "pods", |pods| pods.iter().any(is_deleted));
    let mut client = server.client();
    eventually("its program was told to stop", || {
        let lines = objects(&mut client, "/v1/functions/live/logs");
        let is_it = |line: &Value| {
            line["instance"] == pod && line["line"].as_str().is_some_and(|text| text.contains("stopping, "))
        };
        lines.iter().any(is_it).then_some(())
    });
}

fn until_gone(stage: &Stage, pod: &str) {
    stage.until("the pod has gone", "pods", |pods| pods.iter().all(|one| one["metadata"]["name"] != pod));
}

#[test]
fn a_stream_goes_on_at_the_pod_of_before_while_a_new_version_serves_and_a_web_socket_is_told() {
    let stage = Stage::new("web-rolls");
    let server = stage.server(&[]);
    put(&server, &live("one"));
    until_ready(&server, "live", 1);
    let mut client = server.client();
    let old = pod_of(&mut client);
    let (mut stream, socket) = (EventStream::open(&server), web_socket(&server));
    let visitor = Visitor::start(&server);
    put(&server, &live("two"));
    let new = eventually("the new version serves", || Some(pod_of(&mut client)).filter(|pod| *pod != old));
    stream.goes_on();
    is_told(socket);
    until_told_to_stop(&stage, &server, &old);
    stream.goes_on();
    assert_eq!(visitor.stop(), [old.clone(), new], "the pods that answered");
    stream.ends(&server);
    until_gone(&stage, &old);
}

#[test]
fn a_stream_ends_whole_at_a_pod_that_is_deleted_under_it_and_a_web_socket_is_told() {
    let stage = Stage::new("web-deleted");
    let server = stage.server(&[]);
    put(&server, &live("one"));
    until_ready(&server, "live", 1);
    let mut client = server.client();
    let old = pod_of(&mut client);
    let (mut stream, socket) = (EventStream::open(&server), web_socket(&server));
    stage.kubectl(&["delete", "pod", &old, "--wait=false"]);
    is_told(socket);
    until_told_to_stop(&stage, &server, &old);
    stream.goes_on();
    assert_ne!(pod_of(&mut client), old, "a new request came to a pod that stops");
    stream.ends(&server);
    let watch = Stopwatch::start();
    until_gone(&stage, &old);
    println!("the pod had gone {:.1?} after the end of its stream", watch.elapsed());
}

#[test]
fn a_control_plane_that_stops_waits_for_streams_as_long_as_its_drain_and_breaks_what_is_left() {
    const DRAIN: Duration = Duration::from_secs(4);
    let stage = Stage::new("web-drained");
    let server = stage.server(&["--drain", "4"]);
    put(&server, &live("one"));
    until_ready(&server, "live", 1);
    let mut stream = EventStream::open(&server);
    let mut endless = server.client();
    endless.ask("GET /fn/live/endless", "", "");
    assert_eq!(endless.receive_head().status, 200);
    let socket = web_socket(&server);
    server.signal(Signal::TERM);
    let watch = Stopwatch::start();
    is_told(socket);
    eventually("it drains", || (server.operator().get("/readyz").status == 503).then_some(()));
    stream.goes_on();
    stream.ends(&server);
    let rest = endless.until_end();
    let waited = watch.elapsed();
    assert!(!rest.ends_with("0\r\n\r\n"), "a stream that was broken off looks whole");
    assert!(waited >= DRAIN, "broken off after {waited:?}");
    let end = server.end();
    assert!(end.stderr.contains("stopped in_time=false"), "{}", end.stderr);
    assert_eq!(pods(&stage, "live").len(), 1, "the pod is the next one's");
}
