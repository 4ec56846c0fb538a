//! A JOB whose calls go wrong, or that is told to stop.

use rustix::process::Signal;

use crate::control_plane::{ControlPlane, EXECUTION_ID, TAKEN, input, refusal};
use crate::instance::{Process, job_of, start_job};

const BODY: &str = r#"{"input":1}"#;

#[test]
fn a_completion_is_posted_until_it_is_taken_and_always_the_same() {
    let control_plane = ControlPlane::open();
    let mut job = job_of(&control_plane, "identity", &[]);
    let mut caller = control_plane.hand_out("", BODY);
    let first = caller.request();
    for status in [503, 429, 408] {
        caller.answer(refusal(status, "LATER"));
        let again = caller.request();
        assert_eq!((again.line, again.body), (first.line.clone(), first.body.clone()));
    }
    caller.answer(TAKEN);
    let warning = job.line_with("trying again");
    assert!(warning.starts_with(&format!("warning executionId={EXECUTION_ID} ")), "{warning}");
    assert!(warning.contains("503") && warning.contains("LATER"), "{warning}");
    let (code, rest) = job.end();
    assert_eq!((code, rest.as_str()), (0, ""), "one line about it is enough");
}

#[test]
fn an_attempt_that_nobody_waits_for_any_more_ends_as_a_success() {
    for code in ["ATTEMPT_SUPERSEDED", "ALREADY_TERMINAL"] {
        let control_plane = ControlPlane::open();
        let job = job_of(&control_plane, "echo", &[]);
        let mut caller = control_plane.hand_out("", BODY);
        caller.request();
        caller.answer(refusal(409, code));
        let (ended, said) = job.end();
        assert_eq!(ended, 0, "{said}");
        assert!(said.contains(code) && said.contains(EXECUTION_ID), "{said}");

        // Nor is it begun. The handler would end the process with 3.
        let job = job_of(&control_plane, "exit", &[]);
        let mut caller = control_plane.accept();
        caller.request();
        caller.answer(refusal(409, code));
        assert!(caller.is_closed());
        assert_eq!(job.end().0, 0);
    }
}

#[test]
fn a_refusal_of_either_call_is_final_and_a_failure() {
    for status in [400, 401, 404, 410] {
        let control_plane = ControlPlane::open();
        let job = job_of(&control_plane, "exit", &[]);
        let mut caller = control_plane.accept();
        caller.request();
        caller.answer(refusal(status, "NO"));
        assert!(caller.is_closed(), "it does not ask again");
        let (code, said) = job.end();
        assert_eq!(code, 1, "{said}");
        let line = format!("error executionId={EXECUTION_ID} traceId=- the control plane answered {status}");
        assert!(said.starts_with(&line), "{said}");

        let job = job_of(&control_plane, "echo", &[]);
        let mut caller = control_plane.hand_out("", BODY);
        caller.request();
        caller.answer(refusal(status, "NO"));
        assert!(caller.is_closed(), "it does not post again");
        assert_eq!(job.end().0, 1);
    }
}

#[test]
fn an_input_that_did_not_come_whole_is_asked_for_again() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
    for broken in [
        [
            String::new(),
            format!("\x16\x03 this is not HTTP\r\n\r\n{BODY}"),
            format!("{ok}X-Long: {}\r\n\r\n{BODY}", "x".repeat(16 << 10)),
            format!("{ok}Content-Length: 11\r\n\r\n{{\"in"),
        ],
        [
            format!("{ok}Content-Length: 11\r\nContent-Length: 2\r\n\r\n{BODY}"),
            format!("{ok}Transfer-Encoding: gzip\r\n\r\n{BODY}"),
            format!("{chunked}{BODY}\r\n0\r\n\r\n"),
            format!("{chunked}5\r\n{{\"inp..6\r\nut\":1}}\r\n0\r\n\r\n"),
        ],
    ] {
        let control_plane = ControlPlane::open();
        let job = job_of(&control_plane, "echo", &[]);
        for answer in broken {
            let mut caller = control_plane.accept();
            caller.request();
            caller.answer(answer);
        }
        let mut caller = control_plane.accept();
        caller.request();
        caller.answer(refusal(503, "NOT_YET"));
        // An answer that was read whole leaves the connection open.
        caller.request();
        caller.answer(input("", BODY));
        assert_eq!(caller.request().json()["output"], 1);
        caller.answer(TAKEN);
        assert_eq!(job.end().0, 0);
    }
}

#[test]
fn a_control_plane_that_is_not_there_yet_is_waited_for() {
    let gone = ControlPlane::open();
    let port = gone.port();
    drop(gone);
    let mut job = start_job(port, "echo", &[("PICOFAAS_RUNTIME_URL", &format!("http://localhost:{port}"))]);
    assert!(job.line_with("trying again").contains("PICOFAAS_RUNTIME_URL"));
    let control_plane = ControlPlane::at(port);
    let mut caller = control_plane.hand_out("", BODY);
    caller.request();
    caller.answer(TAKEN);
    assert_eq!(job.end().0, 0);
}

#[test]
fn an_answer_that_ends_with_its_connection_is_read_and_the_next_call_opens_another() {
    let known = "Content-Length: 11\r\n";
    for head in [
        "HTTP/1.1 200 OK\r\n",
        &format!("HTTP/1.0 200 OK\r\n{known}"),
        &format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{known}"),
    ] {
        let control_plane = ControlPlane::open();
        let job = job_of(&control_plane, "echo", &[]);
        let mut caller = control_plane.accept();
        caller.request();
        caller.answer(format!("{head}X-Execution-Id: {EXECUTION_ID}\r\n\r\n{BODY}"));
        caller.end_answers();
        assert!(caller.is_closed(), "it is not used again: {head}");
        let mut caller = control_plane.accept();
        assert_eq!(caller.request().json()["output"], 1);
        caller.answer(TAKEN);
        assert_eq!(job.end().0, 0);
    }
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let control_plane = ControlPlane::open();
    let mut job = job_of(&control_plane, "log", &[]);
    let caller = control_plane.hand_out("", r#"{"input":{"text":"running","ms":50}}"#);
    job.line_with("running");
    drop(caller);
    // Closed instead of answered: whether the completion was taken is not known.
    let mut second = control_plane.accept();
    let posted = second.request();
    drop(second);
    let mut third = control_plane.accept();
    assert_eq!(third.request().body, posted.body);
    third.answer(TAKEN);
    assert_eq!(job.end().0, 0);
}

#[test]
fn sigterm_drops_the_handler_and_posts_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let control_plane = ControlPlane::open();
        let mut job = job_of(&control_plane, "log", &[]);
        let mut caller = control_plane
            .hand_out("X-Deadline-Ms: 86400000\r\n", r#"{"input":{"text":"running","ms":86400000}}"#);
        job.line_with("running");
        job.signal(signal);
        assert!(job.line_with("dropped").contains(EXECUTION_ID));
        assert!(caller.is_closed(), "nothing is posted");
        let (code, said) = job.end();
        assert_eq!(code, 143, "{said}");
        assert!(said.contains(EXECUTION_ID) && said.contains("stopped by SIG"), "{said}");
    }
}

#[test]
fn sigterm_does_not_stop_a_completion_that_is_under_way() {
    let control_plane = ControlPlane::open();
    let job = job_of(&control_plane, "echo", &[]);
    let mut caller = control_plane.hand_out("", BODY);
    caller.request();
    job.signal(Signal::TERM);
    caller.answer(refusal(503, "LATER"));
    assert_eq!(caller.request().json()["status"], 200);
    job.signal(Signal::TERM);
    caller.answer(TAKEN);
    assert_eq!(job.end().0, 0);
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let whole = [
        ("EXECUTION_MODE", "JOB"),
        ("EXECUTION_ID", EXECUTION_ID),
        ("PICOFAAS_RUNTIME_URL", "http://127.0.0.1:9"),
        ("PICOFAAS_TOKEN", "t0ken"),
    ];
    for (name, wrong) in [
        ("EXECUTION_ID", "a/b"),
        ("PICOFAAS_RUNTIME_URL", "127.0.0.1:9"),
        ("PICOFAAS_RUNTIME_URL", "http://127.0.0.1:9/v1"),
        ("PICOFAAS_TOKEN", "t0 ken"),
    ] {
        let without: Vec<_> = whole.into_iter().filter(|(known, _)| *known != name).collect();
        let (code, said) = Process::start("echo", &without).end();
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("{name} is not set")) && said.contains("EXECUTION_MODE"), "{said}");

        let malformed = [without, vec![(name, wrong)]].concat();
        let (code, said) = Process::start("echo", &malformed).end();
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("{name} is ")) && said.contains("give "), "{said}");
        assert!(!said.contains("ken`"), "a token is nobody's business: {said}");
    }
}
