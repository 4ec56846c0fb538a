//! Requests to the control plane: the two of a JOB, over one connection that is kept open, and the parts
//! that they share with an announcement.

use std::io::{self, IoSlice};
use std::net::TcpStream as StdTcpStream;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::assignment::Assignment;
use crate::caller::Ids;
use crate::client::{self, Connection};
use crate::clock;
use crate::completion::Completion;
use crate::failure::Failure;
use crate::limits::{EXCHANGE_MAX, INPUT_WAIT_MAX, REFUSAL_BYTES_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::log;
use crate::response::shortened;

/// The control plane as one attempt sees it.
pub(crate) struct ControlPlane {
    assignment: Assignment,
    /// The connection of the first request, where it was sent at once.
    sent: Option<StdTcpStream>,
    /// Open and at rest; an exchange takes it and puts it back.
    connection: Option<Connection>,
}

/// A response of the control plane, read whole.
pub(crate) struct ControlResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Fails only as too large; then the rest of it was not read.
    pub(crate) body: Result<Bytes, Failure>,
    /// Time at which its head was there.
    pub(crate) arrived: Instant,
}

/// A request, to be sent as often as it takes.
pub(crate) struct ControlRequest<'a> {
    pub(crate) head: String,
    pub(crate) body: [&'a [u8]; 3],
    /// Largest body of the response, in bytes, where it is a success.
    pub(crate) body_max: usize,
}

/// The error of a request.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    #[error("cannot connect to the control plane (PICOFAAS_RUNTIME_URL): {0}")]
    Connect(io::Error),
    #[error("the connection to the control plane was lost: {0}")]
    Lost(io::Error),
    #[error("the control plane did not answer in time")]
    TimedOut,
    #[error("the control plane answered {status}: {said}")]
    Refused { status: StatusCode, said: String },
}

impl ControlError {
    /// Whether the same request may succeed later.
    fn is_retryable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Lost(_) | Self::TimedOut => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
        }
    }

    /// Whether the execution needs this attempt no more: another was started, or it has ended.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::CONFLICT)
    }
}

impl ControlPlane {
    /// Sends the request for the input before anything else is done, so that it is answered
    /// while the process gets ready. An obstacle is found by [`Self::fetch_input`].
    pub(crate) fn request_input(assignment: Assignment) -> Self {
        let (head, access) = (input_head(&assignment), &assignment.access);
        let sent = client::send_at_once(&access.host, access.port, head.as_bytes()).ok();
        Self { assignment, sent, connection: None }
    }

    /// Fetches the input: the headers and the body that `POST /invoke` would have.
    pub(crate) async fn fetch_input(
        &mut self,
        ids: &Ids,
        body_max: usize,
    ) -> Result<ControlResponse, ControlError> {
        let request = ControlRequest { head: input_head(&self.assignment), body: [&[]; 3], body_max };
        self.send_until(ids, &request, clock::now() + INPUT_WAIT_MAX).await
    }

    /// Posts the result, with tries until `until` if need be.
    pub(crate) async fn complete(
        &mut self,
        ids: &Ids,
        completion: &Completion,
        init_ms: u64,
        until: Instant,
    ) -> Result<(), ControlError> {
        let body = completion.pieces();
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let more = format!(
            "content-type: application/json\r\ncontent-length: {length}\r\nx-init-duration-ms: {init_ms}\r\n"
        );
        let head = self.assignment.head("POST", ":complete", &more);
        self.send_until(ids, &ControlRequest { head, body, body_max: REFUSAL_BYTES_MAX }, until)
            .await
            .map(drop)
    }

    async fn send_until(
        &mut self,
        ids: &Ids,
        request: &ControlRequest<'_>,
        until: Instant,
    ) -> Result<ControlResponse, ControlError> {
        let mut pause = RETRY_PAUSE_MIN;
        let mut told = false;
        loop {
            let used_again = self.connection.is_some();
            let limit = until.min(clock::now() + EXCHANGE_MAX);
            let error = match timeout_at(limit, self.exchange(request)).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => error,
                Err(_) => ControlError::TimedOut,
            };
            // It may have been closed while the handler ran, which says nothing.
            if used_again && matches!(error, ControlError::Lost(_)) {
                continue;
            }
            if !error.is_retryable() || clock::now() + pause >= until {
                return Err(error);
            }
            // Only once, as there may be a day of tries.
            if !told {
                log::with_ids(ids, "warning", &format!("{error}; trying again"));
                told = true;
            }
            tokio::time::sleep(pause).await;
            pause = RETRY_PAUSE_MAX.min(pause * 2);
        }
    }

    async fn exchange(&mut self, request: &ControlRequest<'_>) -> Result<ControlResponse, ControlError> {
        let (connection, response) = if let Some(sent) = self.sent.take() {
            let mut connection = Connection::resume(sent).map_err(ControlError::Lost)?;
            let response = ControlResponse::receive(&mut connection, request.body_max).await;
            (connection, response.map_err(ControlError::Lost)?)
        } else {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    let address = (self.assignment.access.host.as_str(), self.assignment.access.port);
                    Connection::open(address).await.map_err(ControlError::Connect)?
                }
            };
            let response = exchange_over(&mut connection, request).await?;
            (connection, response)
        };
        if connection.is_reusable() {
            self.connection = Some(connection);
        }
        if response.status.is_success() { Ok(response) } else { Err(response.into_error()) }
    }
}

/// Sends a request over an open connection and reads the response, of any status.
pub(crate) async fn exchange_over(
    connection: &mut Connection,
    request: &ControlRequest<'_>,
) -> Result<ControlResponse, ControlError> {
    let [before, middle, after] = request.body;
    let mut pieces = [request.head.as_bytes(), before, middle, after].map(IoSlice::new);
    connection.send(&mut pieces).await;
    ControlResponse::receive(connection, request.body_max).await.map_err(ControlError::Lost)
}

impl ControlResponse {
    /// The error of a response that is not a success.
    pub(crate) fn into_error(self) -> ControlError {
        let said = self.body.unwrap_or_else(|_| Bytes::new());
        let said = String::from_utf8_lossy(&said);
        ControlError::Refused { status: self.status, said: format!("{:?}", shortened(&said)) }
    }

    /// Reads a response, whose body may have `body_max` bytes.
    async fn receive(connection: &mut Connection, body_max: usize) -> io::Result<Self> {
        let mut headers = HeaderMap::new();
        let head = connection
            .head(|name, value| {
                // A header that one parser does not take is none for the other.
                if let (Ok(name), Ok(value)) =
                    (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
                {
                    headers.append(name, value);
                }
            })
            .await?;
        let arrived = clock::now();
        let status = StatusCode::from_u16(head.status).map_err(io::Error::other)?;
        let body = match connection.body(head, body_max).await? {
            Some(body) => Ok(body.into()),
            None => Err(Failure::BodyTooLarge { max: body_max }),
        };
        Ok(Self { status, headers, body, arrived })
    }
}

fn input_head(assignment: &Assignment) -> String {
    assignment.head("GET", "/input", "")
}
