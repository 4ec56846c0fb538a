//! A connection over HTTP/1.1, as its requests know it.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;

use hyper::Request;
use hyper::header::EXPECT;
use hyper::upgrade::OnUpgrade;

use crate::flushed_stream::Flushes;
use crate::standby::ConnectionKey;

/// A connection that was accepted.
pub(crate) struct InboundConnection {
    pub(crate) key: ConnectionKey,
    pub(crate) flushes: Arc<Flushes>,
    /// The stream after a change to another protocol.
    pub(crate) upgrade: Cell<Option<OnUpgrade>>,
    /// The web request that made it a connection of another protocol: it lasts until that ends.
    pub(crate) switched: Cell<Option<Box<dyn Any>>>,
}

impl InboundConnection {
    pub(crate) fn new(key: ConnectionKey, flushes: Arc<Flushes>) -> Self {
        Self { key, flushes, upgrade: Cell::new(None), switched: Cell::new(None) }
    }

    /// Waits until the kernel has the `100 Continue` of a request whose body was read, where it asks for one. hyper
    /// writes it when it reads the body, but hands it to the kernel only when the handler waits, which may be never.
    pub(crate) async fn acknowledge(&self, is_expected: bool) {
        if is_expected {
            self.flushes.next().await;
        }
    }
}

/// Whether a request has an expectation. hyper answers `100-continue`, in any letters, and ignores others.
pub(crate) fn expects<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(EXPECT)
}
