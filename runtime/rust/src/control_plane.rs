//! The two calls of a JOB to the control plane, over one connection that is kept open.

use std::io;

use bytes::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::shortened;
use crate::assignment::Assignment;
use crate::clock;
use crate::completion::{Completion, Payload};
use crate::context::Ids;
use crate::failure::Failure;
use crate::invocation;
use crate::limits::{
    ANSWER_HEADERS_MAX, CONNECT_MAX, EXCHANGE_MAX, INPUT_WAIT_MAX, READ_AT_ONCE_BYTES_MAX, REFUSAL_BYTES_MAX,
    RETRY_PAUSE_MAX, RETRY_PAUSE_MIN,
};
use crate::log;

const INIT_DURATION_MS: HeaderName = HeaderName::from_static("x-init-duration-ms");

/// The control plane as one attempt sees it.
pub(crate) struct ControlPlane {
    assignment: Assignment,
    /// Open and at rest; an exchange takes it and puts it back.
    connection: Option<SendRequest<Payload>>,
}

/// A call, to be made as often as it takes.
struct Call<'a> {
    method: Method,
    path: String,
    completion: Option<(&'a Completion, HeaderValue)>,
    /// Bytes of the answer's body where it is a success.
    body_max: usize,
}

/// An answer of 2xx.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    /// Fails only as too large.
    pub(crate) body: Result<Bytes, Failure>,
    /// When its head was there.
    pub(crate) arrived: Instant,
}

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("cannot connect to the control plane (PICOFAAS_RUNTIME_URL): {0}")]
    Connect(io::Error),
    #[error("the connection to the control plane was lost: {0}")]
    Lost(hyper::Error),
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
    /// Not yet connected.
    pub(crate) fn new(assignment: Assignment) -> Self {
        Self { assignment, connection: None }
    }

    /// Asks for what `POST /invoke` would have brought.
    pub(crate) async fn fetch(&mut self, ids: &Ids, body_max: usize) -> Result<Answer, CallError> {
        let path = format!("/v1/internal/executions/{}/input", self.assignment.execution_id);
        let call = Call { method: Method::GET, path, completion: None, body_max };
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
        let path = format!("/v1/internal/executions/{}:complete", self.assignment.execution_id);
        let completion = Some((completion, HeaderValue::from(init_ms)));
        let call = Call { method: Method::POST, path, completion, body_max: REFUSAL_BYTES_MAX };
        self.call(ids, &call, until).await.map(drop)
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
            // It may have been closed just as it was used again, which says nothing.
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
        let mut sender = match self.connection.take() {
            // The control plane may have closed it while the handler ran.
            Some(mut kept) => match kept.ready().await {
                Ok(()) => kept,
                Err(_) => self.connect().await?,
            },
            None => self.connect().await?,
        };
        let answer = sender.send_request(self.request(call)).await.map_err(CallError::Lost)?;
        let arrived = clock::now();
        let (head, body) = answer.into_parts();
        let success = head.status.is_success();
        let body_max = if success { call.body_max } else { REFUSAL_BYTES_MAX };
        let body = match invocation::read(body, body_max, arrived).await {
            Err(Failure::BodyBroken(error)) => return Err(CallError::Lost(error)),
            Err(Failure::BodyLate { .. }) => return Err(CallError::Late),
            Ok(body) => {
                self.connection = Some(sender);
                Ok(body)
            }
            too_large => too_large,
        };
        if success {
            return Ok(Answer { headers: head.headers, body, arrived });
        }
        let said = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        Err(CallError::Answered { status: head.status, said: format!("{:?}", shortened(&said)) })
    }

    async fn connect(&self) -> Result<SendRequest<Payload>, CallError> {
        let Assignment { host, port, .. } = &self.assignment;
        let stream = timeout(CONNECT_MAX, TcpStream::connect((host.as_str(), *port)))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(CallError::Connect)?;
        // Requests are written whole, so waiting to fill a segment only adds latency.
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(ANSWER_HEADERS_MAX)
            .max_buf_size(READ_AT_ONCE_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(CallError::Lost)?;
        tokio::task::spawn_local(async move {
            // An exchange that it ends learns of it by its sender; between two it may end.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn request(&self, call: &Call<'_>) -> Request<Payload> {
        let mut request = Request::new(Payload::default());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.path.parse().expect("the id was checked to be part of a path");
        let headers = request.headers_mut();
        headers.insert(HOST, self.assignment.authority.clone());
        headers.insert(AUTHORIZATION, self.assignment.authorization.clone());
        if let Some((completion, init_ms)) = &call.completion {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(INIT_DURATION_MS, init_ms.clone());
            *request.body_mut() = completion.payload();
        }
        request
    }
}
