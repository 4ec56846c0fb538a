//! Connections to a server for web requests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use picofaas_runtime::http::{Request, Response};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};

use super::exchange::ExchangeError;
use super::sent_body::SentBody;
use crate::limits::IDLE_CONNECTIONS_MAX;

/// The connections to one server.
pub(crate) struct WebConnections {
    port: u16,
    /// Connections at rest, the one that was used last at the end.
    idle: RefCell<VecDeque<WebConnection>>,
    /// No connection is kept any more.
    is_closed: Cell<bool>,
}

/// An open connection, closed on drop.
pub(crate) struct WebConnection {
    sender: SendRequest<SentBody>,
    /// The task that reads and writes.
    driver: JoinHandle<()>,
    /// Whether it had a request before.
    is_used: bool,
}

impl WebConnections {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, idle: RefCell::default(), is_closed: Cell::new(false) }
    }

    /// A connection at rest where the request may be repeated on another, else a new one: the server may be
    /// closing one at rest, and then nobody knows whether it has read the request.
    pub(crate) async fn connect(&self, may_be_used: bool) -> Result<WebConnection, ExchangeError> {
        // Where it does not do, it is closed: a server that serves one connection at a time waits for its end.
        if let Some(connection) = self.take_idle()
            && may_be_used
        {
            return Ok(connection);
        }
        let failed = |reason| ExchangeError::of_connect(self.port, reason);
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.map_err(failed)?;
        // Pieces of a body are not to wait for one another.
        stream.set_nodelay(true).map_err(failed)?;
        let handshake = http1::Builder::new()
            // A line break in a value counts as a space (RFC 9112, 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|error| failed(io::Error::other(error)))?;
        let driver = spawn_local(async move {
            // An error is told where the request waits.
            let _ = connection.with_upgrades().await;
        });
        Ok(WebConnection { sender, driver, is_used: false })
    }

    /// The connection that was used last and is still open.
    fn take_idle(&self) -> Option<WebConnection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let connection = idle.pop_back()?;
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose request and answer were read to their ends.
    pub(crate) fn put_idle(&self, mut connection: WebConnection) {
        let mut idle = self.idle.borrow_mut();
        // Connections that the server has closed go, a little with each request.
        if idle.front().is_some_and(|oldest| idle.len() >= IDLE_CONNECTIONS_MAX || oldest.sender.is_closed())
        {
            idle.pop_front();
        }
        if !self.is_closed.get() && !connection.sender.is_closed() {
            connection.is_used = true;
            idle.push_back(connection);
        }
    }

    /// Closes the connections at rest.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Closes the connections at rest, and keeps none from now on.
    pub(crate) fn close(&self) {
        self.close_idle();
        self.is_closed.set(true);
    }
}

impl WebConnection {
    /// Whether it had a request before.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Sends a request and waits for the head of its answer. Interim answers are skipped.
    pub(crate) async fn send(
        &mut self,
        request: Request<SentBody>,
    ) -> Result<Response<Incoming>, ExchangeError> {
        self.sender.send_request(request).await.map_err(|error| {
            let is_malformed = error.is_parse();
            let error = io::Error::other(Words::of(&error));
            if is_malformed { ExchangeError::Malformed(error) } else { ExchangeError::Lost(error) }
        })
    }
}

impl Drop for WebConnection {
    fn drop(&mut self) {
        // It holds the socket.
        self.driver.abort();
    }
}

/// An error of hyper with the reason behind it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Words(String);

impl Words {
    pub(crate) fn of(error: &hyper::Error) -> Self {
        match std::error::Error::source(error) {
            Some(reason) => Self(format!("{error}: {reason}")),
            None => Self(error.to_string()),
        }
    }
}
