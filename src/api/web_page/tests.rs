//! Marks of browsers, and who gets through with them.

use super::*;

fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
    }
    headers
}

fn named(origins: &[&str]) -> Vec<Origin> {
    origins.iter().map(|origin| origin.parse().expect("an origin")).collect()
}

/// Which of the three listeners answer: runtime, management, clients.
fn answered(pairs: &[(&'static str, &[u8])], origins: &[&str]) -> (bool, bool, bool) {
    let (headers, named) = (headers(pairs), named(origins));
    let checks = [
        check_none(&headers).err(),
        check_own(&headers, &named).err(),
        check_named(&headers, &named).map(|_| ()).err(),
    ];
    let [runtime, management, clients] = checks.map(|error| match error {
        None => true,
        Some(error) => {
            assert_eq!(error.code, ErrorCode::ForeignOrigin, "{headers:?}");
            assert!(error.message.contains("a web page asks"), "{error:?}");
            false
        }
    });
    (runtime, management, clients)
}

const NOBODY: (bool, bool, bool) = (false, false, false);
const MANAGEMENT: (bool, bool, bool) = (false, true, false);
const CLIENTS: (bool, bool, bool) = (false, false, true);

#[test]
fn what_no_browser_marked_and_what_was_typed_into_one_is_answered_everywhere() {
    let everybody = (true, true, true);
    assert_eq!(answered(&[], &[]), everybody);
    assert_eq!(answered(&[("host", b"evil.example")], &[]), everybody);
    assert_eq!(
        answered(&[("sec-fetch-site", b"none"), ("referer", b"http://evil.example/")], &[]),
        everybody
    );
}

#[test]
fn a_mark_that_names_nobody_or_somebody_else_is_refused_everywhere() {
    let host = ("host", b"127.0.0.1:8081".as_slice());
    for marks in [
        &[("origin", b"http://evil.example".as_slice())][..],
        &[("origin", b"null")],
        &[("origin", b"")],
        &[("origin", b"\xff")],
        &[("origin", b"http://127.0.0.1:8081"), ("origin", b"http://127.0.0.1:8081")],
        &[("origin", b"http://127.0.0.1:8081"), ("origin", b"http://evil.example")],
        &[("origin", b"http://127.0.0.1:8081, http://evil.example")],
        &[("origin", b"http://127.0.0.1:8080")],
        &[("origin", b"http://127.0.0.1")],
        &[("origin", b"http://localhost:8081")],
        &[("origin", b"https://127.0.0.1:8081")],
        &[("origin", b"http://127.0.0.1:8081/")],
        &[("origin", b"127.0.0.1:8081")],
        &[("origin", b"HTTP://127.0.0.1:8081")],
        &[("sec-fetch-site", b"cross-site")],
        &[("sec-fetch-site", b"same-site")],
        &[("sec-fetch-site", b"")],
        &[("sec-fetch-site", b"None")],
        &[("sec-fetch-site", b"\xff")],
        &[("sec-fetch-site", b"none"), ("sec-fetch-site", b"none")],
        &[("sec-fetch-site", b"same-origin"), ("sec-fetch-site", b"same-origin")],
        &[("origin", b"http://127.0.0.1:8081"), ("sec-fetch-site", b"cross-site")],
        &[("origin", b"http://127.0.0.1:8081"), ("sec-fetch-site", b"same-site")],
        &[("origin", b"http://evil.example"), ("sec-fetch-site", b"same-origin")],
        &[("origin", b"http://evil.example"), ("sec-fetch-site", b"none")],
    ] {
        let pairs = [&[host], marks].concat();
        assert_eq!(answered(&pairs, &["https://app.example"]), NOBODY, "{marks:?}");
    }
}

#[test]
fn the_management_listener_answers_its_own_page_and_the_others_answer_none_of_theirs() {
    for (host, origin) in [
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("10.1.2.3:8081", "http://10.1.2.3:8081"),
        ("[::1]:8081", "http://[::1]:8081"),
        ("localhost:8081", "http://localhost:8081"),
        ("LocalHost:8081", "http://localhost:8081"),
        ("a.localhost:8081", "http://a.localhost:8081"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("localhost", "http://localhost:80"),
    ] {
        let (host, origin) = (("host", host.as_bytes()), ("origin", origin.as_bytes()));
        let site = ("sec-fetch-site", b"same-origin".as_slice());
        for pairs in [&[host, origin][..], &[host, origin, site], &[host, site]] {
            assert_eq!(answered(pairs, &[]), MANAGEMENT, "{pairs:?}");
        }
    }
}

#[test]
fn a_page_whose_name_was_pointed_here_is_not_its_own_though_origin_and_host_agree() {
    for host in ["evil.example:8081", "localhost.evil.example:8081", "127.0.0.1.evil.example:8081", "0:8081"]
    {
        let origin = format!("http://{host}");
        let (host, origin) = (("host", host.as_bytes()), ("origin", origin.as_bytes()));
        let site = ("sec-fetch-site", b"same-origin".as_slice());
        for pairs in [&[host, origin][..], &[host, origin, site], &[host, site]] {
            assert_eq!(answered(pairs, &["http://faas.example:8081"]), NOBODY, "{pairs:?}");
        }
    }
    // No host, or two of them, is no better.
    let origin = ("origin", b"http://127.0.0.1:8081".as_slice());
    let host = ("host", b"127.0.0.1:8081".as_slice());
    assert_eq!(answered(&[origin], &[]), NOBODY);
    assert_eq!(answered(&[origin, host, host], &[]), NOBODY);
    assert_eq!(answered(&[origin, host, ("host", b"evil.example:8081")], &[]), NOBODY);
}

#[test]
fn an_origin_that_is_named_calls_the_listener_of_clients_and_is_its_own_only_where_the_host_says_so() {
    let names = ["https://faas.example", "http://localhost:3000"];
    let site = ("sec-fetch-site", b"same-origin".as_slice());
    for origin in names {
        let origin = ("origin", origin.as_bytes());
        for marks in [&[origin][..], &[origin, ("sec-fetch-site", b"cross-site")], &[origin, site]] {
            assert_eq!(answered(marks, &names), CLIENTS, "{marks:?}");
        }
        let twice = [origin, ("sec-fetch-site", b"same-site"), ("sec-fetch-site", b"same-site")];
        assert_eq!(answered(&twice, &names), NOBODY);
        assert_eq!(answered(&[origin], &["http://localhost:8080"]), NOBODY);
    }
    // Behind a proxy that speaks TLS the host has the port of https, said or not.
    for host in ["faas.example", "faas.example:443"] {
        let host = ("host", host.as_bytes());
        assert_eq!(answered(&[host, ("origin", b"https://faas.example"), site], &names), (false, true, true));
        assert_eq!(answered(&[host, site], &names), MANAGEMENT);
    }
    let other = [("host", b"faas.example:80".as_slice()), ("origin", b"https://faas.example"), site];
    assert_eq!(answered(&other, &names), CLIENTS);
}

#[test]
fn a_refusal_says_what_the_browser_said() {
    let message = |pairs: &[(&'static str, &[u8])]| {
        check_none(&headers(pairs)).expect_err("a page asks").message.into_owned()
    };
    assert!(message(&[("origin", b"http://evil.example")]).contains("Origin: http://evil.example"));
    assert!(message(&[("origin", b"\xff")]).contains("Origin: not readable"));
    assert!(message(&[("origin", b"a"), ("origin", b"a")]).contains("Origin: more than once"));
    assert!(message(&[("sec-fetch-site", b"cross-site")]).contains("Sec-Fetch-Site: cross-site"));
    let long = "x".repeat(9000);
    assert!(message(&[("origin", long.as_bytes())]).len() < 500);
}
