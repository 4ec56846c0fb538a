//! Calls to the control plane: the two of a JOB, over one connection that is kept open, and what
//! they share with an announcement.

use std::io::{self, IoSlice};
use std::net::TcpStream as StdTcpStream;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::answer::shortened;
use crate::assignment::Assignment;
use crate::client::{self, Connection};
use crate::clock;
use crate::completion::Completion;
use crate::context::Ids;
use crate::failure::Failure;
use crate::limits::{EXCHANGE_MAX, INPUT_WAIT_MAX, REFUSAL_BYTES_MAX, RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};
use crate::log;

/// The control plane as one attempt sees it.
pub(crate) struct ControlPlane {
    assignment: Assignment,
    /// The first call, where it was sent at once.
    sent: Option<StdTcpStream>,
    /// Open and at rest; an exchange takes it and puts it back.
    connection: Option<Connection>,
}

/// An answer of the control plane, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Fails only as too large; then the rest of it was not read.
    pub(crate) body: Result<Bytes, Failure>,
    /// When its head was there.
    pub(crate) arrived: Instant,
}

/// A call, to be made as often as it takes.
pub(crate) struct Call<'a> {
    pub(crate) head: String,
    pub(crate) body: [&'a [u8]; 3],
    /// Bytes of the answer's body where it is a success.
    pub(crate) answer_max: usize,
}

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("cannot connect to the control plane (PICOFAAS_RUNTIME_URL): {0}")]
    Connect(io::Error),
    #[error("the connection to the control plane was lost: {0}")]
    Lost(io::Error),
    #[error("the control plane did not answer in time")]
    Late,
    #[error("the control plane answered {status}: {said}")]
    Answered { status: StatusCode, said: String },
}

impl CallError {
    /// Whether the same call may succeed later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Lost(_) | Self::Late => true,
            Self::Answered { status, .. } => {
                status.is_server_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
        }
    }

    /// Whether the execution needs this attempt no more: another was started, or it has ended.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if *status == StatusCode::CONFLICT)
    }
}

impl ControlPlane {
    /// Sends the request for the input before anything else is done, so that it is answered
    /// while the process gets ready. What stands in its way is found by [`Self::fetch`].
    pub(crate) fn ask(assignment: Assignment) -> Self {
        let (head, access) = (input_head(&assignment), &assignment.access);
        let sent = client::send_at_once(&access.host, access.port, head.as_bytes()).ok();
        Self { assignment, sent, connection: None }
    }

    /// Gets what `POST /invoke` would have brought.
    pub(crate) async fn fetch(&mut self, ids: &Ids, body_max: usize) -> Result<Answer, CallError> {
        let call = Call { head: input_head(&self.assignment), body: [&[]; 3], answer_max: body_max };
        self.call(ids, &call, clock::now() + INPUT_WAIT_MAX).await
    }

    /// Says how the invocation ended, until `until` if need be.
    pub(crate) async fn complete(
        &mut self,
        ids: &Ids,
        completion: &Completion,
        init_ms: u64,
        until: Instant,
    ) -> Result<(), CallError> {
        let body = completion.pieces();
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let more = format!(
            "content-type: application/json\r\ncontent-length: {length}\r\nx-init-duration-ms: {init_ms}\r\n"
        );
        let head = self.assignment.head("POST", ":complete", &more);
        self.call(ids, &Call { head, body, answer_max: REFUSAL_BYTES_MAX }, until).await.map(drop)
    }

    async fn call(&mut self, ids: &Ids, call: &Call<'_>, until: Instant) -> Result<Answer, CallError> {
        let mut pause = RETRY_PAUSE_MIN;
        let mut told = false;
        loop {
            let used_again = self.connection.is_some();
            let limit = until.min(clock::now() + EXCHANGE_MAX);
            let error = match timeout_at(limit, self.exchange(call)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => CallError::Late,
            };
            // It may have been closed while the handler ran, which says nothing.
            if used_again && matches!(error, CallError::Lost(_)) {
                continue;
            }
            if !error.may_pass() || clock::now() + pause >= until {
                return Err(error);
            }
            // Only once, as there may be a day of tries.
            if !told {
                log::about(ids, "warning", &format!("{error}; trying again"));
                told = true;
            }
            tokio::time::sleep(pause).await;
            pause = RETRY_PAUSE_MAX.min(pause * 2);
        }
    }

    async fn exchange(&mut self, call: &Call<'_>) -> Result<Answer, CallError> {
        let (connection, answer) = if let Some(sent) = self.sent.take() {
            let mut connection = Connection::resume(sent).map_err(CallError::Lost)?;
            let answer = Answer::receive(&mut connection, call.answer_max).await;
            (connection, answer.map_err(CallError::Lost)?)
        } else {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    let address = (self.assignment.access.host.as_str(), self.assignment.access.port);
                    Connection::open(address).await.map_err(CallError::Connect)?
                }
            };
            let answer = exchange_over(&mut connection, call).await?;
            (connection, answer)
        };
        if connection.is_reusable() {
            self.connection = Some(connection);
        }
        if answer.status.is_success() { Ok(answer) } else { Err(answer.into_error()) }
    }
}

/// Makes a call over an open connection, whatever it is answered.
pub(crate) async fn exchange_over(connection: &mut Connection, call: &Call<'_>) -> Result<Answer, CallError> {
    let [before, middle, after] = call.body;
    let mut pieces = [call.head.as_bytes(), before, middle, after].map(IoSlice::new);
    connection.send(&mut pieces).await;
    Answer::receive(connection, call.answer_max).await.map_err(CallError::Lost)
}

impl Answer {
    /// What it means where it is not the one that was hoped for.
    pub(crate) fn into_error(self) -> CallError {
        let said = self.body.unwrap_or_else(|_| Bytes::new());
        let said = String::from_utf8_lossy(&said);
        CallError::Answered { status: self.status, said: format!("{:?}", shortened(&said)) }
    }

    /// Reads an answer, whose body may have `body_max` bytes.
    async fn receive(connection: &mut Connection, body_max: usize) -> io::Result<Self> {
        let mut headers = HeaderMap::new();
        let head = connection
            .head(|name, value| {
                // What is no header for one parser is none for the other.
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
