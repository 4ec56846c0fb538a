//! Which requests a browser sends for a web page, and which pages a listener answers.
//!
//! A page of any site can have a browser send requests to the machine that it runs on, and so to a listener on
//! loopback or to a `kubectl port-forward`. It cannot keep the browser from marking them: `Origin` is on every
//! request but plain reads, and `Sec-Fetch-Site` on all of them to an address that the browser trusts, as it does
//! loopback. Nothing but browsers sends the two.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

use super::host::{is_localhost, split_authority};
use crate::error::{ApiError, ErrorCode, excerpt};

/// From the W3C's Fetch Metadata.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// Its value where no page is behind a request: an address was typed, or a bookmark was opened.
const NO_SITE: &str = "none";
/// Its value where the page came from the same scheme, host and port.
const SAME_ORIGIN: &str = "same-origin";

/// The ports that browsers leave out of an origin.
const DEFAULT_PORTS: [(&str, &str); 2] = [("http", "80"), ("https", "443")];

/// The origin of pages, `scheme://host[:port]`, as browsers write it in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        // What is left between and around host and port, as a second colon, is part of neither.
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
    /// Whether a `Host` names the server that pages of this origin come from.
    fn is_at(&self, host: &str) -> bool {
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
fn is_same(scheme: &str, authority: &str, host: &str) -> bool {
    let own_port = DEFAULT_PORTS.iter().find(|(known, _)| *known == scheme).map(|(_, port)| *port);
    let ((one, one_port), (other, other_port)) = (split_authority(authority), split_authority(host));
    !one.is_empty() && one.eq_ignore_ascii_case(other) && one_port.or(own_port) == other_port.or(own_port)
}

/// One header of a browser's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark<'a> {
    #[default]
    Absent,
    Is(&'a HeaderValue),
    /// More than once, which no browser sends.
    Repeated,
}

/// The headers in which a browser says where a request comes from.
#[derive(Clone, Copy, Debug, Default)]
struct Marks<'a> {
    origin: Mark<'a>,
    site: Mark<'a>,
}

impl<'a> Mark<'a> {
    fn see(&mut self, value: &'a HeaderValue) {
        *self = if *self == Mark::Absent { Mark::Is(value) } else { Mark::Repeated };
    }

    fn text(self) -> Option<&'a str> {
        match self {
            Mark::Is(value) => value.to_str().ok(),
            Mark::Absent | Mark::Repeated => None,
        }
    }
}

impl<'a> Marks<'a> {
    /// One pass over the headers, which is all that a request without marks pays.
    fn of(headers: &'a HeaderMap) -> Self {
        let mut marks = Self::default();
        for (name, value) in headers {
            if name == ORIGIN {
                marks.origin.see(value);
            } else if name.as_str() == SEC_FETCH_SITE {
                marks.site.see(value);
            }
        }
        marks
    }

    /// Whether a page is behind the request.
    fn is_page(self) -> bool {
        let has_site = match self.site {
            Mark::Absent => false,
            Mark::Is(site) => site != NO_SITE,
            Mark::Repeated => true,
        };
        has_site || self.origin != Mark::Absent
    }

    /// Whether it is a page that this listener served itself, by what its `Host` calls it. A name can be made to lead
    /// anywhere by whoever owns it (DNS rebinding), so only an address counts, `localhost`, and what was named.
    fn is_own(self, headers: &HeaderMap, named: &[Origin]) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(Ok(host)), None) = (hosts.next().map(HeaderValue::to_str), hosts.next()) else {
            return false;
        };
        let site = match self.site {
            Mark::Absent => true,
            Mark::Is(site) => site == SAME_ORIGIN || site == NO_SITE,
            Mark::Repeated => false,
        };
        let origin = match self.origin {
            Mark::Absent => is_address(host) || named.iter().any(|named| named.is_at(host)),
            Mark::Is(origin) => {
                named.iter().any(|named| *origin == named.0 && named.is_at(host))
                    || is_address(host)
                        && origin
                            .to_str()
                            .ok()
                            .and_then(|origin| origin.strip_prefix("http://"))
                            .is_some_and(|authority| is_same("http", authority, host))
            }
            Mark::Repeated => false,
        };
        site && origin
    }

    /// The error of what a page asks; `answered` says which pages are.
    #[cold]
    fn error(self, answered: &str) -> ApiError {
        let (name, mark) = match self.origin {
            Mark::Absent => ("Sec-Fetch-Site", self.site),
            Mark::Is(_) | Mark::Repeated => ("Origin", self.origin),
        };
        let value = match (mark, mark.text()) {
            (Mark::Repeated, _) => "more than once".to_owned(),
            (_, Some(text)) => excerpt(text),
            (_, None) => "not readable".to_owned(),
        };
        ApiError::new(ErrorCode::ForeignOrigin, format!("a web page asks ({name}: {value}); {answered}"))
    }
}

/// Whether a `Host` is an IP address or `localhost`, which lead where they say.
fn is_address(host: &str) -> bool {
    let (name, _) = split_authority(host);
    name.parse::<IpAddr>().is_ok() || is_localhost(name)
}

/// Checks a request to a listener that answers no page.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub fn check_none(headers: &HeaderMap) -> Result<(), ApiError> {
    let marks = Marks::of(headers);
    if marks.is_page() { Err(marks.error("this listener answers none")) } else { Ok(()) }
}

/// Checks a request to a listener that answers the pages that it serves itself.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub fn check_own(headers: &HeaderMap, named: &[Origin]) -> Result<(), ApiError> {
    let marks = Marks::of(headers);
    if !marks.is_page() || marks.is_own(headers, named) {
        return Ok(());
    }
    Err(marks.error(
        "this listener answers its own page only, under an IP address, localhost, or an origin that --allow-origin names",
    ))
}

/// Checks a request to a listener that answers pages of some origins. Answers the origin, where a page asks.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub fn check_named<'a>(
    headers: &'a HeaderMap,
    named: &[Origin],
) -> Result<Option<&'a HeaderValue>, ApiError> {
    let marks = Marks::of(headers);
    if !marks.is_page() {
        return Ok(None);
    }
    match marks.origin {
        Mark::Is(origin) if marks.site != Mark::Repeated && named.iter().any(|named| *origin == named.0) => {
            Ok(Some(origin))
        }
        Mark::Absent | Mark::Is(_) | Mark::Repeated => {
            Err(marks.error("this listener answers those only whose origin --allow-origin names"))
        }
    }
}

/// The error of a call that no page may make, also where its origin is named.
#[must_use]
pub fn not_for_pages() -> ApiError {
    ApiError::new(
        ErrorCode::ForeignOrigin,
        "a web page may invoke and enqueue here, and read; functions are not changed and executions not cancelled for one",
    )
}

#[cfg(test)]
mod tests;
