//! The address of a listener, as a person writes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::origin::is_localhost;

/// Forms of an address that are taken, for the error of one that is not.
const EXAMPLES: &str = "write an IP address and a port, as in 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for every address of this machine; localhost:8080, :8080 and 8080 are 127.0.0.1:8080";

/// Reads an address. A port alone, and `localhost`, are on loopback: who is to be reached by others says so.
///
/// # Errors
/// A sentence that says what is wrong, with examples of what is right.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<IpAddr>().is_ok() || is_bracketed(text) {
        return Err(format!("it has no port; {EXAMPLES}"));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if !host.is_empty() && !is_localhost(host) {
        return Err(if is_host_name(host) {
            format!("{host} is a name, and no IP address of this machine; {EXAMPLES}")
        } else {
            format!("it is not an address; {EXAMPLES}")
        });
    }
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(if !text.contains(':') && is_host_name(text) {
            format!("it has no port; {EXAMPLES}")
        } else {
            format!("{port:?} is not a port; {EXAMPLES}")
        });
    }
    let port = port.parse().map_err(|_| format!("{port} is not a port, 0 … 65535; {EXAMPLES}"))?;
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
}

fn is_bracketed(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|ip| ip.parse::<IpAddr>().is_ok())
}

fn is_host_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it_and_a_port_alone_is_on_loopback() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:8080", "[::]:8080"),
            ("[fe80::1%2]:8080", "[fe80::1%2]:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LocalHost:8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
            ("0", "127.0.0.1:0"),
        ] {
            assert_eq!(listen_address(text), Ok(address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_the_reason_and_examples() {
        for (text, reason) in [
            ("127.0.0.1", "no port"),
            ("::1", "no port"),
            ("[::1]", "no port"),
            ("localhost", "no port"),
            ("faas.example", "no port"),
            ("faas.example:8080", "faas.example is a name"),
            ("http://localhost:8080", "not an address"),
            ("*:8080", "not an address"),
            ("1.2.3:80", "not an address"),
            ("localhost:", "\"\" is not a port"),
            ("localhost:http", "\"http\" is not a port"),
            (":65536", "65536 is not a port"),
            ("+80", "\"+80\" is not a port"),
            ("-1", "\"-1\" is not a port"),
            ("", "\"\" is not a port"),
        ] {
            let error = listen_address(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
            for example in ["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080", "localhost:8080"] {
                assert!(error.contains(example), "{text}: no {example} in {error}");
            }
        }
    }
}
