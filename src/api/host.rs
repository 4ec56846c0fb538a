//! `Host` of a request: its parts, and the check of it on a listener that is bound to loopback.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};

use crate::error::{ApiError, ErrorCode};

/// Checks the `Host` of a request to a listener on loopback: it must be loopback too, so that a web page whose
/// name was pointed at 127.0.0.1 (DNS rebinding) cannot call functions through a browser.
///
/// # Errors
/// `FOREIGN_HOST`.
pub fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(HOST) else { return Ok(()) };
    let text = value.to_str().unwrap_or("");
    let (host, _) = split_authority(text);
    if is_local(host) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ForeignHost,
        format!(
            "this listener is bound to loopback and does not answer for the host {text:?}; use localhost or 127.0.0.1"
        ),
    ))
}

/// The host and the port of an authority; an IPv6 address without its brackets.
pub(super) fn split_authority(text: &str) -> (&str, Option<&str>) {
    match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    }
}

fn is_local(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || is_localhost(host)
}

/// Whether a name is `localhost` or below it, which leads to the machine of the one who looks it up.
pub(super) fn is_localhost(host: &str) -> bool {
    const NAME: &[u8] = b"localhost";
    host.as_bytes().split_last_chunk::<{ NAME.len() }>().is_some_and(|(domain, name)| {
        name.eq_ignore_ascii_case(NAME) && (domain.is_empty() || domain.ends_with(b"."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
