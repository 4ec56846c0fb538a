//! The instance's end, against frames that were written by hand.

use bytes::{Bytes, BytesMut};

use super::*;
use crate::simulation::wire::{self, frame, hello, parse};

const OK: AnswerHead = AnswerHead { status: 200 };

/// An end that has read its `HELLO`, and whose own was written.
fn open(attempts_max: u32) -> InstanceConnection {
    let mut end = InstanceConnection::new(Settings { attempts_max, ..Settings::default() }, 0);
    assert!(events(&mut end, &hello(0)).is_empty());
    let greeting = flush(&mut end);
    assert_eq!((greeting.len(), greeting[0].0), (1, wire::HELLO));
    end
}

/// All events of some bytes, short as they print.
fn events(end: &mut InstanceConnection, bytes: &[u8]) -> Vec<String> {
    let mut input = BytesMut::from(bytes);
    let mut events = Vec::new();
    while let Some(event) = end.poll_event(0, &mut input) {
        events.push(if let InstanceEvent::Invoked { sequence, body, ends, .. } = event {
            format!("Invoked {} {} {ends}", sequence.0, body.len())
        } else if let InstanceEvent::Data { sequence, bytes, ends } = event {
            format!("Data {} {} {ends}", sequence.0, bytes.len())
        } else {
            format!("{event:?}").replace("Sequence(", "").replace("sequence: ", "").replace(')', "")
        });
    }
    events
}

/// Writes everything, and gives the frames.
fn flush(end: &mut InstanceConnection) -> Vec<(u8, u32, u8, Vec<u8>)> {
    let bytes = end.outgoing().to_vec();
    end.written(bytes.len());
    parse(&bytes)
}

fn small(sequence: u32) -> Vec<u8> {
    wire::request(sequence, wire::END, 2, b"{}")
}

#[test]
fn every_breach_ends_the_connection_with_its_code_and_loses_what_runs() {
    let data = |flags, bytes: &[u8]| frame(wire::DATA, 2, flags, bytes);
    let begun = wire::request(2, 0, 70_000, b"");
    let filled: Vec<u8> = (0..4).flat_map(|_| data(0, &[0; 16_384])).collect();
    for (bytes, violation) in [
        (vec![1, 0x50, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0], Violation::FrameTooLong),
        (frame(77, 1, 0x7f, b""), Violation::UnknownKind),
        (hello(0), Violation::Misplaced),
        (frame(wire::DONE, 1, 0, &[1]), Violation::Misplaced),
        (frame(wire::HEAD, 2, 1, &[0; 63]), Violation::Malformed),
        (frame(wire::CANCEL, 1, 0, b""), Violation::Malformed),
        (small(1), Violation::UnknownSequence),
        (small(3), Violation::UnknownSequence),
        (small(0), Violation::UnknownSequence),
        (data(0, b"abc"), Violation::UnknownSequence),
        (frame(wire::CANCEL, 2, 0, &[1]), Violation::UnknownSequence),
        (frame(wire::DATA, 1, 0, b"abc"), Violation::DataAfterEnd),
        ([begun.clone(), filled, data(0, b"a")].concat(), Violation::Window),
        (wire::request(2, wire::END, 3, b"ab"), Violation::BodyLength),
        (wire::request(2, 0, 3, b"abc"), Violation::BodyLength),
        ([begun, data(1, b"a")].concat(), Violation::BodyLength),
        ([small(2), small(3)].concat(), Violation::TooManyAttempts),
    ] {
        let mut end = open(2);
        assert_eq!(events(&mut end, &small(1)), ["Invoked 1 2 true"]);
        let found = events(&mut end, &bytes);
        assert_eq!(found.last(), Some(&format!("Closed {{ reason: Violation({violation:?} }}")), "{bytes:?}");
        assert_eq!(found.iter().filter(|event| *event == "Lost { 1 }").count(), 1, "{found:?}");
        let (kind, _, _, payload) = flush(&mut end).pop().unwrap();
        assert_eq!((kind, &payload[..2]), (wire::GO_AWAY, &violation.code().to_le_bytes()[..]));
        assert!(events(&mut end, &small(2)).is_empty(), "nothing runs after the end");
    }
}

#[test]
fn fields_that_do_not_fill_their_place_are_malformed() {
    let with_fields = |fields_bytes: u32, fields: &[u8]| {
        let mut head = wire::request(1, wire::END, 0, fields);
        head[12 + 60..12 + 64].copy_from_slice(&fields_bytes.to_le_bytes());
        events(&mut open(2), &head)
    };
    assert_eq!(with_fields(5, &[1, 2, 0, b'a', b'b']), ["Invoked 1 0 true"]);
    for (bytes, fields) in
        [(6, &[1, 2, 0, b'a', b'b'][..]), (5, &[1, 3, 0, b'a', b'b']), (2, &[1, 0]), (u32::MAX, &[])]
    {
        assert_eq!(with_fields(bytes, fields), ["Closed { reason: Violation(Malformed }"], "{fields:?}");
    }
}

#[test]
fn a_cancellation_that_meets_the_answer_is_dropped_and_one_that_comes_before_is_acknowledged() {
    let mut end = open(8);
    events(&mut end, &[small(1), small(2), small(3)].concat());
    assert_eq!(end.answer(Sequence(1), OK, &[], &Bytes::from_static(b"1")), Ok(()));
    let cancel = |sequence| frame(wire::CANCEL, sequence, 0, &[1]);
    assert!(events(&mut end, &cancel(1)).is_empty());
    let found = events(&mut end, &[cancel(2), cancel(3), cancel(2)].concat());
    assert_eq!(found, ["Cancelled { 2, reason: Deadline }", "Cancelled { 3, reason: Deadline }"]);
    let answered = end.answer(Sequence(2), OK, &[], &Bytes::from_static(b"2"));
    assert_eq!(answered, Err(NotAnswered::Cancelled));
    assert!(end.done(Sequence(3), DoneReason::Failed));
    let frames = flush(&mut end);
    assert_eq!((frames[0].0, frames[0].1), (wire::HEAD, 1));
    assert_eq!(frames[1..], [(wire::DONE, 2, 0, vec![1]), (wire::DONE, 3, 0, vec![1])]);
    assert_eq!(end.in_flight(), 0);
}

#[test]
fn an_answer_that_is_cancelled_while_it_is_sent_stops_with_done() {
    let mut end = open(8);
    events(&mut end, &small(1));
    assert_eq!(end.answer(Sequence(1), OK, &[], &Bytes::from(vec![0; 100_000])), Ok(()));
    assert_eq!(flush(&mut end).len() + flush(&mut end).len(), 5, "a head, and the window in pieces");
    assert!(events(&mut end, &frame(wire::CANCEL, 1, 0, &[9])).is_empty());
    assert_eq!(flush(&mut end), [(wire::DONE, 1, 0, vec![1])]);
    assert!(events(&mut end, &frame(wire::WINDOW, 1, 0, &[1; 4])).is_empty());
    assert_eq!((flush(&mut end).len(), end.in_flight()), (0, 0));
}

#[test]
fn an_end_that_goes_away_runs_what_it_has_taken_and_drops_what_comes_after() {
    let mut end = open(8);
    events(&mut end, &small(1));
    end.go_away("drain");
    end.go_away("again");
    let rest = [
        wire::request(2, 0, 3, b""),
        frame(wire::DATA, 2, 1, b"abc"),
        small(3),
        frame(wire::CANCEL, 3, 0, &[1]),
    ];
    assert!(events(&mut end, &rest.concat()).is_empty());
    assert!(!end.is_drained());
    assert_eq!(end.answer(Sequence(3), OK, &[], &Bytes::new()), Err(NotAnswered::Over));
    assert_eq!(end.answer(Sequence(1), OK, &[], &Bytes::new()), Ok(()));
    assert!(!end.is_drained());
    let frames = flush(&mut end);
    assert_eq!(frames[0], (wire::GO_AWAY, 1, 0, b"\0\0drain".to_vec()));
    assert_eq!((frames.len(), frames[1].0, frames[1].1), (2, wire::HEAD, 1));
    assert!(end.is_drained());
}

#[test]
fn answers_that_are_not_written_count_as_out() {
    let mut end = open(2);
    events(&mut end, &[small(1), small(2)].concat());
    assert!(end.done(Sequence(1), DoneReason::NotBegun));
    assert_eq!(end.answer(Sequence(2), OK, &[], &Bytes::new()), Ok(()));
    let waiting = end.outgoing().len();
    end.written(waiting - 1);
    assert_eq!(events(&mut end, &small(3)), ["Invoked 3 2 true"], "the first was written");
    assert_eq!(events(&mut end, &small(4)), ["Lost { 3 }", "Closed { reason: Violation(TooManyAttempts }"]);
}

#[test]
fn what_is_answered_after_a_loss_is_over_and_not_told_to_be_lost() {
    let mut end = open(8);
    events(&mut end, &[small(1), small(2), small(3)].concat());
    end.disconnected();
    assert_eq!(end.answer(Sequence(1), OK, &[], &Bytes::new()), Err(NotAnswered::Over));
    assert!(end.done(Sequence(2), DoneReason::Failed));
    assert_eq!(events(&mut end, b""), ["Lost { 3 }", "Closed { reason: Disconnected }"]);
    assert!(!end.has_outgoing());
}

#[test]
fn an_answer_before_the_end_of_the_body_drops_the_rest_of_it() {
    for body in [&b"no"[..], &[0; 100_000]] {
        let mut end = open(8);
        let first = [wire::request(1, 0, 6, b""), frame(wire::DATA, 1, 0, b"abc")].concat();
        assert_eq!(events(&mut end, &first), ["Invoked 1 0 false", "Data 1 3 false"]);
        end.answer(Sequence(1), OK, &[], &Bytes::copy_from_slice(body)).unwrap();
        assert!(events(&mut end, &frame(wire::DATA, 1, 1, b"def")).is_empty());
        assert_eq!(end.late_frames(), 1);
    }
}

#[test]
fn consumed_bytes_are_allowed_again_by_halves_of_the_window() {
    let mut end = open(8);
    let piece = frame(wire::DATA, 1, 0, &[0; 16_384]);
    events(&mut end, &[wire::request(1, 0, 1 << 20, b""), piece.repeat(4)].concat());
    end.consume(Sequence(1), 32_767);
    assert!(flush(&mut end).is_empty());
    end.consume(Sequence(1), 1);
    assert_eq!(flush(&mut end), [(wire::WINDOW, 1, 0, vec![0, 0x80, 0, 0])]);
    assert_eq!(events(&mut end, &piece.repeat(2)), ["Data 1 16384 false", "Data 1 16384 false"]);
    assert_eq!(events(&mut end, &piece).last().unwrap(), "Closed { reason: Violation(Window }");
}

#[test]
fn only_the_last_of_several_pings_is_answered_and_frames_that_may_be_skipped_are() {
    let mut end = open(8);
    let pings =
        [frame(wire::PING, 0, 0, &[1; 8]), frame(99, 4, 0x80, b"new"), frame(wire::PING, 0, 0, &[2; 8])];
    assert!(events(&mut end, &pings.concat()).is_empty());
    assert_eq!(flush(&mut end), [(wire::PING, 0, 2, vec![2; 8])]);
    assert!(events(&mut end, &frame(wire::PING, 0, 2, &[2; 8])).is_empty());
    assert!(!end.has_outgoing());
}

#[test]
fn an_answer_that_cannot_be_written_leaves_the_attempt_to_be_answered() {
    let mut end = open(8);
    events(&mut end, &small(1));
    let long = vec![b'a'; 20_480];
    let fields = [Field { id: Field::ANSWER_CONTENT_TYPE, value: &long }];
    assert_eq!(end.answer(Sequence(1), OK, &fields, &Bytes::new()), Err(NotAnswered::Invalid));
    let switching = AnswerHead { status: 101 };
    assert_eq!(end.answer(Sequence(1), switching, &[], &Bytes::new()), Err(NotAnswered::Invalid));
    assert_eq!(end.answer(Sequence(1), OK, &[], &Bytes::new()), Ok(()));
}

/// A web request that is sent at once, whose answer may have so many bytes at first.
fn web(sequence: u32, window: u32) -> Vec<u8> {
    let mut fields = vec![6, 3, 0, b'G', b'E', b'T', 7, 1, 0, b'/', 8, 4, 0];
    fields.extend_from_slice(&window.to_le_bytes());
    let mut payload = wire::request(sequence, wire::END, 0, b"")[12..].to_vec();
    payload[60] = u8::try_from(fields.len()).unwrap();
    payload.extend_from_slice(&fields);
    frame(wire::HEAD, sequence, wire::END, &payload)
}

#[test]
fn a_body_goes_out_piece_by_piece_within_the_window_of_its_request() {
    let mut end = open(8);
    assert_eq!(events(&mut end, &web(1, 5)), ["Invoked 1 0 true"]);
    let mut fields = FieldList::new();
    fields.push_header(b"a", b"b");
    end.begin_answer(Sequence(1), OK, &fields, None).unwrap();
    assert_eq!(end.begin_answer(Sequence(1), OK, &fields, None), Err(NotAnswered::Over), "once");
    let head = flush(&mut end);
    assert_eq!(head.len(), 1);
    assert_eq!((head[0].0, head[0].2, &head[0].3[4..12]), (wire::HEAD, 0, &[0xff; 8][..]));
    end.send(Sequence(1), Bytes::from_static(b"abc"), false).unwrap();
    assert_eq!(end.next_sent(), None, "it was not queued");
    assert_eq!(flush(&mut end), [(wire::DATA, 1, 0, b"abc".to_vec())]);
    assert_eq!((end.next_sent(), end.next_sent()), (Some(Sequence(1)), None));
    end.send(Sequence(1), Bytes::from_static(b"defg"), false).unwrap();
    assert_eq!(flush(&mut end), [(wire::DATA, 1, 0, b"de".to_vec())]);
    assert_eq!(end.next_sent(), None, "the window is used up");
    assert!(events(&mut end, &frame(wire::WINDOW, 1, 0, &5_u32.to_le_bytes())).is_empty());
    assert_eq!(flush(&mut end), [(wire::DATA, 1, 0, b"fg".to_vec())]);
    assert_eq!(end.next_sent(), Some(Sequence(1)));
    end.send(Sequence(1), Bytes::new(), true).unwrap();
    assert_eq!(end.send(Sequence(1), Bytes::new(), true), Err(NotAnswered::Over), "it has ended");
    assert_eq!(flush(&mut end), [(wire::DATA, 1, wire::END, Vec::new())]);
    assert_eq!((end.in_flight(), end.next_sent()), (0, None));
}

#[test]
fn a_body_breaks_off_behind_its_pieces_or_at_once_where_nobody_reads_it() {
    let mut end = open(8);
    assert_eq!(events(&mut end, &[web(1, 2), web(2, 2)].concat()).len(), 2);
    for sequence in [1, 2] {
        end.begin_answer(Sequence(sequence), OK, &FieldList::new(), Some(9)).unwrap();
        end.send(Sequence(sequence), Bytes::from_static(b"ab"), false).unwrap();
    }
    assert_eq!(flush(&mut end).len(), 4);
    end.send(Sequence(1), Bytes::from_static(b"c"), false).unwrap();
    assert!(flush(&mut end).is_empty());
    assert_eq!(events(&mut end, &frame(wire::CANCEL, 1, 0, &[3])), ["Cancelled { 1, reason: ClientGone }"]);
    assert_eq!(end.send(Sequence(1), Bytes::new(), true), Err(NotAnswered::Cancelled));
    assert!(end.done(Sequence(1), DoneReason::Failed));
    assert_eq!(flush(&mut end), [(wire::DONE, 1, 0, vec![1])], "nothing of the body is left");
    end.break_off(Sequence(2)).unwrap();
    assert_eq!(flush(&mut end), [(wire::DONE, 2, 0, vec![2])]);
    assert_eq!(end.in_flight(), 0);
}

#[test]
fn a_connection_that_ends_tells_of_a_body_that_is_not_through() {
    let mut end = open(8);
    events(&mut end, &web(1, 2));
    end.begin_answer(Sequence(1), OK, &FieldList::new(), None).unwrap();
    end.disconnected();
    assert_eq!(events(&mut end, b""), ["Lost { 1 }", "Closed { reason: Disconnected }"]);
    assert_eq!(end.send(Sequence(1), Bytes::new(), true), Err(NotAnswered::Over));
}
