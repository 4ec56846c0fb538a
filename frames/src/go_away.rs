//! The last word of a connection, or the last but for what is out.

use crate::frame::{Frame, Kind, Sequence};
use crate::outbox::Outbox;
use crate::violation::Violation;

/// The code of an end that stops without a fault. Others are those of [`Violation`].
pub const GO_AWAY_SHUTDOWN: u16 = 0;
/// Most bytes of its text.
const TEXT_BYTES_MAX: usize = 256;
/// Bytes before its text.
const CODE_BYTES: usize = 2;

#[derive(Debug)]
pub(crate) struct GoAway {
    /// The last sequence that was, or will be, handled.
    pub(crate) last: Sequence,
    pub(crate) code: u16,
    pub(crate) text: String,
}

impl GoAway {
    pub(crate) fn decode(frame: &Frame) -> Result<Self, Violation> {
        let (code, text) = frame.payload.split_first_chunk::<CODE_BYTES>().ok_or(Violation::Malformed)?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(Violation::Malformed);
        }
        let text = str::from_utf8(text).map_err(|_| Violation::Malformed)?.to_owned();
        Ok(Self { last: frame.sequence, code: u16::from_le_bytes(*code), text })
    }

    /// Queues one, with as much of the text as it may have.
    pub(crate) fn queue(outbox: &mut Outbox, last: Sequence, code: u16, text: &str) {
        let text = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
        outbox.push(Kind::GoAway, last, 0, &[&code.to_le_bytes(), text.as_bytes()]);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(payload: Vec<u8>) -> Result<GoAway, Violation> {
        let frame =
            Frame { kind: Kind::GoAway, sequence: Sequence(3), flags: 0, payload: Bytes::from(payload) };
        GoAway::decode(&frame)
    }

    #[test]
    fn a_text_is_cut_between_characters_and_one_that_is_too_long_or_no_text_is_refused() {
        let mut outbox = Outbox::default();
        GoAway::queue(&mut outbox, Sequence(3), 7, &"ä".repeat(200));
        let read_back = read(outbox.unwritten()[12..].to_vec()).unwrap();
        assert_eq!((read_back.last, read_back.code, read_back.text), (Sequence(3), 7, "ä".repeat(128)));
        let mut outbox = Outbox::default();
        GoAway::queue(&mut outbox, Sequence(3), 7, &format!("a{}", "ä".repeat(200)));
        assert_eq!(outbox.unwritten().len(), 12 + 2 + 255);
        for bad in [vec![0], [vec![0; 2], vec![b'a'; 257]].concat(), vec![0, 0, 0xff]] {
            assert_eq!(read(bad).unwrap_err(), Violation::Malformed);
        }
    }
}
