//! What a JOB is told about its one invocation: which one, whom to ask, and as whom.

use std::fmt::{self, Debug};

use hyper::Uri;

use crate::limits::EXECUTION_ID_BYTES_MAX;
use crate::settings::SettingError;

pub(crate) const EXECUTION_ID: &str = "EXECUTION_ID";
pub(crate) const RUNTIME_URL: &str = "PICOFAAS_RUNTIME_URL";
pub(crate) const TOKEN: &str = "PICOFAAS_TOKEN";

/// One attempt of one execution.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// Part of a path as it is.
    pub(crate) execution_id: String,
    /// A name or an address of the control plane.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Both of them, as they were given.
    pub(crate) authority: String,
    pub(crate) token: Token,
}

/// What says which attempt this is; not to appear where something is written for people.
pub(crate) struct Token(pub(crate) String);

impl Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Assignment {
    /// Checks the values of [`EXECUTION_ID`], [`RUNTIME_URL`] and [`TOKEN`].
    pub(crate) fn read(execution_id: String, url: String, token: String) -> Result<Self, SettingError> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if execution_id.len() > EXECUTION_ID_BYTES_MAX || !execution_id.bytes().all(unreserved) {
            let rule = "at most 256 letters, digits and any of -._~";
            return Err(SettingError::Assignment { name: EXECUTION_ID, value: execution_id, rule });
        }
        let Some((host, port, authority)) = target(&url) else {
            let rule = "http://HOST:PORT and no path, as http://127.0.0.1:8082";
            return Err(SettingError::Assignment { name: RUNTIME_URL, value: url, rule });
        };
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingError::Token);
        }
        Ok(Self { execution_id, host, port, authority, token: Token(token) })
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
            let read = Assignment::read("e-1".to_owned(), url.to_owned(), "t".to_owned()).unwrap();
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
            let refused =
                Assignment::read("e-1".to_owned(), url.to_owned(), "t".to_owned()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("PICOFAAS_RUNTIME_URL is `{url}`: give ")), "{refused}");
        }
    }

    #[test]
    fn an_id_that_would_change_the_path_is_refused() {
        for id in ["a/b", "a?b", "a:b", "a b", "é", &"a".repeat(257)] {
            let refused = Assignment::read(id.to_owned(), "http://h:1".to_owned(), "t".to_owned());
            assert!(matches!(refused, Err(SettingError::Assignment { name: "EXECUTION_ID", .. })), "{id}");
        }
    }

    #[test]
    fn a_token_is_never_repeated() {
        for token in ["se cret", "secret\n", "sécret"] {
            let refused =
                Assignment::read("e-1".to_owned(), "http://h:1".to_owned(), token.to_owned()).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("cret"), "{refused}");
        }
        let taken = Assignment::read("e-1".to_owned(), "http://h:1".to_owned(), "secret".to_owned()).unwrap();
        assert!(!format!("{taken:?}").contains("secret"));
    }
}
