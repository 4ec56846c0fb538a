//! Requests that a browser sends for a web page: none is for a function.
//!
//! A page of any site can have a browser send requests to the machine that it runs on. It cannot keep the browser
//! from marking them, and only browsers mark them.

use hyper::HeaderMap;
use hyper::header::ORIGIN;

/// From the W3C's Fetch Metadata.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// Its value for a request without a page: an address was typed, or a bookmark was opened.
const NO_SITE: &str = "none";

/// Whether a page is behind a request. A header that is there twice is of no browser, and does not count as
/// `none`.
pub(crate) fn is_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    headers.contains_key(ORIGIN) || sites.next().is_some_and(|site| site != NO_SITE || sites.next().is_some())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn is_page_with(pairs: &[(&'static str, &[u8])]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        is_page(&headers)
    }

    #[test]
    fn what_a_browser_marks_is_of_a_page_unless_it_was_typed() {
        assert!(!is_page_with(&[]));
        assert!(!is_page_with(&[("x-execution-id", b"e-1"), ("referer", b"http://evil.example/")]));
        assert!(!is_page_with(&[("sec-fetch-site", b"none")]));
        for marks in [
            &[("origin", b"http://evil.example".as_slice())][..],
            &[("origin", b"null")],
            &[("origin", b"")],
            &[("origin", b"\xff")],
            &[("origin", b"a"), ("origin", b"a")],
            &[("origin", b"null"), ("sec-fetch-site", b"none")],
            &[("sec-fetch-site", b"cross-site")],
            &[("sec-fetch-site", b"same-site")],
            &[("sec-fetch-site", b"same-origin")],
            &[("sec-fetch-site", b"")],
            &[("sec-fetch-site", b"None")],
            &[("sec-fetch-site", b"\xff")],
            &[("sec-fetch-site", b"none"), ("sec-fetch-site", b"none")],
        ] {
            assert!(is_page_with(marks), "{marks:?}");
        }
    }
}
