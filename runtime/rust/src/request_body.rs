//! The body of a web request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::handler_error::HandlerError;

/// The body of a web request, which comes as fast as the handler reads it. It has no limit.
///
/// It is a [`Body`] of the crate `http-body`, so it can be handed on to any library that takes one.
#[derive(Debug)]
pub struct RequestBody(RequestContent);

#[derive(Debug)]
enum RequestContent {
    Coming(Incoming),
    Whole(Full<Bytes>),
}

impl RequestBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(RequestContent::Coming(body))
    }

    /// A body that came in a frame.
    pub(crate) fn whole_at_once(bytes: Bytes) -> Self {
        Self(RequestContent::Whole(Full::new(bytes)))
    }

    /// Waits for the next piece; `None` after the last one.
    ///
    /// # Errors
    /// A 400 `BAD_INPUT` where the caller broke off in the middle of it.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HandlerError> {
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(|error| {
                HandlerError::rejection(format!("the body of the request could not be read: {error}"))
            })?;
            // Trailers are no part of it.
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Waits for all of it, which is at most `max` bytes.
    ///
    /// # Errors
    /// A 413 `BODY_TOO_LARGE`, and those of [`Self::chunk`].
    pub async fn whole(mut self, max: usize) -> Result<Bytes, HandlerError> {
        let too_large = || {
            HandlerError::new(
                413,
                "BODY_TOO_LARGE",
                format!("the body is longer than the {max} bytes it may have"),
            )
        };
        if self.size_hint().lower() > max as u64 {
            return Err(too_large());
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() > max {
            return Err(too_large());
        }
        // One that comes in a single piece, as most do, is not copied.
        let Some(mut piece) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(&first[..]);
        loop {
            if piece.len() > max - whole.len() {
                return Err(too_large());
            }
            whole.extend_from_slice(&piece);
            match self.chunk().await? {
                Some(next) => piece = next,
                None => return Ok(whole.freeze()),
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            RequestContent::Coming(body) => Pin::new(body).poll_frame(cx),
            RequestContent::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            RequestContent::Coming(body) => body.is_end_stream(),
            RequestContent::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            RequestContent::Coming(body) => body.size_hint(),
            RequestContent::Whole(body) => body.size_hint(),
        }
    }
}
