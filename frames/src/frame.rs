//! A frame: twelve bytes of head, and a payload.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::violation::Violation;

/// Bytes of a frame before its payload.
pub(crate) const HEAD_BYTES: usize = 12;
/// Most bytes of a payload: a piece of `DATA`, or a `HEAD` with fields and a body inside. It bounds the memory that
/// half a frame can take.
pub const PAYLOAD_BYTES_MAX: usize = 20 * 1024;
/// Least that an end may set as its own longest payload, so that every usual `HEAD` can be sent.
pub(crate) const PAYLOAD_BYTES_LEAST: usize = 8 * 1024;
/// Most bytes of body in one `DATA`, so that attempts of one connection take turns often.
pub const DATA_BYTES_MAX: usize = 16 * 1024;

/// The flag of the last frame of a body.
pub(crate) const END: u8 = 1;
/// The flag of a `PING` that answers one.
pub(crate) const ACK: u8 = 1 << 1;
/// The flag of a frame that is skipped by an end that does not know its kind.
pub(crate) const IGNORABLE: u8 = 1 << 7;

/// Number of an attempt on its connection, from 1. It names the attempt in every call and event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sequence(pub(crate) u32);

impl Sequence {
    /// The connection itself.
    pub(crate) const NONE: Self = Self(0);

    /// The number as it is on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Hello = 1,
    Head,
    Data,
    Window,
    Cancel,
    Done,
    Ping,
    GoAway,
}

impl Kind {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Head,
            3 => Self::Data,
            4 => Self::Window,
            5 => Self::Cancel,
            6 => Self::Done,
            7 => Self::Ping,
            8 => Self::GoAway,
            _ => return None,
        })
    }
}

/// A frame of a known kind, whose payload is a part of the buffer that it was read into.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) sequence: Sequence,
    pub(crate) flags: u8,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Takes the first whole frame off `input`; `None` where there is none yet. Frames of unknown kinds are skipped
    /// where they say that they may be.
    pub(crate) fn take(input: &mut BytesMut) -> Result<Option<Self>, Violation> {
        loop {
            let Some(head) = input.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
            let [l0, l1, l2, l3, s0, s1, s2, s3, kind, flags, _, _] = *head;
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let sequence = Sequence(u32::from_le_bytes([s0, s1, s2, s3]));
            if length > PAYLOAD_BYTES_MAX {
                return Err(Violation::FrameTooLong);
            }
            let kind = Kind::of(kind);
            if kind.is_none() && flags & IGNORABLE == 0 {
                return Err(Violation::UnknownKind);
            }
            if input.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            let Some(kind) = kind else {
                input.advance(HEAD_BYTES + length);
                continue;
            };
            let mut payload = input.split_to(HEAD_BYTES + length).freeze();
            payload.advance(HEAD_BYTES);
            return Ok(Some(Self { kind, sequence, flags, payload }));
        }
    }
}

/// The head of a frame as bytes. `length` is at most [`PAYLOAD_BYTES_MAX`].
pub(crate) fn frame_head(kind: Kind, sequence: Sequence, flags: u8, length: usize) -> [u8; HEAD_BYTES] {
    debug_assert!(length <= PAYLOAD_BYTES_MAX, "a payload of {length} bytes");
    let [l0, l1, l2, l3] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let [s0, s1, s2, s3] = sequence.0.to_le_bytes();
    [l0, l1, l2, l3, s0, s1, s2, s3, kind as u8, flags, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame_head(Kind::Data, Sequence(7), flags, payload.len()).to_vec();
        bytes[8] = kind;
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_frame_is_taken_when_its_last_byte_is_there_and_not_before() {
        let whole = bytes(3, END, b"abc");
        let mut input = BytesMut::new();
        for byte in &whole {
            assert!(Frame::take(&mut input).unwrap().is_none());
            input.extend_from_slice(&[*byte]);
        }
        let frame = Frame::take(&mut input).unwrap().unwrap();
        assert_eq!((frame.kind, frame.sequence, frame.has(END)), (Kind::Data, Sequence(7), true));
        assert_eq!(&*frame.payload, b"abc");
        assert!(input.is_empty());
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_head_alone() {
        let mut input = BytesMut::from(&frame_head(Kind::Data, Sequence(1), 0, PAYLOAD_BYTES_MAX)[..]);
        assert!(Frame::take(&mut input).unwrap().is_none());
        input[..4].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_le_bytes());
        assert_eq!(Frame::take(&mut input).unwrap_err(), Violation::FrameTooLong);
    }

    #[test]
    fn a_frame_of_an_unknown_kind_is_skipped_where_it_may_be_and_refused_otherwise() {
        let mut input = BytesMut::from(&bytes(99, IGNORABLE, b"news")[..]);
        input.extend_from_slice(&bytes(3, 0, b"abc"));
        assert_eq!(&*Frame::take(&mut input).unwrap().unwrap().payload, b"abc");
        for kind in [0, 9, 255] {
            let mut input = BytesMut::from(&bytes(kind, 0, b"news")[..]);
            assert_eq!(Frame::take(&mut input).unwrap_err(), Violation::UnknownKind);
        }
    }
}
