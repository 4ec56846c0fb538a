//! Endpoints at which a POOL function already listens.

use std::{
    fmt,
    net::Ipv6Addr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Serialize, Serializer};

/// Most URLs one function spreads its load over; the same number as replicas.
pub(crate) const ENDPOINTS_MAX: usize = 1_000;

/// Longest path of a Unix socket, in bytes: `sun_path` holds 108 and ends with a zero.
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Longest name of a host, in bytes, as DNS has it.
const HOST_BYTES_MAX: usize = 253;

/// The port of an `http` URL that names none.
const HTTP_PORT: u16 = 80;

/// The path that a runtime serves, which stands for an absent one.
const INVOKE_PATH: &str = "/invoke";

/// The address of something that already runs and speaks the runtime contract.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EndpointUrl {
    /// `http://host:port/path`
    Http {
        /// A DNS name, an IPv4 address, or an IPv6 address without its brackets.
        host: String,
        /// The TCP port, 80 where the URL has none.
        port: u16,
        /// Target of the request line, query included; `/invoke` where the URL has no path.
        path: String,
    },
    /// `unix:/path`, always asked for `/invoke`.
    Unix {
        /// Absolute path of the socket.
        socket: PathBuf,
    },
}

/// A text that is no [`EndpointUrl`], and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// TLS is not spoken here.
    #[error("https is not supported: only http:// and unix: are; end TLS in a proxy next to the function")]
    Https,
    /// Neither `http://` nor `unix:`.
    #[error("must start with http:// or unix:/")]
    Scheme,
    /// A name and password before the host.
    #[error("must not carry a user name or password")]
    User,
    /// The part after `#`, which is never sent.
    #[error("must not have a fragment (#…)")]
    Fragment,
    /// The host is absent or not a name or address.
    #[error("must name a host: a DNS name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The port is not a number of a port.
    #[error("must have a port between 1 and 65535")]
    Port,
    /// Something in the path that a request line cannot carry.
    #[error("must have a path of visible ASCII characters; percent-encode the others")]
    Path,
    /// The path of the socket.
    #[error("must name a socket by an absolute path of at most 107 bytes")]
    Socket,
}

impl EndpointUrl {
    /// Target of the request line: the URL's own path, or `/invoke`.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Http { path, .. } => path,
            Self::Unix { .. } => INVOKE_PATH,
        }
    }
}

impl FromStr for EndpointUrl {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidEndpoint::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => http(rest.strip_prefix("//").ok_or(InvalidEndpoint::Scheme)?),
            "unix" => unix(rest),
            "https" => Err(InvalidEndpoint::Https),
            _ => Err(InvalidEndpoint::Scheme),
        }
    }
}

fn http(rest: &str) -> Result<EndpointUrl, InvalidEndpoint> {
    if rest.contains('#') {
        return Err(InvalidEndpoint::Fragment);
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(InvalidEndpoint::User);
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidEndpoint::Path);
    }
    let (host, port) = split_port(authority)?;
    let path = match target.strip_prefix('/') {
        Some("") => INVOKE_PATH.to_owned(),
        Some(_) => target.to_owned(),
        // No path, perhaps a query.
        None => format!("{INVOKE_PATH}{target}"),
    };
    Ok(EndpointUrl::Http { host, port, path })
}

/// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart.
fn split_port(authority: &str) -> Result<(String, u16), InvalidEndpoint> {
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(InvalidEndpoint::Host)?;
        address.parse::<Ipv6Addr>().map_err(|_| InvalidEndpoint::Host)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(InvalidEndpoint::Host),
        };
        (address, port)
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if !is_host(host) {
            return Err(InvalidEndpoint::Host);
        }
        (host, port)
    };
    let port = port.map_or(Ok(HTTP_PORT), |digits| {
        let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|&port| port > 0 && only_digits).ok_or(InvalidEndpoint::Port)
    })?;
    Ok((host.to_owned(), port))
}

/// Whether a resolver could be asked for this name. Underscores occur in Docker's names.
fn is_host(host: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| !label.is_empty() && label.bytes().all(letters);
    host.len() <= HOST_BYTES_MAX && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

fn unix(rest: &str) -> Result<EndpointUrl, InvalidEndpoint> {
    // `unix:///path` is the same socket with an empty host before it.
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let usable = path.len() <= SOCKET_PATH_BYTES_MAX && !path.contains('\0') && !path.ends_with('/');
    if !usable || !Path::new(path).is_absolute() {
        return Err(InvalidEndpoint::Socket);
    }
    Ok(EndpointUrl::Unix { socket: path.into() })
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port, path } if host.contains(':') => {
                write!(out, "http://[{host}]:{port}{path}")
            }
            Self::Http { host, port, path } => write!(out, "http://{host}:{port}{path}"),
            Self::Unix { socket } => write!(out, "unix:{}", socket.display()),
        }
    }
}

impl Serialize for EndpointUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_whole_again() {
        for (text, shown) in [
            ("http://localhost", "http://localhost:80/invoke"),
            ("http://localhost/", "http://localhost:80/invoke"),
            ("HTTP://localhost:9000", "http://localhost:9000/invoke"),
            ("http://10.0.0.1:1/run", "http://10.0.0.1:1/run"),
            ("http://[::1]:8080/a/b?c=d", "http://[::1]:8080/a/b?c=d"),
            ("http://[::1]", "http://[::1]:80/invoke"),
            ("http://host?x=1", "http://host:80/invoke?x=1"),
            ("http://my_app.internal.:65535/", "http://my_app.internal.:65535/invoke"),
            ("unix:/run/f.sock", "unix:/run/f.sock"),
            ("unix:///run/f.sock", "unix:/run/f.sock"),
        ] {
            let url: EndpointUrl = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(url), "{shown}");
        }
    }

    #[test]
    fn a_socket_is_asked_for_invoke() {
        assert_eq!("unix:/s".parse::<EndpointUrl>().unwrap().path(), "/invoke");
        assert_eq!("http://h/run".parse::<EndpointUrl>().unwrap().path(), "/run");
    }

    #[test]
    fn a_url_that_cannot_be_called_says_why() {
        use InvalidEndpoint as E;
        let long_socket = format!("unix:/{}", "s".repeat(SOCKET_PATH_BYTES_MAX));
        for (text, error) in [
            ("https://h", E::Https),
            ("ftp://h", E::Scheme),
            ("localhost:80", E::Scheme),
            ("http:/h", E::Scheme),
            ("", E::Scheme),
            ("http://u:p@h/", E::User),
            ("http://h/#top", E::Fragment),
            ("http://", E::Host),
            ("http://:80", E::Host),
            ("http://a..b", E::Host),
            ("http://a b/", E::Host),
            ("http://[::1", E::Host),
            ("http://[::1]x", E::Host),
            ("http://[nope]", E::Host),
            ("http://h:", E::Port),
            ("http://h:0", E::Port),
            ("http://h:65536", E::Port),
            ("http://h:+80", E::Port),
            ("http://::1", E::Host),
            ("http://h/a b", E::Path),
            ("http://h/\r\nx", E::Path),
            ("http://h/ü", E::Path),
            ("unix:run/f.sock", E::Socket),
            ("unix://run/f.sock", E::Socket),
            ("unix:", E::Socket),
            ("unix:/run/", E::Socket),
            (long_socket.as_str(), E::Socket),
        ] {
            assert_eq!(text.parse::<EndpointUrl>(), Err(error), "{text:?}");
        }
    }
}
