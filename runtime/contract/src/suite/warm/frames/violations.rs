//! Breaches of the protocol, each of which ends its connection with its code and nothing else.

use picofaas_contract::frame_wire::{Frame, FrameConnection, PAYLOAD_BYTES_MAX, WINDOW_BYTES, flag, kind};
use picofaas_contract::invocation::Invocation;

use super::{greeted, usual_hello};
use crate::suite::subject::Subject;
use crate::suite::warm::limits::IN_FLIGHT;
use crate::suite::warm::warm_instance::WarmInstance;

/// Attempts at once of an instance that need not be tried.
const TOO_MANY_TO_TRY: u32 = 100_000;

/// A breach: its code, its name, and the frames that are one, behind the opening.
type Breach = (u16, &'static str, Vec<Frame>);

/// Each closes its own connection alone, stops what ran for it, and the process serves on.
pub(crate) fn each_has_its_code(subject: &Subject) {
    let instance = WarmInstance::of(subject, "never");
    let (mut beside, _) = greeted(&instance);
    for (code, name, frames) in greetings().into_iter().chain(after_the_greeting()) {
        let mut connection = FrameConnection::open(instance.connect());
        connection.send(&frames.iter().collect::<Vec<_>>());
        let (found, before) = connection.violated();
        assert_eq!(found, code, "{name}, after {before:?}");
        let hello_first = before.first().is_none_or(|frame| frame.kind == kind::HELLO);
        assert!(hello_first, "HELLO is the first frame: {before:?}");
    }
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    assert_eq!(beside.until_quiet(), [], "other connections go on");
    assert_eq!(instance.health().expect("it lives on"), 200);
}

/// Breaches in place of a `HELLO`, or of it.
fn greetings() -> Vec<Breach> {
    let (window, payload) = (WINDOW_BYTES, PAYLOAD_BYTES_MAX);
    let mut without_version = usual_hello();
    without_version.payload[0] = 0;
    let mut short = usual_hello();
    short.payload.truncate(15);
    vec![
        (3, "anything before HELLO", vec![Frame::request(1, &Invocation::of("1"))]),
        (3, "a PING before HELLO", vec![Frame::ping([0; 8])]),
        (3, "a second HELLO", vec![usual_hello(), usual_hello()]),
        (4, "a HELLO that is too short", vec![short]),
        (5, "the version 0", vec![without_version]),
        (5, "a window that is too small", vec![Frame::hello(16_383, payload)]),
        (5, "a payload that is too small", vec![Frame::hello(window, 8_191)]),
    ]
}

fn after_the_greeting() -> Vec<Breach> {
    let invocation = Invocation::of("1");
    let request = |sequence| Frame::request(sequence, &invocation);
    let open = |body_bytes| Frame::request_of(1, &invocation, body_bytes);
    let frame = |kind, sequence, payload: &[u8]| Frame::new(kind, sequence, 0, payload);
    let mut half_a_field = request(1);
    half_a_field.payload[60] = 2;
    half_a_field.payload[52] -= 2;
    let mut fields_beyond = request(1);
    fields_beyond.payload[60] = 200;
    let mut other_length = request(1);
    other_length.payload[52] += 1;
    let mut nothing_follows = open(11);
    nothing_follows.payload.push(b'{');
    let breaches: Vec<Breach> = vec![
        (1, "a payload that is too long", vec![frame(kind::DATA, 1, &[0; PAYLOAD_BYTES_MAX as usize + 1])]),
        (1, "one that could be skipped", vec![Frame::new(99, 0, flag::IGNORABLE, vec![0; 20_481])]),
        (2, "an unknown kind", vec![frame(99, 0, b"news")]),
        (2, "the kind 0", vec![frame(0, 0, b"")]),
        (3, "a DONE", vec![request(1), frame(kind::DONE, 1, &[1])]),
        (4, "a HEAD that is too short", vec![Frame::new(kind::HEAD, 1, flag::END, vec![0; 63])]),
        (4, "half a field", vec![half_a_field]),
        (4, "fields beyond the frame", vec![fields_beyond]),
        (4, "an empty DATA", vec![open(11), Frame::data(1, [], false)]),
        (4, "a WINDOW of 0", vec![request(1), Frame::window(1, 0)]),
        (4, "a WINDOW that is too short", vec![request(1), frame(kind::WINDOW, 1, &[1, 0, 0])]),
        (4, "a CANCEL without a reason", vec![request(1), frame(kind::CANCEL, 1, &[])]),
        (4, "a PING that is too short", vec![frame(kind::PING, 0, &[0; 7])]),
        (4, "a GOAWAY that is too short", vec![frame(kind::GO_AWAY, 0, &[0])]),
        (4, "a GOAWAY of no text", vec![frame(kind::GO_AWAY, 0, &[0, 0, 0xff])]),
        (6, "a sequence that is left out", vec![request(2)]),
        (6, "a sequence that is used twice", vec![request(1), request(1)]),
        (6, "the sequence 0", vec![request(0)]),
        (6, "DATA of what was never sent", vec![Frame::data(1, *b"{", false)]),
        (6, "a WINDOW of what was never sent", vec![request(1), Frame::window(2, 1)]),
        (6, "a CANCEL of what was never sent", vec![request(1), Frame::cancel(2)]),
        (8, "DATA after END", vec![request(1), Frame::data(1, *b"more", true)]),
        (9, "a window that is too large", vec![request(1), Frame::window(1, u32::MAX)]),
        (10, "another length inside", vec![other_length]),
        (10, "something inside without END", vec![nothing_follows]),
        (10, "a body that ends early", vec![open(11), Frame::data(1, *b"{}", true)]),
        (10, "a body that is too long", vec![open(1), Frame::data(1, *b"{}", false)]),
    ];
    let greet = |(code, name, frames): Breach| (code, name, [vec![usual_hello()], frames].concat());
    breaches.into_iter().map(greet).collect()
}

/// As many attempts as it says may be out, and one more not.
pub(crate) fn too_many_attempts(subject: &Subject) {
    let instance = WarmInstance::of(subject, "never");
    let (mut connection, limits) = greeted(&instance);
    if limits.attempts_max > TOO_MANY_TO_TRY {
        return;
    }
    // Nothing runs before its body is whole.
    let heads = |from, to| -> Vec<u8> {
        (from..=to)
            .flat_map(|sequence| Frame::request_of(sequence, &Invocation::of("1"), 11).bytes())
            .collect()
    };
    connection.send_bytes(&heads(1, limits.attempts_max));
    assert_eq!(connection.until_quiet(), [], "so many are taken");
    connection.send(&[&Frame::cancel(1)]);
    assert_eq!(connection.next_event().expect("its end").kind, kind::DONE);
    // There is room for one, and for no other.
    connection.send_bytes(&heads(limits.attempts_max + 1, limits.attempts_max + 2));
    assert_eq!(connection.violated().0, 11);
    assert_eq!(instance.health().expect("it lives on"), 200);
}
