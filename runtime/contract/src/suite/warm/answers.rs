//! Inputs and outputs.

use picofaas_contract::invocation::{Invocation, Trace};
use picofaas_contract::wire::invocation;
use serde_json::{Value, json};

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::{Fidelity, Subject};
use crate::suite::traces;

/// Values that every language has.
const VALUES: [&str; 12] = [
    "null",
    "true",
    "0",
    "-1",
    "9007199254740993",
    "0.1",
    r#""""#,
    r#""é 漢字 🙂 \" \\ \n \u0001""#,
    "[]",
    "{}",
    r#"[1,[2,[3,[null]]]]"#,
    r#"{"a":{"b":[{"c":""}]},"é":1}"#,
];

/// Values that only get through where nobody takes them apart.
const BYTES: [&str; 3] =
    ["1e400", "123456789012345678901234567890.10", r#"{ "a" : [ 1 ,2 ], "a":"é\u00e9" }"#];

pub(crate) fn echo(subject: &Subject, transport: Transport) {
    echo_through(subject, transport, ListenerKind::Socket);
}

pub(crate) fn echo_over_tcp(subject: &Subject, transport: Transport) {
    echo_through(subject, transport, ListenerKind::Port);
}

fn echo_through(subject: &Subject, transport: Transport, listener: ListenerKind) {
    let instance = WarmInstance::with(subject, "echo", listener, &[]);
    let mut client = instance.client(transport);
    let mut echoed = |input: &str| {
        let body = format!(r#"{{"metadata":{{"k":"v"}},"input":{input}}}"#);
        let answer = client.invoke(&Invocation::with_body(body));
        assert_eq!(answer.status, 200, "{input} gave {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.text().to_owned()
    };
    match subject.behaviour.fidelity {
        Fidelity::Bytes => {
            for input in VALUES.into_iter().chain(BYTES) {
                assert_eq!(echoed(input), input);
            }
        }
        Fidelity::Values => {
            for input in VALUES {
                let output: Value = serde_json::from_str(&echoed(input)).unwrap();
                assert_eq!(output, serde_json::from_str::<Value>(input).unwrap());
            }
        }
    }
}

pub(crate) fn a_promised_output(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "later");
    let mut client = instance.client(transport);
    for input in ["7", "[null]", r#"{"a":"b"}"#] {
        let answer = client.invoke_with(input);
        assert_eq!((answer.status, answer.json()), (200, serde_json::from_str(input).unwrap()));
    }
}

pub(crate) fn mebibyte(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "echo");
    let mut client = instance.client(transport);
    let text = "x".repeat((1 << 20) - 2);
    for _ in 0..3 {
        let answer = client.invoke_with(&format!(r#""{text}""#));
        assert_eq!((answer.status, answer.body.len()), (200, 1 << 20), "{:.300}", answer.text());
        assert!(answer.json() == text, "other text comes back");
    }
}

pub(crate) fn body_in_pieces(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    for _ in 0..2 {
        for byte in invocation("", r#"{"input":[1,2]}"#).as_bytes() {
            connection.send([*byte]);
        }
        assert_eq!(connection.receive().json(), json!([1, 2]));
    }
}

pub(crate) fn pipelined(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    let numbers: Vec<u32> = (0..20).collect();
    connection
        .send(numbers.iter().map(|n| invocation("", &format!("{{\"input\":{n}}}"))).collect::<String>());
    for n in numbers {
        assert_eq!(connection.receive().text(), n.to_string());
    }
}

pub(crate) fn keep_alive(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    for n in 0..50 {
        assert_eq!(connection.invoke("", &format!(r#"{{"input":{n}}}"#)).text(), n.to_string());
        // An answer that is an error keeps it open, too.
        assert_eq!(connection.invoke("", "{").status, 400);
        assert_eq!(connection.get("/nowhere").status, 404);
    }
}

pub(crate) fn context(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "context");
    let trace = Trace { trace_id: [0x0c; 16], span_id: [0x0d; 8], flags: 1, later: None };
    let given = Invocation {
        trace: Some(trace.clone()),
        trace_name: Some("t-1".to_owned()),
        tracestate: Some("a=1,b=2".to_owned()),
        attempt: Some(3),
        deadline_ms: Some(20_000),
        idempotency_key: Some("k 1".to_owned()),
        ..Invocation::with_body(r#"{"input":[7],"metadata":{"a":"b","é":""}}"#)
    };
    let answer = instance.client(transport).invoke(&given);
    assert_eq!(answer.status, 200, "{answer:?}");
    let output = answer.json();
    let left_ms = output["leftMs"].as_u64().unwrap_or_else(|| panic!("no leftMs in {output}"));
    assert!((1..=20_000).contains(&left_ms), "{left_ms}");
    assert_eq!(
        output,
        json!({
            "input": [7],
            "executionId": given.execution_id(),
            "traceId": "t-1",
            "traceparent": trace.header(),
            "tracestate": "a=1,b=2",
            "attempt": 3,
            "leftMs": left_ms,
            "idempotencyKey": "k 1",
            "metadata": {"a": "b", "é": ""},
        })
    );
}

pub(crate) fn context_without_the_optional(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "context");
    let mut client = instance.client(transport);
    for metadata in ["", r#","metadata":null"#, r#","metadata":{}"#] {
        let given = Invocation::with_body(format!(r#"{{"input":null{metadata}}}"#));
        let answer = client.invoke(&given);
        assert_eq!(answer.status, 200, "{answer:?}");
        let output = answer.json();
        assert_eq!((&output["input"], &output["executionId"]), (&json!(null), &json!(given.execution_id())));
        assert_eq!((&output["attempt"], &output["metadata"]), (&json!(1), &json!({})));
        let absent: &[&str] = match transport {
            Transport::Http => &["traceId", "traceparent", "leftMs", "tracestate", "idempotencyKey"],
            // Frames have places for the others.
            Transport::Frames => &["tracestate", "idempotencyKey"],
        };
        for name in absent {
            assert_eq!(output[name], json!(null), "{name} was not given");
        }
    }
}

pub(crate) fn trace_context(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "context");
    match transport {
        Transport::Http => {
            let mut connection = instance.connect();
            for given in traces::all() {
                let answer = connection.invoke(&given.headers, r#"{"input":1}"#);
                assert_eq!(answer.status, 200, "{answer:?}");
                given.assert_told(&answer.json());
            }
        }
        Transport::Frames => {
            let mut client = instance.frames();
            for given in traces::of_frames() {
                let answer = client.invoke(&given);
                assert_eq!(answer.status, 200, "{answer:?}");
                traces::assert_all_told(&given, &answer.json());
            }
        }
    }
}
