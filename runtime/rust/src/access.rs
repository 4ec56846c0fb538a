//! The access of a runtime to the control plane.

use std::fmt::{self, Debug};

use hyper::Uri;

use crate::settings::SettingError;

pub(crate) const RUNTIME_URL: &str = "PICOFAAS_RUNTIME_URL";
pub(crate) const TOKEN: &str = "PICOFAAS_TOKEN";

/// The address of the control plane, and the caller's token.
#[derive(Debug)]
pub(crate) struct Access {
    /// A name or an address of the control plane.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Both of them, as they were given.
    authority: String,
    token: Token,
}

/// The proof of who asks; not to appear where something is written for people.
struct Token(String);

impl Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Access {
    /// Checks the values of [`RUNTIME_URL`] and [`TOKEN`].
    pub(crate) fn read(url: String, token: String) -> Result<Self, SettingError> {
        let Some((host, port, authority)) = target(&url) else {
            let rule = "http://HOST:PORT and no path, as http://127.0.0.1:8082";
            return Err(SettingError::Value { name: RUNTIME_URL, value: url, rule });
        };
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingError::Token);
        }
        Ok(Self { host, port, authority, token: Token(token) })
    }

    /// The head of a request; each of `more` ends in a line break.
    pub(crate) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let (authority, token) = (&self.authority, &self.token.0);
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\n{more}\r\n"
        )
    }
}

/// Host, port and both together.
fn target(url: &str) -> Option<(String, u16, String)> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let bare = uri.scheme_str() == Some("http") && uri.path_and_query().is_none_or(|path| path == "/");
    if !bare || authority.host().is_empty() || authority.as_str().contains('@') {
        return None;
    }
    // An IPv6 address is in brackets here and in none where it is connected to.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), authority.port_u16()?, authority.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port_and_nothing_else() {
        for (url, host, port) in [
            ("http://127.0.0.1:8082", "127.0.0.1", 8082),
            ("http://picofaas-0.picofaas.svc:80/", "picofaas-0.picofaas.svc", 80),
            ("http://[::1]:9", "::1", 9),
        ] {
            let read = Access::read(url.to_owned(), "t".to_owned()).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port));
            assert_eq!(format!("http://{}", read.authority), url.trim_end_matches('/'));
        }
        for url in [
            "127.0.0.1:8082",
            "https://h:1",
            "http://h",
            "http://h:1/v1",
            "http://h:1?",
            "http://u@h:1",
            "http://:1",
        ] {
            let refused = Access::read(url.to_owned(), "t".to_owned()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("PICOFAAS_RUNTIME_URL is `{url}`: give ")), "{refused}");
        }
    }

    #[test]
    fn a_token_is_never_repeated() {
        for token in ["se cret", "secret\n", "sécret"] {
            let refused = Access::read("http://h:1".to_owned(), token.to_owned()).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("cret"), "{refused}");
        }
        let taken = Access::read("http://h:1".to_owned(), "secret".to_owned()).unwrap();
        assert!(!format!("{taken:?}").contains("secret"));
    }
}
