//! Bodies that come piece by piece, without an end, or not to their end.

use std::path::Path;
use std::time::Duration;

use picofaas_contract::patience::{let_pass, until};

use super::requests::all_bytes;
use super::web_client::{chunk, head, piece, start, start_with, streaming};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;
use crate::suite::warm::{IN_FLIGHT, ListenerKind};

/// Bytes of an answer that fit into no pipe, socket or bounded buffer on its way.
const LARGE: usize = 64 << 20;

pub(super) fn wait_for(file: &Path) {
    until(|| format!("no {}", file.display()), || file.exists().then_some(()));
}

/// The function writes its second piece when the caller has had the first.
pub(crate) fn piece_by_piece(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    for kind in ["text/event-stream", "application/octet-stream"] {
        let folder = tempfile::tempdir().unwrap();
        let go = folder.path().join("go");
        let mut connection = instance.web(transport);
        let path = format!("/pieces?go={}", go.display());
        connection.send(head("GET", &path, &format!("Accept: {kind}\r\n")));
        assert_eq!(streaming(&mut connection).header("content-type"), Some(kind));
        assert_eq!(piece(&mut connection, 5), b"first");
        std::fs::write(&go, "").unwrap();
        assert_eq!(piece(&mut connection, 6), b"second");
        assert_eq!(piece(&mut connection, 1), b"", "it is over");
    }
}

/// Each piece of the body comes back before the next is sent, and all of it is more than any limit of an envelope.
pub(crate) fn both_ways(subject: &Subject) {
    let limits = [("MAX_BODY", "1000"), ("MAX_OUTPUT", "1000")];
    let instance = start_with(subject, ListenerKind::Socket, &limits);
    let mut connection = instance.connect();
    connection.send(head("POST", "/echo", "Transfer-Encoding: chunked\r\n"));
    let bytes = all_bytes(10_000);
    connection.send(chunk(&bytes));
    streaming(&mut connection);
    assert!(piece(&mut connection, bytes.len()) == bytes, "other bytes come back");
    for _ in 0..200 {
        connection.send(chunk(&bytes));
        assert!(piece(&mut connection, bytes.len()) == bytes, "other bytes come back");
    }
    connection.send("0\r\n\r\n");
    assert_eq!(piece(&mut connection, 1), b"", "it is over");
}

/// A caller that does not read holds up the function, and loses nothing.
pub(crate) fn nobody_reads(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let mut connection = instance.web(transport);
    connection.send(head("GET", &format!("/flood?bytes={LARGE}&done={}", done.display()), ""));
    let answer = connection.receive_head();
    assert_eq!(answer.status, 200);
    // A function that is not held up has written it all by then.
    let_pass(Duration::from_millis(500));
    assert!(!done.exists(), "{LARGE} bytes were written, though nobody reads them");
    let read = if answer.is_chunked() {
        piece(&mut connection, usize::MAX).len()
    } else {
        let mut rest = vec![0; answer.header("content-length").unwrap().parse().unwrap()];
        connection.fill(&mut rest);
        rest.len()
    };
    assert_eq!(read, LARGE);
    wait_for(&done);
}

/// A caller must not take half of an answer for all of it.
pub(crate) fn breaks_off(subject: &Subject, transport: Transport) {
    let mut instance = start(subject);
    for length in ["", "?length=100"] {
        let mut connection = instance.web(transport);
        connection.send(head("GET", &format!("/break{length}"), ""));
        let answer = connection.receive_head();
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = connection.until_it_breaks();
        if answer.is_chunked() {
            assert!(!said.ends_with(b"0\r\n\r\n"), "half of an answer has an end");
        } else {
            let promised: usize =
                answer.header("content-length").expect("a body has a length").parse().unwrap();
            assert!(said.len() < promised, "{} bytes", said.len());
        }
        let begun = said.windows(5).any(|part| part == b"begin");
        assert!(begun, "what was written before is passed on, not {said:?}");
        instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
        instance.wait_until_healthy();
    }
}

/// The function learns that nobody reads any more, and is not kept.
pub(crate) fn caller_goes_away(subject: &Subject, transport: Transport) {
    let mut instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let mut connection = instance.web(transport);
    connection.send(head("GET", &format!("/endless?gone={}", gone.display()), ""));
    streaming(&mut connection);
    assert_eq!(piece(&mut connection, 4), b"more");
    instance.wait_for_metric(&format!("{IN_FLIGHT} 1"));
    drop(connection);
    wait_for(&gone);
    instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
    instance.wait_for_metric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
    instance.wait_until_healthy();
}
