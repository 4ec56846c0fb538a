//! The frames on a worker's pipes: 8 bytes of header, the payload's length and a sequence
//! number, both big-endian, then the payload.

use bytes::{Buf as _, BytesMut};

pub(crate) const HEADER_BYTES: usize = 8;

/// The form of the payloads of requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameForm {
    /// `"frames":1`, or a worker that says nothing of it: objects in JSON.
    Objects,
    /// `"frames":2`: heads of numbers and texts, then bodies and outputs as they are.
    Heads,
}

/// The newest form that a worker is offered, by [`FRAMES_VARIABLE`].
pub(crate) const FRAMES_OFFERED: &str = "2";

/// The variable that offers a worker another form than the first. One without it is of before.
pub(crate) const FRAMES_VARIABLE: &str = "PICOFAAS_WORKER_FRAMES";

/// Appends a frame with this payload.
pub(crate) fn write_frame(out: &mut Vec<u8>, sequence: u32, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    payload(out);
    let length = out.len() - start - HEADER_BYTES;
    out[start..start + HEADER_BYTES].copy_from_slice(&header(length, sequence));
}

/// Appends the frame that stops a request: nothing, under its sequence number.
pub(crate) fn write_stop(out: &mut Vec<u8>, sequence: u32) {
    out.extend_from_slice(&header(0, sequence));
}

fn header(length: usize, sequence: u32) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(length).expect("a request is a body of at most 1 GiB and some headers");
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&sequence.to_be_bytes());
    header
}

/// The length and the sequence number of the frame that begins in `buffer`.
pub(crate) fn read_header(buffer: &[u8]) -> Option<(usize, u32)> {
    let (header, _) = buffer.split_first_chunk::<HEADER_BYTES>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    Some((u32::from_be_bytes([a, b, c, d]) as usize, u32::from_be_bytes([e, f, g, h])))
}

/// Takes the payload of `length` bytes that follows a header, where all of it is there.
pub(crate) fn take_payload(buffer: &mut BytesMut, length: usize) -> Option<BytesMut> {
    if buffer.len() < HEADER_BYTES + length {
        return None;
    }
    buffer.advance(HEADER_BYTES);
    Some(buffer.split_to(length))
}
