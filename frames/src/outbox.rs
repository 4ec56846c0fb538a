//! Bytes to be written, and how far they were.

use bytes::Buf as _;

use crate::frame::{HEAD_BYTES, Kind, Sequence, frame_head};

/// Bytes before which bodies wait as references and are not copied. What is above it are heads, one per attempt.
pub(crate) const QUEUED_BYTES_MAX: usize = 64 * 1024;

/// Frames in the order in which they are written. It is emptied, not shrunk: after a while it allocates no more.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Begins with a frame.
    bytes: Vec<u8>,
    /// Bytes at the front that were written.
    written: usize,
    /// Bytes written before the first of `bytes`.
    before: u64,
    /// Frames `HEAD` since it was last empty.
    heads: usize,
}

impl Outbox {
    /// Appends a frame, whose payload is `parts` one after the other.
    pub(crate) fn push(&mut self, kind: Kind, sequence: Sequence, flags: u8, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        self.push_head(kind, sequence, flags, length);
        for part in parts {
            self.push_part(part);
        }
    }

    /// Appends the head of a frame, whose payload of `length` bytes follows by [`Self::push_part`].
    pub(crate) fn push_head(&mut self, kind: Kind, sequence: Sequence, flags: u8, length: usize) {
        self.compact();
        self.heads += usize::from(kind == Kind::Head);
        self.bytes.reserve(HEAD_BYTES + length);
        self.bytes.extend_from_slice(&frame_head(kind, sequence, flags, length));
    }

    pub(crate) fn push_part(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) const fn heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Takes note that `bytes` more were written.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes.min(self.len());
        if self.written == self.bytes.len() {
            self.before += self.written as u64;
            self.bytes.clear();
            self.written = 0;
            self.heads = 0;
        }
    }

    /// Place behind the last byte, counted from the first of the connection.
    pub(crate) fn end(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// Bytes written since the first of the connection.
    pub(crate) fn written(&self) -> u64 {
        self.before + self.written as u64
    }

    /// Drops all that waits. Tells whether a frame may follow: not where one was written in part.
    pub(crate) fn cut(&mut self) -> bool {
        let is_between = self.whole_frames() == self.written;
        self.before += self.written as u64;
        self.bytes.clear();
        self.written = 0;
        self.heads = 0;
        is_between
    }

    /// Moves what waits to the front where more than half was written, so that a byte is moved once at most.
    fn compact(&mut self) {
        if self.written > QUEUED_BYTES_MAX && self.written > self.bytes.len() / 2 {
            let whole = self.whole_frames();
            self.bytes.drain(..whole);
            self.before += whole as u64;
            self.written -= whole;
        }
    }

    /// Bytes of the frames at the front that were written to their ends.
    fn whole_frames(&self) -> usize {
        let mut at = 0;
        while let Some(mut head) = self.bytes.get(at..).filter(|from| from.len() >= HEAD_BYTES) {
            let end = at + HEAD_BYTES + head.get_u32_le() as usize;
            if end > self.written {
                break;
            }
            at = end;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_dropped_and_a_frame_that_was_begun_lets_none_follow() {
        for (written, may_follow) in [(0, true), (15, true), (16, false), (30, true)] {
            let mut outbox = Outbox::default();
            for _ in 0..3 {
                outbox.push(Kind::Data, Sequence(1), 0, &[b"a", b"bc"]);
            }
            outbox.advance(written);
            assert_eq!(outbox.cut(), may_follow, "{written} bytes written");
            assert_eq!((outbox.len(), outbox.written(), outbox.end()), (0, written as u64, written as u64));
        }
    }

    #[test]
    fn bytes_are_written_in_order_and_counted_however_they_are_moved() {
        let mut outbox = Outbox::default();
        let (mut expected, mut seen) = (Vec::new(), Vec::new());
        for step in 0..2000_u32 {
            let payload = step.to_le_bytes().repeat(25);
            outbox.push(Kind::Data, Sequence(step), 0, &[&payload]);
            expected.extend_from_slice(&frame_head(Kind::Data, Sequence(step), 0, 100));
            expected.extend_from_slice(&payload);
            let some = outbox.unwritten().len().min(111);
            seen.extend_from_slice(&outbox.unwritten()[..some]);
            outbox.advance(some);
            assert_eq!((outbox.written(), outbox.end()), (seen.len() as u64, expected.len() as u64));
            assert!(outbox.bytes.len() <= outbox.len() + 2 * QUEUED_BYTES_MAX, "written bytes are let go");
        }
        seen.extend_from_slice(outbox.unwritten());
        assert!(seen == expected);
    }
}
