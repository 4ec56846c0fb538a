//! Functions that fail, and how the instance lives on.

use picofaas_contract::wire::invocation;

use super::warm_instance::WarmInstance;
use crate::suite::subject::{OnExit, Subject};

pub(crate) fn error_with_status_and_code(subject: &Subject) {
    let instance = WarmInstance::of(subject, "status");
    let mut connection = instance.connect();
    for status in [400, 404, 422, 500, 503, 599] {
        let input = format!(r#"{{"status":{status},"code":"MINE","message":"my \"own\" é"}}"#);
        let answer = connection.invoke("", &format!(r#"{{"input":{input}}}"#));
        assert_eq!(answer.failure(), (status, "MINE".to_owned()));
        assert_eq!(answer.message(), "my \"own\" é");
        assert!(!answer.is_final(), "the status decides: {}", answer.text());
    }
}

pub(crate) fn error_that_is_final(subject: &Subject) {
    let instance = WarmInstance::of(subject, "status");
    let mut connection = instance.connect();
    for (status, retryable) in [(500, false), (503, false), (500, true), (504, false)] {
        let input = format!(r#"{{"status":{status},"code":"MINE","message":"m","retryable":{retryable}}}"#);
        let answer = connection.invoke("", &format!(r#"{{"input":{input}}}"#));
        assert_eq!(answer.failure(), (status, "MINE".to_owned()));
        assert_eq!(answer.is_final(), !retryable, "{}", answer.text());
    }
}

pub(crate) fn panic(subject: &Subject) {
    let mut instance = WarmInstance::of(subject, "panic");
    let mut connection = instance.connect();
    for word in ["ouch", "argh"] {
        let answer = connection.invoke("", &format!(r#"{{"input":"{word}"}}"#));
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
        let line = instance.line_with(word);
        assert!(line.contains("executionId=e-1"), "the log says whose it is, not: {line}");
    }
    assert_eq!(instance.health().unwrap(), 200);
}

pub(crate) fn exit(subject: &Subject) {
    let mut instance = WarmInstance::of(subject, "exit");
    match subject.behaviour.on_exit {
        OnExit::Ends => {
            let mut connection = instance.connect();
            connection.send(invocation("", r#"{"input":1}"#));
            assert!(connection.is_closed(), "what is cut off has no answer");
            assert_eq!(instance.end().0, 3);
        }
        OnExit::Survives => {
            for _ in 0..2 {
                let answer = instance.connect().invoke("", r#"{"input":1}"#);
                assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
                assert!(answer.message().contains('3'), "how it ended is said, not: {}", answer.message());
                instance.wait_until_healthy();
            }
        }
    }
}

pub(crate) fn exit_tells_only_its_own_lines(subject: &Subject) {
    const SECRET: &str = "charging card 4111";
    let (one, other) = ("a".repeat(40), "b".repeat(40));
    let mut instance = WarmInstance::of(subject, "leave");
    let mut connection = instance.connect();
    let of = |execution: &str, input: &str| {
        invocation("", &format!(r#"{{"input":{input}}}"#)).replace("e-1\r", &format!("{execution}\r"))
    };
    connection.send(of(&one, &format!(r#"{{"text":"{SECRET}"}}"#)));
    assert_eq!(connection.receive().status, 200);
    instance.line_with(SECRET);
    connection.send(of(&other, r#"{"text":"own words","end":true}"#));
    match subject.behaviour.on_exit {
        OnExit::Ends => assert!(connection.is_closed(), "what is cut off has no answer"),
        OnExit::Survives => {
            let message = connection.receive().message();
            assert!(message.contains('3') && message.contains("own words"), "{message}");
            assert!(!message.contains(SECRET) && !message.contains(&one), "{message}");
        }
    }
}

pub(crate) fn unserialisable(subject: &Subject) {
    let instance = WarmInstance::of(subject, "unserialisable");
    let mut connection = instance.connect();
    for _ in 0..2 {
        let answer = connection.invoke("", r#"{"input":1}"#);
        assert_eq!(answer.failure(), (500, "BAD_OUTPUT".to_owned()));
        assert!(answer.is_final(), "another attempt would end in the same way: {}", answer.text());
    }
}

pub(crate) fn a_number_that_is_none(subject: &Subject) {
    let instance = WarmInstance::of(subject, "nan");
    let mut connection = instance.connect();
    for _ in 0..2 {
        assert_eq!(connection.invoke("", r#"{"input":"any"}"#).failure(), (500, "BAD_OUTPUT".to_owned()));
    }
}
