//! Bodies, windows, turns and order.

use std::collections::VecDeque;

use picofaas_contract::frame_wire::{Frame, FrameConnection, PAYLOAD_BYTES_MAX, flag, kind};
use picofaas_contract::invocation::Invocation;

use serde_json::{Value, json};

use super::{greeted, usual_hello};
use crate::suite::subject::{Concurrency, Loads, Subject};
use crate::suite::warm::warm_instance::{Stream, WarmInstance};

/// Least window and payload that an end may say.
const LEAST_WINDOW: u32 = 16_384;
const LEAST_PAYLOAD: u32 = 8_192;
/// Attempts that are out at once where each may be a process.
const AT_ONCE: usize = 16;
/// Most bytes of one `DATA`.
const DATA_BYTES_MAX: usize = 16_384;
/// A window that no answer fills.
const WIDE_WINDOW: u32 = 1 << 30;

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[track_caller]
fn answered(connection: &mut FrameConnection<Stream>, sequence: u32) -> (u16, Vec<u8>) {
    let frame = connection.next_event().expect("an answer");
    assert_eq!(frame.sequence, sequence, "{frame:?}");
    let (status, body) = frame.answer();
    (status, body.to_owned())
}

/// The `HEAD` of an invocation, and its body in pieces, of which the last has the end.
fn in_pieces(sequence: u32, invocation: &Invocation, piece_bytes: usize) -> Vec<Frame> {
    let body = &invocation.body;
    let mut frames = vec![Frame::request_of(sequence, invocation, body.len() as u64)];
    let count = body.len().div_ceil(piece_bytes);
    for (index, piece) in body.chunks(piece_bytes).enumerate() {
        frames.push(Frame::data(sequence, piece, index + 1 == count));
    }
    frames
}

fn by_reference(frames: &[Frame]) -> Vec<&Frame> {
    frames.iter().collect()
}

/// A receiver takes a body inside of the `HEAD` or behind it, whatever its length.
pub(crate) fn body_in_any_pieces(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let (mut connection, _) = greeted(&instance);
    let invocation = Invocation::of("[1,2]");
    let mut end_by_itself = in_pieces(4, &invocation, 5);
    end_by_itself.last_mut().expect("there are pieces").flags = 0;
    end_by_itself.push(Frame::data(4, [], true));
    for (sequence, frames) in (1..).zip([
        vec![Frame::request(1, &invocation)],
        in_pieces(2, &invocation, 1),
        in_pieces(3, &invocation, usize::MAX),
        end_by_itself,
    ]) {
        connection.send(&by_reference(&frames));
        let (status, body) = answered(&mut connection, sequence);
        assert_eq!((status, value(&body)), (200, json!([1, 2])), "{frames:?}");
    }
    // A body of nothing is whole, too.
    let nothing = Invocation::with_body("");
    connection.send(&[&Frame::request_of(5, &nothing, 0), &Frame::data(5, [], true)]);
    assert_eq!(answered(&mut connection, 5).0, 400);
    connection.send(&[&Frame::request(6, &nothing)]);
    assert_eq!(answered(&mut connection, 6).0, 400);
    // Pieces of several attempts come between each other.
    let (seventh, eighth) = (in_pieces(7, &invocation, 2), in_pieces(8, &Invocation::of("[3,4]"), 2));
    let both: Vec<&Frame> = seventh.iter().zip(&eighth).flat_map(|(a, b)| [a, b]).collect();
    connection.send(&both);
    let mut answers = [7, 8].map(|_| {
        let frame = connection.next_event().expect("an answer");
        (frame.sequence, value(frame.answer().1))
    });
    answers.sort_by_key(|(sequence, _)| *sequence);
    assert_eq!(answers, [(7, json!([1, 2])), (8, json!([3, 4]))]);
}

/// Bytes come in whatever pieces the stream has.
pub(crate) fn frames_in_pieces(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = FrameConnection::open(instance.connect());
    let mut frames = vec![usual_hello(), Frame::request(1, &Invocation::of("1"))];
    frames.extend(in_pieces(2, &Invocation::of("2"), 4));
    for byte in frames.iter().flat_map(Frame::bytes) {
        connection.send_bytes(&[byte]);
    }
    connection.limits();
    let mut bodies = [(); 2].map(|()| connection.next_event().expect("an answer").answer().1.to_owned());
    bodies.sort();
    assert_eq!(bodies, [b"1".to_vec(), b"2".to_vec()]);
}

/// Additions of a later version do no harm.
pub(crate) fn skipped(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut hello = usual_hello();
    hello.payload.extend_from_slice(b"more of a later version");
    // A later one counts as the one that both speak.
    hello.payload[0] = 9;
    let (mut connection, _) = FrameConnection::greet(instance.connect(), &hello);
    let mut request = Frame::request(1, &Invocation::of("1"));
    let body_at = request.payload.len() - br#"{"input":1}"#.len();
    let field = [200, 3, 0, b'n', b'e', b'w'];
    request.payload.splice(body_at..body_at, field);
    request.payload[60] = u8::try_from(field.len()).unwrap();
    // Flags that mean nothing, and reserved places.
    request.flags |= 0x30;
    request.payload[45] = 0xff;
    let mut bytes = Frame::new(99, 0, flag::IGNORABLE, *b"news").bytes();
    bytes.extend(Frame::new(99, 7, flag::IGNORABLE | flag::END, vec![1; 20_000]).bytes());
    bytes.extend(Frame::new(99, 1, flag::IGNORABLE, []).bytes());
    let reserved_at = bytes.len() + 10;
    bytes.extend(request.bytes());
    bytes[reserved_at] = 0xff;
    connection.send_bytes(&bytes);
    assert_eq!(answered(&mut connection, 1), (200, b"1".to_vec()));
    connection.send(&[&Frame::new(kind::PING, 0, 0, *b"question and more")]);
    let frame = connection.next_frame().expect("an answer to PING");
    assert!(frame.kind == kind::PING && frame.has(flag::ACK), "{frame:?}");
    assert!(frame.payload.starts_with(b"question"), "{frame:?}");
    connection.send(&[
        &Frame::new(kind::WINDOW, 1, 0, [1, 0, 0, 0, 9]),
        &Frame::new(kind::CANCEL, 1, 0, [77, 9]),
        &Frame::request(2, &Invocation::of("2")),
    ]);
    assert_eq!(answered(&mut connection, 2), (200, b"2".to_vec()));
}

pub(crate) fn out_of_order(subject: &Subject) {
    let instance = WarmInstance::of(subject, "sleep");
    let mut client = instance.frames();
    let (long_ms, short) = match subject.behaviour.concurrency {
        Concurrency::Parallel => (3_600_000, Invocation::of(r#"{"ms":1}"#)),
        // One after the other; any order will do.
        Concurrency::Serial => (2, Invocation::of(r#"{"ms":1}"#)),
    };
    let first = client.begin(&Invocation::of(&format!(r#"{{"ms":{long_ms}}}"#)));
    let second = client.begin(&short);
    assert_eq!(client.answer_to(second).json()["ms"], 1);
    match subject.behaviour.concurrency {
        Concurrency::Parallel => client.cancel(first, picofaas_frames::CancelReason::Cancelled),
        Concurrency::Serial => assert_eq!(client.answer_to(first).json()["ms"], 2),
    }
}

pub(crate) fn a_thousand(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut client = instance.frames();
    let count = match subject.behaviour.loads {
        Loads::AtStart => 1000,
        // Each costs a process, and the connection is the same.
        Loads::EachTime => 100,
    };
    let mut out = VecDeque::new();
    for n in 0..count + AT_ONCE {
        if n >= AT_ONCE {
            let (n, number) = out.pop_front().expect("it was begun");
            let answer = client.answer_to(number);
            assert_eq!((answer.status, answer.json()), (200, json!({ "n": n })));
        }
        if n < count {
            out.push_back((n, client.begin(&Invocation::of(&format!(r#"{{"n":{n}}}"#)))));
        }
    }
}

/// Bytes of the pieces of an answer.
fn count(frames: &[Frame], sequence: u32) -> usize {
    let of_it = frames.iter().filter(|frame| frame.kind == kind::DATA && frame.sequence == sequence);
    of_it.map(|frame| frame.payload.len()).sum()
}

/// Reads pieces of an answer until there are so many bytes, and whatever may come then.
#[track_caller]
fn filled(connection: &mut FrameConnection<Stream>, sequence: u32, bytes: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while count(&frames, sequence) < bytes {
        frames.push(connection.next_event().expect("a piece"));
    }
    frames.extend(connection.until_quiet());
    assert_eq!(count(&frames, sequence), bytes, "it stops at its window");
    frames
}

/// An instance sends no more of an answer than is allowed, and holds up nothing else meanwhile.
pub(crate) fn window_of_the_gateway(subject: &Subject) {
    let instance = WarmInstance::of(subject, "big");
    let hello = Frame::hello(LEAST_WINDOW, LEAST_PAYLOAD);
    let (mut connection, _) = FrameConnection::greet(instance.connect(), &hello);
    let bytes = 100_000;
    connection.send(&[&Frame::request(1, &Invocation::of(&format!(r#"{{"bytes":{bytes}}}"#)))]);
    let head = connection.next_event().expect("the HEAD of an answer");
    assert_eq!((head.kind, head.has(flag::END), head.status()), (kind::HEAD, false, 200), "{head:?}");
    let mut frames = filled(&mut connection, 1, LEAST_WINDOW as usize);
    connection.send(&[&Frame::request(2, &Invocation::of(r#"{"bytes":1}"#))]);
    assert_eq!(answered(&mut connection, 2), (200, br#""x""#.to_vec()), "small ones are not held up");
    connection.send(&[&Frame::window(1, 1)]);
    frames.extend(filled(&mut connection, 1, 1));
    // Two `WINDOW`s together are their sum.
    connection.send(&[&Frame::window(1, 10_000), &Frame::window(1, 7)]);
    frames.extend(filled(&mut connection, 1, 10_007));
    connection.send(&[&Frame::window(1, WIDE_WINDOW)]);
    while !frames.last().is_some_and(|frame| frame.has(flag::END)) {
        frames.push(connection.next_event().expect("a piece"));
    }
    assert!(frames.iter().all(|frame| (frame.kind, frame.sequence) == (kind::DATA, 1)), "{frames:?}");
    assert!(frames.iter().all(|frame| frame.payload.len() <= LEAST_PAYLOAD as usize), "pieces are too long");
    let body: Vec<u8> = frames.into_iter().flat_map(|frame| frame.payload).collect();
    assert!(body == format!("\"{}\"", "x".repeat(bytes)).into_bytes(), "{} bytes", body.len());
}

/// An instance allows more of a body when it has consumed some.
pub(crate) fn window_of_the_instance(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let hello = Frame::hello(WIDE_WINDOW, PAYLOAD_BYTES_MAX);
    let (mut connection, limits) = FrameConnection::greet(instance.connect(), &hello);
    let invocation = Invocation::of(&format!("\"{}\"", "x".repeat((1 << 20) - 2)));
    let mut rest = &invocation.body[..];
    connection.send(&[&Frame::request_of(1, &invocation, rest.len() as u64)]);
    let mut window = limits.window_bytes as usize;
    while !rest.is_empty() {
        while window > 0 && !rest.is_empty() {
            let longest = DATA_BYTES_MAX.min(limits.payload_bytes_max as usize);
            let (piece, after) = rest.split_at(rest.len().min(window).min(longest));
            connection.send(&[&Frame::data(1, piece, after.is_empty())]);
            (rest, window) = (after, window - piece.len());
        }
        if !rest.is_empty() {
            let frame = connection.next_event().expect("it allows more");
            assert_eq!((frame.kind, frame.sequence), (kind::WINDOW, 1), "{frame:?}");
            window += u32::from_le_bytes(frame.payload[..4].try_into().unwrap()) as usize;
        }
    }
    let mut bytes = 0;
    loop {
        let frame = connection.next_event().expect("an answer");
        match frame.kind {
            kind::WINDOW => continue,
            kind::HEAD => assert_eq!(frame.status(), 200),
            kind::DATA => bytes += frame.payload.len(),
            other => panic!("a frame of the kind {other}"),
        }
        if frame.has(flag::END) {
            break;
        }
    }
    assert_eq!(bytes, 1 << 20);
}

/// Pieces of large answers are sent in turns.
pub(crate) fn large_answers_in_turns(subject: &Subject) {
    let instance = WarmInstance::of(subject, "big");
    let hello = Frame::hello(LEAST_WINDOW, PAYLOAD_BYTES_MAX);
    let (mut connection, _) = FrameConnection::greet(instance.connect(), &hello);
    let large = Invocation::of(r#"{"bytes":1000000}"#);
    connection.send(&[&Frame::request(1, &large), &Frame::request(2, &large)]);
    // Both are ready and wait for their windows.
    let mut frames = Vec::new();
    while [1, 2].map(|sequence| count(&frames, sequence)) != [LEAST_WINDOW as usize; 2] {
        frames.push(connection.next_event().expect("a piece"));
    }
    connection.send(&[&Frame::window(1, WIDE_WINDOW), &Frame::window(2, WIDE_WINDOW)]);
    let mut sent = [0; 3];
    loop {
        let frame = connection.next_event().expect("a piece");
        assert_eq!(frame.kind, kind::DATA, "{frame:?}");
        sent[frame.sequence as usize] += frame.payload.len();
        if frame.has(flag::END) {
            let other = sent[3 - frame.sequence as usize];
            assert!(other >= 500_000, "one was over when the other had {other} bytes");
            break;
        }
    }
}
