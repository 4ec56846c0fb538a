//! The management listener, on the control thread: all of the API, metrics and health.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use crate::api::call::Call;
use crate::api::host::{KnownHost, foreign_host};
use crate::api::listener::{Listener, ListenerKind};
use crate::api::query::check_parameters;
use crate::api::response;
use crate::api::response::Body;
use crate::api::route::route;
use crate::api::web_page::check_own;
use crate::clock::Clock;
use crate::config::Settings;
use crate::error::{ApiError, ErrorCode};
use crate::messages::gateway_message::RoutedRequest;
use crate::server::connections::{Connections, SWEEP_PERIOD};
use crate::server::request_body::{Reading, check_coding};

/// The management server: checks requests, reads their bodies, finds their calls, and hands them to `answer`.
struct ManagementServer<F> {
    listener: Listener,
    settings: Arc<Settings>,
    reading: Reading,
    known_host: KnownHost,
    answer: F,
}

/// Serves until the task is dropped. `answer` makes the response to a call.
///
/// # Errors
/// Where the listener cannot be watched.
pub(crate) async fn serve<F, A>(
    socket: std::net::TcpListener,
    clock: Clock,
    settings: Arc<Settings>,
    answer: F,
) -> std::io::Result<()>
where
    F: Fn(RoutedRequest) -> A + 'static,
    A: Future<Output = Response<Body>> + 'static,
{
    let listener = Listener::new(ListenerKind::Operators, socket.local_addr()?.ip());
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let flags = &settings.flags;
    let connections = Connections::new(clock, flags, flags.max_connections);
    let sweeping = connections.clone();
    tokio::task::spawn_local(async move {
        let mut tick = tokio::time::interval(SWEEP_PERIOD);
        loop {
            tick.tick().await;
            sweeping.sweep();
        }
    });
    let reading = Reading::new(flags.max_payload_bytes);
    let known_host = KnownHost::default();
    let server = Rc::new(ManagementServer { listener, settings, reading, known_host, answer });
    let handle = move |request, _peer| {
        let server = server.clone();
        async move { server.serve_request(request).await }
    };
    connections.serve(socket, handle).await;
    Ok(())
}

/// The call that a request makes, with parameters that it has.
fn checked_call(parts: &Parts) -> Result<Call, ApiError> {
    let call = route(&parts.method, parts.uri.path())?;
    check_parameters(call, parts.uri.query())?;
    Ok(call)
}

impl<F, A> ManagementServer<F>
where
    F: Fn(RoutedRequest) -> A,
    A: Future<Output = Response<Body>> + 'static,
{
    async fn serve_request(&self, mut request: Request<Incoming>) -> Response<Body> {
        let flags = &self.settings.flags;
        let is_local = match self.known_host.settle(&mut request) {
            Ok(is_local) => is_local,
            Err(error) => return response::error(&error),
        };
        if let Err(error) = check_coding(&request) {
            return response::error(&error);
        }
        if let Err(error) = check_own(request.headers(), &flags.allow_origin) {
            return response::error(&error.closing());
        }
        if self.listener.is_loopback && !is_local {
            return response::error(&foreign_host(request.headers()).closing());
        }
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let patience = Duration::from_millis(flags.body_timeout_ms);
        let response = match self.reading.read(body, flags.max_body, patience).await {
            Ok(body) => match checked_call(&parts) {
                Ok(call) => {
                    let request = Request::from_parts(parts, body);
                    self.serve_routed(RoutedRequest { listener: self.listener, call, request }).await
                }
                Err(error) => response::error(&error),
            },
            Err(error) => response::error(&error),
        };
        if is_head { response::without_body(response) } else { response }
    }

    async fn serve_routed(&self, request: RoutedRequest) -> Response<Body> {
        let is_gateways = request.call.is_gateways();
        let answering = (self.answer)(request);
        if is_gateways {
            // Dropped with the client, as on the gateway's own listener: who waited has left.
            return answering.await;
        }
        // In a task of its own, because hyper drops this future when the client goes, and a change
        // of the registry must not stop half-way.
        tokio::task::spawn_local(answering).await.unwrap_or_else(|_| {
            response::error(&ApiError::new(ErrorCode::Internal, "the request was not answered"))
        })
    }
}
