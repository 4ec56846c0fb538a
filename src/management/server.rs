//! The management listener, on the control thread: all of the API, metrics and health.

use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use crate::api::host::check_host;
use crate::api::listener::{Listener, ListenerKind};
use crate::api::response;
use crate::api::response::Body;
use crate::api::route::route;
use crate::api::web_page::check_own;
use crate::control::Control;
use crate::error::{ApiError, ErrorCode};
use crate::messages::gateway_message::RoutedRequest;
use crate::server::connections::{Connections, SWEEP_PERIOD};
use crate::server::request_body::Reading;

/// Serves until the task is dropped.
///
/// # Errors
/// Where the listener cannot be watched.
pub async fn serve(control: Rc<Control>, socket: std::net::TcpListener) -> std::io::Result<()> {
    let listener = Listener::new(ListenerKind::Operators, socket.local_addr()?.ip());
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let flags = &control.settings.flags;
    let connections = Connections::new(control.clock, flags, flags.max_connections);
    let sweeping = connections.clone();
    tokio::task::spawn_local(async move {
        let mut tick = tokio::time::interval(SWEEP_PERIOD);
        loop {
            tick.tick().await;
            sweeping.sweep();
        }
    });
    let reading = Rc::new(Reading::new(control.settings.flags.max_payload_bytes));
    let handle = move |request| {
        let (control, reading) = (control.clone(), reading.clone());
        async move { answer(&control, &reading, listener, request).await }
    };
    connections.serve(socket, handle).await;
    Ok(())
}

async fn answer(
    control: &Rc<Control>,
    reading: &Reading,
    listener: Listener,
    request: Request<Incoming>,
) -> Response<Body> {
    let named = &control.settings.flags.allow_origin;
    if let Err(error) = check_own(request.headers(), named) {
        return response::error(&error.closing());
    }
    if listener.is_loopback
        && let Err(error) = check_host(request.headers())
    {
        return response::error(&error.closing());
    }
    let is_head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let flags = &control.settings.flags;
    let patience = Duration::from_millis(flags.body_timeout_ms);
    let response = match reading.read(body, flags.max_body, patience).await {
        Ok(body) => match route(&parts.method, parts.uri.path()) {
            Ok(call) => {
                let request = Request::from_parts(parts, body);
                serve_routed(control, RoutedRequest { listener, call, request }).await
            }
            Err(error) => response::error(&error),
        },
        Err(error) => response::error(&error),
    };
    response::without_body(is_head, response)
}

async fn serve_routed(control: &Rc<Control>, request: RoutedRequest) -> Response<Body> {
    if request.call.is_gateways() {
        // Dropped with the client, as on the gateway's own listener: who waited has left.
        return control.answer(request).await;
    }
    // In a task of its own, because hyper drops this future when the client goes, and a change
    // of the registry must not stop half-way.
    let control = control.clone();
    let answering = tokio::task::spawn_local(async move { control.answer(request).await });
    answering.await.unwrap_or_else(|_| {
        response::error(&ApiError::new(ErrorCode::Internal, "the request was not answered"))
    })
}
