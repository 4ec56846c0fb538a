//! The URL at which pods reach the runtime listener.

use hyper::Uri;

const EXAMPLE: &str = "write http://HOST:PORT, as in http://192.0.2.1:8082 or http://[2001:db8::1]:8082";

/// Reads a URL as the runtimes take it: plain HTTP, a host, and no path.
///
/// # Errors
/// A sentence that says what is wrong, with an example of what is right.
pub(super) fn runtime_url(text: &str) -> Result<String, String> {
    let Some(authority) = text.strip_prefix("http://") else {
        return Err(format!("it does not begin with http://; {EXAMPLE}"));
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let uri: Uri = format!("http://{authority}/").parse().map_err(|_| format!("it is no URL; {EXAMPLE}"))?;
    if authority.contains(['/', '?', '#']) {
        return Err(format!("it has a path; {EXAMPLE}"));
    }
    if authority.contains('@') || uri.host().is_none_or(str::is_empty) {
        return Err(format!("it has no host, or a user; {EXAMPLE}"));
    }
    Ok(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_pods_could_not_call_is_refused_with_an_example() {
        for url in ["http://192.0.2.1:8082", "http://[2001:db8::1]:8082", "http://faas.example"] {
            assert_eq!(runtime_url(url).as_deref(), Ok(url));
        }
        assert_eq!(runtime_url("http://192.0.2.1:8082/").as_deref(), Ok("http://192.0.2.1:8082"));
        for url in
            ["192.0.2.1:8082", "https://h:1", "http://", "http://:8082", "http://h:1/path", "http://u@h:1"]
        {
            let error = runtime_url(url).expect_err(url);
            assert!(error.contains("http://192.0.2.1:8082"), "{url}: {error}");
        }
    }
}
