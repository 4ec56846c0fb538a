//! A function is changed while it is called 500 times per second, and nobody notices.
//!
//! The load lasts 10 s, or as many as `PICOFAAS_LOAD_SECONDS` says.

use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::gate::Gate;
use crate::support::load::{Load, duration, rate_of};
use crate::support::patience::{eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::{With, pool, warm};

const PER_SECOND: u32 = 500;
const CONNECTIONS: u32 = 8;

/// A `WARM` function without a second attempt: what fails shows.
fn rolling(min: u32, max: u32) -> Value {
    warm("rolling", "identity")
        .with("replicas", json!({ "min": min, "max": max }))
        .with("maxRetries", 0)
        .with("concurrency", 16)
}

fn assert_nothing_was_repeated(server: &Server) {
    let scrape = server.scrape();
    for name in ["retries_total", "error_total", "timeout_total", "cancelled_total"] {
        assert_eq!(scrape.of_function("rolling", name), 0.0, "{name}");
    }
    assert_eq!(
        scrape.of_function("rolling", "success_total"),
        scrape.of_function("rolling", "enqueued_total")
    );
}

#[test]
fn a_new_version_under_load_fails_no_request_and_repeats_none() {
    const VERSIONS: u32 = 3;
    let server = Server::start(&[]);
    server.register(&rolling(1, 2));
    let load = Load::start(&server, "rolling", PER_SECOND, CONNECTIONS);
    let mut client = server.client();
    let mut pids = vec![client.invoke("rolling", 0).output()["pid"].clone()];
    for version in 1..=VERSIONS {
        let_pass((duration() * version / (VERSIONS + 1)).saturating_sub(load.elapsed()));
        let put = client.put("/v1/functions/rolling", rolling(1, 2).with("timeoutMs", 10_000 + version));
        assert_eq!(put.status, 200, "{put:?}");
        pids.push(eventually("another process answers", || {
            let pid = client.invoke("rolling", 0).output()["pid"].clone();
            (!pids.contains(&pid)).then_some(pid)
        }));
    }
    let_pass(duration().saturating_sub(load.elapsed()));
    // The last one has taken over, so what is answered from now on is its work.
    load.until_answered_more(2 * CONNECTIONS);
    let report = load.stop();
    for pid in pids {
        assert!(report.pids.contains(&pid.as_u64().unwrap()), "{pid} answered nobody: {report:?}");
    }
    assert_nothing_was_repeated(&server);
}

#[test]
fn scaling_down_under_load_fails_no_request_and_repeats_none() {
    let server = Server::start(&[]);
    // One at a time on an instance, so that several are used.
    let specification = rolling(4, 4).with("instanceConcurrency", 1).with("idleTimeoutMs", 100);
    server.register(&specification);
    server.until_status("rolling", "ready", 4);
    // On a busy machine fewer, of which half an instance's time is taken: else none would ever be idle.
    let per_second = rate_of(&server, "rolling", 0.5).min(PER_SECOND);
    let load = Load::start(&server, "rolling", per_second, CONNECTIONS);
    let mut client = server.client();
    let mut scale = |replicas: u32| {
        let set = client.put("/v1/functions/rolling/replicas", json!({ "replicas": replicas }));
        assert_eq!(set.status, 200, "{set:?}");
    };
    let mut downs = 0;
    while load.elapsed() < duration() || downs == 0 {
        scale(1);
        // It may be busy enough to need a second one at times.
        eventually("most instances are idle and stopped", || {
            (server.function("rolling")["status"]["replicas"].as_u64() < Some(3)).then_some(())
        });
        downs += 1;
        scale(4);
        server.until_status("rolling", "ready", 4);
    }
    let report = load.stop();
    println!("scaled down {downs} times");
    assert!(report.pids.len() > 4, "no instance took the place of another: {report:?}");
    assert_nothing_was_repeated(&server);
}

#[test]
fn a_smaller_queue_keeps_who_waits_already_and_admits_nobody_above_its_new_size() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    let shrinking = pool("shrinking", endpoint.url()).with("concurrency", 1);
    server.register(&shrinking.clone().with("queueSize", 20));
    let mut client = server.client();
    let mut ids = vec![client.enqueue("shrinking", 0)];
    let mut request = endpoint.next();
    ids.extend((1..=20).map(|input| client.enqueue("shrinking", input)));
    server.until_status("shrinking", "queued", 20);

    let put = client.put("/v1/functions/shrinking", shrinking.with("queueSize", 5));
    assert_eq!(put.status, 200, "{put:?}");
    // PUT answers before the new version takes over; until then the old one refuses.
    eventually("the new version refuses", || {
        let refused = client.post("/v1/functions/shrinking:enqueue", "{\"input\":21}");
        refused.assert_refused(429, "QUEUE_FULL", &[]);
        refused.message().contains("queueSize 5").then_some(())
    });
    // Sixteen of those who were there have to go before there is room for one more.
    for input in 1..=16 {
        request.answer(200, "\"done\"");
        request = endpoint.next();
        assert_eq!(request.body, format!("{{\"input\":{input}}}"));
        server.until_status("shrinking", "queued", 20 - input);
        if input < 16 {
            let refused = client.post("/v1/functions/shrinking:enqueue", "{\"input\":21}");
            refused.assert_refused(429, "QUEUE_FULL", &["queueSize 5"]);
        }
    }
    ids.push(client.enqueue("shrinking", 21));
    for input in 17..=21 {
        request.answer(200, "\"done\"");
        request = endpoint.next();
        assert_eq!(request.body, format!("{{\"input\":{input}}}"));
    }
    request.answer(200, "\"done\"");
    for id in ids {
        assert_eq!(client.ended(&id)["output"], "done");
    }
}

#[test]
fn a_lower_concurrency_under_load_loses_nothing_and_holds_once_the_old_version_is_done() {
    let (server, first, others) = (Server::start(&[]), Gate::new(), Gate::new());
    let narrowing = |concurrency: u32| {
        warm("narrowing", "gate")
            .with("concurrency", concurrency)
            .with("queueSize", 1000)
            .with("timeoutMs", 120_000)
            .with("maxRetries", 0)
    };
    server.register(&narrowing(20));
    let mut client = server.client();
    let mut ids: Vec<String> = (0..20).map(|_| client.enqueue("narrowing", first.input())).collect();
    ids.extend((0..40).map(|_| client.enqueue("narrowing", others.input())));
    server.until_status("narrowing", "inFlight", 20);
    let put = client.put("/v1/functions/narrowing", narrowing(3));
    assert_eq!(put.status, 200, "{put:?}");
    ids.extend((0..20).map(|_| client.enqueue("narrowing", others.input())));
    first.open();
    eventually("the new version runs alone, and works", || {
        let function = server.function("narrowing");
        (function["concurrency"] == 3 && function["status"]["inFlight"] == 3).then_some(())
    });
    others.open();
    // It can only have become more: then the limit did not hold.
    while server.function("narrowing")["status"]["queued"].as_u64() > Some(0) {
        let in_flight = server.function("narrowing")["status"]["inFlight"].as_u64();
        assert!(in_flight <= Some(3), "{in_flight:?} at once");
    }
    for id in ids {
        assert_eq!(client.ended(&id)["status"], "success");
    }
    assert_eq!(server.scrape().of_function("narrowing", "retries_total"), 0.0);
}
