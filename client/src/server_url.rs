//! The URL of a server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;

/// An `http` or `https` URL without query, and without a name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// Whether TLS is spoken.
    pub is_tls: bool,
    /// Name or address, an IPv6 one without its brackets.
    pub host: String,
    /// Port, the scheme's own where the URL has none.
    pub port: u16,
    /// `Host` of every request: host, and the port where the URL has one.
    pub authority: String,
    /// Put before every path; without a slash at its end.
    pub base_path: String,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("{text:?} {why}, as in http://127.0.0.1:8080"));
        // The part behind `#` is not part of a URI for hyper, and passed over in silence.
        if text.contains(['#', '?']) {
            return wrong("must be a URL without `?` and `#`");
        }
        let Ok(uri) = text.parse::<Uri>() else { return wrong("must be a URL") };
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return wrong("must begin with http:// or https://"),
        };
        let Some(authority) = uri.authority() else { return wrong("must have a host") };
        if authority.as_str().contains('@') {
            return wrong("must not have a name or password: give a context the header Authorization");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return wrong("must have a host");
        }
        let port = match authority.as_str()[authority.host().len()..].strip_prefix(':') {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return wrong("must have a port from 1 to 65535, or none"),
                Ok(port) => Some(port),
            },
        };
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: port.unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.to_string(),
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl ServerUrl {
    /// Whether it is certainly on this machine.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_whole_again() {
        let url: ServerUrl = "https://faas.example/team/a/".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.is_tls), ("faas.example", 443, true));
        assert_eq!((url.authority.as_str(), url.base_path.as_str()), ("faas.example", "/team/a"));
        assert_eq!(url.to_string(), "https://faas.example/team/a");
        let url: ServerUrl = "http://[::1]:8080".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port, url.authority.as_str()), ("::1", 8080, "[::1]:8080"));
        assert_eq!(url.to_string(), "http://[::1]:8080");
    }

    #[test]
    fn another_one_is_refused_with_the_reason_and_an_example() {
        for (text, why) in [
            ("localhost:8080", "must begin with http://"),
            ("ftp://x", "must begin with http://"),
            ("http://", "must be a URL"),
            ("http://a:b@x", "must not have a name or password"),
            ("http://x/?a", "without `?`"),
            ("http://x:0", "must have a port"),
            ("http://x:", "must have a port"),
            ("http://x:99999", "must have a port"),
            ("", "must be a URL"),
        ] {
            let message = text.parse::<ServerUrl>().unwrap_err();
            assert!(message.contains(why) && message.ends_with("as in http://127.0.0.1:8080"), "{message}");
        }
    }
}
