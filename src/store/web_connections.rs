//! Connections whose protocol was changed, of one version of a function on one gateway.

use std::cell::Cell;

use crate::change_signal::ChangeSignal;

/// Connections that belong to a client and an instance alone, as a WebSocket's.
#[derive(Debug, Default)]
pub(crate) struct WebConnections {
    open: Cell<u32>,
    is_closing: Cell<bool>,
    changed: ChangeSignal,
}

impl WebConnections {
    /// How many are open.
    #[must_use]
    pub(crate) fn open(&self) -> u32 {
        self.open.get()
    }

    /// Counts one that opens (1) or has closed (−1).
    pub(crate) fn count(&self, change: i32) {
        self.open.set(self.open.get().saturating_add_signed(change));
    }

    /// Has all of them close: the version is replaced, or this process stops.
    pub(crate) fn close(&self) {
        self.is_closing.set(true);
        self.changed.notify();
    }

    /// Returns when they are to close.
    pub(crate) async fn closing(&self) {
        self.changed.until(|| self.is_closing.get()).await;
    }
}
