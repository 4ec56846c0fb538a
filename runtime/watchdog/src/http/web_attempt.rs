//! A web request at a server, from its head to the end of its answer.

use std::rc::Rc;

use hyper::body::Incoming;
use picofaas_runtime::http::{Response, StatusCode, Version};
use picofaas_runtime::{Context, HandlerError, ResponseBody};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::answered_body::AnsweredBody;
use super::exchange::ExchangeError;
use super::hop_headers;
use super::in_flight::InFlightGuard;
use super::sent_body::SentEnd;
use super::server::Server;
use super::tunnel;
use super::web_connections::WebConnection;
use super::web_exchange::WebRequest;
use crate::limits::DEADLINE_SLACK;

/// An attempt at a server. Dropped at its deadline without an answer, it has the server probed, which may not work at
/// all. A caller that goes away before is no sign of that.
pub(crate) struct WebAttempt {
    server: Rc<Server>,
    key: u32,
    deadline: Option<Instant>,
    has_answer: bool,
    _in_flight: InFlightGuard,
}

impl WebAttempt {
    pub(crate) fn begin(server: &Rc<Server>, in_flight: InFlightGuard, context: &Context) -> Self {
        let deadline = context.deadline().map(Instant::from_std);
        let key = server.begin_attempt(context);
        Self { server: Rc::clone(server), key, deadline, has_answer: false, _in_flight: in_flight }
    }

    /// Sends the request over a connection and gives the answer.
    pub(crate) async fn exchange(
        mut self,
        request: WebRequest,
        mut connection: WebConnection,
    ) -> Result<Response<ResponseBody>, HandlerError> {
        if connection.is_used() {
            let (copy, sent) = request.copy();
            match connection.send(copy).await {
                Ok(response) => return Ok(self.answered(response, connection, sent)),
                // It was at rest, and the server has closed it, most likely before it read the request.
                Err(ExchangeError::Lost(_)) => {
                    connection = match self.server.connect_web(false).await {
                        Ok(connection) => connection,
                        Err(error) => return Err(self.failed(error).await),
                    };
                }
                Err(error) => return Err(self.failed(error).await),
            }
        }
        let (request, sent, upgrade) = request.into_request();
        let mut response = match connection.send(request).await {
            Ok(response) => response,
            Err(error) => return Err(self.failed(error).await),
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self.answered(response, connection, sent));
        }
        let protocol = hop_headers::upgrade(response.headers());
        let (Some(caller), Some(protocol)) = (upgrade, protocol) else {
            self.has_answer = true;
            let message = "the server's answer changes to a protocol that was not asked for";
            return Err(HandlerError::internal(message));
        };
        let server = hyper::upgrade::on(&mut response);
        hop_headers::remove(response.headers_mut());
        hop_headers::set_upgrade(response.headers_mut(), protocol);
        self.has_answer = true;
        self.server.drain_ready_log();
        spawn_local(tunnel::run(caller, server, (self, connection)));
        Ok(response.map(|_| ResponseBody::empty()))
    }

    /// The answer for the caller.
    fn answered(
        mut self,
        mut response: Response<Incoming>,
        connection: WebConnection,
        sent: SentEnd,
    ) -> Response<ResponseBody> {
        self.has_answer = true;
        self.server.drain_ready_log();
        hop_headers::remove(response.headers_mut());
        // The version of the server says nothing of our own connection.
        *response.version_mut() = Version::HTTP_11;
        response.map(|body| ResponseBody::new(AnsweredBody::new(body, self, connection, sent)))
    }

    /// The failure of an attempt without an answer.
    pub(crate) async fn failed(mut self, error: ExchangeError) -> HandlerError {
        self.has_answer = true;
        self.server.drain_ready_log();
        self.server.error_of(error, self.key).await
    }

    /// Keeps a connection for another request: this one is over.
    pub(crate) fn keep(self, connection: WebConnection) {
        self.server.keep_web(connection);
    }
}

impl Drop for WebAttempt {
    fn drop(&mut self) {
        let is_late = |deadline: Instant| deadline < Instant::now() + DEADLINE_SLACK;
        if self.has_answer {
            // Lines of the end of its body come before that.
            self.server.drain_ready_log();
        } else if self.deadline.is_some_and(is_late) {
            self.server.request_probe();
        }
        self.server.end_attempt(self.key);
    }
}
