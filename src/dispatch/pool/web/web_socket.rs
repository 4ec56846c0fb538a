//! The frames of a WebSocket (RFC 6455, 5.2), as far as their ends go.

/// The frame by which a server says that it goes away (RFC 6455, 7.4.1: 1001).
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// Bytes of the longest head of a frame.
const HEAD_BYTES_MAX: usize = 14;

/// Where a stream of frames is.
#[derive(Debug, Default)]
pub(super) struct FrameTracker {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the head of the frame that have come.
    head_bytes: usize,
    /// Bytes of its payload that are to come, once its head has.
    left: u64,
}

impl FrameTracker {
    /// Whether no frame is half through.
    #[must_use]
    pub(super) fn is_between(&self) -> bool {
        self.head_bytes == 0 && self.left == 0
    }

    /// Goes on by these bytes. Answers how many of them belong to frames that were complete, up to the last such.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let (mut at, mut complete) = (0, 0);
        while at < bytes.len() {
            if self.left > 0 {
                let rest = bytes.len() - at;
                let taken = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                self.left -= taken as u64;
                at += taken;
            } else {
                self.head[self.head_bytes] = bytes[at];
                self.head_bytes += 1;
                at += 1;
                if let Some(length) = self.payload_bytes() {
                    self.head_bytes = 0;
                    self.left = length;
                }
            }
            if self.is_between() {
                complete = at;
            }
        }
        complete
    }

    /// The length of the payload, once the whole head has come.
    fn payload_bytes(&self) -> Option<u64> {
        if self.head_bytes < 2 {
            return None;
        }
        let mask_bytes = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        let (length_bytes, short) = match self.head[1] & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        if self.head_bytes < 2 + length_bytes + mask_bytes {
            return None;
        }
        if length_bytes == 0 {
            return Some(short);
        }
        let digits = &self.head[2..2 + length_bytes];
        Some(digits.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match payload {
            0..126 => frame.push(mask | payload as u8),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&vec![7; payload + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn the_ends_of_frames_are_found_wherever_a_read_ends() {
        let frames = [(0, false), (5, true), (125, false), (126, true), (70_000, false), (1, false)];
        let frames: Vec<_> = frames.iter().map(|(payload, masked)| frame(*payload, *masked)).collect();
        let whole = frames.concat();
        let mut ends = vec![0];
        frames.iter().for_each(|frame| ends.push(ends.last().unwrap() + frame.len()));
        for step in [1, 2, 3, 7, 64, 4096, whole.len()] {
            let mut tracker = FrameTracker::default();
            let mut at = 0;
            for bytes in whole.chunks(step) {
                let complete = tracker.pass(bytes);
                let last = ends.iter().rev().find(|end| **end <= at + bytes.len()).unwrap();
                let expected = last.saturating_sub(at).min(bytes.len());
                assert_eq!(complete, expected, "at {at} in steps of {step}");
                at += bytes.len();
                assert_eq!(tracker.is_between(), ends.contains(&at));
            }
        }
    }
}
