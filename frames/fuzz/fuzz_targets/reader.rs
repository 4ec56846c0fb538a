//! A caller of each end that reads bytes, in pieces, and does what a caller does with what comes of them.

use bytes::{Bytes, BytesMut};
use picofaas_frames::{
    AnswerHead, CancelReason, CloseReason, GatewayConnection, GatewayEvent, InstanceConnection,
    InstanceEvent, RequestHead, Settings,
};

/// Attempts that are out while a gateway reads, of which the second is cancelled.
const ATTEMPTS: usize = 4;

/// Reads bytes that an instance sent. Every attempt must have one last event, whatever they are.
pub(crate) fn read_as_gateway(bytes: &[u8], piece: usize) -> CloseReason {
    let mut end = GatewayConnection::new(Settings::default(), 0);
    let mut input = BytesMut::new();
    let (mut begun, mut over) = (0, 0);
    for part in bytes.chunks(piece.min(bytes.len()).max(1)) {
        input.extend_from_slice(part);
        while let Some(event) = end.poll_event(0, &mut input) {
            match event {
                GatewayEvent::Open { .. } => {
                    let head = RequestHead {
                        execution_id: [1; 20],
                        trace_id: [2; 16],
                        parent_span_id: [3; 8],
                        trace_flags: 1,
                        attempt: 1,
                        deadline_ms: 1000,
                    };
                    let body = Bytes::from_static(&[0; 30_000]);
                    for _ in 0..ATTEMPTS {
                        if let Ok(sequence) = end.begin(0, &head, &[], &body) {
                            begun += 1;
                            if begun == 2 {
                                end.cancel(0, sequence, CancelReason::Deadline);
                            }
                        }
                    }
                }
                GatewayEvent::Answer { ends, .. } => over += usize::from(ends),
                GatewayEvent::Data { sequence, bytes, ends } => {
                    over += usize::from(ends);
                    end.consume(sequence, bytes.len());
                }
                GatewayEvent::Failed { .. }
                | GatewayEvent::Unsent { .. }
                | GatewayEvent::Lost { .. }
                | GatewayEvent::Released { .. } => over += 1,
                GatewayEvent::Stuck { .. } | GatewayEvent::GoingAway { .. } => {}
                GatewayEvent::Closed { reason } => {
                    assert_eq!(begun, over, "attempts and last events");
                    return reason;
                }
            }
            let queued = end.outgoing().len();
            end.written(queued);
        }
    }
    end.disconnected();
    loop {
        match end.poll_event(0, &mut input) {
            Some(GatewayEvent::Closed { reason }) => {
                assert_eq!(begun, over, "attempts and last events");
                return reason;
            }
            Some(_) => over += 1,
            None => unreachable!("a connection that is over says so once"),
        }
    }
}

/// Reads bytes that a gateway sent, and answers whatever has come whole. Every attempt must be over once.
pub(crate) fn read_as_instance(bytes: &[u8], piece: usize) -> CloseReason {
    let mut end = InstanceConnection::new(Settings { attempts_max: 4, ..Settings::default() }, 0);
    let mut input = BytesMut::new();
    let mut running = Vec::new();
    for part in bytes.chunks(piece.min(bytes.len()).max(1)) {
        input.extend_from_slice(part);
        while let Some(event) = end.poll_event(0, &mut input) {
            match event {
                InstanceEvent::Invoked { sequence, body, ends, .. } => {
                    running.push(sequence);
                    // Every second one goes on until it is cancelled or lost.
                    if ends && sequence.get() % 2 == 0 {
                        running.retain(|other| *other != sequence);
                        assert_eq!(end.answer(sequence, AnswerHead { status: 200 }, &[], &body), Ok(()));
                    }
                }
                InstanceEvent::Data { sequence, bytes, .. } => end.consume(sequence, bytes.len()),
                InstanceEvent::Cancelled { sequence, .. } => {
                    running.retain(|other| *other != sequence);
                    assert!(end.answer(sequence, AnswerHead { status: 200 }, &[], &Bytes::new()).is_err());
                }
                InstanceEvent::Lost { sequence } => running.retain(|other| *other != sequence),
                InstanceEvent::GoingAway { .. } => {}
                InstanceEvent::Closed { reason } => {
                    assert!(running.is_empty(), "attempts that nobody was told of");
                    return reason;
                }
            }
            let queued = end.outgoing().len();
            end.written(queued);
        }
    }
    end.disconnected();
    loop {
        match end.poll_event(0, &mut input) {
            Some(InstanceEvent::Lost { sequence }) => running.retain(|other| *other != sequence),
            Some(InstanceEvent::Closed { reason }) => {
                assert!(running.is_empty(), "attempts that nobody was told of");
                return reason;
            }
            other => unreachable!("{other:?} after the end"),
        }
    }
}
