//! Deadlines, callers that go away, sizes, and many at once.

use std::time::Duration;

use picofaas_contract::patience::Stopwatch;
use picofaas_contract::wire::invocation;

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::subject::{Concurrency, Subject};

/// Time that a busy machine may add to a deadline.
const MARGIN: Duration = Duration::from_secs(20);

const IN_FLIGHT: &str = "picofaas_runtime_in_flight";

pub(crate) fn output_too_large(subject: &Subject) {
    let instance = WarmInstance::with(subject, "big", ListenerKind::Socket, &[("MAX_OUTPUT", "100")]);
    let mut connection = instance.connect();
    for _ in 0..2 {
        // Two quotes make it 100.
        let answer = connection.invoke("", r#"{"input":{"bytes":98}}"#);
        assert_eq!((answer.status, answer.body.len()), (200, 100), "{answer:?}");
        for bytes in [99, 1 << 20] {
            let answer = connection.invoke("", &format!(r#"{{"input":{{"bytes":{bytes}}}}}"#));
            assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
            assert!(answer.is_final(), "another attempt would end in the same way: {}", answer.text());
        }
    }
}

/// Sends `body` with 300 ms and expects to be told in time that they were not enough.
fn runs_out_of_time(instance: &WarmInstance, body: &str) {
    let time = Duration::from_millis(300);
    let watch = Stopwatch::start();
    let answer = instance.connect().invoke("X-Deadline-Ms: 300\r\n", body);
    let took = watch.elapsed();
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    let message = answer.message();
    assert!(message.contains("300 ms (X-Deadline-Ms)"), "the limit is told, not: {message}");
    assert!(time <= took && took < time + MARGIN, "answered after {took:?} with a deadline of {time:?}");
}

pub(crate) fn over_its_deadline(subject: &Subject) {
    let instance = WarmInstance::of(subject, "sleep");
    for _ in 0..2 {
        runs_out_of_time(&instance, r#"{"input":{"ms":3600000}}"#);
        // Served, though what was stopped would have gone on for an hour.
        let answer = instance.connect().invoke("X-Deadline-Ms: 20000\r\n", r#"{"input":{"ms":1}}"#);
        assert_eq!((answer.status, &answer.json()["ms"]), (200, &serde_json::json!(1)));
    }
}

pub(crate) fn never_answering(subject: &Subject) {
    let mut instance = WarmInstance::of(subject, "never");
    for _ in 0..2 {
        runs_out_of_time(&instance, r#"{"input":1}"#);
    }
    // The process that it ran in may have to be replaced.
    instance.wait_until_healthy();
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
}

pub(crate) fn caller_goes_away(subject: &Subject) {
    for (function, body) in [("never", r#"{"input":1}"#), ("sleep", r#"{"input":{"ms":3600000}}"#)] {
        let instance = WarmInstance::of(subject, function);
        let mut gone = instance.connect();
        gone.send(invocation("", body));
        instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
        drop(gone);
        instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
        instance.wait_for_metric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
        if function == "sleep" {
            assert_eq!(instance.connect().invoke("", r#"{"input":{"ms":1}}"#).status, 200);
        }
    }
}

pub(crate) fn sixty_four_at_once(subject: &Subject) {
    let instance = WarmInstance::of(subject, "sleep");
    let callers = match subject.behaviour.concurrency {
        // All in flight together are the proof: one after the other they are not.
        Concurrency::Parallel => instance.sleeping_together(64, 2000),
        Concurrency::Serial => instance.sleeping(64, 1),
    };
    for (mut caller, ms) in callers {
        let answer = caller.receive();
        assert_eq!((answer.status, &answer.json()["ms"]), (200, &serde_json::json!(ms)));
    }
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
}
