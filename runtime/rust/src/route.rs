//! The routes of an instance.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request};

use crate::failure::Failure;
use crate::handler::Handler;
use crate::host;
use crate::invocation;
use crate::origin;
use crate::response::{self, HttpResponse};
use crate::server::Instance;

/// Answers one request.
pub(crate) async fn respond<H, Args>(instance: &Instance<H>, request: Request<Incoming>) -> HttpResponse
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
