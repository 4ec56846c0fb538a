//! Signs of life, and going away.

use std::time::Duration;

use picofaas_contract::frame_wire::{Frame, FrameConnection, flag, kind};
use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::{Stopwatch, until};
use rustix::process::Signal;
use serde_json::json;

use super::{greeted, usual_hello};
use crate::suite::subject::Subject;
use crate::suite::warm::limits::{IN_FLIGHT, MARGIN};
use crate::suite::warm::warm_instance::{Stream, WarmInstance};

/// Silence after which an end with attempts out asks for a sign of life.
const ASKS_AFTER: Duration = Duration::from_secs(1);
/// Time for a sign of life, for the rest of a frame and for `HELLO`.
const GIVES_UP_AFTER: Duration = Duration::from_secs(2);
/// Time that clocks and rounding may take off.
const ROUNDING: Duration = Duration::from_millis(50);

pub(crate) fn ping_while_a_handler_runs(subject: &Subject) {
    let instance = WarmInstance::of(subject, "never");
    let (mut connection, _) = greeted(&instance);
    connection.send(&[&Frame::request(1, &Invocation::of("1"))]);
    instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
    for word in [*b"question", *b"another!"] {
        // Of several that wait the last is enough.
        connection.send(&[&Frame::ping(*b"earlier!"), &Frame::ping(word)]);
        loop {
            let frame = connection.next_frame().expect("the connection goes on");
            assert_eq!((frame.kind, frame.sequence), (kind::PING, 0), "{frame:?}");
            if frame.has(flag::ACK) && frame.payload == word {
                break;
            }
        }
    }
    connection.send(&[&Frame::cancel(1)]);
    assert_eq!(connection.next_event().expect("its end").sequence, 1);
}

/// An instance stops working for a gateway that gives no sign of life, and keeps a connection that is idle.
pub(crate) fn silent_gateway(subject: &Subject) {
    let instance = WarmInstance::of(subject, "never");
    let (mut idle, _) = greeted(&instance);
    let (mut connection, _) = greeted(&instance);
    let watch = Stopwatch::start();
    connection.send(&[&Frame::request(1, &Invocation::of("1"))]);
    let question = connection.next_frame().expect("a question");
    assert!(question.kind == kind::PING && !question.has(flag::ACK), "{question:?}");
    while connection.next_frame().is_some() {}
    let took = watch.elapsed();
    let least = ASKS_AFTER + GIVES_UP_AFTER;
    assert!(took + ROUNDING >= least && took < least + MARGIN, "given up after {took:?}");
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    assert_eq!(idle.until_quiet(), [], "an idle connection stays");
}

/// Waits for the end of a connection that owes bytes since the start of `watch`.
#[track_caller]
fn is_given_up(mut connection: FrameConnection<Stream>, watch: Stopwatch) {
    while let Some(frame) = connection.next_frame() {
        assert!(matches!(frame.kind, kind::HELLO | kind::GO_AWAY), "{frame:?}");
    }
    let took = watch.elapsed();
    let in_time = took + ROUNDING >= GIVES_UP_AFTER && took < GIVES_UP_AFTER + MARGIN;
    assert!(in_time, "closed after {took:?}");
}

pub(crate) fn half_a_frame(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let whole = Frame::request(1, &Invocation::of("1")).bytes();
    let halves = [&whole[..1], &whole[..12], &whole[..whole.len() - 1]].map(|half| {
        let (mut connection, _) = greeted(&instance);
        let watch = Stopwatch::start();
        connection.send_bytes(half);
        (connection, watch)
    });
    for (connection, watch) in halves {
        is_given_up(connection, watch);
    }
    assert_eq!(instance.frames().invoke(&Invocation::of("1")).text(), "1", "it serves on");
}

pub(crate) fn no_hello(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let watch = Stopwatch::start();
    let silent = FrameConnection::open(instance.connect());
    let mut half = FrameConnection::open(instance.connect());
    half.send_bytes(&usual_hello().bytes()[..20]);
    is_given_up(silent, watch);
    is_given_up(half, watch);
    assert_eq!(instance.frames().invoke(&Invocation::of("1")).text(), "1", "it serves on");
}

/// Attempts that were accepted are answered, and later ones dropped without a word.
pub(crate) fn go_away_at_sigterm(subject: &Subject) {
    let instance = WarmInstance::of(subject, "late");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let waiting = |go: &str, said: &str| {
        Invocation::of(&json!({ "go": file(go), "said": file(said), "begin": false }).to_string())
    };
    let (mut idle, _) = greeted(&instance);
    let (mut connection, _) = greeted(&instance);
    std::fs::write(file("said-1"), "").unwrap();
    connection.send(&[&Frame::request(1, &waiting("go-1", "said-1"))]);
    assert_eq!(connection.next_event().expect("an answer").answer().0, 200);
    connection.send(&[&Frame::request(2, &waiting("go-2", "said-2"))]);
    until(|| "it does not run".to_owned(), || file("go-2").exists().then_some(()));
    instance.signal(Signal::TERM);
    let told = idle.next_event().expect("GOAWAY");
    assert_eq!((told.kind, told.sequence, told.code()), (kind::GO_AWAY, 0, 0), "{told:?}");
    assert_eq!(idle.next_event(), None, "an idle connection is closed");
    let told = connection.next_event().expect("GOAWAY");
    assert_eq!((told.kind, told.sequence, told.code()), (kind::GO_AWAY, 2, 0), "{told:?}");
    assert!(told.payload.len() <= 2 + 256 && str::from_utf8(&told.payload[2..]).is_ok(), "{told:?}");
    connection.send(&[&Frame::request(3, &waiting("go-3", "said-2"))]);
    let mut frames = connection.until_quiet();
    std::fs::write(file("said-2"), "").unwrap();
    frames.extend(connection.rest());
    frames.retain(|frame| frame.kind != kind::GO_AWAY || frame.sequence > 2 || frame.code() != 0);
    let [answer] = &frames[..] else { panic!("one answer and no more: {frames:?}") };
    assert_eq!((answer.sequence, answer.answer().0), (2, 200));
    assert!(!file("go-3").exists(), "it runs what came after its GOAWAY");
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
}
