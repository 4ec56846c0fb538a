//! Requests that a browser sends for a web page, and the pages that a listener answers.
//!
//! A page of any site can have a browser send requests to the machine that it runs on, and so to a listener on
//! loopback or to a `kubectl port-forward`. It cannot keep the browser from marking them: `Origin` is on every
//! request but plain reads, and `Sec-Fetch-Site` on all of them to an address that the browser trusts, as it does
//! loopback. Nothing but browsers sends the two.

use hyper::Method;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

use crate::error::{ApiError, ErrorCode, excerpt};
use crate::origin::{Origin, is_address, is_same};
use crate::spec::Web;

/// From the W3C's Fetch Metadata.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// Its value where no page is behind a request: an address was typed, or a bookmark was opened.
const NO_SITE: &str = "none";
/// Its value where the page came from the same scheme, host and port.
const SAME_ORIGIN: &str = "same-origin";
/// Says what a browser does with the answer.
const SEC_FETCH_MODE: &str = "sec-fetch-mode";
/// Its value where it shows it in the place of a page, as after a click on a link.
const NAVIGATE: &str = "navigate";

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
                named.iter().any(|named| *origin == *named.as_str() && named.is_at(host))
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

/// Checks a request to a listener that answers no page.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub(crate) fn check_none(headers: &HeaderMap) -> Result<(), ApiError> {
    let marks = Marks::of(headers);
    if marks.is_page() { Err(marks.error("this listener answers none")) } else { Ok(()) }
}

/// Checks a request to a listener that answers the pages that it serves itself.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub(crate) fn check_own(headers: &HeaderMap, named: &[Origin]) -> Result<(), ApiError> {
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
pub(crate) fn check_named<'a>(
    headers: &'a HeaderMap,
    named: &[Origin],
) -> Result<Option<&'a HeaderValue>, ApiError> {
    let marks = Marks::of(headers);
    if !marks.is_page() {
        return Ok(None);
    }
    match marks.origin {
        Mark::Is(origin)
            if marks.site != Mark::Repeated && named.iter().any(|named| *origin == *named.as_str()) =>
        {
            Ok(Some(origin))
        }
        Mark::Absent | Mark::Is(_) | Mark::Repeated => {
            Err(marks.error("this listener answers those only whose origin --allow-origin names"))
        }
    }
}

/// Checks a request for a function at `/fn/{name}`, for this host: its own pages may call it, those that it names, and
/// who follows a link to it or opens its address.
///
/// A name can be made to lead anywhere by whoever owns it (DNS rebinding), so a host whose pages are the function's own
/// is an address, `localhost`, one of `--route-host` (`is_route_host`), or that of an origin which the function names.
///
/// # Errors
/// `FOREIGN_ORIGIN`.
pub(crate) fn check_for_function(
    method: &Method,
    headers: &HeaderMap,
    host: &str,
    is_route_host: bool,
    web: Option<&Web>,
) -> Result<(), ApiError> {
    let marks = Marks::of(headers);
    if !marks.is_page() {
        return Ok(());
    }
    let is_known_host = is_route_host || is_address(host) || web.is_some_and(|web| web.has_host(host));
    let is_let_in = match (marks.origin, marks.site) {
        (Mark::Repeated, _) | (_, Mark::Repeated) => false,
        (Mark::Is(origin), _) => {
            (is_known_host && is_at_host(origin, host))
                || web.is_some_and(|web| web.admits(origin.as_bytes()))
        }
        (Mark::Absent, Mark::Is(site)) if site == SAME_ORIGIN => is_known_host,
        (Mark::Absent, _) => {
            let is_link = headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == NAVIGATE);
            (is_known_host && is_link && method.is_safe()) || web.is_some_and(Web::admits_all)
        }
    };
    if is_let_in {
        return Ok(());
    }
    Err(marks.error(
        "this function answers its own pages, under an IP address, localhost or a host of --route-host, and those whose origin its field web.origins names",
    ))
}

/// Whether a page comes from a host, with or without TLS in front of us.
fn is_at_host(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(scheme, authority)| {
        ["http", "https"].contains(&scheme) && is_same(scheme, authority, host)
    })
}

/// The error of a call that no page may make, also where its origin is named.
#[must_use]
pub(crate) fn not_for_pages() -> ApiError {
    ApiError::new(
        ErrorCode::ForeignOrigin,
        "a web page may invoke and enqueue here, and read; functions are not changed and executions not cancelled for one",
    )
}

#[cfg(test)]
mod tests;
