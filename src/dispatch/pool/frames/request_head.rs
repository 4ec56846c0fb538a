//! An execution as the head of a request.

use picofaas_frames::{Field, FieldList, GatewayConnection, Refused, RequestHead, Sequence, WebHead};

use crate::clock::Nanos;
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::trace::BinaryTrace;
use crate::web_exchange::{RequestBody, WebRequest};

/// Fields that a head may have.
const FIELDS_MAX: usize = 4;

/// Bytes of an answer to a web request that an instance may send before its client has taken some: the most that is held
/// of it here. An answer that is longer costs a round trip for each half of it.
const WEB_WINDOW_BYTES: u32 = 64 * 1024;

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
    let (head, BinaryTrace { name, parent, state, .. }) = head_of(now, id, execution);
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

/// Begins an attempt of an execution with a web request. The headers are written into `fields`, which is used again.
///
/// # Errors
/// As [`GatewayConnection::begin_web`].
pub(super) fn begin_web(
    frames: &mut GatewayConnection,
    fields: &mut FieldList,
    now: Nanos,
    id: ExecutionId,
    execution: &Execution,
    request: &WebRequest,
) -> Result<Sequence, Refused> {
    let (head, BinaryTrace { name, parent, state, .. }) = head_of(now, id, execution);
    fields.clear();
    let own = [(Field::TRACESTATE, state), (Field::TRACE_NAME, name), (Field::TRACEPARENT, parent)];
    for (id, value) in own {
        if let Some(value) = value {
            fields.push(id, value);
        }
    }
    for line in request.lines.split(|byte| *byte == b'\n') {
        // Each line is `name: value` and its break; nothing is behind the last.
        if let Some(at) = line.iter().position(|byte| *byte == b':') {
            fields.push_header(&line[..at], line[at + 1..].trim_ascii());
        }
    }
    if request.body == RequestBody::Whole {
        fields.push_header(b"content-length", execution.payload.len().to_string().as_bytes());
    }
    let web = WebHead {
        method: request.method.as_str().as_bytes(),
        target: request.target.as_bytes(),
        answer_window: Some(WEB_WINDOW_BYTES),
    };
    frames.begin_web(now, &head, &web, fields, &execution.payload)
}

/// The fixed part of a head, and the trace with what does not fit it.
fn head_of(now: Nanos, id: ExecutionId, execution: &Execution) -> (RequestHead, BinaryTrace<'_>) {
    let trace = execution.trace.to_binary();
    let head = RequestHead {
        execution_id: id.to_bytes(),
        trace_id: trace.trace_id,
        parent_span_id: trace.span_id,
        trace_flags: trace.flags,
        attempt: u16::from(execution.attempt),
        deadline_ms: u32::try_from(execution.time_left_ms(now)).unwrap_or(u32::MAX),
    };
    (head, trace)
}
