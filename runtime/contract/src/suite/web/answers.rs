//! Answers as a caller gets them.

use super::requests::all_bytes;
use super::web_client::{get, head, start, with_body};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;

pub(crate) fn any_status(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    for status in [200, 201, 206, 299, 301, 302, 400, 401, 404, 418, 429, 500, 502, 503, 504, 599] {
        let answer = get(&mut connection, &format!("/status/{status}"));
        assert_eq!((answer.status, answer.text()), (status, format!("status {status}").as_str()));
        assert_eq!(answer.header("content-type"), Some("text/x-status"));
        assert_eq!(answer.header("location"), Some("/elsewhere?a=b"));
        assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2; HttpOnly"]);
    }
}

/// The connection shows that there is no body: the next answer begins where the last one ended.
pub(crate) fn without_a_body(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    for _ in 0..2 {
        connection.send(head("HEAD", "/status/200", ""));
        let answer = connection.receive_head();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/x-status")));
        assert!([None, Some("10")].contains(&answer.header("content-length")), "{answer:?}");
        connection.send(head("HEAD", "/status/404", ""));
        assert_eq!(connection.receive_head().status, 404);
        for status in [204, 304] {
            connection.send(head("GET", &format!("/status/{status}"), ""));
            let answer = connection.receive_head();
            assert_eq!(answer.status, status);
            assert!(!answer.is_chunked(), "{answer:?}");
        }
        assert_eq!(get(&mut connection, "/status/200").text(), "status 200");
    }
}

pub(crate) fn any_bytes(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    for count in [0, 1, 256, 30_000] {
        let body = all_bytes(count);
        connection.send(with_body("POST", "/echo", &body));
        let answer = connection.receive();
        assert!(answer.status == 200 && answer.body == body, "{count} bytes: {}", answer.body.len());
    }
}

pub(crate) fn one_connection(subject: &Subject) {
    let instance = start(subject);
    let mut connection = instance.connect();
    for n in 0..50 {
        assert_eq!(get(&mut connection, &format!("/x?{n}")).json()["target"], format!("/x?{n}"));
        assert_eq!(get(&mut connection, "/status/500").status, 500);
        assert_eq!(connection.get("/health").status, 200);
    }
    let requests: String = (0..20).map(|n| head("GET", &format!("/x?{n}"), "")).collect();
    connection.send(requests);
    for n in 0..20 {
        assert_eq!(connection.receive().json()["target"], format!("/x?{n}"));
    }
}
