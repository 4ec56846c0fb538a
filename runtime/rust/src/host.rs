//! The host that a request is for, and the coding of its body (RFC 9112, 3.2 and 6.1).

use hyper::body::Body;
use hyper::header::{HOST, TRANSFER_ENCODING};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Version};

/// The fault of a request that says no host or several, or that is for another kind of server.
pub(crate) fn fault_of<B: Body>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    let uri = request.uri();
    match host {
        None if request.version() >= Version::HTTP_11 => Some("Host is missing"),
        Some(_) if hosts.next().is_some() => Some("Host is there more than once"),
        Some(host) if !host.to_str().is_ok_and(is_host) => Some("Host is not a host with or without a port"),
        None | Some(_) if uri.authority().is_some() && uri.scheme() != Some(&Scheme::HTTP) => {
            Some("the target is neither a path nor begins with http://")
        }
        None | Some(_) if has_other_coding(request) => Some("Transfer-Encoding is not `chunked`"),
        None | Some(_) => None,
    }
}

/// Whether it is `host[:port]`. An empty one is of a target without a host.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return text.is_empty() };
    let port = text.strip_prefix(authority.host());
    port.is_some_and(|port| {
        port.is_empty()
            || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// Whether there is a coding on the body that is not undone here. Without one the length is known.
fn has_other_coding<B: Body>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    request.body().size_hint().exact().is_none()
        && (codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some())
}
