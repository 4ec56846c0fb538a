//! The end of patience with a body of which nothing comes and nothing goes.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use crate::clock::{Clock, Nanos};

/// A timer that is set anew without cost: it looks at the last progress when it goes off. There is none before something
/// is waited for.
#[derive(Debug)]
pub(super) struct IdleTimer {
    clock: Clock,
    patience: Nanos,
    last: Nanos,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    /// A timer that begins now.
    #[must_use]
    pub(super) fn new(clock: Clock, patience: Duration) -> Self {
        let last = clock.now();
        let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        Self { clock, patience: nanos, last, sleep: None }
    }

    /// Something came or went.
    pub(super) fn progress(&mut self) {
        self.last = self.clock.now();
    }

    /// Whether nothing has come or gone for as long as that may be; where not, the task is woken when it may be so.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
            }
            let quiet = self.clock.now().saturating_sub(self.last);
            if quiet >= self.patience {
                return Poll::Ready(());
            }
            let rest = tokio::time::sleep(Duration::from_nanos(self.patience - quiet));
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().set(rest),
                None => self.sleep = Some(Box::pin(rest)),
            }
        }
    }
}
