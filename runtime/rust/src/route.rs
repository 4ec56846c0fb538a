//! The routes of an instance.

use std::cell::Cell;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request};

use crate::failure::Failure;
use crate::frames;
use crate::handler::Handler;
use crate::host;
use crate::invocation;
use crate::origin;
use crate::response::{self, HttpResponse};
use crate::server::Instance;

/// Answers one request. One that asks for frames leaves in `upgrade` where the connection will be.
pub(crate) async fn respond<H, Args>(
    instance: &Instance<H>,
    mut request: Request<Incoming>,
    upgrade: &Cell<Option<OnUpgrade>>,
) -> HttpResponse
where
    H: Handler<Args>,
{
    if let Some(fault) = host::fault_of(&request) {
        return response::bad_request(fault);
    }
    if origin::is_page(request.headers()) {
        return response::foreign_origin();
    }
    match request.uri().path() {
        "/invoke" if request.method() == Method::POST => invocation::invoke(instance, request).await,
        "/invoke" if request.method() == Method::GET && frames::is_asked(&request) => {
            upgrade.set(Some(hyper::upgrade::on(&mut request)));
            response::switching_to_frames()
        }
        "/health" if request.method() == Method::GET => match instance.handler.health() {
            Ok(()) => response::json(Bytes::from_static(b"{\"status\":\"ok\"}")),
            Err(error) => {
                let failure = Failure::Handler(error);
                response::failure(&failure, &failure.to_string())
            }
        },
        "/metrics" if request.method() == Method::GET => {
            let mut text = instance.metrics.to_string();
            instance.handler.write_metrics(&mut text);
            response::metrics(text)
        }
        "/invoke" => response::method_not_allowed("POST"),
        "/health" | "/metrics" => response::method_not_allowed("GET"),
        path => response::not_found(path),
    }
}
