//! Which request is for what.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};

use crate::answer;
use crate::failure::Failure;
use crate::handler::Handler;
use crate::invocation;
use crate::origin;
use crate::server::Instance;

/// Answers one request.
pub(crate) async fn answer<H, Args>(
    instance: &Instance<H>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>>
where
    H: Handler<Args>,
{
    if origin::is_page(request.headers()) {
        return answer::foreign_origin();
    }
    match request.uri().path() {
        "/invoke" if request.method() == Method::POST => invocation::invoke(instance, request).await,
        "/health" if request.method() == Method::GET => match instance.handler.health() {
            Ok(()) => answer::json(Bytes::from_static(b"{\"status\":\"ok\"}")),
            Err(error) => answer::failure(&Failure::Handler(error)),
        },
        "/metrics" if request.method() == Method::GET => {
            let mut text = instance.metrics.to_string();
            instance.handler.write_metrics(&mut text);
            answer::metrics(text)
        }
        "/invoke" => answer::method_not_allowed("POST"),
        "/health" | "/metrics" => answer::method_not_allowed("GET"),
        path => answer::not_found(path),
    }
}
