//! The frames on their way to a worker.

use std::io;

use tokio::net::unix::pipe::Sender;

use crate::limits::OUT_BYTES_KEPT;

/// Frames that are not yet in the pipe.
#[derive(Default)]
pub(crate) struct WriteBuffer {
    bytes: Vec<u8>,
    /// Number of these that are in the pipe.
    written: usize,
    /// Bytes of all frames that there were.
    total: u64,
}

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends a frame; returns its end among the bytes of all.
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        // A worker that is always behind never has all of it in its pipe. To move no more than
        // is let go of costs no more than to have written it.
        if self.written >= self.bytes.len() - self.written {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.total += (self.bytes.len() - before) as u64;
        self.total
    }

    /// Writes as much as goes at once.
    pub(crate) fn write_to(&mut self, pipe: &Sender) -> io::Result<()> {
        self.written += pipe.try_write(&self.bytes[self.written..])?;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(OUT_BYTES_KEPT);
            self.written = 0;
        }
        Ok(())
    }

    /// Bytes of all frames that were read, where `in_pipe` bytes of them still lie in the pipe.
    pub(crate) fn bytes_read(&self, in_pipe: u64) -> u64 {
        let unwritten = (self.bytes.len() - self.written) as u64;
        self.total.saturating_sub(unwritten + in_pipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_pipe_is_let_go_of_though_there_is_always_more_to_write() {
        let (mut buffer, mut written) = (WriteBuffer::default(), Vec::new());
        for frame in 0..1000_u64 {
            let end = buffer.append(|bytes| bytes.extend_from_slice(&frame.to_be_bytes()));
            assert_eq!(end, (frame + 1) * 8);
            assert!(buffer.bytes.len() <= 4 * 8, "{} bytes are kept", buffer.bytes.len());
            // All but the last byte.
            written.extend_from_slice(&buffer.bytes[buffer.written..buffer.bytes.len() - 1]);
            buffer.written = buffer.bytes.len() - 1;
        }
        let all: Vec<u8> = (0..1000_u64).flat_map(u64::to_be_bytes).collect();
        assert_eq!(written, all[..all.len() - 1]);
    }
}
