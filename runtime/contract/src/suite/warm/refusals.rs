//! Requests that are not to be run.

use super::instance::{Door, Instance};
use crate::suite::subject::Subject;

pub fn no_execution_id(subject: &Subject) {
    let instance = Instance::of(subject, "echo");
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

pub fn broken_json(subject: &Subject) {
    let instance = Instance::of(subject, "echo");
    let mut connection = instance.connect();
    for body in
        ["", "{", "nonsense", "[1,{}]", r#"{"input":tru}"#, r#"{"input":1} x"#, r#"{"input":"\u0001}"#]
    {
        let answer = connection.invoke("", body);
        assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()), "{body}");
    }
    assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
}

pub fn no_input(subject: &Subject) {
    let instance = Instance::of(subject, "echo");
    let mut connection = instance.connect();
    for body in ["{}", r#"{"metadata":{"a":"b"}}"#, r#"{"input":1,"metadata":{"a":1}}"#] {
        let answer = connection.invoke("", body);
        assert_eq!(answer.failure(), (400, "BAD_INPUT".to_owned()), "{body}");
    }
}

pub fn unknown_path_and_method(subject: &Subject) {
    let instance = Instance::of(subject, "echo");
    let mut connection = instance.connect();
    assert_eq!(connection.get("/invoked").failure(), (404, "NOT_FOUND".to_owned()));
    assert_eq!(connection.get("/").failure(), (404, "NOT_FOUND".to_owned()));
    let wrong = connection.get("/invoke");
    assert_eq!(wrong.failure(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    assert_eq!(wrong.header("allow"), Some("POST"));
}

pub fn body_too_large(subject: &Subject) {
    let instance = Instance::with(subject, "echo", Door::Socket, &[("MAX_BODY", "100")]);
    let fits = format!(r#"{{"input":"{}"}}"#, "x".repeat(88));
    assert_eq!(fits.len(), 100);
    assert_eq!(instance.connect().invoke("", &fits).status, 200);
    let answer = instance.connect().invoke("", &fits.replace("}", " }"));
    assert_eq!(answer.failure(), (413, "BODY_TOO_LARGE".to_owned()));
    assert_eq!(instance.connect().invoke("", &fits).status, 200, "it serves on");
}
