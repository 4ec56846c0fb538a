//! Attempts that nobody waits for any more.

use picofaas_contract::frame_wire::{Frame, FrameConnection, PAYLOAD_BYTES_MAX, kind};
use picofaas_contract::frames_client::AttemptEnd;
use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::Stopwatch;
use picofaas_frames::CancelReason;

use super::greeted;
use crate::suite::subject::Subject;
use crate::suite::warm::limits::{ENDLESS, IN_FLIGHT, MARGIN};
use crate::suite::warm::warm_instance::WarmInstance;

/// The reason of a `DONE` that follows a `CANCEL`.
const CANCELLED: u8 = 1;

/// A cancelled handler is stopped and let go, and the connection goes on.
pub(crate) fn a_caller_that_cancels(subject: &Subject) {
    for (function, input) in ENDLESS {
        let mut instance = WarmInstance::of(subject, function);
        let mut client = instance.frames();
        for (times, reason) in (1..).zip([CancelReason::Deadline, CancelReason::ClientGone]) {
            let number = client.begin(&Invocation::of(input));
            instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
            let watch = Stopwatch::start();
            client.cancel(number, reason);
            let end = client.end_of(number);
            assert!(matches!(end, AttemptEnd::Released), "{end:?}");
            assert!(watch.elapsed() < MARGIN, "let go after {:?}", watch.elapsed());
            instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
            let cancelled = "picofaas_runtime_invocations_total{outcome=\"cancelled\"}";
            instance.wait_for_metric(&format!("{cancelled} {times}"));
            // The process that it ran in may have to be replaced.
            instance.wait_until_healthy();
        }
        if function == "sleep" {
            assert_eq!(client.invoke(&Invocation::of(r#"{"ms":1}"#)).status, 200);
        }
    }
}

/// Instead of the rest of a cancelled answer comes `DONE`.
pub(crate) fn mid_answer(subject: &Subject) {
    let instance = WarmInstance::of(subject, "big");
    let hello = Frame::hello(16_384, PAYLOAD_BYTES_MAX);
    let (mut connection, _) = FrameConnection::greet(instance.connect(), &hello);
    connection.send(&[&Frame::request(1, &Invocation::of(r#"{"bytes":100000}"#))]);
    let mut bytes = 0;
    while bytes < 16_384 {
        let frame = connection.next_event().expect("the answer");
        if frame.kind == kind::DATA {
            bytes += frame.payload.len();
        }
    }
    connection.send(&[&Frame::cancel(1)]);
    let frame = connection.next_event().expect("its end");
    assert_eq!((frame.kind, frame.sequence, frame.payload[0]), (kind::DONE, 1, CANCELLED), "{frame:?}");
    connection.send(&[&Frame::window(1, 65_536), &Frame::request(2, &Invocation::of(r#"{"bytes":1}"#))]);
    let frame = connection.next_event().expect("an answer");
    assert_eq!((frame.sequence, frame.answer()), (2, (200, &br#""x""#[..])));
}

/// An attempt whose body is not whole is let go as any other, and is not run.
pub(crate) fn mid_body(subject: &Subject) {
    let instance = WarmInstance::of(subject, "exit");
    let (mut connection, _) = greeted(&instance);
    let invocation = Invocation::of("1");
    // Blanks are missing, so that it could be run.
    let half = &invocation.body[..];
    connection.send(&[
        &Frame::request_of(1, &invocation, half.len() as u64 + 2),
        &Frame::data(1, half, false),
        &Frame::cancel(1),
    ]);
    let frame = connection.next_event().expect("its end");
    assert_eq!((frame.kind, frame.sequence, frame.payload[0]), (kind::DONE, 1, CANCELLED), "{frame:?}");
    // The rest may have been on its way.
    connection.send(&[&Frame::data(1, *b"  ", true)]);
    assert_eq!(connection.until_quiet(), []);
    // One that is broken off is not run, either.
    connection.send(&[&Frame::request_of(2, &invocation, 100), &Frame::data(2, half, false)]);
    assert_eq!(connection.until_quiet(), []);
    drop(connection);
    assert_eq!(instance.health().expect("it lives on"), 200);
}

/// Frames that were on their way when an attempt ended are dropped.
pub(crate) fn after_the_end(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let (mut connection, _) = greeted(&instance);
    for sequence in (1..).step_by(2).take(3) {
        connection.send(&[&Frame::request(sequence, &Invocation::of("1"))]);
        let frame = connection.next_event().expect("an answer");
        assert_eq!((frame.sequence, frame.answer().0), (sequence, 200));
        connection.send(&[
            &Frame::window(sequence, 65_536),
            &Frame::cancel(sequence),
            &Frame::cancel(sequence),
            &Frame::data(sequence, *b"late", false),
            &Frame::request(sequence + 1, &Invocation::of("2")),
        ]);
        let frame = connection.next_event().expect("an answer");
        assert_eq!((frame.sequence, frame.answer()), (sequence + 1, (200, &b"2"[..])));
    }
}
