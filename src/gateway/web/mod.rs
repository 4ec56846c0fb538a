//! Requests for functions at `/fn/{name}`, or at a host of their own.
//!
//! | file | holds |
//! |---|---|
//! | this one | the request's function, and whether it may be asked from where it comes |
//! | `web_call` | a request for a function that answers HTTP as it is |
//! | `kept_call` | one whose client does not wait for the answer |
//! | `json_call` | a request for a function that takes JSON |

mod json_call;
mod kept_call;
mod web_call;

use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::Gateway;
use super::body::{BodySource, body_refusal};
use super::request_lines::ToldRequest;
use crate::api::call_headers::CallHeaders;
use crate::api::host::foreign_host;
use crate::api::listener::Listener;
use crate::api::response;
use crate::api::response::Body;
use crate::api::web::address::WebAddress;
use crate::api::web::{forwarded, preference};
use crate::api::web_page;
use crate::error::{ApiError, ErrorCode};
use crate::metrics::RejectReason;
use crate::server::request_body::check_coding;
use crate::spec::Web;
use crate::store::function_entry::FunctionEntry;
use crate::web_exchange::BodyLimit;

/// A request from a client, and where it comes from.
struct WebCall<'a> {
    address: WebAddress<'a>,
    peer: IpAddr,
    /// The function when its head was read.
    entry: &'a FunctionEntry,
    /// The limit of its body; that of a function that takes JSON is the one of all calls.
    body_limit: Option<BodyLimit>,
}

/// A request whose body has been read, or is to be passed on.
struct ArrivedRequest {
    /// The function as it is now: it may have been replaced while the body came.
    entry: Rc<FunctionEntry>,
    timeout_ms: Option<u64>,
}

impl WebCall<'_> {
    /// Counts that the request is refused.
    fn refuse(&self, (reason, error): (RejectReason, ApiError)) -> ApiError {
        self.entry.metrics().rejected[reason as usize].add_one();
        error
    }

    /// Checks that no body is announced that is larger than it may be.
    fn check_announced(&self, body: &Incoming) -> Result<(), ApiError> {
        match self.body_limit {
            Some(limit) if body.size_hint().lower() > limit.bytes => {
                let error = ApiError::new(ErrorCode::BodyTooLarge, limit.message()).closing();
                Err(self.refuse((RejectReason::Invalid, error)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Gateway {
    /// Reads the whole body of a request, of at most `bytes_max`.
    async fn read_web_body(
        &self,
        call: &WebCall<'_>,
        body: Incoming,
        bytes_max: usize,
    ) -> Result<Bytes, ApiError> {
        let read = self.read_body_of(BodySource::Incoming(body), bytes_max).await;
        read.map_err(|error| call.refuse(body_refusal(error)))
    }

    /// The last checks of a request before it becomes an execution. Between them and the push of its ticket nothing is
    /// awaited, so the queue that is found now is still used.
    fn arrive(&self, call: &WebCall<'_>, headers: &CallHeaders<'_>) -> Result<ArrivedRequest, ApiError> {
        let entry = self.resolve(call.address.name)?;
        self.check_draining().map_err(|refused| call.refuse(refused))?;
        let timeout_ms = headers.timeout_ms();
        let timeout_ms = timeout_ms.map_err(|error| call.refuse((RejectReason::Invalid, error)))?;
        Ok(ArrivedRequest { entry, timeout_ms })
    }
}

/// Whether a request of a client is for a function that is asked by path or by host.
#[must_use]
pub(super) fn is_web(gateway: &Gateway, request: &Request<Incoming>) -> bool {
    request.uri().path().starts_with("/fn/")
        || gateway
            .settings
            .flags
            .route_host
            .as_ref()
            .is_some_and(|hosts| host_of(request).is_some_and(|host| hosts.find_name(host).is_some()))
}

/// One such request.
pub(super) async fn answer(
    gateway: Rc<Gateway>,
    listener: Listener,
    peer: IpAddr,
    request: Request<Incoming>,
    is_told: bool,
) -> Response<Body> {
    let told = is_told.then(|| ToldRequest::begin(&request, gateway.clock.now()));
    // Also where the requests are such that nothing is ever poked.
    gateway.take_commands();
    let is_head = request.method() == Method::HEAD;
    let mut response =
        serve(&gateway, listener, peer, request).await.unwrap_or_else(|error| response::error(&error));
    if is_head && matches!(response.body(), Body::Whole(_)) {
        response = response::without_body(response);
    }
    if gateway.draining.get() && !matches!(response.body(), Body::Upgrade(_)) {
        // The client takes its next request elsewhere, without racing an idle close.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(told) = told {
        gateway.tell_answered(told, &response);
    }
    response
}

async fn serve(
    gateway: &Rc<Gateway>,
    listener: Listener,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let is_local = gateway.known_host.settle(&mut request).map_err(ApiError::closing)?;
    check_coding(&request)?;
    let (parts, body) = request.into_parts();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = parts.uri.path();
    let hosts = gateway.settings.flags.route_host.as_ref();
    let address = match hosts.and_then(|hosts| hosts.find_name(host)) {
        Some(name) => Some(WebAddress { name, path, has_host: true }),
        None => WebAddress::in_path(path),
    };
    let nowhere = || ApiError::new(ErrorCode::NotFound, "there is no function at this host").closing();
    let address = address.ok_or_else(nowhere)?;
    if listener.is_loopback && !is_local && !address.has_host {
        return Err(foreign_host(&parts.headers).closing());
    }
    let entry = gateway.resolve(address.name).map_err(ApiError::closing)?;
    let web = entry.function.spec.web.as_ref();
    address.check_path().map_err(ApiError::closing)?;
    let trusted = &gateway.settings.flags.trust_forwarded;
    let named = forwarded::host(&parts.headers, peer, trusted).unwrap_or(host);
    web_page::check_for_function(&parts.method, &parts.headers, named, address.has_host, web)
        .map_err(ApiError::closing)?;
    check_service_worker(&address, &parts.headers)?;
    let body_limit = web.and_then(|web| body_limit(gateway.settings.flags.web_body_max, web));
    let call = WebCall { address, peer, entry: &entry, body_limit };
    call.check_announced(&body)?;
    match web {
        Some(web) if web.is_async && is_left_to_be_read(&parts, &body) => {
            gateway.kept_call(&call, &parts, body).await
        }
        Some(_) => gateway.web_call(&call, &parts, body).await,
        None => gateway.json_call(&call, &parts, body).await,
    }
}

/// The smaller of two limits of the body of a request: that of the process and the function's own.
fn body_limit(of_all: Option<u64>, web: &Web) -> Option<BodyLimit> {
    let of_all = of_all.map(|bytes| BodyLimit { bytes, setting: "--web-body-max" });
    let own = web.body_bytes_max;
    let own = own.map(|bytes| BodyLimit { bytes: u64::from(bytes), setting: "web.maxBodyBytes" });
    of_all.into_iter().chain(own).min_by_key(|limit| limit.bytes)
}

/// Whether the client wants its answer kept, and to read it later. One that changes the protocol stays.
fn is_left_to_be_read(parts: &Parts, body: &Incoming) -> bool {
    preference::wants_async(&parts.headers) && web_call::upgrade_of(parts, body).is_none()
}

/// Checks that no script becomes the service worker of paths beside its own. The largest scope of one is the folder that
/// it is in, and that of `/fn/{name}` is `/fn/`: every function's.
fn check_service_worker(address: &WebAddress<'_>, headers: &HeaderMap) -> Result<(), ApiError> {
    if address.has_host || !address.path.is_empty() || !headers.contains_key("service-worker") {
        return Ok(());
    }
    let text =
        "a service worker of this path would be one of every function; serve its script at a path below it";
    Err(ApiError::new(ErrorCode::ForeignOrigin, text).closing())
}

fn host_of(request: &Request<Incoming>) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(HOST)?.to_str().ok(),
    }
}
