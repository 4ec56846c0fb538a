//! The end of patience with a body of which nothing comes and nothing goes, or that takes too long.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::{Clock, Nanos};

/// The patience that is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing came and nothing went for too long.
    Idle,
    /// The whole takes too long.
    Whole,
}

/// A timer that is set anew without cost: it looks at the last progress when it goes off. There is none before something
/// is waited for.
#[derive(Debug)]
pub(super) struct IdleTimer {
    clock: Clock,
    patience: Nanos,
    last: Nanos,
    /// The whole is over then, whatever comes and goes.
    ends_at: Nanos,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    /// A timer that begins now.
    #[must_use]
    pub(super) fn new(clock: Clock, patience: Duration) -> Self {
        let last = clock.now();
        let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        Self { clock, patience: nanos, last, ends_at: Nanos::MAX, sleep: None }
    }

    /// The whole may take so long from now on.
    pub(super) fn limit(&mut self, whole: Duration) {
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        self.ends_at = self.clock.now().saturating_add(nanos);
        // One that is set may be too late.
        self.sleep = None;
    }

    /// Something came or went.
    pub(super) fn progress(&mut self) {
        self.last = self.clock.now();
    }

    /// Whether the time of the whole was over at the last progress.
    #[must_use]
    pub(super) fn is_whole_over(&self) -> bool {
        self.last >= self.ends_at
    }

    /// Whether nothing has come or gone for as long as that may be, or the whole takes too long; where not, the task is
    /// woken when it may be so.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
            }
            let now = self.clock.now();
            let until = self.last.saturating_add(self.patience).min(self.ends_at);
            if now >= until {
                let is_whole = now >= self.ends_at;
                return Poll::Ready(if is_whole { Over::Whole } else { Over::Idle });
            }
            let rest = tokio::time::sleep(Duration::from_nanos(until - now));
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().set(rest),
                None => self.sleep = Some(Box::pin(rest)),
            }
        }
    }
}
