//! The one invocation of a standby (`docs/runtime.md#standby`).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use tokio::time::timeout;

use crate::failure::Failure;
use crate::limits::STANDBY_LINGER;

/// The variable that makes an instance a standby.
pub(crate) const STANDBY: &str = "PICOFAAS_STANDBY";

/// A connection of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionKey(u64);

/// The invocations that an instance may still take.
#[derive(Debug)]
pub(crate) struct Standby {
    phase: Cell<Phase>,
    next_key: Cell<u64>,
    /// The task that ends the process.
    waker: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is no standby and takes any number.
    Unlimited,
    /// No handler is run.
    WarmingUp,
    Unused,
    /// Its one runs, and came over this connection.
    Running(ConnectionKey),
    /// It has ended, and the connection is open.
    Ended(ConnectionKey),
    /// Nobody is there any more.
    Left,
}

/// An invocation whose handler runs. Dropped, it has ended, also where nobody waited for it.
#[must_use = "it has ended when this is dropped"]
#[derive(Debug)]
pub(crate) struct StandbyUse<'a>(&'a Standby);

impl Standby {
    pub(crate) fn new(is_standby: bool) -> Self {
        Self::in_phase(if is_standby { Phase::Unused } else { Phase::Unlimited })
    }

    /// The one of an instance that warms up.
    pub(crate) fn warming_up() -> Self {
        Self::in_phase(Phase::WarmingUp)
    }

    fn in_phase(phase: Phase) -> Self {
        Self { phase: Cell::new(phase), next_key: Cell::new(0), waker: RefCell::default() }
    }

    /// Whether it takes one invocation.
    pub(crate) fn is_limited(&self) -> bool {
        self.phase.get() != Phase::Unlimited
    }

    /// Whether no handler is run, and nothing is told of it.
    pub(crate) fn is_warming_up(&self) -> bool {
        self.phase.get() == Phase::WarmingUp
    }

    /// The key of a connection that was accepted.
    pub(crate) fn next_key(&self) -> ConnectionKey {
        ConnectionKey(self.next_key.replace(self.next_key.get() + 1))
    }

    /// Refuses an invocation where a handler was run.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.phase.get() {
            Phase::Unlimited | Phase::WarmingUp | Phase::Unused => Ok(()),
            Phase::Running(_) | Phase::Ended(_) | Phase::Left => Err(Failure::AlreadyUsed),
        }
    }

    /// Takes note that a handler is run for an invocation of a connection.
    ///
    /// # Errors
    /// [`Failure::AlreadyUsed`].
    pub(crate) fn begin(&self, connection: ConnectionKey) -> Result<StandbyUse<'_>, Failure> {
        self.take(connection)?;
        Ok(StandbyUse(self))
    }

    /// Does the same for a caller that says itself when the invocation has [ended](Self::has_ended).
    ///
    /// # Errors
    /// [`Failure::AlreadyUsed`].
    pub(crate) fn take(&self, connection: ConnectionKey) -> Result<(), Failure> {
        self.check()?;
        if self.phase.get() == Phase::Unused {
            self.phase.set(Phase::Running(connection));
        }
        Ok(())
    }

    /// Takes note that an invocation has ended whose handler was run.
    pub(crate) fn has_ended(&self) {
        if let Phase::Running(connection) = self.phase.get() {
            self.go_on_to(Phase::Ended(connection));
        }
    }

    /// Takes note that a connection has ended, with all that ran for it.
    pub(crate) fn connection_ended(&self, connection: ConnectionKey) {
        if self.phase.get() == Phase::Ended(connection) {
            self.go_on_to(Phase::Left);
        }
    }

    /// Waits until the one invocation has ended and its connection was closed, or a while has passed since.
    pub(crate) async fn over(&self) {
        self.until(|phase| matches!(phase, Phase::Ended(_) | Phase::Left)).await;
        // A caller that keeps the connection open for longer has forgotten it.
        let _ = timeout(STANDBY_LINGER, self.until(|phase| phase == Phase::Left)).await;
    }

    async fn until(&self, is_reached: impl Fn(Phase) -> bool) {
        poll_fn(|cx| {
            if is_reached(self.phase.get()) {
                return Poll::Ready(());
            }
            self.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn go_on_to(&self, phase: Phase) {
        self.phase.set(phase);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for StandbyUse<'_> {
    fn drop(&mut self) {
        self.0.has_ended();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn a_standby_runs_one_handler_and_is_over_when_the_connection_of_that_one_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let standby = Standby::new(true);
        let (first, second) = (standby.next_key(), standby.next_key());
        let mut over = pin!(standby.over());
        let mut is_over = || over.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let running = standby.begin(first).unwrap();
        assert!(matches!(standby.begin(second), Err(Failure::AlreadyUsed)), "while it runs");
        standby.connection_ended(second);
        assert!(!is_over());
        drop(running);
        assert!(matches!(standby.check(), Err(Failure::AlreadyUsed)), "and when it has ended");
        standby.connection_ended(first);
        assert!(is_over());
    }

    #[test]
    fn any_other_instance_runs_any_number_and_is_never_over() {
        let instance = Standby::new(false);
        let key = instance.next_key();
        for _ in 0..3 {
            drop((instance.begin(key).unwrap(), instance.begin(key).unwrap()));
        }
        instance.connection_ended(key);
        let mut over = pin!(instance.over());
        assert!(over.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
