//! The body of an answer: whole, or in pieces that come by and by.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::channel::{AnswerSender, MessageReceiver};
use crate::web_exchange::{ClientStream, Piece};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Bytes that are all there.
    Whole(Full<Chunk>),
    /// Pieces that another task sends, until it sends [`Piece::End`].
    Streamed(MessageReceiver<Piece>),
    /// None: the connection changes its protocol, and its stream goes this way.
    Upgrade(Option<AnswerSender<ClientStream>>),
}

/// Bytes of a body, as hyper takes and writes them.
#[derive(Debug)]
pub enum Chunk {
    /// In one piece.
    Whole(Bytes),
    /// An output that is not copied into its answer.
    Wrapped(Box<WrappedOutput>),
}

/// An output between the text before it and the text behind it, which are written together.
#[derive(Debug)]
pub struct WrappedOutput([Bytes; 3]);

impl WrappedOutput {
    /// Of the text before the output, the output, and the text behind it.
    #[must_use]
    pub(crate) fn new(pieces: [Bytes; 3]) -> Self {
        Self(pieces)
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        match self {
            Chunk::Whole(bytes) => bytes.len(),
            Chunk::Wrapped(output) => output.0.iter().map(Bytes::len).sum(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Chunk::Whole(bytes) => bytes,
            Chunk::Wrapped(output) => {
                output.0.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| piece)
            }
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Chunk::Whole(bytes) => bytes.chunks_vectored(slices),
            Chunk::Wrapped(output) => {
                let pieces = output.0.iter().filter(|piece| !piece.is_empty());
                slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
            }
        }
    }

    fn advance(&mut self, mut count: usize) {
        match self {
            Chunk::Whole(bytes) => bytes.advance(count),
            Chunk::Wrapped(output) => {
                for piece in &mut output.0 {
                    let of_this = count.min(piece.len());
                    piece.advance(of_this);
                    count -= of_this;
                }
                assert!(count == 0, "more is written than there was");
            }
        }
    }
}

/// A streamed body whose writer has gone without its end. The connection is closed, so that the
/// client does not take what it got for the whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub struct BrokenOff;

impl Default for Body {
    fn default() -> Self {
        Body::Whole(Full::default())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::from(Chunk::Whole(bytes))
    }
}

impl From<Chunk> for Body {
    fn from(chunk: Chunk) -> Self {
        Body::Whole(Full::new(chunk))
    }
}

impl Body {
    /// The next piece of a streamed body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Chunk>, BrokenOff>>> {
        let Body::Streamed(pieces) = self else { return Poll::Ready(None) };
        Poll::Ready(match ready!(pieces.poll_recv(cx)) {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(Chunk::Whole(bytes)))),
            Some(Piece::End(trailers)) => {
                // Its writer goes now.
                *self = Body::default();
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            None => Some(Err(BrokenOff)),
        })
    }
}

impl HttpBody for Body {
    type Data = Chunk;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BrokenOff>>> {
        match self.get_mut() {
            Body::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            this @ Body::Streamed(_) => this.poll_piece(cx),
            Body::Upgrade(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(whole) => whole.is_end_stream(),
            Body::Streamed(_) => false,
            Body::Upgrade(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => whole.size_hint(),
            Body::Streamed(_) => SizeHint::default(),
            Body::Upgrade(_) => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_written_in_its_order_wherever_a_write_ends() {
        let pieces = [&b"{\"output\":"[..], b"[1,2]", b",\"error\":null}"];
        let whole = pieces.concat();
        for first in 0..=whole.len() {
            let mut chunk = Chunk::Wrapped(Box::new(WrappedOutput::new(pieces.map(Bytes::from_static))));
            chunk.advance(first);
            let left = &whole[first..];
            assert_eq!(chunk.remaining(), left.len());
            assert!(
                left.starts_with(chunk.chunk()) && chunk.chunk().is_empty() == left.is_empty(),
                "{first}"
            );
            let mut slices = [IoSlice::new(&[]); 8];
            let count = chunk.chunks_vectored(&mut slices);
            let seen: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            assert_eq!(seen, left, "{first}");
        }
    }
}
