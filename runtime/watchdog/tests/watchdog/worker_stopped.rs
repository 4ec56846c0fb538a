//! Requests of workers whose time is over or whose callers are gone, and the watchdog's end.

use rustix::process::Signal;

use crate::instance::{PATIENCE, wait_for_end};
use crate::wire::invocation;
use crate::worker_program::{each, fifo, instance, script};

const ONE: &str = r#"{"input":1}"#;

#[test]
fn at_the_deadline_the_worker_gets_sigterm_and_another_answers_at_once() {
    let mut instance = instance(&each(
        r#"
if input == 1:
    def tidy(*_):
        log("tidied up")
        sys.exit(0)
    signal.signal(signal.SIGTERM, tidy)
    log(f"pid {PID}")
    time.sleep(1000)
say(sequence, {"output": PID})"#,
    ));
    let mut connection = instance.connect();
    let answer = connection.invoke("x-deadline-ms: 3000\r\n", ONE);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    let pid = instance.pid_after("pid");
    assert_ne!(connection.invoke("", r#"{"input":2}"#).text(), pid.as_raw_pid().to_string());
    assert!(instance.line_with("tidied up").contains("executionId=e-1"));
    wait_for_end(pid);
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"deadline\"} 1");
    instance.wait_for("picofaas_watchdog_children_killed_total 0");
    instance.wait_for("picofaas_watchdog_children_running 1");
}

#[test]
fn a_worker_that_ignores_sigterm_is_killed_and_nobody_waits_for_that() {
    let mut instance = instance(&each(
        r#"
if input == 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    log(f"pid {PID}")
    while True: time.sleep(1000)
say(sequence, {"output": PID})"#,
    ));
    let mut connection = instance.connect();
    let answer = connection.invoke("x-deadline-ms: 3000\r\n", ONE);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    assert_eq!(connection.invoke("", r#"{"input":2}"#).status, 200);
    wait_for_end(instance.pid_after("pid"));
    instance.wait_for("picofaas_watchdog_children_killed_total 1");
    instance.wait_for_children(1);
}

#[test]
fn a_caller_that_hangs_up_stops_the_worker() {
    let mut instance = instance(&each("log(f'pid {PID}')\ntime.sleep(1000)"));
    let mut gone = instance.connect();
    gone.send(invocation("", ONE));
    let pid = instance.pid_after("pid");
    drop(gone);
    wait_for_end(pid);
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"caller_gone\"} 1");
    instance.wait_for("picofaas_watchdog_workers_ready 1");
}

/// Waits for the fifo where the input is 1, else answers at once.
fn blocking(path: &str) -> String {
    each(&format!(
        r#"
log(f"begun {{input}} by {{PID}}")
if input == 1: wait({path:?})
if input == 3: time.sleep(1000)
say(sequence, {{"output": PID}})"#
    ))
}

#[test]
fn each_that_waits_has_its_own_deadline_and_is_never_begun_after_it() {
    let (_directory, path) = fifo();
    let mut instance = instance(&blocking(&path));
    let mut running = instance.connect();
    running.send(invocation("", ONE));
    instance.line_with("begun 1");
    let mut waiting = instance.connect();
    waiting.send(invocation("", r#"{"input":2}"#));
    instance.wait_for("picofaas_runtime_in_flight 2");
    let answer = instance.connect().invoke("x-deadline-ms: 100\r\n", r#"{"input":4}"#);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    std::fs::write(&path, "1").unwrap();
    let pid = running.receive().text().to_owned();
    assert_eq!(waiting.receive().text(), pid);
    assert_eq!(instance.connect().invoke("", r#"{"input":5}"#).text(), pid);
    assert!(instance.line_with("begun").contains("begun 2"));
    assert!(instance.line_with("begun").contains("begun 5"));
}

/// Has a request running that was not followed by a line of log, so that another goes ahead.
fn silent(path: &str) -> String {
    each(&format!(
        r#"
if input == 1: wait({path:?})
if input == 3: time.sleep(1000)
say(sequence, {{"output": PID}})"#
    ))
}

#[test]
fn one_sent_ahead_whose_caller_hangs_up_costs_no_worker_where_it_is_quick() {
    let (_directory, path) = fifo();
    let instance = instance(&silent(&path));
    let mut running = instance.connect();
    running.send(invocation("", ONE));
    instance.wait_for("picofaas_runtime_in_flight 1");
    let mut ahead = instance.connect();
    ahead.send(invocation("", r#"{"input":2}"#));
    instance.wait_for("picofaas_runtime_in_flight 2");
    instance.wait_for("picofaas_watchdog_requests_waiting 0");
    drop(ahead);
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
    std::fs::write(&path, "1").unwrap();
    let pid = running.receive().text().to_owned();
    instance.wait_for("picofaas_watchdog_late_replies_total 1");
    assert_eq!(running.invoke("", r#"{"input":2}"#).text(), pid);
}

#[test]
fn one_sent_ahead_whose_caller_hung_up_and_that_goes_on_is_stopped() {
    let (_directory, path) = fifo();
    let instance = instance(&silent(&path));
    let mut running = instance.connect();
    running.send(invocation("", ONE));
    instance.wait_for("picofaas_runtime_in_flight 1");
    let mut ahead = instance.connect();
    ahead.send(invocation("", r#"{"input":3}"#));
    instance.wait_for("picofaas_runtime_in_flight 2");
    drop(ahead);
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
    std::fs::write(&path, "1").unwrap();
    let pid = running.receive().text().to_owned();
    assert_ne!(running.invoke("", r#"{"input":2}"#).text(), pid);
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"stuck\"} 1");
}

#[test]
fn one_sent_ahead_of_a_worker_that_is_stopped_goes_to_the_next() {
    let instance = instance(&each(
        r#"
if input == 3: time.sleep(1000)
say(sequence, {"output": [PID, sequence]})"#,
    ));
    let mut stopped = instance.connect();
    stopped.send(invocation("x-deadline-ms: 6000\r\n", r#"{"input":3}"#));
    instance.wait_for("picofaas_runtime_in_flight 1");
    let mut ahead = instance.connect();
    ahead.send(invocation("", r#"{"input":2}"#));
    instance.wait_for("picofaas_runtime_in_flight 2");
    instance.wait_for("picofaas_watchdog_requests_waiting 0");
    assert_eq!(stopped.receive().status, 504);
    assert_eq!(ahead.receive().json()[1], 1, "the first of a new worker");
}

#[test]
fn a_worker_that_had_replied_when_its_caller_went_away_is_not_stopped() {
    let (_directory, path) = fifo();
    let directory = tempfile::tempdir().unwrap();
    let done = directory.path().join("done");
    let instance = instance(&each(&format!(
        r#"
if input == 1: wait({path:?})
say(sequence, {{"output": PID}})
if input == 1: os.mkfifo({done:?}); wait({done:?})"#
    )));
    let mut connection = instance.connect();
    let pid = connection.invoke("", r#"{"input":2}"#).text().to_owned();
    let mut gone = instance.connect();
    gone.send(invocation("", ONE));
    instance.wait_for("picofaas_runtime_in_flight 1");
    instance.signal(Signal::STOP);
    drop(gone);
    std::fs::write(&path, "1").unwrap();
    // Once this can be opened, the reply is in the pipe.
    let began = std::time::SystemTime::now();
    while std::fs::metadata(&done).is_err() {
        assert!(began.elapsed().unwrap() < PATIENCE, "the worker does not reply");
        std::thread::yield_now();
    }
    instance.signal(Signal::CONT);
    instance.wait_for("picofaas_watchdog_late_replies_total 1");
    std::fs::write(&done, "1").unwrap();
    assert_eq!(connection.invoke("", r#"{"input":2}"#).text(), pid);
}

/// Takes four at a time; stops a request where it is told to, but for 3, and answers others
/// that are 2 at once.
const FOUR: &str = r#"
say(0, {"ready": True, "concurrency": 4})
running = {}
while True:
    sequence, request = read()
    if request is None:
        log(f"stop of {running[sequence]}")
        if running[sequence] != 3: say(sequence, {"error": {"message": "stopped"}})
        continue
    running[sequence] = request["input"]
    log(f"begun {request['input']}")
    if request["input"] == 2: say(sequence, {"output": PID})
"#;

#[test]
fn a_worker_that_takes_several_is_told_to_stop_one_and_goes_on() {
    let mut instance = instance(&script(FOUR));
    let mut connection = instance.connect();
    let pid = connection.invoke("", r#"{"input":2}"#).text().to_owned();
    assert_eq!(instance.connect().invoke("x-deadline-ms: 100\r\n", ONE).failure().0, 504);
    instance.line_with("stop of 1");
    let mut gone = instance.connect();
    gone.send(invocation("", r#"{"input":4}"#));
    instance.line_with("begun 4");
    drop(gone);
    instance.line_with("stop of 4");
    instance.wait_for("picofaas_watchdog_late_replies_total 2");
    assert_eq!(connection.invoke("", r#"{"input":2}"#).text(), pid);
}

#[test]
fn a_worker_that_does_not_stop_a_request_is_killed_and_what_else_it_held_says_so() {
    let mut instance = instance(&script(FOUR));
    let mut connection = instance.connect();
    let pid = connection.invoke("", r#"{"input":2}"#).text().to_owned();
    let mut held = instance.connect();
    held.send(invocation("", ONE));
    instance.line_with("begun 1");
    assert_eq!(instance.connect().invoke("x-deadline-ms: 100\r\n", r#"{"input":3}"#).failure().0, 504);
    let answer = held.receive();
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert!(answer.message().contains("did not stop a request"), "{}", answer.message());
    assert_ne!(connection.invoke("", r#"{"input":2}"#).text(), pid);
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"stuck\"} 1");
    instance.wait_for_children(1);
}

#[test]
fn sigterm_finishes_what_runs_and_ends_the_workers_by_the_end_of_their_input() {
    let (_directory, path) = fifo();
    let mut instance = instance(&script(&format!(
        r#"
import atexit
atexit.register(lambda: log("goodbye"))
say(0, {{"ready": True}})
while True:
    sequence, request = read()
    log("begun")
    say(sequence, {{"output": wait({path:?})}})
"#
    )));
    let mut running = instance.connect();
    running.send(invocation("", ONE));
    instance.line_with("begun");
    instance.signal(Signal::TERM);
    instance.line_with("stopping, 1 in flight");
    std::fs::write(&path, "17").unwrap();
    assert_eq!(running.receive().text(), "\"17\"");
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("goodbye"), "{said}");
}

#[test]
fn a_worker_that_does_not_end_with_its_input_does_not_keep_the_watchdog() {
    let instance = instance(&script(
        r#"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(0, {"ready": True})
while True: time.sleep(1000)
"#,
    ));
    let pid = instance.children()[0].parse().unwrap();
    instance.signal(Signal::TERM);
    let (code, said) = instance.end();
    assert_eq!(code, 0, "{said}");
    wait_for_end(rustix::process::Pid::from_raw(pid).unwrap());
}

#[test]
fn a_watchdog_that_is_killed_takes_its_workers_with_it() {
    let mut instance = instance(&each("log(f'pid {PID}')\ntime.sleep(1000)"));
    let mut connection = instance.connect();
    connection.send(invocation("", ONE));
    let pid = instance.pid_after("pid");
    instance.signal(Signal::KILL);
    wait_for_end(pid);
}
