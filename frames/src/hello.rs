//! The first frame of each end.

use crate::frame::{DATA_BYTES_MAX, PAYLOAD_BYTES_LEAST, PAYLOAD_BYTES_MAX};
use crate::violation::Violation;

/// The newest version that this crate speaks; both ends use the smaller of their two.
pub(crate) const VERSION: u16 = 1;
/// Bytes of its payload; a later version may append to them.
pub(crate) const HELLO_BYTES: usize = 16;

/// The bit of the second number that says that web requests are taken.
const TAKES_WEB: u16 = 1;

/// Limits of the end that sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hello {
    /// Attempts that it takes at once; a gateway takes none.
    pub(crate) attempts_max: u32,
    /// Bytes of `DATA` that it takes at first, for each attempt.
    pub(crate) window_bytes: u32,
    /// Longest payload that it takes.
    pub(crate) payload_bytes_max: usize,
    /// Whether it takes web requests.
    pub(crate) takes_web: bool,
}

impl Hello {
    pub(crate) fn encode(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..2].copy_from_slice(&VERSION.to_le_bytes());
        bytes[2..4].copy_from_slice(&(if self.takes_web { TAKES_WEB } else { 0 }).to_le_bytes());
        bytes[4..8].copy_from_slice(&self.attempts_max.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.window_bytes.to_le_bytes());
        let payload_bytes_max = u32::try_from(self.payload_bytes_max).unwrap_or(u32::MAX);
        bytes[12..].copy_from_slice(&payload_bytes_max.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Violation> {
        let bytes = payload.first_chunk::<HELLO_BYTES>().ok_or(Violation::Malformed)?;
        let [v0, v1, t0, t1, a0, a1, a2, a3, w0, w1, w2, w3, p0, p1, p2, p3] = *bytes;
        let attempts_max = u32::from_le_bytes([a0, a1, a2, a3]);
        let window_bytes = u32::from_le_bytes([w0, w1, w2, w3]);
        let payload_bytes_max = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
        let has_room = window_bytes as usize >= DATA_BYTES_MAX && payload_bytes_max >= PAYLOAD_BYTES_LEAST;
        if u16::from_le_bytes([v0, v1]) == 0 || !has_room {
            return Err(Violation::BadHello);
        }
        Ok(Self {
            attempts_max,
            window_bytes,
            payload_bytes_max: payload_bytes_max.min(PAYLOAD_BYTES_MAX),
            takes_web: u16::from_le_bytes([t0, t1]) & TAKES_WEB != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_read_as_it_was_written_and_may_go_on() {
        for takes_web in [false, true] {
            let hello = Hello { attempts_max: 9, window_bytes: 65_536, payload_bytes_max: 8192, takes_web };
            let mut bytes = hello.encode().to_vec();
            // Other bits of a later version mean nothing.
            bytes[2] |= 1 << 7;
            bytes.extend_from_slice(b"later");
            let read = Hello::decode(&bytes).unwrap();
            assert_eq!((read.attempts_max, read.window_bytes, read.payload_bytes_max), (9, 65_536, 8192));
            assert_eq!(read.takes_web, takes_web);
        }
    }

    #[test]
    fn a_hello_without_a_version_or_with_too_little_room_is_refused() {
        let hello = |window_bytes, payload_bytes_max| {
            Hello { attempts_max: 1, window_bytes, payload_bytes_max, takes_web: false }.encode()
        };
        assert!(Hello::decode(&hello(16_384, 8192)).is_ok());
        let mut without = hello(16_384, 8192);
        without[0] = 0;
        for bad in [hello(16_383, 8192), hello(16_384, 8191), without] {
            assert_eq!(Hello::decode(&bad).unwrap_err(), Violation::BadHello);
        }
        assert_eq!(Hello::decode(&without[..15]).unwrap_err(), Violation::Malformed);
    }
}
