//! Functions that fail, and how the instance lives on.

use picofaas_contract::invocation::Invocation;

use super::warm_instance::WarmInstance;
use crate::suite::case::Transport;
use crate::suite::subject::{OnExit, Subject};

pub(crate) fn error_with_status_and_code(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "status");
    let mut client = instance.client(transport);
    for status in [400, 404, 422, 500, 503, 599] {
        let input = format!(r#"{{"status":{status},"code":"MINE","message":"my \"own\" é"}}"#);
        let answer = client.invoke_with(&input);
        assert_eq!(answer.failure(), (status, "MINE".to_owned()));
        assert_eq!(answer.message(), "my \"own\" é");
        assert!(!answer.is_final(), "the status decides: {}", answer.text());
    }
}

pub(crate) fn error_that_is_final(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "status");
    let mut client = instance.client(transport);
    for (status, retryable) in [(500, false), (503, false), (500, true), (504, false)] {
        let input = format!(r#"{{"status":{status},"code":"MINE","message":"m","retryable":{retryable}}}"#);
        let answer = client.invoke_with(&input);
        assert_eq!(answer.failure(), (status, "MINE".to_owned()));
        assert_eq!(answer.is_final(), !retryable, "{}", answer.text());
    }
}

pub(crate) fn panic(subject: &Subject, transport: Transport) {
    let mut instance = WarmInstance::of(subject, "panic");
    let mut client = instance.client(transport);
    for word in ["ouch", "argh"] {
        let answer = client.invoke_with(&format!(r#""{word}""#));
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
        let line = instance.line_with(word);
        assert!(
            line.contains(&format!("executionId={}", Invocation::of("").execution_id())),
            "the log says whose it is, not: {line}"
        );
    }
    assert_eq!(instance.health().unwrap(), 200);
}

pub(crate) fn exit(subject: &Subject, transport: Transport) {
    let mut instance = WarmInstance::of(subject, "exit");
    match subject.behaviour.on_exit {
        OnExit::Ends => {
            let mut client = instance.client(transport);
            client.begin(&Invocation::of("1"));
            assert!(client.is_closed(), "what is cut off has no answer");
            assert_eq!(instance.end().0, 3);
        }
        OnExit::Survives => {
            for _ in 0..2 {
                let answer = instance.client(transport).invoke_with("1");
                assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
                assert!(answer.message().contains('3'), "how it ended is said, not: {}", answer.message());
                instance.wait_until_healthy();
            }
        }
    }
}

pub(crate) fn exit_tells_own_lines(subject: &Subject, transport: Transport) {
    const SECRET: &str = "charging card 4111";
    let mut instance = WarmInstance::of(subject, "leave");
    let mut client = instance.client(transport);
    let one = Invocation { execution: [0xaa; 20], ..Invocation::of(&format!(r#"{{"text":"{SECRET}"}}"#)) };
    assert_eq!(client.invoke(&one).status, 200);
    instance.line_with(SECRET);
    let other = Invocation { execution: [0xbb; 20], ..Invocation::of(r#"{"text":"own words","end":true}"#) };
    client.begin(&other);
    match subject.behaviour.on_exit {
        OnExit::Ends => assert!(client.is_closed(), "what is cut off has no answer"),
        OnExit::Survives => {
            let message = client.receive().message();
            assert!(message.contains('3') && message.contains("own words"), "{message}");
            assert!(!message.contains(SECRET) && !message.contains(&one.execution_id()), "{message}");
        }
    }
}

pub(crate) fn unserialisable(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "unserialisable");
    let mut client = instance.client(transport);
    for _ in 0..2 {
        let answer = client.invoke_with("1");
        assert_eq!(answer.failure(), (500, "BAD_OUTPUT".to_owned()));
        assert!(answer.is_final(), "another attempt would end in the same way: {}", answer.text());
    }
}

pub(crate) fn a_number_that_is_none(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "nan");
    let mut client = instance.client(transport);
    for _ in 0..2 {
        assert_eq!(client.invoke_with(r#""any""#).failure(), (500, "BAD_OUTPUT".to_owned()));
    }
}
