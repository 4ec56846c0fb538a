//! The host that a request is for: in `Host` or in its target, and on a listener that is bound to loopback only itself.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Version};

use crate::error::{ApiError, ErrorCode};
use crate::origin::{is_localhost, split_authority};

/// The last `Host` that was found to be one. Those of most requests are the same, and are not looked through again.
#[derive(Debug, Default)]
pub(crate) struct KnownHost(RefCell<Option<(Box<[u8]>, bool)>>);

impl KnownHost {
    /// Checks the host that a request is for (RFC 9112, 3.2), and makes `Host` say it: a target with an authority of
    /// its own wins over the header. Answers whether it is this machine, by a name or an address that never leaves it.
    ///
    /// # Errors
    /// `BAD_REQUEST` where the host is missing, there twice or not one, or the target is one of a proxy's.
    pub(crate) fn settle<B>(&self, request: &mut Request<B>) -> Result<bool, ApiError> {
        if request.uri().authority().is_some() {
            settle_authority(request)?;
        }
        let host = one_host(request.version(), request.headers()).map_err(bad_host)?;
        let Some(host) = host else { return Ok(true) };
        if let Some((known, local)) = &*self.0.borrow()
            && **known == *host.as_bytes()
        {
            return Ok(*local);
        }
        // Without a name, there is nothing to compare it with where that matters.
        if !host.is_empty() && !is_authority(host.as_bytes()) {
            return Err(bad_host("Host is not a host with or without a port"));
        }
        let (name, _) = split_authority(host.to_str().unwrap_or(""));
        let local = is_local(name);
        self.0.replace(Some((host.as_bytes().into(), local)));
        Ok(local)
    }
}

/// Makes `Host` say the host of a target that has one, after it was checked as any.
fn settle_authority<B>(request: &mut Request<B>) -> Result<(), ApiError> {
    let header = one_host(request.version(), request.headers()).map_err(bad_host)?;
    if header.is_some_and(|host| !host.is_empty() && !is_authority(host.as_bytes())) {
        return Err(bad_host("Host is not a host with or without a port"));
    }
    let uri = request.uri();
    let Some(authority) = uri.authority() else { return Ok(()) };
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err(bad_target("a target is a path, or http:// with a host and a path"));
    }
    if !is_authority(authority.as_str().as_bytes()) {
        return Err(bad_target("the target has no host, or more than a host and a port"));
    }
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else {
        return Err(bad_target("the target has no readable host"));
    };
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// The `Host` of a request, which has one. Before HTTP/1.1 it may have none.
fn one_host(version: Version, headers: &HeaderMap) -> Result<Option<&HeaderValue>, &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match hosts.next() {
        None if version < Version::HTTP_11 => Ok(None),
        None => Err("Host is missing"),
        Some(_) if hosts.next().is_some() => Err("Host is there more than once"),
        host => Ok(host),
    }
}

/// Whether it is `host[:port]` (RFC 3986, 3.2) and no more than that.
fn is_authority(text: &[u8]) -> bool {
    let name_end = text.iter().position(|byte| !NAME_BYTES[usize::from(*byte)]).unwrap_or(text.len());
    let rest = match text.strip_prefix(b"[") {
        None if name_end == 0 => return false,
        None => &text[name_end..],
        Some(inner) => {
            let Some(end) = inner.iter().position(|byte| *byte == b']') else { return false };
            if !str::from_utf8(&inner[..end]).is_ok_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
                return false;
            }
            &inner[end + 1..]
        }
    };
    rest.is_empty() || rest.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit))
}

/// The bytes that may be in a name: the unreserved ones, the delimiters within parts, and `%` of an escape. A table,
/// because every request is asked.
const NAME_BYTES: [bool; 256] = {
    let marks = b"-._~!$&'()*+,;=%";
    let mut all = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        all[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        all[marks[at] as usize] = true;
        at += 1;
    }
    all
};

#[cold]
fn bad_host(fault: &'static str) -> ApiError {
    bad_target_of(format!("{fault}; a request has it once, as host or host:port"))
}

#[cold]
fn bad_target(fault: &'static str) -> ApiError {
    bad_target_of(format!("the request cannot be for this server: {fault}"))
}

fn bad_target_of(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message).closing()
}

/// The error of a request to a listener on loopback for a host that is another. It must be loopback too, so that a
/// web page whose name was pointed at 127.0.0.1 (DNS rebinding) cannot call functions through a browser.
#[cold]
pub(crate) fn foreign_host(headers: &HeaderMap) -> ApiError {
    let text = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    ApiError::new(
        ErrorCode::ForeignHost,
        format!(
            "this listener is bound to loopback and does not answer for the host {text:?}; use localhost or 127.0.0.1"
        ),
    )
}

fn is_local(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || is_localhost(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in
            ["localhost", "a.example:80", "a_b", "127.0.0.1:1", "[::1]", "[::1]:8080", "xn--a", "a%20b", "a:"]
        {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for none in [
            "", ":80", "a b", "u@a", "a/b", "a:b", "a:1:2", "::1", "[::1", "[a]", "[::1]x", "[]", "a\tb",
            "é", "a\"b", "a,b c", "http://a", "a?b", "a#b",
        ] {
            assert!(!is_authority(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn a_host_that_is_known_says_the_same_as_one_that_is_not() {
        let known = KnownHost::default();
        let settle = |host: &str| {
            let mut request = Request::builder().header(HOST, host).body(()).expect("a request");
            known.settle(&mut request).map_err(|error| error.code)
        };
        for _ in 0..2 {
            for (host, wanted) in [
                ("localhost:8080", Ok(true)),
                ("localhost:8080", Ok(true)),
                ("evil.example", Ok(false)),
                ("evil.example", Ok(false)),
                ("a b", Err(ErrorCode::BadRequest)),
                ("a b", Err(ErrorCode::BadRequest)),
                ("", Ok(false)),
            ] {
                assert_eq!(settle(host), wanted, "{host}");
            }
        }
        let mut absolute =
            Request::builder().uri("http://evil.example/").header(HOST, "localhost").body(()).expect("one");
        assert_eq!(known.settle(&mut absolute).map_err(|error| error.code), Ok(false));
    }

    #[test]
    fn only_what_stays_on_this_machine_is_a_local_host() {
        for local in
            ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "a.b.localhost", "A.LOCALHOST"]
        {
            assert!(is_local(local), "{local}");
        }
        for foreign in
            ["", "evil.example", "notlocalhost", "localhost.evil", "10.0.0.1", "ocalhost", "1.localhos"]
        {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
