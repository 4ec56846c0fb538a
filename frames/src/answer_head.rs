//! The fixed part of the `HEAD` of an answer.

use bytes::{Buf as _, Bytes};

use crate::fields::Fields;
use crate::frame::{END, Frame};
use crate::request_head::split;
use crate::violation::Violation;

/// Bytes of the fixed part.
pub(crate) const ANSWER_HEAD_BYTES: usize = 16;
/// Length of a body that is not known beforehand.
const UNKNOWN: u64 = u64::MAX;

/// An answer without its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerHead {
    /// The status of HTTP, from 200 to 599. Others are not sent, and end the connection where they come.
    pub status: u16,
}

impl AnswerHead {
    pub(crate) const fn is_valid(self) -> bool {
        matches!(self.status, 200..=599)
    }

    pub(crate) fn encode(self, body_bytes: Option<u64>, fields_bytes: usize) -> [u8; ANSWER_HEAD_BYTES] {
        let mut bytes = [0; ANSWER_HEAD_BYTES];
        bytes[..2].copy_from_slice(&self.status.to_le_bytes());
        bytes[4..12].copy_from_slice(&body_bytes.unwrap_or(UNKNOWN).to_le_bytes());
        bytes[12..].copy_from_slice(&u32::try_from(fields_bytes).unwrap_or(u32::MAX).to_le_bytes());
        bytes
    }
}

/// A `HEAD` of an answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: AnswerHead,
    pub(crate) fields: Fields,
    /// `None` where it is not known before the end.
    pub(crate) body_bytes: Option<u64>,
    /// The whole body, or nothing of it where `DATA` follows.
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn decode(frame: Frame) -> Result<Self, Violation> {
        let ends = frame.has(END);
        let mut payload = frame.payload;
        let bytes = payload.first_chunk::<ANSWER_HEAD_BYTES>().ok_or(Violation::Malformed)?;
        let [s0, s1, _, _, b0, b1, b2, b3, b4, b5, b6, b7, f0, f1, f2, f3] = *bytes;
        let head = AnswerHead { status: u16::from_le_bytes([s0, s1]) };
        if !head.is_valid() {
            return Err(Violation::Malformed);
        }
        let body_bytes = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let body_bytes = (body_bytes != UNKNOWN).then_some(body_bytes);
        payload.advance(ANSWER_HEAD_BYTES);
        let (fields, body) = split(payload, u32::from_le_bytes([f0, f1, f2, f3]), body_bytes, ends)?;
        let body_bytes = if ends { Some(body.len() as u64) } else { body_bytes };
        Ok(Self { head, fields, body_bytes, body })
    }
}
