//! `Host` of a request: its parts, and the check of it on a listener that is bound to loopback.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};

use crate::error::{ApiError, ErrorCode};
use crate::origin::{is_localhost, split_authority};

/// Checks the `Host` of a request to a listener on loopback: it must be loopback too, so that a web page whose
/// name was pointed at 127.0.0.1 (DNS rebinding) cannot call functions through a browser.
///
/// # Errors
/// `FOREIGN_HOST`.
pub(crate) fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
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

fn is_local(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || is_localhost(host)
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
