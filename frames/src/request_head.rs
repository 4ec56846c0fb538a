//! The fixed part of the `HEAD` of a request.

use bytes::{Buf as _, Bytes};

use crate::fields::Fields;
use crate::frame::{END, Frame};
use crate::violation::Violation;

/// Bytes of the fixed part.
pub(crate) const REQUEST_HEAD_BYTES: usize = 64;

/// An attempt, as the gateway describes it to the instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// The bytes of `X-Execution-Id`, which has two hexadecimal digits for each.
    pub execution_id: [u8; 20],
    /// The trace id of `traceparent`.
    pub trace_id: [u8; 16],
    /// The span of `traceparent`, in which the attempt happens.
    pub parent_span_id: [u8; 8],
    /// The flags of `traceparent`.
    pub trace_flags: u8,
    /// `X-Attempt`, from 1.
    pub attempt: u16,
    /// `X-Deadline-Ms`: milliseconds left for the attempt.
    pub deadline_ms: u32,
}

impl RequestHead {
    pub(crate) fn encode(&self, body_bytes: usize, fields_bytes: usize) -> [u8; REQUEST_HEAD_BYTES] {
        let mut bytes = [0; REQUEST_HEAD_BYTES];
        bytes[..20].copy_from_slice(&self.execution_id);
        bytes[20..36].copy_from_slice(&self.trace_id);
        bytes[36..44].copy_from_slice(&self.parent_span_id);
        bytes[44] = self.trace_flags;
        bytes[46..48].copy_from_slice(&self.attempt.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.deadline_ms.to_le_bytes());
        bytes[52..60].copy_from_slice(&(body_bytes as u64).to_le_bytes());
        bytes[60..].copy_from_slice(&u32::try_from(fields_bytes).unwrap_or(u32::MAX).to_le_bytes());
        bytes
    }
}

/// A `HEAD` of a request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) fields: Fields,
    pub(crate) body_bytes: u64,
    /// The whole body, or nothing of it where `DATA` follows.
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn decode(frame: Frame) -> Result<Self, Violation> {
        let ends = frame.has(END);
        let mut payload = frame.payload;
        let bytes = payload.first_chunk::<REQUEST_HEAD_BYTES>().ok_or(Violation::Malformed)?;
        let head = RequestHead {
            execution_id: part(bytes, 0),
            trace_id: part(bytes, 20),
            parent_span_id: part(bytes, 36),
            trace_flags: bytes[44],
            attempt: u16::from_le_bytes(part(bytes, 46)),
            deadline_ms: u32::from_le_bytes(part(bytes, 48)),
        };
        let body_bytes = u64::from_le_bytes(part(bytes, 52));
        let fields_bytes = u32::from_le_bytes(part(bytes, 60));
        payload.advance(REQUEST_HEAD_BYTES);
        let (fields, body) = split(payload, fields_bytes, Some(body_bytes), ends)?;
        Ok(Self { head, fields, body_bytes, body })
    }
}

/// `N` of the fixed bytes, all of them before `at + N`.
fn part<const N: usize>(bytes: &[u8; REQUEST_HEAD_BYTES], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|from| from.first_chunk()).copied().unwrap_or([0; N])
}

/// Parts what follows the fixed bytes of a `HEAD` into fields and body. A body is inside, whole, where the frame is
/// the last; otherwise nothing of it is.
pub(crate) fn split(
    mut rest: Bytes,
    fields_bytes: u32,
    body_bytes: Option<u64>,
    ends: bool,
) -> Result<(Fields, Bytes), Violation> {
    let fields_bytes = fields_bytes as usize;
    if fields_bytes > rest.len() {
        return Err(Violation::Malformed);
    }
    let fields =
        if fields_bytes == 0 { Fields::default() } else { Fields::decode(rest.split_to(fields_bytes))? };
    let is_whole =
        if ends { body_bytes.is_none_or(|declared| declared == rest.len() as u64) } else { rest.is_empty() };
    if is_whole { Ok((fields, rest)) } else { Err(Violation::BodyLength) }
}
