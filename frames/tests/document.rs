//! The example of `docs/frames.md`, against what both ends write.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use bytes::{Bytes, BytesMut};
use picofaas_frames::{
    AnswerHead, CancelReason, DoneReason, Field, GatewayConnection, GatewayEvent, InstanceConnection,
    InstanceEvent, RequestHead, Sequence, Settings,
};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/frames.md"));

/// The end that a block is written by, and its bytes.
fn blocks() -> Vec<(&'static str, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(end @ ("gateway" | "instance")) = line.strip_prefix("```") else { continue };
        let of_block = lines.by_ref().take_while(|line| *line != "```");
        blocks.push((end, of_block.flat_map(line_bytes).collect()));
    }
    blocks
}

/// The pairs of hexadecimal digits before any text, or the zeros that a line stands for.
fn line_bytes(line: &str) -> Vec<u8> {
    if let Some(zeros) = line.strip_prefix('(').and_then(|line| line.strip_suffix(" zeros)")) {
        return vec![0; zeros.parse().unwrap()];
    }
    let (bytes, _text) = line.split_once("   ").unwrap_or((line, ""));
    bytes.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

struct Pair {
    gateway: GatewayConnection,
    instance: InstanceConnection,
    to_gateway: BytesMut,
    to_instance: BytesMut,
    blocks: std::vec::IntoIter<(&'static str, Vec<u8>)>,
}

impl Pair {
    /// The gateway writes the next block, and the instance reads it.
    fn gateway_writes(&mut self) -> Vec<InstanceEvent> {
        let written = self.gateway.outgoing().to_vec();
        self.gateway.written(written.len());
        assert_eq!(self.blocks.next(), Some(("gateway", written.clone())));
        self.to_instance.extend_from_slice(&written);
        std::iter::from_fn(|| self.instance.poll_event(0, &mut self.to_instance)).collect()
    }

    /// The instance writes the next block, and the gateway reads it.
    fn instance_writes(&mut self) -> Vec<GatewayEvent> {
        let written = self.instance.outgoing().to_vec();
        self.instance.written(written.len());
        assert_eq!(self.blocks.next(), Some(("instance", written.clone())));
        self.to_gateway.extend_from_slice(&written);
        std::iter::from_fn(|| self.gateway.poll_event(0, &mut self.to_gateway)).collect()
    }

    fn begin(
        &mut self,
        id: u8,
        attempt: u16,
        deadline_ms: u32,
        fields: &[Field<'_>],
        body: &'static str,
    ) -> Sequence {
        let head = RequestHead {
            execution_id: [id; 20],
            trace_id: [0x0c; 16],
            parent_span_id: [0x0d; 8],
            trace_flags: 1,
            attempt,
            deadline_ms,
        };
        self.gateway.begin(0, &head, fields, &Bytes::from_static(body.as_bytes())).unwrap()
    }
}

#[test]
fn both_ends_write_the_bytes_of_the_example() {
    let mut pair = Pair {
        gateway: GatewayConnection::new(Settings::default(), 0),
        instance: InstanceConnection::new(Settings { attempts_max: 8, ..Settings::default() }, 0),
        to_gateway: BytesMut::new(),
        to_instance: BytesMut::new(),
        blocks: blocks().into_iter(),
    };
    assert!(pair.gateway_writes().is_empty());
    assert!(matches!(pair.instance_writes()[..], [GatewayEvent::Open { attempts_max: 8 }]));

    let key = [Field { id: Field::IDEMPOTENCY_KEY, value: b"k1" }];
    let first = pair.begin(0x0b, 1, 30_000, &key, "{\"input\":1}");
    let second = pair.begin(0x0e, 2, 1000, &[], "{}");
    let events = pair.gateway_writes();
    let [InstanceEvent::Invoked { fields, body, ends: true, .. }, InstanceEvent::Invoked { head, .. }] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((fields.get(Field::IDEMPOTENCY_KEY), &body[..]), (Some(&b"k1"[..]), &b"{\"input\":1}"[..]));
    assert_eq!((head.execution_id, head.attempt, head.deadline_ms), ([0x0e; 20], 2, 1000));

    let start = [Field { id: Field::COLD_START, value: &17_u32.to_le_bytes() }];
    let ok = AnswerHead { status: 200 };
    pair.instance.answer(first, ok, &start, &Bytes::from_static(b"42")).unwrap();
    let events = pair.instance_writes();
    let [GatewayEvent::Answer { sequence, head, fields, body, ends: true, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*sequence, head.status, &body[..]), (first, 200, &b"42"[..]));
    assert_eq!(fields.cold_start_ms(), Some(17));

    assert!(pair.gateway.cancel(0, second, CancelReason::Deadline));
    assert!(matches!(pair.gateway_writes()[..], [InstanceEvent::Cancelled { .. }]));
    assert!(pair.instance.done(second, DoneReason::Cancelled));
    assert!(matches!(pair.instance_writes()[..], [GatewayEvent::Released { .. }]));

    let third = pair.begin(0x0f, 1, 1000, &[], "{}");
    assert_eq!(pair.gateway_writes().len(), 1);
    pair.instance.answer(third, ok, &[], &Bytes::from(vec![0; 20_500])).unwrap();
    let events = pair.instance_writes();
    assert!(matches!(
        events[..],
        [
            GatewayEvent::Answer { body_bytes: Some(20_500), ends: false, .. },
            GatewayEvent::Data { ends: false, .. },
            GatewayEvent::Data { ends: true, .. }
        ]
    ));

    pair.instance.go_away("drain");
    assert!(matches!(pair.instance_writes()[..], [GatewayEvent::GoingAway { code: 0, .. }]));
    assert_eq!(pair.blocks.next(), None, "every block was written");
}
