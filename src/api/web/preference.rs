//! The wish of a client not to wait for the answer: `Prefer: respond-async` (RFC 7240, 4.1).

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header of wishes.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Names the wish that was granted.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The wish, and its value in both headers.
pub(crate) const RESPOND_ASYNC: HeaderValue = HeaderValue::from_static("respond-async");

/// Whether the client wants an answer at once, and will read that of the function later.
#[must_use]
pub(crate) fn wants_async(headers: &HeaderMap) -> bool {
    headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok()).any(has_wish)
}

/// Whether a list of wishes has it. A comma in quotes is none.
fn has_wish(list: &str) -> bool {
    let mut is_quoted = false;
    let mut wishes = list.split(|character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    });
    wishes.any(|wish| {
        let name = wish.split([';', '=']).next().unwrap_or_default().trim();
        name.as_bytes().eq_ignore_ascii_case(RESPOND_ASYNC.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_is_found_among_others_and_nowhere_else() {
        for list in [
            "respond-async",
            " Respond-ASYNC ; x=1",
            "return=minimal, respond-async",
            "wait=10,respond-async,a=\"b, c\"",
        ] {
            assert!(has_wish(list), "{list}");
        }
        for other in [
            "",
            "respond",
            "respond-asynchronous",
            "a=respond-async",
            "a=\"b, respond-async\"",
            "a;respond-async",
        ] {
            assert!(!has_wish(other), "{other}");
        }
        let headers = [("prefer", "wait=1"), ("prefer", "respond-async")];
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        assert!(wants_async(&headers.collect()));
    }
}
