//! The origin of web pages, and the authority that it has in common with a `Host`.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::Serialize;

/// The ports that browsers leave out of an origin.
const DEFAULT_PORTS: [(&str, &str); 2] = [("http", "80"), ("https", "443")];

/// The origin of pages, `scheme://host[:port]`, as browsers write it in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" || text == "null" {
            return Err(format!("{text} would let pages of every site in; name each origin"));
        }
        if text.contains(',') {
            return Err("it is a list; give --allow-origin once for each origin".to_owned());
        }
        let example = "an origin is scheme://host[:port], as in https://app.example or http://localhost:3000";
        let Some((scheme, authority)) = text.split_once("://") else {
            return Err(format!("it has no scheme; {example}"));
        };
        if let Some(at) = authority.find(['/', '?', '#']) {
            return Err(format!("it has a path; write {scheme}://{}", &authority[..at]));
        }
        if authority.contains('@') {
            return Err(format!("it has a user; {example}"));
        }
        if !is_scheme(scheme) {
            return Err(format!("{scheme:?} is not a scheme in lower case; {example}"));
        }
        let (host, port) = split_authority(authority);
        if let Some(port) = port {
            if port.parse::<u16>().is_err() || port.starts_with(['0', '+']) {
                return Err(format!("{port:?} is not a port, 1 … 65535; {example}"));
            }
            if DEFAULT_PORTS.contains(&(scheme, port)) {
                return Err(format!(
                    "browsers leave that port out; write {}",
                    &text[..text.len() - port.len() - 1]
                ));
            }
        }
        let is_host = if authority.starts_with('[') { is_ipv6(host) } else { is_name(host) };
        // The rest between and around host and port, as a second colon, is part of neither.
        let rest = if authority.starts_with('[') { 2 } else { 0 } + port.map_or(0, |port| port.len() + 1);
        if !is_host || host.len() + rest != authority.len() {
            return Err(format!(
                "{authority:?} is not a host as browsers write it: lower-case letters, digits, - . _, or an IPv6 address in brackets; {example}"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Origin {
    /// The origin as browsers write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a `Host` names the server that pages of this origin come from.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        self.0.split_once("://").is_some_and(|(scheme, authority)| is_same(scheme, authority, host))
    }
}

fn is_scheme(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(is_part)
}

fn is_name(host: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    !host.is_empty() && host.bytes().all(is_part)
}

/// Whether it is an IPv6 address in its one short form.
fn is_ipv6(host: &str) -> bool {
    host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_string() == host)
}

/// Whether an origin's authority and a `Host` name the same server. The scheme's own port may be left out.
pub(crate) fn is_same(scheme: &str, authority: &str, host: &str) -> bool {
    let own_port = DEFAULT_PORTS.iter().find(|(known, _)| *known == scheme).map(|(_, port)| *port);
    let ((one, one_port), (other, other_port)) = (split_authority(authority), split_authority(host));
    !one.is_empty() && one.eq_ignore_ascii_case(other) && one_port.or(own_port) == other_port.or(own_port)
}

/// The host and the port of an authority; an IPv6 address without its brackets.
pub(crate) fn split_authority(text: &str) -> (&str, Option<&str>) {
    match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
            (host, rest.strip_prefix(':'))
        }
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    }
}

/// Whether a name is `localhost` or below it, which leads to the machine of the one that looks it up.
pub(crate) fn is_localhost(host: &str) -> bool {
    const NAME: &[u8] = b"localhost";
    host.as_bytes().split_last_chunk::<{ NAME.len() }>().is_some_and(|(domain, name)| {
        name.eq_ignore_ascii_case(NAME) && (domain.is_empty() || domain.ends_with(b"."))
    })
}

/// Whether a `Host` is an IP address or `localhost`, which lead where they say.
pub(crate) fn is_address(host: &str) -> bool {
    let (name, _) = split_authority(host);
    name.parse::<IpAddr>().is_ok() || is_localhost(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_as_browsers_write_it_and_any_other_is_refused_with_the_remedy() {
        for origin in [
            "https://app.example",
            "http://localhost:3000",
            "http://127.0.0.1:1",
            "https://[::1]:65535",
            "https://xn--bcher-kva.example",
            "chrome-extension://abcdefghijklmnop",
        ] {
            assert_eq!(Origin::from_str(origin).map(|origin| origin.0).as_deref(), Ok(origin));
        }
        let ports = DEFAULT_PORTS.map(|(scheme, port)| format!("{scheme}://a:{port}"));
        for (origin, remedy) in [
            ("*", "name each origin"),
            ("null", "name each origin"),
            ("http://a.example,http://b.example", "once for each"),
            ("", "no scheme"),
            ("app.example", "no scheme"),
            ("localhost:3000", "no scheme"),
            ("https://app.example/", "write https://app.example"),
            ("https://app.example/index.html", "write https://app.example"),
            ("https://app.example?a", "write https://app.example"),
            ("https://app.example#a", "write https://app.example"),
            ("https://u@app.example", "a user"),
            ("HTTPS://app.example", "lower case"),
            ("://app.example", "scheme"),
            ("https://App.example", "lower-case"),
            ("https://bücher.example", "lower-case"),
            ("https://", "not a host"),
            ("https://*.example", "not a host"),
            ("https://a b", "not a host"),
            ("https://::1", "not a host"),
            ("https://[::1", "not a host"),
            ("https://[::1]x", "not a host"),
            ("https://[::01]", "not a host"),
            ("https://[app.example]", "not a host"),
            ("https://app.example:", "not a port"),
            ("https://app.example:0", "not a port"),
            ("https://app.example:+1", "not a port"),
            ("https://app.example:65536", "not a port"),
            ("https://app.example:x", "not a port"),
            (&ports[0], "write http://a"),
            (&ports[1], "write https://a"),
        ] {
            let said = Origin::from_str(origin).expect_err(origin);
            assert!(said.contains(remedy), "{origin:?}: {said}");
        }
    }
}
