//! A line for each request of a client, for a person who looks on. Few at a time, so that a crowd of clients costs no
//! more than its own requests.

use std::cell::Cell;
use std::time::Duration;

use hyper::{Method, Request, Response};

use super::Gateway;
use crate::api::response::Body;
use crate::api::response::{X_COLD_START, X_ERROR_SOURCE};
use crate::clock::Nanos;
use crate::messages::control_message::{AnsweredRequest, ControlMessage};

/// Requests that are told in a second, by each gateway.
const TOLD_PER_SECOND: u32 = 20;

/// Characters that are told of a path.
const PATH_CHARS_MAX: usize = 200;

const SECOND: Nanos = 1_000_000_000;

/// Count of the requests that were told in this second, and of those that were not since the last one that was.
#[derive(Debug, Default)]
pub(super) struct RequestLines {
    second: Cell<Nanos>,
    told: Cell<u32>,
    untold: Cell<u64>,
}

impl RequestLines {
    /// Counts a request. Answers whether it is told.
    fn count(&self) -> bool {
        let is_told = self.told.get() < TOLD_PER_SECOND;
        if is_told {
            self.told.set(self.told.get() + 1);
        } else {
            self.untold.set(self.untold.get() + 1);
        }
        is_told
    }

    /// Begins a new second where it has come. Answers how many requests of the one before were not told.
    fn turn_over(&self, now: Nanos) -> u64 {
        if now / SECOND == self.second.replace(now / SECOND) {
            return 0;
        }
        self.told.set(0);
        self.untold.take()
    }
}

/// A request that is told once it is answered.
#[derive(Debug)]
pub(super) struct ToldRequest {
    method: Method,
    path: String,
    begun: Nanos,
}

impl ToldRequest {
    #[cold]
    pub(super) fn begin<B>(request: &Request<B>, now: Nanos) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().chars().take(PATH_CHARS_MAX).collect(),
            begun: now,
        }
    }
}

impl Gateway {
    /// Has control tell of a request and its answer.
    #[cold]
    pub(super) fn tell_answered(&self, request: ToldRequest, response: &Response<Body>) {
        let now = self.clock.now();
        self.tell_untold(now);
        if !self.request_lines.count() {
            return;
        }
        let ToldRequest { method, path, begun } = request;
        let answered = AnsweredRequest {
            method,
            path,
            status: response.status(),
            error_source: response.headers().get(X_ERROR_SOURCE).cloned(),
            is_cold_start: response.headers().contains_key(X_COLD_START),
            took: Duration::from_nanos(now.saturating_sub(begun)),
        };
        // Where control has too much to do, a line fewer is shown.
        let _ = self.control.try_send(ControlMessage::Answered(Box::new(answered)));
    }

    /// Has control tell how many requests were not told, once their second is over.
    pub(super) fn tell_untold(&self, now: Nanos) {
        let untold = self.request_lines.turn_over(now);
        if untold > 0 {
            // As above: a count fewer is shown.
            let _ = self.control.try_send(ControlMessage::AnsweredMore(untold));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_requests_is_told_in_few_lines_and_counted() {
        let lines = RequestLines::default();
        assert_eq!(lines.turn_over(SECOND), 0);
        for _ in 0..TOLD_PER_SECOND {
            assert!(lines.count());
        }
        for _ in 0..7 {
            assert!(!lines.count());
        }
        assert_eq!(lines.turn_over(2 * SECOND - 1), 0);
        assert!(!lines.count());
        assert_eq!(lines.turn_over(2 * SECOND), 8);
        assert_eq!(lines.turn_over(2 * SECOND), 0);
        assert!(lines.count());
    }
}
