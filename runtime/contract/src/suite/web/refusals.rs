//! Requests that no function is to answer, and functions that answer none.

use picofaas_contract::web_bridge;

use super::web_client::{head, start, start_with};
use crate::suite::subject::{Subject, Web};
use crate::suite::warm::{ListenerKind, WarmInstance};

fn foreign() -> (u16, String) {
    (403, "FOREIGN_ORIGIN".to_owned())
}

/// Only the control plane sets the header; a page cannot.
pub(crate) fn no_execution_id(subject: &Subject) {
    let long = format!("X-Execution-Id: {}\r\n", "x".repeat(257));
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        let instance = start_with(subject, listener, &[]);
        for header in ["", "X-Execution-Id:\r\n", "X-Execution-Id: \u{e9}\r\n", long.as_str()] {
            for more in ["", "Origin: https://evil.example\r\n", "Content-Length: 1000\r\n"] {
                let mut connection = instance.connect();
                connection.send(format!("POST /web/x HTTP/1.1\r\nHost: fn\r\n{header}{more}\r\n"));
                assert_eq!(connection.receive().failure(), foreign(), "{header}{more}");
                assert!(connection.is_closed());
            }
        }
        let mut connection = instance.connect();
        connection.send(head("GET", "/x", "Origin: https://shop.example\r\n"));
        assert_eq!(connection.receive().status, 200, "one with an id may have an origin");
    }
}

pub(crate) fn a_function_that_takes_json(subject: &Subject) {
    match subject.behaviour.web {
        // It has none: whatever it is, it speaks HTTP.
        Web::Always => {
            let answer = web_request(&start(subject));
            assert_eq!(answer.status, 200);
        }
        Web::Served | Web::ServedWithoutUpgrades | Web::Refused => is_refused(subject),
        Web::Unknown => are_refused_once(subject),
    }
}

/// Sees that a runtime without a function that speaks HTTP refuses web requests.
pub(crate) fn are_refused_once(subject: &Subject) {
    subject.refused_web.get_or_init(|| match subject.behaviour.web {
        Web::Unknown => {
            let answer = web_request(&WarmInstance::of(subject, "echo"));
            assert_eq!(answer.failure(), (404, "NOT_FOUND".to_owned()));
        }
        Web::Always | Web::Served | Web::ServedWithoutUpgrades | Web::Refused => is_refused(subject),
    });
}

/// Sees that a runtime that speaks frames, and does not take web requests there, does not offer to.
pub(crate) fn are_not_offered_in_frames(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    assert!(!web_bridge::is_offered(instance.connect()));
}

fn is_refused(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    for _ in 0..2 {
        let answer = web_request(&instance);
        assert_eq!(answer.failure(), (501, "NOT_A_WEB_FUNCTION".to_owned()));
        assert!(answer.message().contains("web"), "it says the remedy: {}", answer.message());
    }
    let mut connection = instance.connect();
    connection.send("GET /web/x HTTP/1.1\r\nHost: fn\r\n\r\n");
    assert_eq!(connection.receive().failure(), foreign());
    // It serves on.
    assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).text(), "1");
}

fn web_request(instance: &WarmInstance) -> picofaas_contract::wire::Answer {
    let mut connection = instance.connect();
    connection.send(head("GET", "/x", ""));
    connection.receive()
}
