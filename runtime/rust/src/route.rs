//! The routes of an instance.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Method, Request};

use crate::failure::Failure;
use crate::frames;
use crate::handler::Handler;
use crate::host;
use crate::inbound_connection::InboundConnection;
use crate::invocation;
use crate::origin;
use crate::response::{self, HttpResponse};
use crate::server::Instance;
use crate::web_answer;

/// Answers one request of a connection. One that asks for frames leaves there where its stream will be.
pub(crate) async fn respond<H, Args>(
    instance: &Rc<Instance<H>>,
    mut request: Request<Incoming>,
    connection: &InboundConnection,
) -> HttpResponse
where
    H: Handler<Args>,
{
    if let Some(fault) = host::fault_of(&request) {
        return response::bad_request(fault);
    }
    // A page may ask for what is on the web, and picofaas says that it has let it.
    if origin::is_page(request.headers()) && !web_answer::is_web(request.uri()) {
        return response::foreign_origin();
    }
    match request.uri().path() {
        "/invoke" if request.method() == Method::POST => {
            invocation::invoke(instance, connection, request).await
        }
        "/invoke" if request.method() == Method::GET && frames::is_asked(&request) => {
            connection.upgrade.set(Some(hyper::upgrade::on(&mut request)));
            response::switching_to_frames()
        }
        "/health" if request.method() == Method::GET => match instance.handler.health() {
            Ok(()) => response::health(&instance.ages),
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
        // In a place of its own, so that the work for `/invoke` does not grow by it.
        _ if web_answer::is_web(request.uri()) => {
            Box::pin(web_answer::answer(instance, connection, request)).await
        }
        path => response::not_found(path),
    }
}
