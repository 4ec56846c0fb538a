//! Headers that are between two hops and go no further (RFC 9110, 7.6.1).

use picofaas_runtime::http::HeaderMap;
use picofaas_runtime::http::header::{
    CONNECTION, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

/// Headers that are between two hops whether `Connection` names them or not.
const ALWAYS: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes them.
pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in named(headers) {
        headers.remove(name);
    }
    for name in ALWAYS {
        headers.remove(name);
    }
}

/// The protocol that a head asks for, or changes to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(UPGRADE)?;
    named(headers).contains(&UPGRADE).then(|| protocol.clone())
}

/// Asks for another protocol, or says that it is spoken from here on.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// The headers that `Connection` names. What is no name of one is none.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn what_is_between_two_hops_goes_and_what_is_not_stays() {
        let mut found = headers(&[
            ("connection", "keep-alive, X-Mine ,  , b@d"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("x-mine", "2"),
            ("x-other", "3"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "close"),
            ("host", "h"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ]);
        remove(&mut found);
        assert_eq!(found, headers(&[("host", "h"), ("cookie", "a=1"), ("cookie", "b=2")]));
    }

    #[test]
    fn an_upgrade_is_one_that_connection_names() {
        for (pairs, asked) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")][..], Some("websocket")),
            (&[("connection", "keep-alive"), ("upgrade", "websocket")], None),
            (&[("upgrade", "websocket")], None),
            (&[("connection", "upgrade")], None),
        ] {
            let found = upgrade(&headers(pairs));
            assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), asked, "{pairs:?}");
        }
        let mut given = headers(&[]);
        set_upgrade(&mut given, HeaderValue::from_static("websocket"));
        assert_eq!(upgrade(&given), Some(HeaderValue::from_static("websocket")));
    }
}
