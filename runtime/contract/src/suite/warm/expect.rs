//! `Expect: 100-continue`: the `100` says that a handler is run.

use picofaas_contract::invocation::Invocation;
use picofaas_contract::wire::CONTINUE;

use super::limits::IN_FLIGHT;
use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::subject::{OnExit, Subject};

/// The body is on its way with the head, as the control plane sends it, so only the runtime can be late.
pub(crate) fn before_the_handler(subject: &Subject) {
    for listener in [ListenerKind::Socket, ListenerKind::Port] {
        // A handler that waits for ever.
        let mut instance = WarmInstance::with(subject, "never", listener, &[]);
        for expectation in ["100-continue", "100-Continue"] {
            let mut connection = instance.connect();
            connection.send(Invocation::of("1").http_expecting(expectation));
            assert_eq!(connection.receive().status, CONTINUE, "{expectation}");
            drop(connection);
            instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
            instance.wait_until_healthy();
        }
    }
    // One that never lets go of its thread, and takes the process with it.
    let mut instance = WarmInstance::of(subject, "exit");
    let mut connection = instance.connect();
    connection.send(Invocation::of("1").http_expecting("100-continue"));
    assert_eq!(connection.receive().status, CONTINUE);
    match subject.behaviour.on_exit {
        OnExit::Ends => assert!(connection.is_closed()),
        OnExit::Survives => {
            assert_eq!(connection.receive().failure(), (500, "HANDLER_ERROR".to_owned()));
            instance.wait_until_healthy();
        }
    }
    // It comes once for each, whatever the size.
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    for bytes in [2, 1 << 20, 2] {
        let text = format!("\"{}\"", "x".repeat(bytes - 2));
        connection.send(Invocation::of(&text).http_expecting("100-continue"));
        assert_eq!(connection.receive().status, CONTINUE);
        let answer = connection.receive();
        assert_eq!((answer.status, answer.body.len()), (200, text.len()));
    }
}

pub(crate) fn not_unasked(subject: &Subject) {
    let instance = WarmInstance::of(subject, "echo");
    let mut connection = instance.connect();
    for _ in 0..2 {
        connection.send(Invocation::of("1").http());
        assert_eq!(connection.receive().text(), "1");
    }
    // Another expectation is ignored or cannot be met (RFC 9110, 10.1.1).
    connection.send(Invocation::of("1").http_expecting("200-ok"));
    let status = connection.receive().status;
    assert!([200, 417].contains(&status), "{status}");
    // In HTTP/1.0 there is none.
    let request = Invocation::of("1").http_expecting("100-continue");
    let mut connection = instance.connect();
    connection.send(String::from_utf8(request).unwrap().replace(" HTTP/1.1", " HTTP/1.0"));
    assert_eq!(connection.receive().status, 200);
}
