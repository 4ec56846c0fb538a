//! The body of an answer to a web request, between the connection that it comes over and the task that passes it on.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::dispatch::pool::connection::ExchangeError;

/// A body on its way. The instance sends no more of it than its window, which is what waits here at most.
#[derive(Debug, Default)]
pub(crate) struct FramedBody(RefCell<BodyState>);

#[derive(Debug, Default)]
struct BodyState {
    /// Bytes that came and were not taken. They are copied: each as a part of the buffer that it was read into would keep
    /// that.
    waiting: BytesMut,
    end: Option<BodyEnd>,
    task: Option<Waker>,
}

/// The end of a body.
#[derive(Debug)]
enum BodyEnd {
    Whole,
    Broken(ExchangeError),
}

impl FramedBody {
    /// Adds a piece that came.
    pub(super) fn add(&self, bytes: &[u8], ends: bool) {
        let mut state = self.0.borrow_mut();
        state.waiting.extend_from_slice(bytes);
        if ends {
            state.end = Some(BodyEnd::Whole);
        }
        drop(state);
        self.wake();
    }

    /// Nothing more will come of it, and it is not whole.
    pub(super) fn break_off(&self, error: ExchangeError) {
        self.0.borrow_mut().end.get_or_insert(BodyEnd::Broken(error));
        self.wake();
    }

    /// Takes what has come of it; nothing where all of it was taken.
    ///
    /// # Errors
    /// It has broken off.
    pub(crate) fn poll_piece(&self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        let mut state = self.0.borrow_mut();
        if !state.waiting.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut state.waiting).freeze())));
        }
        match state.end.take() {
            Some(BodyEnd::Whole) => Poll::Ready(Ok(None)),
            Some(BodyEnd::Broken(error)) => Poll::Ready(Err(error)),
            None => {
                if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                    state.task = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    fn wake(&self) {
        let task = self.0.borrow_mut().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(body: &FramedBody) -> String {
        format!("{:?}", body.poll_piece(&Context::from_waker(Waker::noop())))
    }

    #[test]
    fn the_end_of_a_body_comes_behind_all_of_it() {
        let body = FramedBody::default();
        assert_eq!(next(&body), "Pending");
        body.add(b"ab", false);
        body.add(b"c", true);
        assert_eq!(next(&body), "Ready(Ok(Some(b\"abc\")))");
        assert_eq!(next(&body), "Ready(Ok(None))");
        let body = FramedBody::default();
        body.add(b"ab", false);
        body.break_off(ExchangeError::Stale);
        assert_eq!(next(&body), "Ready(Ok(Some(b\"ab\")))");
        assert_eq!(next(&body), "Ready(Err(Stale))");
    }
}
