//! Very many functions.

use std::time::Duration;

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::{BYSTANDER, Server, command};
use crate::support::specification::{With, job, pool, warm};

const FUNCTIONS: usize = 10_000;
const MIB: f64 = (1 << 20) as f64;
/// Bytes that may be left of ten thousand functions that were deleted: pages of which a little is in use, and
/// maps that have grown.
const LEFT_BYTES_MAX: f64 = 16.0 * MIB;

fn resident_bytes(server: &Server) -> f64 {
    server.scrape().series("process_resident_memory_bytes").unwrap()
}

fn register_all(client: &mut Client, url: &str) {
    let watch = Stopwatch::start();
    for at in 0..FUNCTIONS {
        let answer = client.post("/v1/functions", pool(&format!("f-{at}"), url));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let took = watch.elapsed();
    println!("{FUNCTIONS} registered in {took:?}: {:.0} per second", FUNCTIONS as f64 / took.as_secs_f64());
}

fn delete_all(client: &mut Client) {
    for at in 0..FUNCTIONS {
        let answer = client.delete(&format!("/v1/functions/f-{at}"));
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

#[test]
fn ten_thousand_functions_come_and_go_and_their_memory_with_them() {
    // Freed memory is given back at once, so that all resident memory is in use; when the allocator would do it by
    // itself is a matter of chance.
    let mut command = command();
    command.env("MIMALLOC_PURGE_DELAY", "0");
    let anywhere = "127.0.0.1:0";
    let flags = ["--allow-local-exec", "--max-functions", "10001"];
    let server = Server::start_by(command, anywhere, anywhere, &flags);
    server.register(&warm(BYSTANDER, "echo"));
    let endpoint = Endpoint::listen();
    let mut client = server.client();
    let start = resident_bytes(&server);
    while_others_are_served(&server, || {
        // The first time also grows what stays: maps, stacks, the allocator's own.
        register_all(&mut client, &endpoint.url());
        delete_all(&mut client);
        let before = resident_bytes(&server);
        register_all(&mut client, &endpoint.url());
        let full = resident_bytes(&server);
        let listed = client.get("/v1/functions").json();
        assert_eq!(listed["functions"].as_array().unwrap().len(), FUNCTIONS + 1);
        client.ask_invoke("f-9999", "", 1);
        endpoint.next().answer(200, "\"the last\"");
        assert_eq!(client.receive().output(), "the last");
        delete_all(&mut client);
        let after = eventually("the memory of deleted functions is given back", || {
            let now = resident_bytes(&server);
            (now < before + LEFT_BYTES_MAX).then_some(now)
        });
        println!(
            "resident: {:.1} MiB at first, {:.1} MiB before, {:.1} MiB with {FUNCTIONS} functions, {:.1} MiB after",
            start / MIB,
            before / MIB,
            full / MIB,
            after / MIB
        );
        assert!(after - start < (full - start) / 2.0, "what was deleted twice is still there");
    });
    assert!(!server.scrape().text().contains("\"f-"), "a deleted function is still measured");
    let listed = server.client().get("/v1/functions").json();
    assert_eq!(listed["functions"].as_array().unwrap().len(), 1);
}

/// Functions with a reserve. Ten thousand take a debug build more than a minute.
const RESERVES: usize = 1_000;
/// Instances ahead of all functions.
const STANDBY_MAX: usize = 100;
/// Longest time of a call about functions, on a machine that runs other tests meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Time over which the processor time of a process is taken in which nobody calls.
const IDLE: Duration = Duration::from_secs(3);

/// The processes that a server has started and that are there.
fn children(server: &Server) -> usize {
    let pid = server.pid();
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().count()
}

fn cpu_seconds(server: &Server) -> f64 {
    server.scrape().series("process_cpu_seconds_total").unwrap()
}

#[test]
fn a_thousand_reserves_have_no_more_instances_than_there_may_be_and_hold_up_nobody() {
    let standby_max = STANDBY_MAX.to_string();
    let server = Server::start(&["--max-standby", &standby_max]);
    let mut client = server.client();
    let (watch, mut slowest) = (Stopwatch::start(), Duration::ZERO);
    while_others_are_served(&server, || {
        for at in 0..RESERVES {
            let function = job(&format!("f-{at}"), "identity").with("standby", json!({ "min": 1, "max": 1 }));
            let one = Stopwatch::start();
            let answer = client.post("/v1/functions", function);
            slowest = slowest.max(one.elapsed());
            assert_eq!(answer.status, 201, "{answer:?}");
            if at % 100 == 0 {
                assert!(children(&server) <= STANDBY_MAX + 1, "{} processes", children(&server));
            }
        }
    });
    let registered = watch.elapsed();
    eventually("as many are ahead as there may be", || (children(&server) == STANDBY_MAX + 1).then_some(()));
    let full = watch.elapsed();
    let before = cpu_seconds(&server);
    let mut longest = Duration::ZERO;
    let watch = Stopwatch::start();
    while watch.elapsed() < IDLE {
        let one = Stopwatch::start();
        assert_eq!(server.operator().get("/healthz").status, 200);
        longest = longest.max(one.elapsed());
        let_pass(Duration::from_millis(100));
    }
    let busy = (cpu_seconds(&server) - before) / watch.elapsed().as_secs_f64();
    let one = Stopwatch::start();
    assert_eq!(client.get("/v1/functions").json()["functions"].as_array().unwrap().len(), RESERVES + 1);
    let listed = one.elapsed();
    println!(
        "{RESERVES} reserves registered in {registered:?}, the slowest in {slowest:?}, as many as may be ahead after {full:?}; idle at {:.1} % of a core, healthz within {longest:?}; a list in {listed:?}",
        busy * 100.0
    );
    assert!(slowest < ANSWER_MAX && longest < ANSWER_MAX, "{slowest:?} {longest:?}");
    // One that has an instance, and one that has none.
    for name in ["f-0", "f-999"] {
        let answer = server.invoke(name, 1);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(children(&server) <= STANDBY_MAX + 2);
}
