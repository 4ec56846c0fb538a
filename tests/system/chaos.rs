//! Instances die under load, and nobody notices.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::client::Answer;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// Connections that invoke all the time.
const CONNECTIONS: u64 = 64;
/// One of the two instances is killed this often.
const KILL_PERIOD: Duration = Duration::from_secs(1);
/// Of all answers, the share that must be 200.
const SUCCESS_MIN: f64 = 0.999;

/// Answers that all connections saw.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// The instance that answered last.
    pid: AtomicI32,
    success: AtomicU64,
    failure: AtomicU64,
}

#[test]
fn an_instance_killed_every_second_costs_nobody_an_answer_and_loses_nothing() {
    kill_under_load(&["--max-executions", "4096"], Duration::from_secs(10), 5);
}

#[test]
fn with_several_gateways_an_instance_that_is_killed_costs_nobody_an_answer_either() {
    let flags = ["--max-executions", "4096", "--gateway-threads", "3"];
    kill_under_load(&flags, Duration::from_secs(5), 2);
}

/// Invokes on all connections for as long as `load`, while at least `kills_min` instances die.
fn kill_under_load(flags: &[&str], load: Duration, kills_min: u32) {
    let server = Server::start(flags);
    server.register(
        &warm("mortal", "identity")
            .with("replicas", json!({ "min": 2, "max": 2 }))
            .with("concurrency", 64)
            .with("instanceConcurrency", 64)
            .with("queueSize", 256)
            .with("maxRetries", 3)
            .with("retryBackoffMs", 20)
            .with("retryMaxBackoffMs", 1000)
            .with("timeoutMs", 20_000),
    );
    server.until_status("mortal", "ready", 2);

    let seen = Seen::default();
    let kills = thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (seen, server) = (&seen, &server);
            scope.spawn(move || invoke_until_over(server, connection, seen));
        }
        let kills = kill_until(load, kills_min, &server, &seen);
        seen.over.store(true, Ordering::Release);
        kills
    });

    let (success, failure) = (seen.success.load(Ordering::Relaxed), seen.failure.load(Ordering::Relaxed));
    let share = success as f64 / (success + failure) as f64;
    println!("{kills} instances killed, {success} answers 200, {failure} others: {:.4} %", share * 100.0);
    assert!(kills >= kills_min, "only {kills} instances were killed");
    assert!(share >= SUCCESS_MIN, "{failure} of {} answers were not 200", success + failure);

    server.until_status("mortal", "inFlight", 0);
    server.until_status("mortal", "queued", 0);
    let scrape = server.scrape();
    let of = |name: &str| scrape.of_function("mortal", name);
    let ended = of("success_total") + of("error_total") + of("timeout_total") + of("cancelled_total");
    assert_eq!(of("enqueued_total"), ended, "an execution was lost, or ended twice");
    assert_eq!(of("success_total"), success as f64);
    assert!(of("retries_total") > 0.0, "no attempt met a dead instance: nothing was tested");
    assert!(of("framed_total") > of("dispatched_total") * 0.9, "attempts did not go over frames");
    server.assert_others_are_served();
    let end = server.stop();
    assert_eq!(end.code, 0, "{}", end.stderr);
}

fn invoke_until_over(server: &Server, connection: u64, seen: &Seen) {
    let mut client = server.client();
    let mut number = 0_u64;
    while !seen.over.load(Ordering::Acquire) {
        number += 1;
        let input = json!({ "connection": connection, "number": number });
        let answer: Answer = client.invoke("mortal", &input);
        if answer.status == 200 {
            let output = answer.output();
            assert_eq!(output["input"], input, "an answer belongs to another request");
            let execution_id = output["executionId"].as_str().unwrap();
            assert_eq!(answer.header("x-execution-id"), Some(execution_id));
            let pid = output["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap();
            seen.pid.store(pid, Ordering::Relaxed);
            seen.success.fetch_add(1, Ordering::Relaxed);
        } else {
            println!("{answer:?}");
            seen.failure.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Kills the instance that answered last, again and again, once its predecessor was replaced; at least
/// `least` times, however long the machine takes for that. Answers how often.
fn kill_until(load: Duration, least: u32, server: &Server, seen: &Seen) -> u32 {
    let watch = Stopwatch::start();
    let mut kills = 0;
    while watch.elapsed() < load || kills < least {
        let due = watch.elapsed() + KILL_PERIOD;
        server.until_status("mortal", "ready", 2);
        let pid = eventually("an instance answers", || {
            let pid = seen.pid.swap(0, Ordering::Relaxed);
            Pid::from_raw(pid)
        });
        // The answer may be older than the instance's end.
        kills += u32::from(kill_process(pid, Signal::KILL).is_ok());
        while watch.elapsed() < due {
            thread::park_timeout(due.saturating_sub(watch.elapsed()));
        }
    }
    kills
}
