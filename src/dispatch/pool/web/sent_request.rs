//! A request as it is written to an instance.

use std::io::Write as _;

use super::super::attempt::write_attempt;
use super::super::connection::{Connection, ExchangeError};
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::instance::Address;
use crate::ticket::Ticket;
use crate::web_exchange::{RequestBody, WebRequest};

/// Writes the head of a request, and its body where that is whole.
pub(super) async fn send(
    context: AttemptContext<'_>,
    address: &Address,
    request: &WebRequest,
    connection: &mut Connection,
    ticket: Ticket,
    connected: Nanos,
) -> Result<(), ExchangeError> {
    let payload = context.executions.with(ticket, |id, execution| {
        let head = &mut connection.head;
        head.clear();
        // Writes to a vector do not fail.
        let _ = write!(head, "{} {}{} HTTP/1.1\r\n", request.method, address.web_prefix, request.target);
        head.extend_from_slice(&request.lines);
        match request.body {
            RequestBody::None => {}
            RequestBody::Whole => drop(write!(head, "content-length: {}\r\n", execution.payload.len())),
            RequestBody::Known(length) => drop(write!(head, "content-length: {length}\r\n")),
            RequestBody::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        if let Some(protocol) = &request.upgrade {
            head.extend_from_slice(b"connection: upgrade\r\nupgrade: ");
            head.extend_from_slice(protocol.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        // Of a body that is passed on, the time begins when it has gone.
        let left_ms = match request.body {
            RequestBody::None | RequestBody::Whole => execution.time_left_ms(connected),
            RequestBody::Known(_) | RequestBody::Chunked => execution.time_limit_ms(),
        };
        write_attempt(head, execution, id, left_ms);
        head.extend_from_slice(b"\r\n");
        execution.payload.clone()
    });
    // The execution stays in the store until its attempt has ended.
    let payload = payload.ok_or_else(|| ExchangeError::Connect(std::io::ErrorKind::NotConnected.into()))?;
    connection.send(&payload).await
}
