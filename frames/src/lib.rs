//! Frames: many attempts over one connection to an instance.
//!
//! A gateway that sends one request per connection pays a write and a read for each attempt. Over frames it pays
//! them for each batch: whatever became ready goes out together, and answers come in any order. `docs/frames.md`
//! has the wire format, byte by byte, for those who write an end of their own.
//!
//! This crate has the protocol of both ends and no I/O: bytes go in and events come out, bytes to be written come
//! out, and time is an argument. It needs no executor, starts no timer, and panics on no input. A loop around it:
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use picofaas_frames::{
//!     AnswerHead, GatewayConnection, GatewayEvent, InstanceConnection, InstanceEvent, RequestHead, Settings,
//! };
//!
//! let mut gateway = GatewayConnection::new(Settings::default(), 0);
//! let mut instance = InstanceConnection::new(Settings::default(), 0);
//! // Sockets would be between: what is read is appended to these.
//! let (mut to_gateway, mut to_instance) = (BytesMut::new(), BytesMut::new());
//! let mut status = None;
//! for now_ns in 0..9 {
//!     let bytes = instance.outgoing();
//!     to_gateway.extend_from_slice(bytes);
//!     let written = bytes.len();
//!     instance.written(written);
//!     while let Some(event) = gateway.poll_event(now_ns, &mut to_gateway) {
//!         match event {
//!             GatewayEvent::Open { .. } => {
//!                 let head = RequestHead {
//!                     execution_id: [1; 20], trace_id: [2; 16], parent_span_id: [3; 8],
//!                     trace_flags: 1, attempt: 1, deadline_ms: 30_000,
//!                 };
//!                 gateway.begin(now_ns, &head, &[], &Bytes::from_static(b"{\"input\":1}")).expect("there is room");
//!             }
//!             GatewayEvent::Answer { head, .. } => status = Some(head.status),
//!             other => panic!("{other:?}"),
//!         }
//!     }
//!     let bytes = gateway.outgoing();
//!     to_instance.extend_from_slice(bytes);
//!     let written = bytes.len();
//!     gateway.written(written);
//!     while let Some(event) = instance.poll_event(now_ns, &mut to_instance) {
//!         if let InstanceEvent::Invoked { sequence, body, .. } = event {
//!             instance.answer(sequence, AnswerHead { status: 200 }, &[], &body).expect("it was not cancelled");
//!         }
//!     }
//! }
//! assert_eq!(status, Some(200));
//! ```
//!
//! # Decisions
//!
//! - **Events are decoded when they are asked for.** There is no queue of them, so nothing bounds or allocates one;
//!   what is not polled stays in the caller's buffer.
//! - **State is in a table by the lowest bits of a sequence**, not in a ring from the oldest attempt to the newest:
//!   behind one attempt of ten minutes such a ring would grow by millions.
//! - **Bodies come in pieces and are not gathered here**: the caller knows its limits and where a body goes. Small
//!   ones, nearly all, come whole with their head.
//! - **A body is a part of the buffer that it was read into.** Copy one that is kept for long, or it keeps the buffer.
//! - **A body goes inside of its head only while less than 64 KiB wait**, unless it is at most 1 KiB. So an end that
//!   reads slowly costs references to bodies, and not copies of them.
//! - **Reserved bytes and unknown flags are skipped**, and so are frames of unknown kinds that say that they may be, on
//!   the connection or an attempt: a later version can use them.
//! - **`DONE` may say that nothing has begun**, so that an instance that cannot take an attempt costs it nothing.
//! - **A cancelled attempt is released at last**, also by a loss. Every attempt has one last event, whatever happens.
//! - **Answers that are queued and not written count as out** at the instance, so that a gateway that never reads
//!   cannot make it hold more than its limit. A `PING` that comes before the last one could be answered replaces it.
//! - **Both ends ask for a sign of life.** An instance stops working for a gateway that is gone.
//! - **`X-Trace-Id` and a `traceparent` of a later version have fields**, where the fixed places do not hold them.
//!
//! | file | has |
//! |---|---|
//! | `gateway_connection` | the gateway's end: begins attempts, gets outcomes |
//! | `instance_connection` | the instance's end: gets attempts, answers them |
//! | `link` | the part that both ends have: greeting, windows, turns, closing |
//! | `attempt_table` | attempts by their sequence |
//! | `flow` | the two bodies of an attempt and their windows |
//! | `outbox` | bytes to be written, and how far they were |
//! | `liveness` | silence, and when it is too long |
//! | `frame` | the head of every frame, kinds and flags |
//! | `hello`, `go_away` | the first and the last frame of an end |
//! | `request_head`, `answer_head`, `fields`, `field_list`, `web_head` | the payload of `HEAD` |
//! | `attempt_end`, `close_reason`, `violation` | why an attempt was ended, and a connection; breaches of the protocol |
//! | `refused` | why an attempt was not begun |
//! | `settings` | limits and times |
//! | `simulation` | both ends, a pipe and chance (tests) |

mod answer_head;
mod attempt_end;
mod attempt_table;
mod close_reason;
mod field_list;
mod fields;
mod flow;
mod frame;
mod gateway_connection;
mod go_away;
mod hello;
mod instance_connection;
mod link;
mod liveness;
mod outbox;
mod refused;
mod request_head;
mod settings;
#[cfg(test)]
mod simulation;
mod violation;
mod web_head;

pub use answer_head::AnswerHead;
pub use attempt_end::{CancelReason, DoneReason};
pub use close_reason::CloseReason;
pub use field_list::FieldList;
pub use fields::{Field, Fields};
pub use frame::{DATA_BYTES_MAX, PAYLOAD_BYTES_MAX, Sequence};
pub use gateway_connection::{GatewayConnection, GatewayEvent};
pub use go_away::GO_AWAY_SHUTDOWN;
pub use instance_connection::{InstanceConnection, InstanceEvent, NotAnswered};
pub use liveness::SIGN_OF_LIFE;
pub use refused::Refused;
pub use request_head::RequestHead;
pub use settings::Settings;
pub use violation::Violation;
pub use web_head::WebHead;

/// The protocol as it is named in the header `Upgrade` of the request and of the `101` that open a connection.
pub const UPGRADE: &str = "picofaas-frames/1";
