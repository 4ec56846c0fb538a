//! Reading a request's body: within its limit of bytes and time, and all that are being read
//! together within theirs.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header::TRANSFER_ENCODING;

use crate::error::{ApiError, ErrorCode};

/// Bytes held by all request bodies being read.
///
/// A body that came in one piece is not counted: its bytes are in the buffer of its connection,
/// which there is anyway.
#[derive(Debug)]
pub(crate) struct Reading {
    held: Cell<usize>,
    bytes_max: usize,
}

impl Reading {
    /// Of at most so many bytes.
    #[must_use]
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { held: Cell::new(0), bytes_max }
    }

    /// Reads a body of at most `most` bytes within `patience`.
    ///
    /// # Errors
    /// `BODY_TOO_LARGE`, before anything is read where the length was announced;
    /// `REQUEST_TIMEOUT`; `PAYLOAD_BYTES_FULL`.
    pub(crate) async fn read(
        &self,
        mut body: Incoming,
        most: usize,
        patience: Duration,
    ) -> Result<Bytes, ApiError> {
        if body.size_hint().lower() > most as u64 {
            return Err(too_large(most));
        }
        let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let mut share = Share { reading: self, bytes: 0 };
        let mut whole = pin!(async {
            let mut first = Bytes::new();
            let mut rest = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    ApiError::new(ErrorCode::BadRequest, format!("the body could not be read: {error}"))
                        .closing()
                })?;
                let Ok(data) = frame.into_data() else { continue };
                if first.len() + rest.len() + data.len() > most {
                    return Err(too_large(most));
                }
                if first.is_empty() && rest.is_empty() {
                    first = data;
                    if body.is_end_stream() {
                        break;
                    }
                    continue;
                }
                share.take(data.len())?;
                if rest.is_empty() {
                    // The announced length is allocated once, and no more than that: it may be held for long.
                    rest.reserve(announced.unwrap_or(first.len() + data.len()));
                    rest.extend_from_slice(&first);
                    first = Bytes::new();
                }
                rest.extend_from_slice(&data);
            }
            Ok(match announced {
                _ if rest.is_empty() => first,
                Some(_) => rest.freeze(),
                // It grew by doubling, and what is held must be what is counted.
                None => Bytes::copy_from_slice(&rest),
            })
        });
        // A body that came with its head is there, and nothing has to be timed.
        if let Some(read) = whole.as_mut().now_or_never() {
            return read;
        }
        match tokio::time::timeout(patience, whole).await {
            Ok(read) => read,
            Err(_) => Err(ApiError::new(
                ErrorCode::RequestTimeout,
                format!("the body did not come within {} ms (--body-timeout-ms)", patience.as_millis()),
            )
            .closing()),
        }
    }
}

/// Checks that no other coding than chunks is on a body (RFC 9112, 6.1): one that is not undone here would be
/// taken for what it is not.
///
/// # Errors
/// `BAD_REQUEST`.
pub(crate) fn check_coding<B: hyper::body::Body>(request: &Request<B>) -> Result<(), ApiError> {
    // A length is known of every body that has no coding.
    if request.body().size_hint().exact().is_some() {
        return Ok(());
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked && codings.next().is_none() {
        return Ok(());
    }
    let text = "Transfer-Encoding must be `chunked` and nothing else; leave a body as it is";
    Err(ApiError::new(ErrorCode::BadRequest, text).closing())
}

/// The error of a body of more than `most` bytes.
#[must_use]
pub(crate) fn too_large(most: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("the body is larger than {most} bytes (--max-body)"))
        .closing()
}

/// The share of one body in it, until it was read or given up.
struct Share<'a> {
    reading: &'a Reading,
    bytes: usize,
}

impl Share<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        let held = self.reading.held.get() + bytes;
        if held > self.reading.bytes_max {
            let text = "too many bytes of bodies are being read at once (--max-payload-bytes)";
            return Err(ApiError::new(ErrorCode::PayloadBytesFull, text).retry_after(1).closing());
        }
        self.reading.held.set(held);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.reading.held.set(self.reading.held.get() - self.bytes);
    }
}
