//! The body of a server's answer to a web request, on its way to the caller.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::sent_body::SentEnd;
use super::web_attempt::WebAttempt;
use super::web_connections::{WebConnection, Words};

/// Pieces that are passed on as they come. Dropped before its end, the connection to the server is closed.
pub(crate) struct AnsweredBody {
    body: Incoming,
    /// Until its end.
    exchange: Option<Exchange>,
}

/// All that ends with a body.
struct Exchange {
    attempt: WebAttempt,
    connection: WebConnection,
    sent: SentEnd,
}

impl AnsweredBody {
    pub(crate) fn new(body: Incoming, attempt: WebAttempt, connection: WebConnection, sent: SentEnd) -> Self {
        Self { body, exchange: Some(Exchange { attempt, connection, sent }) }
    }

    /// The answer is there: the connection may have another request.
    fn end(&mut self) {
        if let Some(Exchange { attempt, connection, sent }) = self.exchange.take() {
            // One whose request is still on its way has to be closed, and the request with it.
            if sent.is_sent() {
                attempt.keep(connection);
            }
        }
    }
}

impl Body for AnsweredBody {
    type Data = Bytes;
    type Error = Words;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Words>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            match frame {
                None => {
                    self.end();
                    return Poll::Ready(None);
                }
                Some(Ok(frame)) if frame.is_data() => {
                    if self.body.is_end_stream() {
                        self.end();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                // Trailers go no further: they were not announced to the caller.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(Words::of(&error)))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnsweredBody {
    fn drop(&mut self) {
        // One without bytes is asked for none.
        if self.body.is_end_stream() {
            self.end();
        }
    }
}
