//! Processes that outlive the program that started them.

use crate::instance::{Instance, wait_for_end};
use crate::wire::invocation;

#[test]
fn what_stays_in_the_group_is_killed_and_does_not_hold_up_the_answer() {
    let instance = Instance::of("stdio", "sh -c 'echo pid $$ >&2; exec sleep 1000' & echo 1");
    let mut connection = instance.connect();
    for _ in 0..3 {
        assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
    }
    // It may be killed before it says its number.
    instance.wait_for("picofaas_watchdog_children_running 0");
    instance.wait_for_children(0);
    instance.signal(rustix::process::Signal::TERM);
    assert_eq!(instance.end().0, 0);
}

#[test]
fn what_leaves_its_group_and_session_is_found_and_killed() {
    let mut instance =
        Instance::of("stdio", "(setsid sh -c 'echo pid $$ >&2; echo $$; exec sleep 1000' &) | head -n 1");
    let answer = instance.connect().invoke("", r#"{"input":1}"#);
    let pid = instance.pid_after("pid");
    assert_eq!(answer.text().trim().parse::<i32>().unwrap(), pid.as_raw_pid());
    wait_for_end(pid);
    instance.wait_for("picofaas_watchdog_strangers_killed_total 1");
    instance.wait_for_children(0);
}

#[test]
fn a_daemon_of_one_that_runs_is_left_alone_when_another_ends() {
    let mut instance = Instance::of(
        "stdio",
        "read -r what; test $what = 1 && echo 1 && exit; \
         (setsid sh -c 'echo pid $$ >&2; exec sleep 1000' &); exec sleep 1000",
    );
    let mut running = instance.connect();
    running.send(invocation("", r#"{"input":2}"#));
    let pid = instance.pid_after("pid");
    // Its parent has ended or soon will, and then it is a child of the watchdog.
    instance.wait_for_children(2);
    let mut connection = instance.connect();
    for _ in 0..3 {
        assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
    }
    rustix::process::test_kill_process(pid).expect("it still runs");
    drop(running);
    wait_for_end(pid);
}

#[test]
fn no_zombie_is_left_of_what_ends_by_itself() {
    let instance = Instance::of("stdio", "for i in 1 2 3; do (setsid true &) ; done; exec sleep 1000");
    let mut running = instance.connect();
    running.send(invocation("", r#"{"input":1}"#));
    // Only the sleeper remains, while it runs.
    instance.wait_for("picofaas_watchdog_children_running 1");
    instance.wait_for_children(1);
}
