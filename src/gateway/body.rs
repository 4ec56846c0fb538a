//! The body of a request, from wherever the request came.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;

use super::Gateway;
use crate::error::{ApiError, ErrorCode};
use crate::metrics::RejectReason;
use crate::server::request_body::too_large;

/// The source of a request's body.
pub enum BodySource {
    /// The client's connection.
    Incoming(Incoming),
    /// Another listener, which has read it.
    Whole(Bytes),
    /// Another listener, which found it too large and gave it up.
    TooLarge,
}

/// Marks a request that another gateway handed on without its body, which was too large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyWasTooLarge;

/// The reason of a refusal for a body that could not be read.
#[must_use]
pub(super) fn body_refusal(error: ApiError) -> (RejectReason, ApiError) {
    let reason = if error.code == ErrorCode::PayloadBytesFull {
        RejectReason::PayloadBytesFull
    } else {
        RejectReason::Invalid
    };
    (reason, error)
}

impl Gateway {
    /// Reads the whole body, within its limit of bytes and time.
    ///
    /// # Errors
    /// See [`Reading::read`](crate::server::request_body::Reading::read).
    pub async fn read_body(&self, body: BodySource) -> Result<Bytes, ApiError> {
        self.read_body_of(body, self.settings.flags.max_body).await
    }

    /// Reads a whole body of at most `most` bytes.
    ///
    /// # Errors
    /// See [`Reading::read`](crate::server::request_body::Reading::read).
    pub async fn read_body_of(&self, body: BodySource, most: usize) -> Result<Bytes, ApiError> {
        match body {
            BodySource::Whole(bytes) if bytes.len() > most => Err(too_large(most)),
            BodySource::Whole(bytes) => Ok(bytes),
            BodySource::TooLarge => Err(too_large(most)),
            BodySource::Incoming(incoming) => {
                let patience = Duration::from_millis(self.settings.flags.body_timeout_ms);
                self.reading.read(incoming, most, patience).await
            }
        }
    }
}
