//! Connections whose protocol was changed, of one version of a function on one gateway.

use std::cell::Cell;

use crate::change_signal::ChangeSignal;

/// Connections that belong to a client and an instance alone, as a WebSocket's: whether they are to close.
#[derive(Debug, Default)]
pub(crate) struct WebConnections {
    is_closing: Cell<bool>,
    changed: ChangeSignal,
}

impl WebConnections {
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
