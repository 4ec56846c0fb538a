//! Requests that are not to be run.

use picofaas_contract::invocation::Invocation;

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;

pub(crate) fn no_execution_id(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    let body = r#"{"input":1}"#;
    let length = body.len();
    for header in ["", "X-Execution-Id:\r\n"] {
        connection.send(format!(
            "POST /invoke HTTP/1.1\r\nHost: fn\r\n{header}Content-Length: {length}\r\n\r\n{body}"
        ));
        assert_eq!(connection.receive().failure(), (400, "MISSING_EXECUTION_ID".to_owned()));
    }
    assert_eq!(connection.invoke("", body).text(), "1");
}

pub(crate) fn broken_json(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "echo");
    let mut client = instance.client(transport);
    for body in
        ["", "{", "nonsense", "[1,{}]", r#"{"input":tru}"#, r#"{"input":1} x"#, r#"{"input":"\u0001}"#]
    {
        let answer = client.invoke(&Invocation::with_body(body));
        assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()), "{body}");
    }
    assert_eq!(client.invoke_with("1").text(), "1");
}

pub(crate) fn no_input(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "echo");
    let mut client = instance.client(transport);
    for body in ["{}", r#"{"metadata":{"a":"b"}}"#, r#"{"input":1,"metadata":{"a":1}}"#] {
        let answer = client.invoke(&Invocation::with_body(body));
        assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()), "{body}");
    }
}

pub(crate) fn unknown_path_and_method(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    assert_eq!(connection.get("/invoked").failure(), (404, "NOT_FOUND".to_owned()));
    assert_eq!(connection.get("/").failure(), (404, "NOT_FOUND".to_owned()));
    let wrong = connection.get("/invoke");
    assert_eq!(wrong.failure(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    assert_eq!(wrong.header("allow"), Some("POST"));
}

/// A request that a browser marks is refused on every route, before a body is read and before anything runs.
pub(crate) fn a_web_page(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = WarmInstance::with(subject, "exit", listener, &[]);
        for request in [
            "POST /invoke",
            "GET /invoke",
            "OPTIONS /invoke",
            "GET /health",
            "GET /metrics",
            "GET /",
            "POST /nowhere",
        ] {
            for marks in [
                "Origin: http://evil.example\r\n",
                "Origin: null\r\n",
                "Origin:\r\n",
                "Origin: a\r\nOrigin: a\r\n",
                "Origin: http://fn\r\nSec-Fetch-Site: same-origin\r\n",
                "Sec-Fetch-Site: cross-site\r\n",
                "Sec-Fetch-Site: same-site\r\n",
                "Sec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n",
            ] {
                let mut connection = instance.connect();
                let length = if request.starts_with("POST") { "Content-Length: 11\r\n" } else { "" };
                connection.send(format!(
                    "{request} HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: e-1\r\n{marks}{length}\r\n"
                ));
                let answer = connection.receive();
                assert_eq!(answer.failure(), (403, "FOREIGN_ORIGIN".to_owned()), "{request} {marks}");
                assert_eq!(answer.header("connection"), Some("close"));
                assert_eq!(answer.header("access-control-allow-origin"), None);
                assert!(connection.is_closed());
            }
        }
        instance.wait_for_metric("picofaas_runtime_invocation_seconds_count 0");
        // An address that was typed into a browser is of no page.
        let mut connection = instance.connect();
        connection.send("GET /health HTTP/1.1\r\nHost: fn\r\nSec-Fetch-Site: none\r\n\r\n");
        assert_eq!(connection.receive().status, 200);
    }
}

/// A request that says no host or several, or that is for another kind of server.
pub(crate) fn no_host(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = WarmInstance::with(subject, "echo", listener, &[]);
        for (target, hosts) in [
            ("/health", ""),
            ("/health", "Host: fn\r\nHost: fn\r\n"),
            ("/health", "Host: fn\r\nHost: other\r\n"),
            ("/health", "Host: a b\r\n"),
            ("/health", "Host: u@fn\r\n"),
            ("/health", "Host: fn:x\r\n"),
            ("http://fn/health", ""),
            ("https://fn/health", "Host: fn\r\n"),
        ] {
            let mut connection = instance.connect();
            connection.send(format!("GET {target} HTTP/1.1\r\n{hosts}\r\n"));
            assert_eq!(connection.receive().failure(), (400, "BAD_REQUEST".to_owned()), "{target} {hosts}");
            assert!(connection.is_closed());
        }
        for (target, hosts) in [
            ("/health HTTP/1.1", "Host: fn\r\n"),
            ("/health HTTP/1.1", "Host: [::1]:8080\r\n"),
            ("/health HTTP/1.0", ""),
            ("http://fn:80/health HTTP/1.1", "Host: other\r\n"),
        ] {
            let mut connection = instance.connect();
            connection.send(format!("GET {target}\r\n{hosts}\r\n"));
            let answer = connection.receive();
            assert_eq!(answer.status, 200, "{target} {hosts}");
            assert!(answer.header("date").is_some(), "an answer says when it was made");
        }
    }
}

/// A request that leaves open where it ends is not run, and nothing that follows it is taken for another.
pub(crate) fn an_open_end(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    for fields in [
        "Content-Length: 11\r\nContent-Length: 12\r\n",
        "Content-Length: 11, 12\r\n",
        "Content-Length: +11\r\n",
        "Content-Length: -11\r\n",
        "Content-Length: 0xb\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length : 11\r\n",
        "X Y: a\r\nContent-Length: 11\r\n",
        ": a\r\nContent-Length: 11\r\n",
        "X: a\rb\r\nContent-Length: 11\r\n",
    ] {
        let mut connection = instance.connect();
        connection.send(format!(
            "POST /invoke HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: e-1\r\n{fields}\r\n{{\"input\":1}}"
        ));
        // Some servers have only an empty answer to what they cannot read.
        assert_eq!(connection.receive().status, 400, "{fields}");
        assert!(connection.is_closed(), "{fields}");
    }
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let mut connection = instance.connect();
    connection.send(format!(
        "POST /invoke HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: e-1\r\n{both}\r\nb\r\n{{\"input\":1}}\r\n0\r\n\r\n"
    ));
    let answer = connection.receive();
    assert!(answer.status == 400 || answer.text() == "1", "chunks win over a length: {answer:?}");
    assert!(connection.is_closed(), "what follows may be meant as more of it");
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
}

pub(crate) fn body_too_large(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::with(subject, "echo", ListenerKind::Socket, &[("MAX_BODY", "100")]);
    let fits = format!(r#"{{"input":"{}"}}"#, "x".repeat(88));
    assert_eq!(fits.len(), 100);
    let invoked = |body: &str| instance.client(transport).invoke(&Invocation::with_body(body));
    assert_eq!(invoked(&fits).status, 200);
    let blanks: &[usize] = match transport {
        Transport::Http => &[1],
        // So many that they come in pieces, and windows.
        Transport::Frames => &[1, 1 << 20],
    };
    for count in blanks {
        let too_large = fits.replace('}', &format!("{}}}", " ".repeat(*count)));
        assert_eq!(invoked(&too_large).failure(), (413, "BODY_TOO_LARGE".to_owned()));
    }
    assert_eq!(invoked(&fits).status, 200, "it serves on");
}
