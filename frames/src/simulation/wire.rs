//! Frames written by hand, so that a fault of the encoder is none of the tests of one end.

use bytes::{BufMut as _, BytesMut};

pub(crate) const HELLO: u8 = 1;
pub(crate) const HEAD: u8 = 2;
pub(crate) const DATA: u8 = 3;
pub(crate) const WINDOW: u8 = 4;
pub(crate) const CANCEL: u8 = 5;
pub(crate) const DONE: u8 = 6;
pub(crate) const PING: u8 = 7;
pub(crate) const GO_AWAY: u8 = 8;
pub(crate) const END: u8 = 1;

pub(crate) fn frame(kind: u8, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u32_le(u32::try_from(payload.len()).unwrap());
    bytes.put_u32_le(sequence);
    bytes.put_slice(&[kind, flags, 0, 0]);
    bytes.put_slice(payload);
    bytes
}

pub(crate) fn hello(attempts_max: u32) -> Vec<u8> {
    let mut payload = vec![1, 0, 0, 0];
    payload.put_u32_le(attempts_max);
    payload.put_u32_le(65_536);
    payload.put_u32_le(20_480);
    frame(HELLO, 0, 0, &payload)
}

/// A `HEAD` of a request with a body of so many bytes, and those of it that are inside.
pub(crate) fn request(sequence: u32, flags: u8, body_bytes: u64, inside: &[u8]) -> Vec<u8> {
    let mut payload = vec![7; 52];
    payload.put_u64_le(body_bytes);
    payload.put_u32_le(0);
    payload.put_slice(inside);
    frame(HEAD, sequence, flags, &payload)
}

/// A `HEAD` of an answer, likewise.
pub(crate) fn answer(sequence: u32, flags: u8, status: u16, body_bytes: u64, inside: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.put_u16_le(status);
    payload.put_u16_le(0);
    payload.put_u64_le(body_bytes);
    payload.put_u32_le(0);
    payload.put_slice(inside);
    frame(HEAD, sequence, flags, &payload)
}

pub(crate) fn go_away(last: u32, code: u16) -> Vec<u8> {
    frame(GO_AWAY, last, 0, &code.to_le_bytes())
}

/// Kind, sequence, flags and payload of each frame, the last of which must be whole.
pub(crate) fn parse(bytes: &[u8]) -> Vec<(u8, u32, u8, Vec<u8>)> {
    let mut rest = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let head = rest.split_to(12);
        let length = u32::from_le_bytes(head[..4].try_into().unwrap());
        let sequence = u32::from_le_bytes(head[4..8].try_into().unwrap());
        frames.push((head[8], sequence, head[9], rest.split_to(length as usize).to_vec()));
    }
    frames
}
