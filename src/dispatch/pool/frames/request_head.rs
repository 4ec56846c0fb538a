//! An execution as the head of a request.

use picofaas_frames::{Field, GatewayConnection, Refused, RequestHead, Sequence};

use crate::clock::Nanos;
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::trace::BinaryTrace;

/// Fields that a head may have.
const FIELDS_MAX: usize = 4;

/// Begins an attempt of an execution.
///
/// # Errors
/// As [`GatewayConnection::begin`].
pub(super) fn begin(
    frames: &mut GatewayConnection,
    now: Nanos,
    id: ExecutionId,
    execution: &Execution,
) -> Result<Sequence, Refused> {
    let BinaryTrace { trace_id, span_id, flags, name, parent, state } = execution.trace.to_binary();
    let head = RequestHead {
        execution_id: id.to_bytes(),
        trace_id,
        parent_span_id: span_id,
        trace_flags: flags,
        attempt: u16::from(execution.attempt),
        deadline_ms: u32::try_from(execution.time_left_ms(now)).unwrap_or(u32::MAX),
    };
    let mut fields = [Field { id: 0, value: &[] }; FIELDS_MAX];
    let mut count = 0;
    let mut add = |id, value| {
        fields[count] = Field { id, value };
        count += 1;
    };
    if let Some(state) = state {
        add(Field::TRACESTATE, state);
    }
    if let Some(key) = &execution.idempotency_key {
        add(Field::IDEMPOTENCY_KEY, &key.key);
    }
    if let Some(name) = name {
        add(Field::TRACE_NAME, name);
    }
    if let Some(parent) = parent {
        add(Field::TRACEPARENT, parent);
    }
    frames.begin(now, &head, &fields[..count], &execution.payload)
}
