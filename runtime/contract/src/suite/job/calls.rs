//! Calls of a JOB that go wrong, and being told to stop.

use std::time::Duration;

use picofaas_contract::control_plane::{ControlPlane, TAKEN, input, refusal};
use picofaas_contract::patience::{Stopwatch, let_pass};
use rustix::process::Signal;

use crate::suite::subject::Subject;

const BODY: &str = r#"{"input":1}"#;

/// Long enough to be taken for dead by an impatient runtime.
const SLOW: Duration = Duration::from_millis(400);

pub(crate) fn slow_control_plane(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "echo");
    let mut caller = control_plane.accept();
    caller.request();
    let answer = input("", BODY);
    for piece in answer.as_bytes().chunks(answer.len().div_ceil(3)) {
        let_pass(SLOW);
        caller.answer(piece);
    }
    assert_eq!(caller.request().json()["output"], 1);
    let_pass(SLOW);
    caller.answer(TAKEN);
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn input_asked_for_again(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "echo");
    // Closed without an answer, cut off, and told to come later.
    drop({
        let mut caller = control_plane.accept();
        caller.request();
        caller
    });
    let mut caller = control_plane.accept();
    caller.request();
    caller.answer("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"in");
    drop(caller);
    let mut caller = control_plane.accept();
    caller.request();
    caller.answer(refusal(503, "NOT_YET"));
    caller.request();
    caller.answer(input("", BODY));
    assert_eq!(caller.request().json()["output"], 1);
    caller.answer(TAKEN);
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn result_posted_again(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "context");
    let mut caller = control_plane.hand_out("X-Deadline-Ms: 20000\r\n", BODY);
    let first = caller.request();
    caller.answer(refusal(503, "LATER"));
    let second = caller.request();
    assert_eq!((&second.line, &second.body), (&first.line, &first.body));
    // Closed instead of answered: whether it was taken is not known.
    drop(caller);
    let mut caller = control_plane.accept();
    let third = caller.request();
    assert_eq!((&third.line, &third.body), (&first.line, &first.body));
    caller.answer(TAKEN);
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn result_refused(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "echo");
    let mut caller = control_plane.hand_out("", BODY);
    caller.request();
    caller.answer(refusal(401, "UNAUTHORIZED"));
    assert!(caller.is_closed(), "it is not posted again");
    let (code, said) = job.end();
    assert!(code > 0, "it ends with another code than 0, not {code}: {said}");
}

pub(crate) fn wrong_token(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "exit");
    let mut caller = control_plane.accept();
    caller.request();
    let watch = Stopwatch::start();
    caller.answer(refusal(401, "UNAUTHORIZED"));
    assert!(caller.is_closed(), "it does not ask again");
    let (code, said) = job.end();
    assert!(code > 0 && code != 3, "it ends, and not with 0 or by running, but {code}: {said}");
    assert!(watch.elapsed() < Duration::from_secs(20), "it took {:?}", watch.elapsed());
}

pub(crate) fn superseded_before(subject: &Subject) {
    for code in ["ATTEMPT_SUPERSEDED", "ALREADY_TERMINAL"] {
        let control_plane = ControlPlane::open();
        // It would end the process with 3, or post a failure.
        let job = subject.job(&control_plane, "exit");
        let mut caller = control_plane.accept();
        caller.request();
        caller.answer(refusal(409, code));
        assert!(caller.is_closed(), "there is nothing to say");
        let (ended, said) = job.end();
        assert_eq!(ended, 0, "{said}");
    }
}

pub(crate) fn superseded_after(subject: &Subject) {
    for code in ["ATTEMPT_SUPERSEDED", "ALREADY_TERMINAL"] {
        let control_plane = ControlPlane::open();
        let job = subject.job(&control_plane, "echo");
        let mut caller = control_plane.hand_out("", BODY);
        caller.request();
        caller.answer(refusal(409, code));
        assert!(caller.is_closed(), "it is not posted again");
        let (ended, said) = job.end();
        assert_eq!(ended, 0, "{said}");
    }
}

pub(crate) fn sigterm(subject: &Subject) {
    let control_plane = ControlPlane::open();
    let job = subject.job(&control_plane, "never");
    let mut caller = control_plane.hand_out("", BODY);
    // A function that never answers does not say either that it was begun.
    let_pass(SLOW);
    job.signal(Signal::TERM);
    assert!(caller.is_closed(), "nothing is posted");
    let (code, said) = job.end();
    assert_ne!(code, 0, "nothing was done: {said}");
}
