//! Deadlines, callers that go away, sizes, and many at once.

use std::time::Duration;

use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::Stopwatch;

use super::sleepers::Sleepers;
use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::case::Transport;
use crate::suite::subject::{Concurrency, Subject};

/// Time that a busy machine may add to a deadline.
pub(crate) const MARGIN: Duration = Duration::from_secs(20);

/// Functions that go on and on, with their inputs.
pub(crate) const ENDLESS: [(&str, &str); 2] = [("never", "1"), ("sleep", r#"{"ms":3600000}"#)];

pub(crate) const IN_FLIGHT: &str = "picofaas_runtime_in_flight";

pub(crate) fn output_too_large(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::with(subject, "big", ListenerKind::Socket, &[("MAX_OUTPUT", "100")]);
    let mut client = instance.client(transport);
    for _ in 0..2 {
        // Two quotes make it 100.
        let answer = client.invoke_with(r#"{"bytes":98}"#);
        assert_eq!((answer.status, answer.body.len()), (200, 100), "{answer:?}");
        for bytes in [99, 1 << 20] {
            let answer = client.invoke_with(&format!(r#"{{"bytes":{bytes}}}"#));
            assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
            assert!(answer.is_final(), "another attempt would end in the same way: {}", answer.text());
        }
    }
}

/// Sends `input` with 300 ms and expects to be told in time that they were not enough.
fn runs_out_of_time(instance: &WarmInstance, transport: Transport, input: &str) {
    let time = Duration::from_millis(300);
    let mut client = instance.client(transport);
    let watch = Stopwatch::start();
    let answer = client.invoke(&Invocation { deadline_ms: Some(300), ..Invocation::of(input) });
    let took = watch.elapsed();
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    let message = answer.message();
    assert!(message.contains("300 ms (X-Deadline-Ms)"), "the limit is told, not: {message}");
    assert!(time <= took && took < time + MARGIN, "answered after {took:?} with a deadline of {time:?}");
}

pub(crate) fn over_its_deadline(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "sleep");
    for _ in 0..2 {
        runs_out_of_time(&instance, transport, r#"{"ms":3600000}"#);
        // Served, though what was stopped would have gone on for an hour.
        let short = Invocation { deadline_ms: Some(20_000), ..Invocation::of(r#"{"ms":1}"#) };
        let answer = instance.client(transport).invoke(&short);
        assert_eq!((answer.status, &answer.json()["ms"]), (200, &serde_json::json!(1)));
    }
}

pub(crate) fn never_answering(subject: &Subject, transport: Transport) {
    let mut instance = WarmInstance::of(subject, "never");
    for _ in 0..2 {
        runs_out_of_time(&instance, transport, "1");
    }
    // The process that it ran in may have to be replaced.
    instance.wait_until_healthy();
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
}

pub(crate) fn caller_goes_away(subject: &Subject, transport: Transport) {
    for (function, input) in ENDLESS {
        let instance = WarmInstance::of(subject, function);
        let mut gone = instance.client(transport);
        gone.begin(&Invocation::of(input));
        instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
        drop(gone);
        instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
        instance.wait_for_metric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
        if function == "sleep" {
            assert_eq!(instance.client(transport).invoke_with(r#"{"ms":1}"#).status, 200);
        }
    }
}

pub(crate) fn sixty_four_at_once(subject: &Subject, transport: Transport) {
    let instance = WarmInstance::of(subject, "sleep");
    let mut sleepers = match subject.behaviour.concurrency {
        // All in flight together are the proof: one after the other they are not.
        Concurrency::Parallel => Sleepers::together(&instance, transport, 64, 2000),
        Concurrency::Serial => Sleepers::begin(&instance, transport, 64, 1),
    };
    sleepers.wake();
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
}
