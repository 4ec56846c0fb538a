//! The headers of a request and of an answer that go on as they are, and those that are ours or between two hops
//! (RFC 9110, 7.6.1).

use std::net::IpAddr;

use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE};

use super::address::WebAddress;
use super::forwarded;
use crate::config::trusted_network::TrustedNetwork;

/// Headers that are between two hops, beside those that `Connection` names.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers of a request that are ours, whatever a client says.
const OURS: [&str; 8] = [
    "content-length",
    "expect",
    "traceparent",
    "tracestate",
    "x-attempt",
    "x-deadline-ms",
    "x-execution-id",
    "x-trace-id",
];
/// Headers of an answer that are ours, whatever a function says.
const OURS_OF_ANSWER: [&str; 5] =
    ["server-timing", "x-attempts", "x-cold-start", "x-error-source", "x-execution-id"];

/// The names that the `Connection` headers of a message have.
fn named(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
}

fn is_named(named: &[&str], name: &str) -> bool {
    named.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// The protocol that a client wants to change to: `Upgrade`, which `Connection` names.
#[must_use]
pub(crate) fn wanted_upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(UPGRADE).filter(|_| is_named(&named(headers), "upgrade"))
}

/// Whether a client takes trailers: `TE: trailers`, which is between the two hops.
#[must_use]
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// The lines of the head of a request that its instance gets, but for those that differ by attempt.
#[must_use]
pub(crate) fn of_request(
    headers: &HeaderMap,
    address: &WebAddress<'_>,
    peer: IpAddr,
    trusted: &[TrustedNetwork],
) -> Box<[u8]> {
    let named = named(headers);
    let is_trusted = trusted.iter().any(|network| network.has(peer));
    let mut lines = Vec::with_capacity(512);
    for (name, value) in headers {
        let text = name.as_str();
        // Many servers take `_` for `-`, and would read a forged one as ours.
        let plain = text.replace('_', "-");
        let is_left_out = HOP_BY_HOP.contains(&&*plain)
            || OURS.contains(&&*plain)
            || forwarded::is_one(&plain)
            || (!is_trusted && forwarded::is_of_proxies(&plain))
            || is_named(&named, text);
        // Each hop has a host, whatever is said of the connection.
        if !is_left_out || name == HOST {
            push(&mut lines, name, value);
        }
    }
    if !headers.contains_key(HOST) {
        lines.extend_from_slice(b"host: localhost\r\n");
    }
    forwarded::write(&mut lines, headers, address, peer, trusted);
    lines.into_boxed_slice()
}

fn push(lines: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    lines.extend_from_slice(name.as_str().as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value.as_bytes());
    lines.extend_from_slice(b"\r\n");
}

/// Takes out of the headers of an instance's answer those that are ours.
pub(crate) fn remove_ours(headers: &mut HeaderMap) {
    OURS_OF_ANSWER.iter().for_each(|name| drop(headers.remove(*name)));
}

/// Takes out of the headers of an instance's answer what is not for the client. With `Content-Length` where the body
/// has one, as the instance said it.
pub(crate) fn keep_of_answer(headers: &mut HeaderMap, has_length: bool) {
    let names: Vec<HeaderName> = named(headers).iter().filter_map(|name| name.parse().ok()).collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(*name)));
    remove_ours(headers);
    if !has_length {
        headers.remove("content-length");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_request_keeps_its_headers_but_those_of_a_hop_and_those_that_are_ours() {
        let headers = map(&[
            ("host", "a.example"),
            ("accept", "text/html"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("connection", "X-Hop , keep-alive"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-execution-id", "forged"),
            ("x-trace-id", "t"),
            ("forwarded", "for=1.1.1.1"),
            ("origin", "http://a.example"),
            ("authorization", "Bearer x"),
            ("x_forwarded_for", "1.1.1.1"),
            ("x_execution_id", "forged"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "1.1.1.1"),
            ("x_other", "1"),
        ]);
        let address = WebAddress::in_path("/fn/a").unwrap();
        let lines = of_request(&headers, &address, "9.9.9.9".parse().unwrap(), &[]);
        let lines = String::from_utf8(lines.into()).unwrap();
        let (own, forwarded) = lines.split_at(lines.find("x-forwarded-for").unwrap());
        let mut own: Vec<_> = own.lines().collect();
        own.sort_unstable();
        let kept = [
            "accept: text/html",
            "authorization: Bearer x",
            "cookie: a=1",
            "cookie: b=2",
            "host: a.example",
            "origin: http://a.example",
            "x_other: 1",
        ];
        assert_eq!(own, kept);
        assert!(!forwarded.contains("1.1.1.1"), "{forwarded}");
    }

    #[test]
    fn an_upgrade_is_one_that_connection_names() {
        let asks = |headers: &[(&'static str, &'static str)]| wanted_upgrade(&map(headers)).is_some();
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asks(&[("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade")]));
    }

    #[test]
    fn an_answer_loses_what_is_between_hops_and_what_is_ours() {
        let mut headers = map(&[
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("content-length", "7"),
            ("x-execution-id", "forged"),
            ("server", "flask"),
        ]);
        keep_of_answer(&mut headers, false);
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "server", "set-cookie", "set-cookie"]);
    }
}
