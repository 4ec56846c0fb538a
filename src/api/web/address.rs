//! The function of a request, by its path or its host, and the path below it.

use crate::error::{ApiError, ErrorCode};

/// The beginning of paths that are functions'.
const PREFIX: &str = "/fn/";

/// The function that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WebAddress<'a> {
    /// The name, which may be of no function.
    pub name: &'a str,
    /// The path below it, as it was sent; empty where it ends with the name.
    pub path: &'a str,
    /// By a host of its own, and not by the path.
    pub has_host: bool,
}

impl<'a> WebAddress<'a> {
    /// The address in a path of the form `/fn/{name}` or `/fn/{name}/…`.
    #[must_use]
    pub(crate) fn in_path(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        let at = rest.find('/').unwrap_or(rest.len());
        Some(Self { name: &rest[..at], path: &rest[at..], has_host: false })
    }

    /// Checks that the path stays below the function wherever its server takes dot segments and escapes for what they
    /// stand for: what is in front of it is not the client's.
    ///
    /// # Errors
    /// `BAD_REQUEST`.
    pub(crate) fn check_path(&self) -> Result<(), ApiError> {
        let wrong = |text| Err(ApiError::new(ErrorCode::BadRequest, text));
        if !self.path.is_empty() && !self.path.starts_with('/') {
            return wrong("the target of a request for a function is a path");
        }
        let plain = self.path.to_ascii_lowercase();
        let plain = plain.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
        let mut depth = 0_usize;
        for segment in plain.split('/') {
            match segment {
                "" | "." => {}
                ".." if depth == 0 => return wrong("the path leaves the function by its dot segments"),
                ".." => depth -= 1,
                _ => depth += 1,
            }
        }
        Ok(())
    }

    /// The target of the request below the function: a path that begins with `/`, and the query, both as they were
    /// sent.
    #[must_use]
    pub(crate) fn target(&self, query: Option<&str>) -> Box<str> {
        let path = if self.path.is_empty() { "/" } else { self.path };
        match query {
            Some(query) => format!("{path}?{query}").into(),
            None => path.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_below_a_function_stays_as_it_was_sent() {
        for (path, name, below) in [
            ("/fn/shop", "shop", ""),
            ("/fn/shop/", "shop", "/"),
            ("/fn/shop/a/../b//c", "shop", "/a/../b//c"),
            ("/fn/shop/%2e%2e%2Fv1", "shop", "/%2e%2e%2Fv1"),
            ("/fn/", "", ""),
            ("/fn//x", "", "/x"),
            ("/fn/..%2fv1", "..%2fv1", ""),
        ] {
            let found = WebAddress::in_path(path).expect("it is below /fn/");
            assert_eq!((found.name, found.path), (name, below), "{path}");
        }
        for other in ["/fn", "/v1/functions", "/", "/FN/shop", "/fnx/shop"] {
            assert_eq!(WebAddress::in_path(other), None, "{other}");
        }
    }

    #[test]
    fn a_path_may_have_dot_segments_and_may_not_leave_its_function_by_them() {
        let is_fine = |path| WebAddress { name: "a", path, has_host: false }.check_path().is_ok();
        for fine in ["", "/", "/a/../b", "/a/b/../../c", "/./a", "/..a/b..", "/%2e/a", "/a%2f..%2fb", "/..."]
        {
            assert!(is_fine(fine), "{fine}");
        }
        for leaves in [
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2E/x",
            "/.%2e/x",
            "/a/..%2f..%2Fx",
            "/..\\x",
            "/%5c../x",
            "*",
        ] {
            assert!(!is_fine(leaves), "{leaves}");
        }
    }

    #[test]
    fn a_target_begins_with_a_slash_and_keeps_its_query() {
        let address = |path| WebAddress::in_path(path).expect("it is below /fn/");
        assert_eq!(&*address("/fn/a").target(None), "/");
        assert_eq!(&*address("/fn/a").target(Some("")), "/?");
        assert_eq!(&*address("/fn/a/b%20c").target(Some("x=%2F&y=?")), "/b%20c?x=%2F&y=?");
    }
}
