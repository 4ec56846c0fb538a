//! The body of an answer, taken out of its framing piece by piece (RFC 9112, 6.3 and 7.1).

use bytes::{Bytes, BytesMut};
use httparse::Status;

use super::super::connection::{ExchangeError, RESPONSE_HEAD_BYTES_MAX};
use super::super::response_head::BodyLength;

/// The rest of a body.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// So many bytes.
    Known(usize),
    /// Chunks, of which a size is next.
    ChunkSize,
    /// A chunk with so many bytes left.
    Chunk(usize),
    /// The end of a chunk's line.
    ChunkEnd,
    /// Lines behind the last chunk, of which so many bytes were passed over.
    Trailers(usize),
    /// Everything until the connection ends.
    UntilClose,
    /// Nothing.
    Over,
}

/// Content of a body in the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A piece of it.
    Piece(Bytes),
    /// Nothing: more has to be read.
    Nothing,
    /// It is over.
    End,
}

impl AnswerBody {
    /// The body whose length is known in this way.
    #[must_use]
    pub(super) fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::Known(0) => Self::Over,
            BodyLength::Known(length) => Self::Known(length),
            BodyLength::Chunked => Self::ChunkSize,
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Whether it is over.
    #[must_use]
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Takes what there is of it.
    ///
    /// # Errors
    /// [`ExchangeError::Garbage`] where the framing is broken.
    pub(super) fn take(&mut self, read: &mut BytesMut) -> Result<Taken, ExchangeError> {
        loop {
            match self {
                Self::Over => return Ok(Taken::End),
                _ if read.is_empty() => return Ok(Taken::Nothing),
                Self::UntilClose => return Ok(Taken::Piece(read.split().freeze())),
                Self::Known(left) => {
                    let piece = read.split_to(read.len().min(*left)).freeze();
                    *left -= piece.len();
                    if *left == 0 {
                        *self = Self::Over;
                    }
                    return Ok(Taken::Piece(piece));
                }
                Self::Chunk(left) => {
                    let piece = read.split_to(read.len().min(*left)).freeze();
                    *left -= piece.len();
                    if *left == 0 {
                        *self = Self::ChunkEnd;
                    }
                    return Ok(Taken::Piece(piece));
                }
                Self::ChunkEnd => {
                    if read.len() < 2 {
                        return Ok(Taken::Nothing);
                    }
                    if !read.starts_with(b"\r\n") {
                        return Err(ExchangeError::Garbage("a chunk is longer than its size".to_owned()));
                    }
                    drop(read.split_to(2));
                    *self = Self::ChunkSize;
                }
                Self::ChunkSize => match chunk_size(read)? {
                    None => return Ok(Taken::Nothing),
                    Some((head, size)) => {
                        drop(read.split_to(head));
                        *self = if size == 0 { Self::Trailers(0) } else { Self::Chunk(size) };
                    }
                },
                Self::Trailers(passed) => {
                    let Some(end) = read.windows(2).position(|pair| pair == b"\r\n") else {
                        if *passed + read.len() > RESPONSE_HEAD_BYTES_MAX {
                            return Err(ExchangeError::Garbage("its trailers are too large".to_owned()));
                        }
                        return Ok(Taken::Nothing);
                    };
                    *passed += end + 2;
                    if *passed > RESPONSE_HEAD_BYTES_MAX {
                        return Err(ExchangeError::Garbage("its trailers are too large".to_owned()));
                    }
                    drop(read.split_to(end + 2));
                    if end == 0 {
                        *self = Self::Over;
                    }
                }
            }
        }
    }
}

/// The bytes of the line with the size of the next chunk, and that size.
fn chunk_size(read: &[u8]) -> Result<Option<(usize, usize)>, ExchangeError> {
    let wrong = || ExchangeError::Garbage("a chunk has no valid size".to_owned());
    // The parser takes a line without digits for the last chunk.
    if !read.first().is_some_and(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    match httparse::parse_chunk_size(read) {
        Ok(Status::Complete((head, size))) => Ok(Some((head, usize::try_from(size).map_err(|_| wrong())?))),
        Ok(Status::Partial) if read.len() < RESPONSE_HEAD_BYTES_MAX => Ok(None),
        Ok(Status::Partial) | Err(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole of a body that comes in pieces of this size, and what is left behind it.
    fn whole(length: BodyLength, text: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, bool), String> {
        let (mut body, mut read, mut whole) = (AnswerBody::new(length), BytesMut::new(), Vec::new());
        let mut steps = text.chunks(step);
        loop {
            match body.take(&mut read).map_err(|error| error.to_string())? {
                Taken::Piece(piece) => whole.extend_from_slice(&piece),
                Taken::End => {
                    let behind = [&read[..], &steps.collect::<Vec<_>>().concat()].concat();
                    return Ok((whole, behind, true));
                }
                Taken::Nothing => match steps.next() {
                    Some(more) => read.extend_from_slice(more),
                    None => return Ok((whole, read.to_vec(), false)),
                },
            }
        }
    }

    #[test]
    fn a_body_comes_out_of_its_framing_the_same_wherever_a_read_ends() {
        let chunked = b"5\r\nhello\r\n1;ext=1\r\n \r\n006\r\nworld!\r\n0\r\nX-Sum: 1\r\n\r\nHTTP/1.1";
        for step in 1..=chunked.len() {
            let read = whole(BodyLength::Chunked, chunked, step).expect("it is well framed");
            assert_eq!(read, (b"hello world!".to_vec(), b"HTTP/1.1".to_vec(), true), "{step}");
            let read = whole(BodyLength::Known(7), b"1234567HTTP", step).expect("it is well framed");
            assert_eq!(read, (b"1234567".to_vec(), b"HTTP".to_vec(), true), "{step}");
            let cut = whole(BodyLength::Chunked, &chunked[..12], step).expect("it is well framed");
            assert!(!cut.2, "a body that is cut is taken for whole");
        }
        assert_eq!(whole(BodyLength::Known(0), b"x", 1), Ok((vec![], b"x".to_vec(), true)));
        assert!(!whole(BodyLength::UntilClose, b"abc", 1).expect("any bytes").2);
    }

    #[test]
    fn broken_framing_is_refused() {
        for broken in
            ["\r\n", "x\r\n", "-1\r\n", "5\r\nhelloo\r\n", "fffffffffffffffff\r\n", " 5\r\nhello\r\n"]
        {
            assert!(whole(BodyLength::Chunked, broken.as_bytes(), 3).is_err(), "{broken:?}");
        }
        let endless = format!("0\r\n{}", "x".repeat(RESPONSE_HEAD_BYTES_MAX + 1));
        assert!(whole(BodyLength::Chunked, endless.as_bytes(), 999).is_err());
        let many = format!("0\r\n{}", "a: b\r\n".repeat(RESPONSE_HEAD_BYTES_MAX / 6 + 1));
        assert!(whole(BodyLength::Chunked, many.as_bytes(), 999).is_err());
    }
}
