//! Requests to a server and their responses, over connections that are kept.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;

use picofaas_runtime::Context;
use picofaas_runtime::client::Connection;
use thiserror::Error;

use super::head::{HeadTemplate, probe_head};
use super::response::Response;
use crate::limits::IDLE_CONNECTIONS_MAX;

/// The connections to one server.
pub(crate) struct Connections {
    port: u16,
    head_template: HeadTemplate,
    /// Connections at rest, the one that was used last at the end.
    idle: RefCell<VecDeque<Connection>>,
    /// No connection is kept any more.
    is_closed: Cell<bool>,
}

/// A request without a response.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    /// Nothing was sent.
    #[error("the server does not accept connections on port {}: {}", .0.port, .0.reason)]
    Connect(ConnectError),
    #[error("the server's answer is not HTTP/1.1: {0}")]
    Malformed(io::Error),
    #[error("the server closed the connection before its answer was complete: {0}")]
    Lost(io::Error),
}

/// A connection that could not be opened.
#[derive(Debug)]
pub(crate) struct ConnectError {
    port: u16,
    reason: io::Error,
}

impl Connections {
    pub(crate) fn new(port: u16, path: &str) -> Self {
        let head_template = HeadTemplate::new(path, port);
        Self { port, head_template, idle: RefCell::default(), is_closed: Cell::new(false) }
    }

    /// Opens a connection and keeps it.
    pub(crate) async fn open(&self) -> io::Result<()> {
        let connection = self.connect().await?;
        self.idle.borrow_mut().push_back(connection);
        Ok(())
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

    /// Posts an input and reads the response.
    pub(crate) async fn exchange(&self, context: &Context, input: &[u8]) -> Result<Response, ExchangeError> {
        let head = self.head_template.head(context, input.len());
        let mut idle = self.take_idle();
        // The error with which a kept connection had ended before the request was read.
        let mut stale = None;
        loop {
            let was_idle = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    // Not closed but ended, perhaps of this very request.
                    Err(_) if let Some(stale) = stale => return Err(ExchangeError::Lost(stale)),
                    Err(reason) => return Err(ExchangeError::of_connect(self.port, reason)),
                },
            };
            connection.send(&mut [IoSlice::new(head.as_bytes()), IoSlice::new(input)]).await;
            let mut location = None;
            let received = connection
                .head(|name, value| {
                    if name.eq_ignore_ascii_case("location") {
                        location = Some(String::from_utf8_lossy(value).into_owned());
                    }
                })
                .await;
            let answered = match received {
                Ok(head) => head,
                Err(error) if was_idle && connection.was_left_unread(&error).await => {
                    stale = Some(error);
                    continue;
                }
                Err(error) => return Err(ExchangeError::of_response(error)),
            };
            let body = connection.body(answered, context.output_bytes_max()).await;
            let body = body.map_err(ExchangeError::of_response)?;
            if connection.is_reusable() {
                self.put_idle(connection);
            }
            return Ok(Response { status: answered.status, location, body });
        }
    }

    /// The status of the response to a GET, over a connection of its own.
    pub(crate) async fn probe(&self, path: &str) -> io::Result<u16> {
        let mut connection = self.connect().await?;
        let head = probe_head(path, self.port);
        connection.send(&mut [IoSlice::new(head.as_bytes())]).await;
        Ok(connection.head(|_, _| {}).await?.status)
    }

    /// The connection that was used last and is still open.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let connection = idle.pop_back()?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    fn put_idle(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        // Connections that the server has closed go, a little with each request.
        if idle.front().is_some_and(|oldest| idle.len() >= IDLE_CONNECTIONS_MAX || !oldest.is_quiet()) {
            idle.pop_front();
        }
        if !self.is_closed.get() {
            idle.push_back(connection);
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        Connection::open((Ipv4Addr::LOCALHOST, self.port)).await
    }
}

impl ExchangeError {
    /// An error of opening a connection.
    pub(crate) fn of_connect(port: u16, reason: io::Error) -> Self {
        Self::Connect(ConnectError { port, reason })
    }

    /// An error of reading a response.
    fn of_response(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::InvalidData { Self::Malformed(error) } else { Self::Lost(error) }
    }
}
