//! `JOB` functions whose instances are started ahead of the executions they take.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, faulty, job, warm};

fn standby(name: &str, handler: &str, min: u32, max: u32) -> Value {
    job(name, handler).with("standby", json!({ "min": min, "max": max }))
}

/// Waits until so many instances wait for an execution.
fn until_ready(server: &Server, name: &str, wanted: u64) {
    let mut last = Value::Null;
    eventually(&format!("{wanted} standby instances of {name} are ready"), || {
        last = server.function(name)["status"].clone();
        (last["standby"]["ready"] == wanted).then_some(())
    });
}

/// The condition about the reserve of a function, once it has this reason.
fn condition(server: &Server, name: &str, reason: &str) -> Value {
    eventually(&format!("the reserve of {name} is {reason}"), || {
        let status = server.function(name)["status"].clone();
        let mut all = status["conditions"].as_array().unwrap().iter();
        all.find(|one| one["type"] == "StandbyReady" && one["reason"] == reason).cloned()
    })
}

/// The processes that the server has started and that are there.
fn processes(server: &Server) -> BTreeSet<i32> {
    let pid = server.pid();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn pid_of(output: &Value) -> i32 {
    i32::try_from(output["pid"].as_i64().unwrap()).unwrap()
}

fn is_there(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

#[test]
fn each_call_has_an_instance_that_was_ready_and_no_instance_has_two() {
    let server = Server::start(&[]);
    server.register(&standby("ahead", "identity", 1, 1).with("maxRetries", 0));
    let mut pids = BTreeSet::new();
    while_others_are_served(&server, || {
        for nth in 0..5 {
            until_ready(&server, "ahead", 1);
            let answer = server.invoke("ahead", nth);
            assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
            assert_eq!((answer.header("x-cold-start"), answer.header("x-attempts")), (None, Some("1")));
            let output = answer.output();
            assert_eq!((&output["input"], &output["attempt"]), (&json!(nth), &json!(1)));
            assert!(pids.insert(pid_of(&output)), "{output} is of a process that had a call before");
            let id = answer.header("x-execution-id").unwrap().to_owned();
            let record = server.client().get(&format!("/v1/executions/{id}")).json();
            assert_eq!((&record["standby"], &record["coldStart"]), (&json!(true), &json!(false)));
        }
    });
    eventually("the instances that were used are gone", || {
        (!pids.iter().any(|pid| is_there(*pid))).then_some(())
    });
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("ahead", "standby_taken_total"), 5.0);
    assert_eq!(scrape.of_function("ahead", "standby_missed_total"), 0.0);
    assert_eq!(scrape.of_function("ahead", "cold_starts_total"), 0.0);
}

#[test]
fn calls_in_a_row_find_an_instance_or_wait_for_one_and_none_fails() {
    let server = Server::start(&[]);
    for (name, concurrency) in [("narrow", 1), ("wide", 4)] {
        let specification =
            standby(name, "identity", 1, 1).with("concurrency", concurrency).with("maxRetries", 0);
        server.register(&specification);
        let mut pids = BTreeSet::new();
        let mut clients: Vec<Client> = (0..concurrency).map(|_| server.client()).collect();
        for nth in 0..20 {
            for client in &mut clients {
                client.ask_invoke(name, "", nth);
            }
            for client in &mut clients {
                let answer = client.receive();
                assert_eq!(answer.status, 200, "{name}, {nth}: {answer:?}");
                assert!(
                    pids.insert(pid_of(&answer.output())),
                    "{answer:?} is of a process that had a call before"
                );
            }
        }
        server.until_status(name, "inFlight", 0);
    }
}

#[test]
fn an_execution_finds_nothing_that_one_before_it_left_in_its_process_or_beside_it() {
    let server = Server::start(&[]);
    server.register(&standby("isolated", "residue", 1, 1));
    let mark = json!(format!("isolated-{}", server.pid()));
    for _ in 0..4 {
        until_ready(&server, "isolated", 1);
        let mut found = server.invoke("isolated", &mark).output();
        // Processes of one machine share its files.
        found.as_object_mut().unwrap().remove("file");
        assert_eq!(found, json!({ "memory": 0, "threads": 0, "processes": 0, "directory": false }));
        // Its own process is told to end when it has answered; what it left goes with it.
        eventually("what it left is gone", || {
            let left = processes(&server).len();
            (left <= 2).then_some(())
        });
    }
}

#[test]
fn a_burst_beyond_the_reserve_has_an_instance_started_for_each_call() {
    let server = Server::start(&[]);
    server.register(&standby("burst", "identity", 2, 2).with("concurrency", 20).with("maxRetries", 0));
    until_ready(&server, "burst", 2);
    let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("burst", "", 1);
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    let pids: BTreeSet<i32> = answers.iter().map(|answer| pid_of(&answer.output())).collect();
    assert_eq!(pids.len(), 20);
    let of = |name| answers.iter().filter(|answer| answer.header(name).is_some()).count();
    assert_eq!(of("x-standby") + of("x-cold-start"), 20, "{answers:?}");
    assert!(of("x-standby") >= 2);
    let scrape = server.scrape();
    let counted = ["standby_taken_total", "standby_missed_total"].map(|of| scrape.of_function("burst", of));
    assert_eq!(counted, [of("x-standby") as f64, of("x-cold-start") as f64]);
    until_ready(&server, "burst", 2);
    eventually("the reserve alone is left", || (processes(&server).len() == 3).then_some(()));
}

#[test]
fn an_instance_that_is_killed_while_it_waits_costs_nobody_an_attempt() {
    let server = Server::start(&[]);
    let others = processes(&server);
    server.register(&standby("killed", "identity", 1, 1).with("maxRetries", 0));
    for nth in 0..10 {
        until_ready(&server, "killed", 1);
        let victims: Vec<i32> = processes(&server).difference(&others).copied().collect();
        for victim in victims {
            // The one that was used before may be among them, and gone by now.
            let _ = kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL);
        }
        let answer = server.invoke("killed", nth);
        assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("1")), "{answer:?}");
    }
}

#[test]
fn a_program_that_cannot_be_started_ahead_has_an_instance_started_for_each_call() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    let command = format!("test -n \"$EXECUTION_ID\" -o -e {:?} || exit 3; exec {:?}", gate.file(), faulty());
    let local = json!({ "command": ["/bin/sh", "-c", command] });
    server.register(&standby("foreign", "identity", 1, 1).with("local", local));
    let told = condition(&server, "foreign", "StandbyFailed");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("exited with status 3") && message.contains("EXECUTION_ID"), "{message}");
    for nth in 0..3 {
        let answer = server.invoke("foreign", nth);
        assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
        assert_eq!(answer.header("x-standby"), None);
    }
    // It is tried again, with pauses that grow.
    gate.open();
    condition(&server, "foreign", "ReserveReady");
    let answer = server.invoke("foreign", 1);
    assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
}

#[test]
fn an_instance_that_never_listens_is_given_up_and_calls_are_served_otherwise() {
    let server = Server::start(&["--start-timeout-ms", "300"]);
    let command = format!("test -z \"$EXECUTION_ID\" && exec sleep 1000; exec {:?}", faulty());
    let local = json!({ "command": ["/bin/sh", "-c", command] });
    server.register(&standby("deaf", "identity", 1, 1).with("local", local));
    let told = condition(&server, "deaf", "StandbyFailed");
    assert!(told["message"].as_str().unwrap().contains("--start-timeout-ms"), "{told}");
    let answer = server.invoke("deaf", 1);
    assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
    assert_eq!(server.client().delete("/v1/functions/deaf").status, 204);
    eventually("nothing of it is left", || (processes(&server).len() == 1).then_some(()));
}

#[test]
fn a_hundred_functions_with_reserves_share_the_instances_that_there_may_be() {
    let server = Server::start(&["--max-standby", "3"]);
    while_others_are_served(&server, || {
        for nth in 0..100 {
            server.register(&standby(&format!("one-{nth}"), "identity", 1, 1));
        }
    });
    eventually("as many are ahead as there may be", || (processes(&server).len() == 4).then_some(()));
    for nth in [0, 50, 99] {
        assert_eq!(server.invoke(&format!("one-{nth}"), 1).status, 200);
    }
    for nth in 0..100 {
        assert_eq!(server.client().delete(&format!("/v1/functions/one-{nth}")).status, 204);
    }
    eventually("nothing of them is left", || (processes(&server).len() == 1).then_some(()));
}

#[test]
fn an_attempt_over_its_time_ends_with_its_instance() {
    let server = Server::start(&[]);
    let specification = standby("late", "never", 1, 1).with("attemptTimeoutMs", 200).with("maxRetries", 1);
    server.register(&specification.with("concurrency", 1));
    until_ready(&server, "late", 1);
    let answer = server.invoke("late", 1);
    answer.assert_error(504, "HANDLER_TIMEOUT", "function", &["200 ms"]);
    assert_eq!(answer.header("x-attempts"), Some("2"));
    server.until_status("late", "inFlight", 0);
    until_ready(&server, "late", 1);
    eventually("nothing else is left", || (processes(&server).len() == 2).then_some(()));
}

#[test]
fn an_instance_that_crashes_with_its_execution_is_an_attempt_that_failed() {
    let server = Server::start(&[]);
    server.register(&standby("crash", "exit", 1, 1).with("maxRetries", 1));
    until_ready(&server, "crash", 1);
    let answer = server.invoke("crash", 9);
    assert_eq!(answer.header("x-attempts"), Some("2"), "{answer:?}");
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["exited with"]);
    assert!(server.function("crash")["status"]["standby"]["target"] == 1);
    condition(&server, "crash", "ReserveReady");
}

#[test]
fn a_caller_that_goes_away_and_a_cancelled_execution_leave_no_instance() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    server.register(&standby("gone", "gate", 1, 1).with("concurrency", 1));
    until_ready(&server, "gone", 1);
    let mut client = server.client();
    let id = client.enqueue("gone", gate.input());
    server.until_status("gone", "inFlight", 1);
    let cancelled = server.client().delete(&format!("/v1/executions/{id}"));
    assert_eq!(cancelled.json()["status"], "cancelled", "{cancelled:?}");
    server.until_status("gone", "inFlight", 0);
    until_ready(&server, "gone", 1);
    eventually("its process is gone", || (processes(&server).len() == 2).then_some(()));
}

#[test]
fn lines_are_the_functions_before_the_execution_and_the_executions_after() {
    let server = Server::start(&[]);
    let command = format!("echo getting ready; exec {:?}", faulty());
    let specification =
        standby("lines", "log", 1, 1).with("local", json!({ "command": ["/bin/sh", "-c", command] }));
    server.register(&specification);
    until_ready(&server, "lines", 1);
    let answer = server.invoke("lines", "\"said by the handler\"");
    let id = answer.header("x-execution-id").unwrap().to_owned();
    let mut operator = server.operator();
    let mut own = String::new();
    eventually("the line of the execution is there", || {
        own = operator.get(&format!("/v1/executions/{id}/logs")).text().to_owned();
        own.contains("said by the handler").then_some(())
    });
    assert!(!own.contains("getting ready"), "{own}");
    let all = operator.get("/v1/functions/lines/logs").text().to_owned();
    assert!(all.contains("getting ready"), "{all}");
}

#[test]
fn a_reserve_follows_the_calls_and_shrinks_to_its_least_when_there_are_none() {
    let server = Server::start(&[]);
    server.register(&standby("idle", "identity", 0, 3).with("idleTimeoutMs", 500));
    assert_eq!(
        server.function("idle")["status"]["standby"],
        json!({ "ready": 0, "starting": 0, "target": 0 })
    );
    // The second time it has been without any for a while.
    for _ in 0..2 {
        let first = server.invoke("idle", 1);
        assert_eq!((first.status, first.header("x-cold-start")), (200, Some("true")), "{first:?}");
        eventually("one is ready ahead", || {
            (server.function("idle")["status"]["standby"]["ready"] != 0).then_some(())
        });
        until_ready(&server, "idle", 0);
        eventually("its processes are gone", || (processes(&server).len() == 1).then_some(()));
    }
    let wasted = server.scrape().of_function("idle", "standby_wasted_seconds_total");
    assert!(wasted > 0.4, "{wasted}");
}

#[test]
fn there_are_no_more_instances_ahead_than_there_may_be_over_all_functions() {
    let server = Server::start(&["--max-standby", "1"]);
    server.register(&standby("first", "identity", 1, 1));
    until_ready(&server, "first", 1);
    server.register(&standby("second", "identity", 1, 1));
    let told = condition(&server, "second", "StandbyLimited");
    assert!(told["message"].as_str().unwrap().contains("--max-standby"), "{told}");
    let answer = server.invoke("second", 1);
    assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
    // A new version takes over though it has none ahead.
    let other = standby("second", "identity", 1, 1).with("timeoutMs", 29_000);
    assert_eq!(server.client().put("/v1/functions/second", &other).status, 200);
    eventually("the new version serves", || {
        let conditions = server.function("second")["status"]["conditions"].to_string();
        (!conditions.contains("Progressing")).then_some(())
    });
    assert_eq!(server.invoke("second", 1).status, 200);
    assert_eq!(server.client().delete("/v1/functions/first").status, 204);
    condition(&server, "second", "ReserveReady");
}

#[test]
fn a_new_version_has_its_reserve_before_it_takes_over_and_the_old_one_leaves_nothing() {
    let server = Server::start(&[]);
    let version = |nth: u32| {
        standby("rolled", "surroundings", 1, 1)
            .with("env", json!([{ "name": "HANDLER", "value": "identity" }, { "name": "NTH", "value": nth.to_string() }]))
            .with("maxRetries", 0)
    };
    server.register(&version(0));
    until_ready(&server, "rolled", 1);
    let before = processes(&server);
    for nth in 1..4 {
        let answer = server.client().put("/v1/functions/rolled", version(nth));
        assert_eq!(answer.status, 200, "{answer:?}");
        for _ in 0..5 {
            assert_eq!(server.invoke("rolled", 1).status, 200);
        }
    }
    until_ready(&server, "rolled", 1);
    eventually("one instance is left beside the bystander's", || {
        (processes(&server).len() == 2).then_some(())
    });
    assert!(before.intersection(&processes(&server)).count() <= 1);
    assert_eq!(server.client().delete("/v1/functions/rolled").status, 204);
    eventually("nothing of it is left", || (processes(&server).len() == 1).then_some(()));
}

#[test]
fn a_drain_lets_what_runs_end_and_takes_the_reserve_along() {
    let (server, gate) = (Server::start(&["--drain", "30"]), Gate::new());
    server.register(&standby("drained", "gate", 2, 2));
    until_ready(&server, "drained", 2);
    let mut client = server.client();
    client.ask_invoke("drained", "", gate.input());
    server.until_status("drained", "inFlight", 1);
    let there = processes(&server);
    server.signal(Signal::TERM);
    gate.open();
    assert_eq!(client.receive().status, 200);
    let end = server.end();
    assert_eq!(end.code, 0, "{end:?}");
    eventually("no process is left", || (!there.iter().any(|pid| is_there(*pid))).then_some(()));
}

#[test]
fn it_is_refused_for_other_modes_and_where_its_bounds_do_not_fit() {
    let server = Server::start(&[]);
    for (specification, part) in [
        (
            warm("a", "echo").with("standby", json!({})),
            "standby: is only for executionMode JOB, which is WARM here",
        ),
        (standby("a", "echo", 3, 2), "standby.min: must not exceed standby.max, which is 2, is 3"),
        (standby("a", "echo", 0, 0), "standby.max: must be between 1 and 1000 instances, is 0"),
        (job("a", "echo").with("standby", json!({ "mni": 1 })), "standby.mni: is not a known field"),
        (job("a", "echo").with("standby", 2), "standby: must be an object, is a whole number"),
    ] {
        let answer = server.create(&specification);
        assert!(answer.details().iter().any(|detail| detail.starts_with(part)), "{part}: {answer:?}");
    }
    let specification = job("defaults", "echo").with("standby", json!({ "min": 3 }));
    server.register(&specification);
    assert_eq!(server.function("defaults")["standby"], json!({ "min": 3, "max": 3 }));
}
