//! Programs that take too long, callers that do not wait, and the end of the watchdog.

use picofaas_contract::patience::Stopwatch;
use rustix::process::Signal;

use crate::instance::{Instance, PATIENCE, wait_for_end};
use crate::wire::invocation;

#[test]
fn at_the_deadline_the_whole_group_gets_sigterm_and_may_tidy_up() {
    let mut instance = Instance::of(
        "stdio",
        "trap 'echo tidied up >&2; exit 0' TERM; sh -c 'echo pid $$ >&2; exec sleep 1000' & wait",
    );
    let answer = instance.connect().invoke("x-deadline-ms: 3000\r\n", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    wait_for_end(instance.pid_after("pid"));
    assert!(instance.line_with("tidied up").contains("executionId=e-1"));
    instance.wait_for("picofaas_watchdog_children_running 0");
    instance.wait_for("picofaas_watchdog_children_killed_total 0");
}

#[test]
fn what_ignores_sigterm_is_killed_after_a_grace_and_the_answer_does_not_wait_for_that() {
    let mut instance = Instance::of("stdio", "trap '' TERM; echo pid $$ >&2; while :; do sleep 1000; done");
    let answer = instance.connect().invoke("x-deadline-ms: 3000\r\n", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    assert_ne!(instance.children(), Vec::<String>::new(), "it has its grace");
    wait_for_end(instance.pid_after("pid"));
    instance.wait_for("picofaas_watchdog_children_killed_total 1");
    instance.wait_for("picofaas_watchdog_children_running 0");
}

#[test]
fn a_caller_that_hangs_up_stops_its_program() {
    let mut instance = Instance::of("stdio", "echo pid $$ >&2; exec sleep 1000");
    let mut gone = instance.connect();
    gone.send(invocation("", r#"{"input":1}"#));
    let pid = instance.pid_after("pid");
    drop(gone);
    wait_for_end(pid);
    instance.wait_for("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
}

#[test]
fn sigterm_finishes_what_runs_and_exits_0() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut instance =
        Instance::of("stdio", &format!("echo pid $$ >&2; read -r x <{}; echo $x", fifo.display()));
    let mut running = instance.connect();
    running.send(invocation("", r#"{"input":1}"#));
    instance.line_with("pid");
    instance.signal(Signal::TERM);
    assert!(instance.line_with("stopping").contains("1 in flight"));
    std::fs::write(&fifo, "17\n").unwrap();
    assert_eq!(running.receive().text(), "17");
    assert_eq!(instance.end().0, 0);
}

#[test]
fn a_watchdog_that_is_killed_takes_its_program_with_it() {
    let mut instance = Instance::of("stdio", "echo pid $$ >&2; exec sleep 1000");
    let mut connection = instance.connect();
    connection.send(invocation("", r#"{"input":1}"#));
    let pid = instance.pid_after("pid");
    instance.signal(Signal::KILL);
    wait_for_end(pid);
}

#[test]
fn a_program_that_floods_its_log_is_stopped_at_its_deadline_all_the_same() {
    let mut instance = Instance::of("stdio", "exec yes executionId= >&2");
    let mut connection = instance.connect();
    std::thread::scope(|scope| {
        let asked = scope.spawn(move || connection.invoke("x-deadline-ms: 300\r\n", r#"{"input":1}"#));
        // Somebody reads the log, as fast as it comes.
        let watch = Stopwatch::start();
        while !instance.line_with("").contains("deadline") {
            assert!(watch.elapsed() < PATIENCE, "it floods, and nothing else is done");
        }
        assert_eq!(asked.join().unwrap().failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    });
}
