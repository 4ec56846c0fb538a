//! A body that comes in pieces, or whole.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::failure::Failure;

/// A body on its way from a connection to an invocation.
#[derive(Debug)]
pub(crate) struct GatheredBody {
    state: RefCell<BodyState>,
    /// Bytes.
    max: usize,
}

#[derive(Debug)]
enum BodyState {
    Whole(Bytes),
    Partial { bytes: BytesMut, waker: Option<Waker> },
    TooLarge,
}

impl GatheredBody {
    /// A body that is whole.
    pub(super) fn whole_at_once(bytes: Bytes, max: usize) -> Self {
        let state = if bytes.len() > max { BodyState::TooLarge } else { BodyState::Whole(bytes) };
        Self { state: RefCell::new(state), max }
    }

    /// A body whose pieces follow, `announced` bytes of them.
    pub(super) fn announced(announced: u64, max: usize) -> Self {
        let state = if announced > max as u64 {
            BodyState::TooLarge
        } else {
            BodyState::Partial { bytes: BytesMut::new(), waker: None }
        };
        Self { state: RefCell::new(state), max }
    }

    /// Adds a piece. Answers whether there is room for more.
    pub(super) fn add(&self, piece: &[u8], ends: bool) -> bool {
        let mut state = self.state.borrow_mut();
        let BodyState::Partial { bytes, waker } = &mut *state else { return false };
        let fits = piece.len() <= self.max - bytes.len();
        if fits {
            bytes.extend_from_slice(piece);
        }
        if fits && !ends {
            return true;
        }
        let (bytes, waker) = (std::mem::take(bytes), waker.take());
        *state = if fits { BodyState::Whole(bytes.freeze()) } else { BodyState::TooLarge };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        fits
    }

    /// Waits for it, and takes it.
    ///
    /// # Errors
    /// [`Failure::BodyTooLarge`].
    pub(crate) async fn whole(&self) -> Result<Bytes, Failure> {
        poll_fn(|cx| match &mut *self.state.borrow_mut() {
            BodyState::Whole(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            BodyState::TooLarge => Poll::Ready(Err(Failure::BodyTooLarge { max: self.max })),
            BodyState::Partial { waker, .. } => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn read(body: &GatheredBody) -> Poll<Result<Bytes, String>> {
        let mut whole = pin!(body.whole());
        let polled = whole.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        polled.map(|read| read.map_err(|failure| failure.to_string()))
    }

    #[test]
    fn pieces_make_a_body_when_the_last_has_come_and_no_longer_one_than_may_be() {
        let body = GatheredBody::announced(5, 5);
        assert!(body.add(b"abc", false) && read(&body).is_pending());
        assert!(body.add(b"de", true));
        assert_eq!(read(&body), Poll::Ready(Ok(Bytes::from_static(b"abcde"))));
        let too_long = Poll::Ready(Err("the body is longer than 5 bytes (MAX_BODY)".to_owned()));
        assert_eq!(read(&GatheredBody::announced(6, 5)), too_long);
        assert_eq!(read(&GatheredBody::whole_at_once(Bytes::from_static(b"abcdef"), 5)), too_long);
        let body = GatheredBody::announced(5, 5);
        assert!(body.add(b"abc", false) && !body.add(b"def", false));
        assert_eq!(read(&body), too_long);
    }
}
