//! A handler's output on its way to bytes.

use std::io;

use bytes::Bytes;
use serde::Serialize;

use crate::failure::Failure;

/// Most outputs are small: one allocation serves them.
const BYTES_AT_FIRST: usize = 256;

struct Output {
    bytes: Vec<u8>,
    max: usize,
    overflowed: bool,
}

/// Serializes an output, giving up as soon as it is longer than `max` bytes.
pub(crate) fn to_json(value: &impl Serialize, max: usize) -> Result<Bytes, Failure> {
    let mut output = Output { bytes: Vec::with_capacity(BYTES_AT_FIRST), max, overflowed: false };
    match serde_json::to_writer(&mut output, value) {
        Ok(()) => Ok(output.bytes.into()),
        Err(_) if output.overflowed => Err(Failure::OutputTooLarge { max }),
        Err(error) => Err(Failure::BadOutput(error)),
    }
}

impl io::Write for Output {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.max - self.bytes.len() {
            self.overflowed = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_may_be_as_long_as_the_limit_and_no_longer() {
        assert_eq!(to_json(&"12345", 7).unwrap(), "\"12345\"");
        assert!(matches!(to_json(&"123456", 7), Err(Failure::OutputTooLarge { max: 7 })));
    }
}
