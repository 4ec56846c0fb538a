//! Preconditions of a request (RFC 9110, 13): `If-Match` and `If-None-Match`, compared with the entity tag of a
//! function's version.

use hyper::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use crate::error::{ApiError, ErrorCode, excerpt_as_is};

/// How the tags of a header compare with what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// One of them is its tag, or they are `*` and there is something.
    Same,
    /// None is.
    Other,
    /// They are not a list of tags.
    Unreadable,
}

/// The way in which tags are compared (RFC 9110, 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    /// A weak tag is like no other.
    Strong,
    /// Weakness does not count.
    Weak,
}

/// The preconditions of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preconditions<'a> {
    headers: &'a HeaderMap,
}

impl<'a> Preconditions<'a> {
    /// The preconditions in a head.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        Self { headers }
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        !self.headers.contains_key(IF_MATCH) && !self.headers.contains_key(IF_NONE_MATCH)
    }

    /// Checks them for a read of what has this tag. Answers whether the client has it already.
    ///
    /// # Errors
    /// `VERSION_MISMATCH`.
    pub(super) fn check_read(self, etag: &str) -> Result<bool, ApiError> {
        self.check_match(Some(etag))?;
        Ok(self.compare(IF_NONE_MATCH, Some(etag), Strength::Weak) == Some(Comparison::Same))
    }

    /// Checks them for a change of what has this tag, or is not there yet. One that cannot be read does not hold.
    ///
    /// # Errors
    /// `VERSION_MISMATCH`.
    pub(super) fn check_write(self, etag: Option<&str>) -> Result<(), ApiError> {
        self.check_match(etag)?;
        match self.compare(IF_NONE_MATCH, etag, Strength::Weak) {
            None | Some(Comparison::Other) => Ok(()),
            Some(Comparison::Same) => Err(self.mismatch(IF_NONE_MATCH, "names the function's version", etag)),
            Some(Comparison::Unreadable) => {
                Err(self.mismatch(IF_NONE_MATCH, "is not * or a list of entity tags in quotes", etag))
            }
        }
    }

    fn check_match(self, etag: Option<&str>) -> Result<(), ApiError> {
        match self.compare(IF_MATCH, etag, Strength::Strong) {
            None | Some(Comparison::Same) => Ok(()),
            Some(Comparison::Other | Comparison::Unreadable) => {
                Err(self.mismatch(IF_MATCH, "does not name the function's version", etag))
            }
        }
    }

    /// Compares the tags in a header, which may be there more than once, with that of what there is.
    fn compare(self, name: HeaderName, etag: Option<&str>, strength: Strength) -> Option<Comparison> {
        let mut values = self.headers.get_all(name).iter().peekable();
        values.peek()?;
        let mut found = Comparison::Other;
        for value in values {
            match compare_list(value.as_bytes(), etag, strength) {
                Comparison::Unreadable => return Some(Comparison::Unreadable),
                Comparison::Same => found = Comparison::Same,
                Comparison::Other => {}
            }
        }
        Some(found)
    }

    fn mismatch(self, name: HeaderName, fault: &str, etag: Option<&str>) -> ApiError {
        let title = if name == IF_MATCH { "If-Match" } else { "If-None-Match" };
        let is = etag.map_or_else(|| "there is none of the name".to_owned(), |etag| format!("it is {etag}"));
        let text = |value: &'a HeaderValue| String::from_utf8_lossy(value.as_bytes());
        let told = self.headers.get_all(name).iter().map(text).collect::<Vec<_>>().join(", ");
        ApiError::new(ErrorCode::VersionMismatch, format!("{title} {} {fault}: {is}", excerpt_as_is(&told)))
    }
}

/// Compares a list of entity tags, or `*`.
fn compare_list(list: &[u8], etag: Option<&str>, strength: Strength) -> Comparison {
    if list.trim_ascii() == b"*" {
        return if etag.is_some() { Comparison::Same } else { Comparison::Other };
    }
    let mut found = Comparison::Other;
    let mut rest = list.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(b",") {
            rest = next.trim_ascii_start();
            continue;
        }
        let (is_weak, quoted) = rest.strip_prefix(b"W/").map_or((false, rest), |quoted| (true, quoted));
        let Some(end) = quoted.strip_prefix(b"\"").and_then(|tag| tag.iter().position(|byte| *byte == b'"'))
        else {
            return Comparison::Unreadable;
        };
        let (tag, after) = quoted.split_at(end + 2);
        rest = after.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return Comparison::Unreadable;
        }
        let may_be = strength == Strength::Weak || !is_weak;
        if may_be && etag.is_some_and(|etag| etag.as_bytes() == tag) {
            found = Comparison::Same;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_told_as_it_is_but_for_its_length_and_what_no_terminal_shows() {
        let told = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_MATCH, HeaderValue::from_bytes(value).unwrap());
            }
            Preconditions::of(&headers).check_write(Some("\"is\"")).unwrap_err().message
        };
        let fault = "does not name the function's version: it is \"is\"";
        assert_eq!(told(&[b"W/\"a\\b\", 'c'"]), format!("If-Match W/\"a\\b\", 'c' {fault}"));
        assert_eq!(told(&[b"\"a\"", b"*x"]), format!("If-Match \"a\", *x {fault}"));
        let unseen = "\"a\tb\u{85}\u{202e}\"".as_bytes();
        assert_eq!(told(&[unseen]), format!("If-Match \"a\\tb\\u{{85}}\\u{{202e}}\" {fault}"));
        assert_eq!(told(&[b"\xff"]), format!("If-Match \u{fffd} {fault}"));
        assert_eq!(told(&[&[b'x'; 65]]), format!("If-Match {}… {fault}", "x".repeat(64)));
    }

    #[test]
    fn tags_are_compared_as_a_list_whatever_is_in_them() {
        use Comparison::{Other, Same, Unreadable};
        let is = Some("\"a,b\"");
        for (list, strong, weak) in [
            ("\"a,b\"", Same, Same),
            ("\"x\", \"a,b\"", Same, Same),
            ("\"a,b\" , W/\"x\"", Same, Same),
            (", ,\"a,b\",", Same, Same),
            ("W/\"a,b\"", Other, Same),
            ("W/\"x\",\"a,b\"", Same, Same),
            ("*", Same, Same),
            (" * ", Same, Same),
            ("\"a\"", Other, Other),
            ("\"\"", Other, Other),
            ("", Other, Other),
            ("\"*\"", Other, Other),
            ("a,b", Unreadable, Unreadable),
            ("\"a,b", Unreadable, Unreadable),
            ("\"a,b\" x", Unreadable, Unreadable),
            ("\"a,b\"\"x\"", Unreadable, Unreadable),
            ("w/\"a,b\"", Unreadable, Unreadable),
            ("*, \"a,b\"", Unreadable, Unreadable),
        ] {
            assert_eq!(compare_list(list.as_bytes(), is, Strength::Strong), strong, "{list}");
            assert_eq!(compare_list(list.as_bytes(), is, Strength::Weak), weak, "{list}");
            let of_nothing = if strong == Unreadable { Unreadable } else { Other };
            assert_eq!(compare_list(list.as_bytes(), None, Strength::Weak), of_nothing, "{list}");
        }
    }
}
