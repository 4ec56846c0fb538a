//! The headers that say where a request came from: `X-Forwarded-For`, `-Host`, `-Proto` and `-Prefix`.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};

use super::address::WebAddress;
use crate::config::trusted_network::TrustedNetwork;

const FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const PROTO: &str = "x-forwarded-proto";
const PREFIX: &str = "x-forwarded-prefix";

/// The host that a trusted proxy says it was asked for.
#[must_use]
pub(crate) fn host<'a>(headers: &'a HeaderMap, peer: IpAddr, trusted: &[TrustedNetwork]) -> Option<&'a str> {
    let is_trusted = trusted.iter().any(|network| network.has(peer));
    headers.get(FORWARDED_HOST).filter(|_| is_trusted)?.to_str().ok()
}

/// Whether a header is one of these, or the standard one for the same (RFC 7239), which nobody sets here.
pub(super) fn is_one(name: &str) -> bool {
    name == "forwarded" || [FOR, FORWARDED_HOST, PROTO, PREFIX].contains(&name)
}

/// Whether a header is one that proxies set, and a client has no business to.
pub(super) fn is_of_proxies(name: &str) -> bool {
    name.starts_with("x-forwarded-") || name == "x-real-ip"
}

/// Writes the lines for a request of this peer. What it says itself counts where it is a proxy that is trusted.
pub(super) fn write(
    lines: &mut Vec<u8>,
    headers: &HeaderMap,
    address: &WebAddress<'_>,
    peer: IpAddr,
    trusted: &[TrustedNetwork],
) {
    let is_trusted = trusted.iter().any(|network| network.has(peer));
    let said = |name: &str| headers.get(name).filter(|_| is_trusted).map(|value| value.as_bytes());
    let mut line = |name: &str, parts: &[&[u8]]| {
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(b": ");
        parts.iter().for_each(|part| lines.extend_from_slice(part));
        lines.extend_from_slice(b"\r\n");
    };
    let peer = peer.to_canonical().to_string();
    let before: Vec<&[u8]> = match is_trusted {
        true => headers.get_all(FOR).iter().flat_map(|value| [value.as_bytes(), b", "]).collect(),
        false => Vec::new(),
    };
    line(FOR, &[&before[..], &[peer.as_bytes()]].concat());
    if let Some(host) = said(FORWARDED_HOST).or_else(|| headers.get(HOST).map(|host| host.as_bytes())) {
        line(FORWARDED_HOST, &[host]);
    }
    line(PROTO, &[said(PROTO).unwrap_or(b"http")]);
    let outer = said(PREFIX).unwrap_or_default();
    match address.has_host {
        true if outer.is_empty() => {}
        true => line(PREFIX, &[outer]),
        false => line(PREFIX, &[outer, b"/fn/", address.name.as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &[(&'static str, &'static str)], path: &str, trusted: &[&str]) -> String {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let trusted: Vec<_> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let mut lines = Vec::new();
        let address = WebAddress::in_path(path).unwrap();
        write(&mut lines, &headers, &address, "10.1.2.3".parse().unwrap(), &trusted);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn what_a_client_says_of_itself_counts_where_it_is_a_trusted_proxy_alone() {
        let said = [
            ("host", "a.example"),
            (FOR, "1.1.1.1"),
            (PROTO, "https"),
            (FORWARDED_HOST, "b"),
            (PREFIX, "/p"),
        ];
        assert_eq!(
            written(&said, "/fn/shop/x", &["10.2.0.0/16", "fd00::/8"]),
            "x-forwarded-for: 10.1.2.3\r\nx-forwarded-host: a.example\r\nx-forwarded-proto: http\r\nx-forwarded-prefix: /fn/shop\r\n"
        );
        assert_eq!(
            written(&said, "/fn/shop/x", &["10.0.0.0/8"]),
            "x-forwarded-for: 1.1.1.1, 10.1.2.3\r\nx-forwarded-host: b\r\nx-forwarded-proto: https\r\nx-forwarded-prefix: /p/fn/shop\r\n"
        );
    }
}
