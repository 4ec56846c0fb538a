//! The gateway's end, against frames that were written by hand.

use bytes::{Bytes, BytesMut};

use super::*;
use crate::simulation::wire::{self, frame, go_away, hello, parse};

const S: u64 = 1_000_000_000;
const HEAD: RequestHead = RequestHead {
    execution_id: [1; 20],
    trace_id: [2; 16],
    parent_span_id: [3; 8],
    trace_flags: 1,
    attempt: 1,
    deadline_ms: 1000,
};

/// An end that has read its `HELLO`, and whose own was written.
fn open(attempts_max: u32) -> GatewayConnection {
    let mut end = GatewayConnection::new(Settings::default(), 0);
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Err(Refused::NotOpen));
    assert_eq!(
        events(&mut end, 0, &hello(attempts_max)),
        [format!("Open {{ attempts_max: {attempts_max} }}")]
    );
    flush(&mut end);
    end
}

/// All events of some bytes, short as they print.
fn events(end: &mut GatewayConnection, now_ns: u64, bytes: &[u8]) -> Vec<String> {
    let mut input = BytesMut::from(bytes);
    let mut events = Vec::new();
    while let Some(event) = end.poll_event(now_ns, &mut input) {
        events.push(if let GatewayEvent::Answer { sequence, head, body, ends, .. } = event {
            format!("Answer {} {} {} {ends}", sequence.0, head.status, body.len())
        } else if let GatewayEvent::Data { sequence, bytes, ends } = event {
            format!("Data {} {} {ends}", sequence.0, bytes.len())
        } else {
            format!("{event:?}").replace("Sequence(", "").replace("sequence: ", "").replace(')', "")
        });
    }
    events
}

/// Writes everything, and gives the frames.
fn flush(end: &mut GatewayConnection) -> Vec<(u8, u32, u8, Vec<u8>)> {
    let bytes = end.outgoing().to_vec();
    end.written(bytes.len());
    parse(&bytes)
}

/// Begins attempts with bodies of so many bytes.
fn begin(end: &mut GatewayConnection, now_ns: u64, bodies: &[usize]) {
    for bytes in bodies {
        end.begin(now_ns, &HEAD, &[], &Bytes::from(vec![b'a'; *bytes])).unwrap();
    }
}

#[test]
fn an_attempt_whose_head_was_written_to_its_last_byte_is_lost_and_one_byte_less_is_unsent() {
    for (missing, expected) in [(0, "Lost { 2 }"), (1, "Unsent { 2 }")] {
        let mut end = open(8);
        begin(&mut end, 0, &[10, 20, 30]);
        let two = 2 * (12 + 64) + 10 + 20;
        let _queued = end.outgoing();
        end.written(two - missing);
        end.disconnected();
        let mut found = events(&mut end, 0, b"");
        assert_eq!(found.pop().as_deref(), Some("Closed { reason: Disconnected }"));
        found.sort();
        let mut all = vec!["Lost { 1 }", expected, "Unsent { 3 }"];
        all.sort_unstable();
        assert_eq!(found, all);
    }
}

#[test]
fn an_attempt_of_which_only_data_was_not_written_is_lost() {
    let mut end = open(8);
    begin(&mut end, 0, &[50_000]);
    assert!(end.outgoing().len() > 12 + 64);
    end.written(12 + 64);
    end.disconnected();
    assert_eq!(events(&mut end, 0, b""), ["Lost { 1 }", "Closed { reason: Disconnected }"]);
}

#[test]
fn a_closed_connection_writes_no_head_that_it_has_told_to_be_unsent() {
    let mut end = open(8);
    begin(&mut end, 0, &[10, 10]);
    end.close();
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Err(Refused::Closed));
    assert_eq!(flush(&mut end), [(wire::GO_AWAY, 0, 0, vec![0, 0])]);
    let mut end = open(8);
    begin(&mut end, 0, &[10, 10]);
    let _queued = end.outgoing();
    end.written(90);
    end.close();
    assert!(!end.has_outgoing(), "nothing may follow half of a frame");
    let found = events(&mut end, 0, b"");
    assert_eq!(found, ["Lost { 1 }", "Unsent { 2 }", "Closed { reason: Closed }"]);
}

#[test]
fn attempts_after_the_last_that_an_instance_accepts_are_unsent_and_the_others_go_on() {
    let mut end = open(8);
    begin(&mut end, 0, &[10, 10, 10, 10]);
    end.cancel(0, Sequence(4), CancelReason::Cancelled);
    flush(&mut end);
    let found = events(&mut end, 0, &go_away(2, 0));
    assert_eq!(found, ["GoingAway { code: 0, text: \"\" }", "Unsent { 3 }", "Released { 4 }"]);
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Err(Refused::GoingAway));
    assert!(end.is_ending() && end.in_flight() == 2);
    let found = events(&mut end, 0, &go_away(1, 0));
    assert_eq!(found, ["GoingAway { code: 0, text: \"\" }", "Unsent { 2 }"]);
    let found = events(&mut end, 0, &wire::answer(1, wire::END, 200, 0, b""));
    assert_eq!(found, ["Answer 1 200 0 true"]);
    let found = events(&mut end, 0, &go_away(2, 0));
    assert_eq!(found, ["Closed { reason: Violation(UnknownSequence }"]);
}

#[test]
fn a_cancelled_attempt_keeps_its_slot_until_it_is_released_and_is_told_to_be_stuck_once() {
    for end_of_it in [frame(wire::DONE, 1, 0, &[1]), wire::answer(1, wire::END, 200, 2, b"{}")] {
        let mut end = open(1);
        begin(&mut end, 0, &[10]);
        flush(&mut end);
        assert!(end.cancel(S, Sequence(1), CancelReason::Deadline));
        assert!(!end.cancel(S, Sequence(1), CancelReason::Deadline));
        assert_eq!(flush(&mut end), [(wire::CANCEL, 1, 0, vec![1])]);
        assert_eq!(end.next_deadline_ns(), Some(S));
        assert!(events(&mut end, 2 * S - 1, &frame(wire::PING, 0, 2, &[0; 8])).is_empty());
        assert_eq!(end.next_deadline_ns(), Some(2 * S));
        assert_eq!(events(&mut end, 2 * S, b""), ["Stuck { 1 }"]);
        assert_eq!(end.begin(2 * S, &HEAD, &[], &Bytes::new()), Err(Refused::Full));
        assert!(events(&mut end, 2 * S + S / 2, b"").is_empty());
        assert_eq!(events(&mut end, 2 * S + S / 2, &end_of_it), ["Released { 1 }"]);
        assert_eq!(end.begin(2 * S + S / 2, &HEAD, &[], &Bytes::new()), Ok(Sequence(2)));
    }
}

#[test]
fn a_cancelled_attempt_sends_nothing_more_of_its_body_and_what_comes_for_it_is_counted() {
    let mut end = open(8);
    begin(&mut end, 0, &[200_000]);
    flush(&mut end);
    end.cancel(0, Sequence(1), CancelReason::ClientGone);
    assert_eq!(flush(&mut end), [(wire::CANCEL, 1, 0, vec![3])]);
    let window = frame(wire::WINDOW, 1, 0, &[0, 0, 1, 0]);
    let late = [window, wire::answer(1, 0, 200, 5, b""), frame(wire::DATA, 1, 0, b"abc")].concat();
    assert!(events(&mut end, 0, &late).is_empty());
    assert!(!end.has_outgoing());
    assert_eq!(events(&mut end, 0, &frame(wire::DATA, 1, 1, b"de")), ["Released { 1 }"]);
    assert_eq!(end.late_frames(), 3);
}

#[test]
fn every_breach_ends_the_connection_with_its_code_and_loses_each_attempt_once() {
    let data = |flags, bytes: &[u8]| frame(wire::DATA, 1, flags, bytes);
    let begun = wire::answer(1, 0, 200, u64::MAX, b"");
    let ended = wire::answer(1, wire::END, 200, 0, b"");
    let filled: Vec<u8> = (0..4).flat_map(|_| data(0, &[0; 16_384])).collect();
    let widened = frame(wire::WINDOW, 1, 0, &[0xff, 0xff, 0xfe, 0xff]);
    for (bytes, violation) in [
        (vec![1, 0x50, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0], Violation::FrameTooLong),
        (frame(77, 0, 0, b""), Violation::UnknownKind),
        (hello(8), Violation::Misplaced),
        (frame(wire::CANCEL, 1, 0, &[1]), Violation::Misplaced),
        (data(0, b"abc"), Violation::Misplaced),
        (frame(wire::HEAD, 1, 0, &[0; 15]), Violation::Malformed),
        (wire::answer(1, wire::END, 199, 0, b""), Violation::Malformed),
        (wire::answer(1, wire::END, 600, 0, b""), Violation::Malformed),
        (frame(wire::DONE, 1, 0, b""), Violation::Malformed),
        (frame(wire::WINDOW, 1, 0, &[0; 4]), Violation::Malformed),
        (frame(wire::PING, 0, 0, &[0; 7]), Violation::Malformed),
        (frame(wire::GO_AWAY, 0, 0, &[0]), Violation::Malformed),
        ([begun.clone(), data(0, b"")].concat(), Violation::Malformed),
        (wire::answer(3, wire::END, 200, 0, b""), Violation::UnknownSequence),
        (wire::answer(0, wire::END, 200, 0, b""), Violation::UnknownSequence),
        (frame(wire::DONE, 3, 0, &[1]), Violation::UnknownSequence),
        (frame(wire::WINDOW, 3, 0, &[1; 4]), Violation::UnknownSequence),
        (go_away(3, 0), Violation::UnknownSequence),
        ([begun.clone(), begun.clone()].concat(), Violation::AnsweredTwice),
        ([ended.clone(), ended.clone()].concat(), Violation::AnsweredTwice),
        ([ended.clone(), data(0, b"abc")].concat(), Violation::AnsweredTwice),
        ([ended, frame(wire::DONE, 1, 0, &[1])].concat(), Violation::AnsweredTwice),
        ([begun, filled, data(0, b"a")].concat(), Violation::Window),
        ([widened.clone(), widened].concat(), Violation::Window),
        (wire::answer(1, wire::END, 200, 3, b"ab"), Violation::BodyLength),
        (wire::answer(1, 0, 200, 3, b"abc"), Violation::BodyLength),
        ([wire::answer(1, 0, 200, 3, b""), data(0, b"abcd")].concat(), Violation::BodyLength),
        ([wire::answer(1, 0, 200, 3, b""), data(1, b"ab")].concat(), Violation::BodyLength),
    ] {
        let mut end = open(8);
        begin(&mut end, 0, &[100_000, 10]);
        end.outgoing();
        flush(&mut end);
        let found = events(&mut end, 0, &bytes);
        let reason = format!("Closed {{ reason: Violation({violation:?} }}");
        assert_eq!(found.last(), Some(&reason), "{bytes:?}");
        let (first, second) = (found.iter().filter(|event| *event == "Lost { 1 }").count(), "Lost { 2 }");
        let is_answered = found.iter().any(|event| event.starts_with("Answer 1") && event.ends_with("true"));
        assert_eq!(first, usize::from(!is_answered), "{found:?}");
        assert_eq!(found.iter().filter(|event| *event == second).count(), 1, "{found:?}");
        let last = flush(&mut end).pop().unwrap();
        assert_eq!((last.0, last.1, &last.3[..2]), (wire::GO_AWAY, 0, &violation.code().to_le_bytes()[..]));
        assert_eq!(last.3[2..], *violation.text().as_bytes());
    }
}

#[test]
fn an_answer_to_an_attempt_that_was_not_written_is_a_breach_and_the_attempt_unsent() {
    for early in [wire::answer(1, wire::END, 200, 0, b""), frame(wire::DONE, 1, 0, &[1])] {
        let mut end = open(8);
        begin(&mut end, 0, &[10]);
        let all_but_one = end.outgoing().len() - 1;
        end.written(all_but_one);
        let found = events(&mut end, 0, &early);
        assert_eq!(found, ["Unsent { 1 }", "Closed { reason: Violation(UnknownSequence }"]);
    }
}

#[test]
fn an_end_that_does_not_greet_first_or_in_time_is_left() {
    let mut end = GatewayConnection::new(Settings::default(), 0);
    let found = events(&mut end, 0, &frame(wire::PING, 0, 0, &[0; 8]));
    assert_eq!(found, ["Closed { reason: Violation(Misplaced }"]);
    let mut end = GatewayConnection::new(Settings::default(), S);
    assert_eq!(end.next_deadline_ns(), Some(3 * S));
    assert!(events(&mut end, 3 * S - 1, b"").is_empty());
    assert_eq!(events(&mut end, 3 * S, b""), ["Closed { reason: HalfFrame }"]);
}

#[test]
fn silence_while_attempts_are_out_asks_for_a_sign_of_life_and_then_loses_them() {
    let mut end = open(8);
    assert_eq!(end.next_deadline_ns(), None, "nothing is waited for");
    assert!(events(&mut end, 100 * S, b"").is_empty());
    begin(&mut end, 100 * S, &[10]);
    flush(&mut end);
    assert_eq!(end.next_deadline_ns(), Some(101 * S));
    assert!(events(&mut end, 101 * S - 1, b"").is_empty() && !end.has_outgoing());
    assert!(events(&mut end, 101 * S, b"").is_empty());
    let asked = flush(&mut end);
    assert_eq!((asked.len(), asked[0].0, asked[0].2), (1, wire::PING, 0));
    assert_eq!(end.next_deadline_ns(), Some(103 * S));
    assert!(events(&mut end, 102 * S, &frame(wire::PING, 0, 2, &asked[0].3)).is_empty());
    assert_eq!(end.next_deadline_ns(), Some(103 * S));
    assert!(events(&mut end, 103 * S, b"").is_empty());
    assert_eq!(flush(&mut end).len(), 1, "asked again");
    assert!(events(&mut end, 105 * S - 1, b"").is_empty());
    assert_eq!(events(&mut end, 105 * S, b""), ["Lost { 1 }", "Closed { reason: Silent }"]);
}

#[test]
fn a_frame_may_be_half_received_for_2_s_and_each_has_its_own() {
    let mut end = open(8);
    let whole = frame(wire::PING, 0, 2, &[0; 8]);
    let mut input = BytesMut::from(&whole[..15]);
    assert!(end.poll_event(S, &mut input).is_none());
    assert_eq!(end.next_deadline_ns(), Some(3 * S));
    input.extend_from_slice(&[whole[15..].to_vec(), whole[..5].to_vec()].concat());
    assert!(end.poll_event(2 * S, &mut input).is_none());
    assert_eq!(end.next_deadline_ns(), Some(4 * S), "another one is begun");
    input.extend_from_slice(&whole[5..6]);
    assert!(end.poll_event(4 * S - 1, &mut input).is_none());
    assert!(matches!(
        end.poll_event(4 * S, &mut input),
        Some(GatewayEvent::Closed { reason: CloseReason::HalfFrame })
    ));
}

#[test]
fn pieces_of_bodies_take_turns_within_their_windows_and_small_attempts_are_not_behind_them() {
    let mut end = open(8);
    begin(&mut end, 0, &[70_000, 40_000]);
    let first = flush(&mut end);
    begin(&mut end, 0, &[10]);
    let second = flush(&mut end);
    let turns: Vec<(u8, u32, usize)> = first
        .iter()
        .chain(&second)
        .map(|(kind, sequence, _, payload)| (*kind, *sequence, payload.len()))
        .collect();
    assert_eq!(
        turns,
        [
            (wire::HEAD, 1, 64),
            (wire::HEAD, 2, 64),
            (wire::DATA, 1, 16_384),
            (wire::DATA, 2, 16_384),
            (wire::DATA, 1, 16_384),
            (wire::HEAD, 3, 74),
            (wire::DATA, 2, 16_384),
            (wire::DATA, 1, 16_384),
            (wire::DATA, 2, 7_232),
            (wire::DATA, 1, 16_384),
        ]
    );
    assert!(!end.has_outgoing(), "the window of the first is used up");
    events(&mut end, 0, &frame(wire::WINDOW, 1, 0, &[0, 0x80, 0, 0]));
    assert_eq!(flush(&mut end), [(wire::DATA, 1, wire::END, vec![b'a'; 70_000 - 65_536])]);
}

#[test]
fn bodies_wait_as_references_where_64_kib_are_queued() {
    let mut end = open(64);
    begin(&mut end, 0, &[20_000; 8]);
    begin(&mut end, 0, &[1024; 8]);
    let waiting = end.outgoing().len();
    assert!(waiting <= 64 * 1024 + 16 * (12 + 64 + 1024), "{waiting} bytes are queued");
    let heads = flush(&mut end).into_iter().filter(|(kind, ..)| *kind == wire::HEAD);
    let inside: Vec<usize> = heads.map(|(.., payload)| payload.len() - 64).collect();
    assert_eq!(inside, [vec![20_000; 3], vec![0; 5], vec![1024; 8]].concat());
}

#[test]
fn what_cannot_be_sent_is_refused_and_leaves_nothing() {
    let mut end = open(2);
    let long = vec![b'a'; 21_000];
    let field = |value| [Field { id: Field::TRACESTATE, value }];
    assert_eq!(end.begin(0, &HEAD, &field(&long), &Bytes::new()), Err(Refused::TooLong));
    assert_eq!((end.in_flight(), end.has_outgoing()), (0, false));
    end.begin(0, &HEAD, &field(&long[..20_413]), &Bytes::new()).unwrap();
    end.link.newest = Sequence(u32::MAX - 1);
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Ok(Sequence(u32::MAX)));
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Err(Refused::Full));
    assert_eq!((end.queued_heads(), flush(&mut end).len(), end.queued_heads()), (2, 2, 0));
    assert_eq!(events(&mut end, 0, &frame(wire::DONE, 1, 0, &[3])), ["Failed { 1, reason: NotBegun }"]);
    assert_eq!(end.begin(0, &HEAD, &[], &Bytes::new()), Err(Refused::UsedUp));
}

/// The rounds of a test of what grows without end.
const ROUNDS: u32 = 10_000;

#[test]
fn an_instance_that_reads_nothing_is_owed_one_answer_however_many_pings_it_sends() {
    let mut end = open(8);
    begin(&mut end, 0, &[10]);
    for round in 0..ROUNDS {
        let ping = frame(wire::PING, 0, 0, &u64::from(round).to_le_bytes());
        assert!(events(&mut end, 0, &ping).is_empty());
        // The socket takes nothing.
        assert!(!end.outgoing().is_empty());
    }
    let (queued, _) = end.held();
    assert!(queued < 200, "{queued} bytes are queued");
    let first = flush(&mut end);
    assert_eq!(first.iter().filter(|(kind, ..)| *kind == wire::PING).count(), 1, "{first:?}");
    let last = u64::from(ROUNDS - 1).to_le_bytes().to_vec();
    assert_eq!(flush(&mut end), [(wire::PING, 0, 2, last)], "the last one is answered, too");
    assert!(!end.has_outgoing());
}

#[test]
fn an_instance_that_reads_nothing_and_says_something_now_and_then_is_asked_once() {
    let mut end = open(8);
    begin(&mut end, 0, &[10]);
    for second in 1..u64::from(ROUNDS) {
        assert!(events(&mut end, second * S, b"").is_empty(), "{second} s");
        assert!(!end.outgoing().is_empty());
        assert!(events(&mut end, second * S, &frame(99, 0, 0x80, b"")).is_empty());
    }
    let (queued, _) = end.held();
    assert!(queued < 200, "{queued} bytes are queued");
    // Once that is written, it is asked again.
    flush(&mut end);
    let later = u64::from(ROUNDS) * S;
    assert!(events(&mut end, later, b"").is_empty());
    let asked = flush(&mut end);
    assert_eq!((asked.len(), asked[0].0, asked[0].2), (1, wire::PING, 0), "{asked:?}");
}

#[test]
fn attempts_that_end_before_their_bodies_had_a_turn_leave_nothing() {
    let mut end = open(200);
    let (bodies, ahead) = ([1024, 30_000], 60);
    for round in 0..ROUNDS {
        begin(&mut end, 0, &bodies);
        // The instance reads heads, and so slowly that there never is room for a piece of the larger body.
        let Some(read) = round.checked_sub(ahead) else { continue };
        assert!(end.outgoing().len() < 100_000, "{round}");
        end.written(2 * (12 + 64) + 1024);
        for sequence in [2 * read + 1, 2 * read + 2] {
            let done = events(&mut end, 0, &frame(wire::DONE, sequence, 0, &[2]));
            assert_eq!(done, [format!("Failed {{ {sequence}, reason: Failed }}")]);
        }
    }
    let (_, in_line) = end.held();
    assert!(in_line <= 200, "{in_line} are in line");
}

#[test]
fn windows_for_what_is_over_and_words_that_are_said_again_leave_nothing() {
    let mut end = open(8);
    begin(&mut end, 0, &[10, 100_000]);
    while !flush(&mut end).is_empty() {}
    events(&mut end, 0, &wire::answer(1, wire::END, 200, 0, b""));
    let before = (end.held(), end.places());
    for _ in 0..ROUNDS {
        assert!(events(&mut end, 0, &frame(wire::WINDOW, 1, 0, &[0xff; 4])).is_empty());
        assert_eq!(events(&mut end, 0, &go_away(2, 0)), ["GoingAway { code: 0, text: \"\" }"]);
    }
    assert_eq!((end.held(), end.places()), before);
    assert_eq!(end.late_frames(), u64::from(ROUNDS));
    assert!(!end.has_outgoing());
}

#[test]
fn an_instance_may_take_back_what_it_accepts_once() {
    let mut end = open(8);
    begin(&mut end, 0, &[10; 4]);
    flush(&mut end);
    events(&mut end, 0, &go_away(3, 0));
    events(&mut end, 0, &go_away(3, 0));
    events(&mut end, 0, &go_away(2, 0));
    assert_eq!(end.in_flight(), 2);
    let found = events(&mut end, 0, &go_away(1, 0));
    assert_eq!(found.last().unwrap(), "Closed { reason: Violation(UnknownSequence }");
}

#[test]
fn a_cancelled_attempt_lets_go_of_its_body_though_the_instance_reads_nothing() {
    let mut end = open(8);
    let body = Bytes::from(vec![b'a'; 200_000]);
    let sequence = end.begin(0, &HEAD, &[], &body).unwrap();
    end.outgoing();
    assert!(!body.is_unique());
    end.cancel(0, sequence, CancelReason::Deadline);
    assert!(body.is_unique(), "it is held until the instance lets go of the attempt");
    let (queued, _) = end.held();
    assert!(queued <= 64 * 1024 + 13, "{queued} bytes are queued");
}

/// A `HELLO` of an instance that takes web requests.
fn hello_of_web() -> Vec<u8> {
    let mut bytes = hello(8);
    bytes[14] = 1;
    bytes
}

#[test]
fn a_web_request_begins_only_where_it_is_taken_and_its_answer_has_a_window_of_its_own() {
    let web = WebHead { method: b"GET", target: b"/", answer_window: Some(20) };
    let none = FieldList::new();
    let mut end = open(8);
    assert_eq!(end.begin_web(0, &HEAD, &web, &none, &Bytes::new()), Err(Refused::NotTaken));
    let mut end = GatewayConnection::new(Settings::default(), 0);
    assert_eq!(end.begin_web(0, &HEAD, &web, &none, &Bytes::new()), Err(Refused::NotOpen));
    events(&mut end, 0, &hello_of_web());
    flush(&mut end);
    end.begin_web(0, &HEAD, &web, &none, &Bytes::from_static(b"abc")).unwrap();
    let sent = flush(&mut end);
    assert_eq!((sent.len(), sent[0].0, sent[0].2), (1, wire::HEAD, wire::END));
    let fields = b"\x06\x03\0GET\x07\x01\0/\x08\x04\0\x14\0\0\0";
    assert_eq!(&sent[0].3[64..], [&fields[..], b"abc"].concat());
    assert_eq!(events(&mut end, 0, &wire::answer(1, 0, 200, u64::MAX, b"")), ["Answer 1 200 0 false"]);
    let data = |bytes| frame(wire::DATA, 1, 0, &vec![0; bytes]);
    assert_eq!(events(&mut end, 0, &data(19)), ["Data 1 19 false"]);
    end.consume(Sequence(1), 9);
    assert!(flush(&mut end).is_empty(), "less than half of the window");
    end.consume(Sequence(1), 1);
    assert_eq!(flush(&mut end), [(wire::WINDOW, 1, 0, vec![10, 0, 0, 0])]);
    assert_eq!(events(&mut end, 0, &data(11)), ["Data 1 11 false"]);
    events(&mut end, 0, &data(1));
    assert_eq!(end.close_reason(), Some(CloseReason::Violation(Violation::Window)));
}
