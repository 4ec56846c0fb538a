//! Requests: which call each is, and who answers it.

use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::Gateway;
use super::body::{BodySource, BodyWasTooLarge};
use super::request_lines::ToldRequest;
use crate::api::call::Call;
use crate::api::cors;
use crate::api::host::foreign_host;
use crate::api::listener::{Listener, ListenerKind};
use crate::api::openapi;
use crate::api::query::check_parameters;
use crate::api::response;
use crate::api::response::Body;
use crate::api::route::{route, served_elsewhere};
use crate::api::web_page;
use crate::channel::{AnswerReceiver, oneshot};
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::messages::control_message::ControlMessage;
use crate::messages::gateway_message::RoutedRequest;
use crate::server::request_body::check_coding;

/// Head of a request, and the call that it asks for.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The listener that the request came in on.
    pub listener: Listener,
    /// Its call.
    pub call: Call,
    /// Its parts; the path is that of the call.
    pub parts: &'a Parts,
}

impl RequestHead<'_> {
    /// Its request as another thread serves it, with this body.
    fn with_body(self, body: Bytes) -> RoutedRequest {
        let request = Request::from_parts(self.parts.clone(), body);
        RoutedRequest { listener: self.listener, call: self.call, request }
    }
}

/// One request, from a listener.
pub async fn answer(
    gateway: &Rc<Gateway>,
    listener: Listener,
    mut request: Request<Incoming>,
) -> Response<Body> {
    // Also where the requests are such that nothing is ever poked.
    gateway.take_commands();
    let source = RequestSource::check(gateway, listener, &mut request);
    let (parts, body) = request.into_parts();
    let (mut response, page) = match source {
        Ok(source) => match source.find_call(gateway, listener, &parts, &body) {
            Ok(Some(call)) => {
                let head = RequestHead { listener, call, parts: &parts };
                let mut response = serve_call(gateway, head, BodySource::Incoming(body)).await;
                if parts.method == Method::HEAD {
                    response = response::without_body(response);
                }
                (response, source.page)
            }
            Ok(None) => (cors::preflight(), source.page),
            Err(error) => (response::error(&error), source.page),
        },
        Err(error) => (response::error(&error.closing()), None),
    };
    gateway.replies.borrow_mut().reuse(parts.headers);
    let is_clients = listener.kind == ListenerKind::Clients;
    if gateway.draining.get() && is_clients {
        // The client takes its next request elsewhere, without racing an idle close.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if is_clients && !gateway.settings.flags.allow_origin.is_empty() {
        cors::open(&mut response, page);
    }
    response
}

/// The same, told to the person who looks on.
pub(super) async fn answer_told(
    gateway: &Rc<Gateway>,
    listener: Listener,
    request: Request<Incoming>,
) -> Response<Body> {
    let told = ToldRequest::begin(&request, gateway.clock.now());
    let response = answer(gateway, listener, request).await;
    gateway.tell_answered(told, &response);
    response
}

/// The place that a request comes from, as far as its head tells.
struct RequestSource {
    /// It is for this machine, by a name or an address that never leaves it.
    is_local: bool,
    /// The origin of the web page that has a browser send it, where one does and may.
    page: Option<HeaderValue>,
}

impl RequestSource {
    /// Checks the host of a request, how its body is coded, and that no web page asks that may not.
    fn check(
        gateway: &Gateway,
        listener: Listener,
        request: &mut Request<Incoming>,
    ) -> Result<Self, ApiError> {
        let is_local = gateway.known_host.settle(request)?;
        check_coding(request)?;
        let page = if listener.kind == ListenerKind::Clients {
            web_page::check_named(request.headers(), &gateway.settings.flags.allow_origin)?
        } else {
            web_page::check_none(request.headers())?;
            None
        };
        Ok(Self { is_local, page: page.cloned() })
    }

    /// The call of a request, if it may be made from there; `None` where a browser asks what a page may send.
    fn find_call(
        &self,
        gateway: &Gateway,
        listener: Listener,
        parts: &Parts,
        body: &Incoming,
    ) -> Result<Option<Call>, ApiError> {
        let is_page = self.page.is_some();
        if listener.is_loopback && !self.is_local {
            return Err(foreign_host(&parts.headers).closing());
        }
        if is_page && cors::is_preflight(parts) {
            return Ok(None);
        }
        let path = parts.uri.path();
        let call = match route(&parts.method, path) {
            Ok(call) if call.is_management() => {
                return Err(served_elsewhere(path, ListenerKind::Operators));
            }
            Ok(call) if call.is_internal() && listener.kind == ListenerKind::Clients => {
                return Err(served_elsewhere(path, ListenerKind::Runtimes).closing());
            }
            Ok(call) if !call.is_internal() && listener.kind == ListenerKind::Runtimes => {
                return Err(served_elsewhere(path, ListenerKind::Clients).closing());
            }
            Ok(call) if is_page && !call.is_for_pages() => {
                return Err(web_page::not_for_pages().closing());
            }
            Ok(call)
                if !listener.may_operate(&gateway.settings.flags)
                    && let Some(error) = call.closed_to_clients() =>
            {
                return Err(error.closing());
            }
            Ok(call) => call,
            Err(error) => return Err(error.closing()),
        };
        match check_parameters(call, parts.uri.query()) {
            Ok(()) => Ok(Some(call)),
            Err(error) => Err(if body.is_end_stream() { error } else { error.closing() }),
        }
    }
}

/// A request that came in elsewhere, with its whole body.
pub(super) async fn serve_routed(gateway: &Rc<Gateway>, request: RoutedRequest) -> Response<Body> {
    let RoutedRequest { listener, call, request } = request;
    let (parts, body) = request.into_parts();
    let body = match parts.extensions.get() {
        Some(BodyWasTooLarge) => BodySource::TooLarge,
        None => BodySource::Whole(body),
    };
    serve_call(gateway, RequestHead { listener, call, parts: &parts }, body).await
}

async fn serve_call(gateway: &Rc<Gateway>, head: RequestHead<'_>, body: BodySource) -> Response<Body> {
    let parts = head.parts;
    let path = parts.uri.path();
    match head.call {
        Call::Invoke(name) => gateway.invoke(name.of(path), head, body).await,
        Call::Enqueue(name) => gateway.enqueue_only(name.of(path), head, body).await,
        Call::ReadExecution(id) | Call::ReadOutput(id) | Call::CancelExecution(id) | Call::JobInput(id)
            if let Some(owner) = gateway.other_owner(id.of(path)) =>
        {
            gateway.ask_gateway(owner, head, Bytes::new()).await
        }
        Call::ReadExecution(id) if parts.method == Method::HEAD => {
            gateway.execution_head(id.of(path), parts.uri.query()).await
        }
        Call::ReadExecution(id) => gateway.execution(id.of(path), parts.uri.query()).await,
        Call::ReadOutput(id) => {
            let is_head = parts.method == Method::HEAD;
            gateway.output(id.of(path), parts.uri.query(), is_head).await
        }
        Call::CancelExecution(id) => gateway.cancel_execution(id.of(path)),
        Call::CompleteJob(id) if let Some(owner) = gateway.other_owner(id.of(path)) => {
            gateway.pass_result(owner, head, body).await
        }
        Call::JobInput(id) => gateway.job_input(id.of(path), &parts.headers),
        Call::CompleteJob(id) => gateway.complete_job(id.of(path), &parts.headers, body).await,
        Call::AnnounceInstance => gateway.announce_instance(&parts.headers, body).await,
        Call::OpenApi => openapi::answer(),
        Call::Healthz
        | Call::Readyz
        | Call::Metrics
        | Call::ListExecutions
        | Call::Page
        | Call::DebugState
        | Call::ListFunctions
        | Call::ReadFunction(_)
        | Call::FunctionLogs(_)
        | Call::ExecutionLogs(_)
        | Call::CreateFunction
        | Call::PutFunction(_)
        | Call::DeleteFunction(_)
        | Call::PutReplicas(_) => match gateway.read_body(body).await {
            Ok(body) => gateway.ask_control(head, body).await,
            Err(error) => response::error(&error),
        },
    }
}

impl Gateway {
    /// The other gateway that owns an execution, where there is one; whatever is wrong with an id is this
    /// gateway's to say.
    fn other_owner(&self, id: &str) -> Option<usize> {
        let id = ExecutionId::parse(id).filter(|id| id.incarnation == self.incarnation)?;
        let owner = id.ticket.gateway();
        (owner != self.index && owner < self.gateways.len()).then_some(owner)
    }

    /// Has another gateway serve a request with its whole body. Where this is dropped, because the
    /// client went away, the other gateway drops the request as well.
    pub(super) async fn ask_gateway(
        &self,
        index: usize,
        head: RequestHead<'_>,
        body: Bytes,
    ) -> Response<Body> {
        self.gateways.serve(index, head.with_body(body)).await.unwrap_or_else(|error| response::error(&error))
    }

    /// Passes a request that is control's to answer on, with its whole body.
    async fn ask_control(&self, head: RequestHead<'_>, body: Bytes) -> Response<Body> {
        let (answer, awaited) = oneshot::channel();
        let request = Box::new(head.with_body(body));
        self.send_to_control(ControlMessage::Serve { request, answer }, awaited)
            .await
            .unwrap_or_else(|error| response::error(&error))
    }

    /// Sends control a message, and waits for its answer.
    ///
    /// # Errors
    /// `CONTROL_BUSY`, where there is no room for it or will be no answer.
    pub(super) async fn send_to_control<T>(
        &self,
        message: ControlMessage,
        answer: AnswerReceiver<T>,
    ) -> Result<T, ApiError> {
        let busy = || {
            ApiError::new(ErrorCode::ControlBusy, "too many changes are waiting; try again").retry_after(1)
        };
        self.control.try_send(message).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())
    }
}
