//! A signal that something has changed, for the tasks that wait for it.

#[expect(
    clippy::disallowed_types,
    reason = "for slow threads; who waits is entered before it looks, so that no wake is missed"
)]
type WaitingTasks = tokio::sync::Notify;

/// Wakes the tasks that wait for a change. Where they are on another thread than the one that makes it, what they look at
/// is atomic.
#[derive(Debug, Default)]
pub(crate) struct ChangeSignal(WaitingTasks);

impl ChangeSignal {
    /// Has everybody who waits look again.
    pub(crate) fn notify(&self) {
        self.0.notify_waiters();
    }

    /// Returns when a condition holds. It is checked at once, and again after each change.
    pub(crate) async fn until(&self, mut holds: impl FnMut() -> bool) {
        loop {
            // Made before the check, so that it has every change since.
            let changed = self.0.notified();
            if holds() {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn who_waits_goes_on_at_the_change_that_fits_and_not_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().build_local(Default::default()).unwrap();
        runtime.block_on(async {
            let (signal, count) = (Rc::new(ChangeSignal::default()), Rc::new(Cell::new(0)));
            signal.until(|| count.get() == 0).await;
            let (its_signal, its_count) = (signal.clone(), count.clone());
            let waits = tokio::task::spawn_local(async move {
                its_signal.until(|| its_count.get() == 2).await;
            });
            for so_far in 1..=2 {
                tokio::task::yield_now().await;
                assert!(!waits.is_finished());
                count.set(so_far);
                signal.notify();
            }
            waits.await.unwrap();
        });
    }
}
