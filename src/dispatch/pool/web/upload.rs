//! The body of a request that is passed on to an instance as it comes from its client.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::body::{Body as _, Incoming};

use super::super::instance_stream::InstanceStream;
use crate::web_exchange::BodyLimit;

/// A body that is being passed on.
#[derive(Debug)]
pub(super) struct Upload {
    body: Incoming,
    is_chunked: bool,
    /// A piece that is being written, with what frames it.
    pending: [Bytes; 3],
    /// The last of it is pending, or written.
    has_ended: bool,
    limit: Option<BodyLimit>,
    /// Bytes of the body that came.
    came: u64,
    /// Bytes of the body that were written.
    pub(super) passed: u64,
}

/// The reason why a body was not passed on.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client has gone, or sends what is no body.
    Client,
    /// It has more bytes than it may have.
    TooLarge(BodyLimit),
    /// The instance takes nothing more.
    Instance,
}

impl Upload {
    /// A body that goes on in chunks or as it is.
    #[must_use]
    pub(super) fn new(body: Incoming, is_chunked: bool, limit: Option<BodyLimit>) -> Self {
        Self { body, is_chunked, pending: Default::default(), has_ended: false, limit, came: 0, passed: 0 }
    }

    /// Passes on what there is. Ready when all of it is written, or it cannot be.
    pub(super) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut InstanceStream,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            while self.pending.iter().any(|part| !part.is_empty()) {
                let slices = self.pending.each_ref().map(|part| IoSlice::new(part));
                let written = ready!(stream.poll_write_slices(cx, &slices));
                match written {
                    Ok(0) | Err(_) => return Poll::Ready(Err(UploadError::Instance)),
                    Ok(written) => self.advance(written),
                }
            }
            if self.has_ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers are not passed on.
                    if let Ok(data) = frame.into_data() {
                        self.came += data.len() as u64;
                        if let Some(limit) = self.limit.filter(|limit| self.came > limit.bytes) {
                            return Poll::Ready(Err(UploadError::TooLarge(limit)));
                        }
                        self.take(data);
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(UploadError::Client)),
                None => {
                    self.has_ended = true;
                    if self.is_chunked {
                        self.pending[0] = Bytes::from_static(b"0\r\n\r\n");
                    }
                }
            }
        }
    }

    fn take(&mut self, data: Bytes) {
        if data.is_empty() {
            // A chunk of none would be the last.
            return;
        }
        self.pending = match self.is_chunked {
            true => [Bytes::from(format!("{:x}\r\n", data.len())), data, Bytes::from_static(b"\r\n")],
            false => [Bytes::new(), data, Bytes::new()],
        };
    }

    fn advance(&mut self, mut written: usize) {
        for (at, part) in self.pending.iter_mut().enumerate() {
            let of_this = written.min(part.len());
            part.advance(of_this);
            written -= of_this;
            if at == 1 {
                self.passed += of_this as u64;
            }
        }
    }
}
