//! Allocations of both ends for small attempts.
//!
//! A binary of its own, because the counting allocator is the whole process's.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use picofaas_frames::{
    AnswerHead, Field, GatewayConnection, GatewayEvent, InstanceConnection, InstanceEvent, RequestHead,
    Settings,
};

/// Attempts that go out together.
const BATCH: usize = 32;
/// Batches that are counted.
const BATCHES: usize = 200;
/// Batches before that, which fill every table and buffer.
const WARM_UP: usize = 20;
/// Room in a buffer that is read into, enough for a batch.
const INPUT_BYTES: usize = 64 * 1024;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending counts nothing any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Hands on what is written, in a buffer that has room for it, as a loop that reads a socket has.
fn hand_on(bytes: &[u8], input: &mut BytesMut) {
    input.reserve(INPUT_BYTES);
    input.extend_from_slice(bytes);
}

#[test]
fn a_small_attempt_allocates_nothing_at_either_end() {
    let mut gateway = GatewayConnection::new(Settings::default(), 0);
    let mut instance = InstanceConnection::new(Settings::default(), 0);
    let (mut to_gateway, mut to_instance) = (BytesMut::new(), BytesMut::new());
    let head = RequestHead {
        execution_id: [1; 20],
        trace_id: [2; 16],
        parent_span_id: [3; 8],
        trace_flags: 1,
        attempt: 1,
        deadline_ms: 30_000,
    };
    let fields = [Field { id: Field::TRACESTATE, value: b"vendor=value" }];
    let body = Bytes::from_static(b"{\"input\":{\"text\":\"forty bytes of input\"}}");
    hand_on(instance.outgoing(), &mut to_gateway);
    instance.written(usize::MAX);
    assert!(matches!(gateway.poll_event(0, &mut to_gateway), Some(GatewayEvent::Open { .. })));
    let (mut before, mut answered) = (0, 0);
    for batch in 0..WARM_UP + BATCHES {
        if batch == WARM_UP {
            before = ALLOCATIONS.get();
        }
        for _ in 0..BATCH {
            gateway.begin(0, &head, &fields, &body).unwrap();
        }
        hand_on(gateway.outgoing(), &mut to_instance);
        gateway.written(usize::MAX);
        while let Some(event) = instance.poll_event(0, &mut to_instance) {
            let InstanceEvent::Invoked { sequence, body, .. } = event else { panic!("{event:?}") };
            instance.answer(sequence, AnswerHead { status: 200 }, &[], &body).unwrap();
        }
        hand_on(instance.outgoing(), &mut to_gateway);
        instance.written(usize::MAX);
        while let Some(event) = gateway.poll_event(0, &mut to_gateway) {
            let GatewayEvent::Answer { ends: true, .. } = event else { panic!("{event:?}") };
            answered += 1;
        }
    }
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(answered, BATCH * (WARM_UP + BATCHES));
    assert_eq!(allocations, 0, "for {} attempts", BATCH * BATCHES);
}
