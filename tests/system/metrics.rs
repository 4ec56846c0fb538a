//! Counters and gauges of `/metrics`.

use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::scrape::Scrape;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

#[test]
fn every_family_of_the_contract_is_there_with_its_type() {
    let server = Server::start(&[]);
    server.assert_others_are_served();
    let scrape = server.scrape();
    let of_functions = [
        ("enqueued_total", "counter"),
        ("dispatched_total", "counter"),
        ("framed_total", "counter"),
        ("success_total", "counter"),
        ("error_total", "counter"),
        ("timeout_total", "counter"),
        ("cancelled_total", "counter"),
        ("retries_total", "counter"),
        ("rejected_total", "counter"),
        ("cold_starts_total", "counter"),
        ("late_results_total", "counter"),
        ("latency_seconds", "histogram"),
        ("queue_wait_seconds", "histogram"),
        ("execution_seconds", "histogram"),
        ("overhead_seconds", "histogram"),
        ("cold_start_seconds", "histogram"),
        ("queue_depth", "gauge"),
        ("in_flight", "gauge"),
        ("replicas", "gauge"),
        ("ready_replicas", "gauge"),
    ];
    for (name, kind) in of_functions {
        assert!(scrape.has_family(&format!("picofaas_function_{name}"), kind), "no {kind} {name}");
    }
    for (name, kind) in [
        ("picofaas_scheduler_parked", "gauge"),
        ("picofaas_scheduler_ticks_total", "counter"),
        ("picofaas_scheduler_tick_seconds", "histogram"),
        ("picofaas_executions_retained", "gauge"),
        ("picofaas_connections", "gauge"),
        ("picofaas_build_info", "gauge"),
        ("process_cpu_seconds_total", "counter"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_max_fds", "gauge"),
        ("process_start_time_seconds", "gauge"),
        ("process_threads", "gauge"),
    ] {
        assert!(scrape.has_family(name, kind), "no {kind} {name}");
    }
    assert_eq!(scrape.of_function(BYSTANDER, "ready_replicas"), 1.0);
    assert_eq!(scrape.of_function(BYSTANDER, "latency_seconds_count"), 1.0);
}

#[test]
fn passes_of_the_scheduler_that_had_something_to_do_are_timed_and_idle_ones_are_not() {
    for policy in ["spin", "adaptive", "park"] {
        let server = Server::start(&["--scheduler", policy]);
        let count = |scrape: &Scrape| scrape.series("picofaas_scheduler_tick_seconds_count").unwrap();
        let before = count(&server.scrape());
        for _ in 0..20 {
            server.assert_others_are_served();
        }
        let scrape = server.scrape();
        let timed = count(&scrape) - before;
        // Each invocation is admitted in one pass and ended in another; a timer is a pass of its own.
        assert!((20.0..=200.0).contains(&timed), "{policy}: {timed} for 20 invocations");
        let ticks = scrape.series("picofaas_scheduler_ticks_total").unwrap();
        assert!(ticks >= count(&scrape), "{policy}: {ticks} in all");
        let sum = scrape.series("picofaas_scheduler_tick_seconds_sum").unwrap();
        assert!(sum > 0.0 && sum < 10.0, "{policy}: {sum} s");
    }
}

#[test]
fn histograms_are_made_at_first_use_and_are_cumulative() {
    let server = Server::start(&[]);
    server.register(&pool("unused", "http://127.0.0.1:9"));
    for _ in 0..5 {
        server.assert_others_are_served();
    }
    let scrape = server.scrape();
    assert!(!scrape.text().contains("latency_seconds_bucket{function=\"unused\""));
    let prefix = format!("picofaas_function_latency_seconds_bucket{{function=\"{BYSTANDER}\",le=");
    let counts: Vec<f64> = scrape
        .text()
        .lines()
        .filter(|line| line.starts_with(&prefix))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(counts.len() >= 20 && counts.is_sorted() && counts.last() == Some(&5.0), "{counts:?}");
    let sum = scrape.of_function(BYSTANDER, "latency_seconds_sum");
    assert!(sum > 0.0 && sum < 30.0, "{sum} s");
}

#[test]
fn everything_that_was_enqueued_ended_in_exactly_one_way() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    let specification = pool("ends", endpoint.url()).with("concurrency", 1).with("maxRetries", 1);
    server.register(&specification);
    let mut client = server.client();
    // Two successes, one of them promised; one error after a retry; one 4xx; one time-out while it
    // runs; one cancelled while it waits.
    client.ask_invoke("ends", "", 1);
    endpoint.next().answer(200, "1");
    assert_eq!(client.receive().status, 200);
    let id = client.enqueue("ends", 2);
    endpoint.next().answer(200, "2");
    assert_eq!(client.ended(&id)["status"], "success");
    client.ask_invoke("ends", "", 3);
    endpoint.next().answer(500, "{}");
    endpoint.next().answer(500, "{}");
    assert_eq!(client.receive().status, 500);
    client.ask_invoke("ends", "", 4);
    endpoint.next().answer(400, "{}");
    assert_eq!(client.receive().status, 400);
    client.ask_invoke("ends", "x-timeout-ms: 2000\r\n", 5);
    let never = endpoint.next();
    assert_eq!(client.receive().status, 504);
    never.until_closed();
    client.ask_invoke("ends", "", 6);
    let held = endpoint.next();
    let mut leaving = server.client();
    leaving.ask_invoke("ends", "", 7);
    server.until_status("ends", "queued", 1);
    leaving.hang_up();
    eventually("the cancelled one is counted", || {
        (server.scrape().of_function("ends", "cancelled_total") == 1.0).then_some(())
    });
    held.answer(200, "6");
    assert_eq!(client.receive().status, 200);

    let scrape = server.scrape();
    let value = |name: &str| scrape.of_function("ends", name);
    let ends = ["success_total", "error_total", "timeout_total", "cancelled_total"].map(value);
    assert_eq!(ends, [3.0, 2.0, 1.0, 1.0]);
    assert_eq!(value("enqueued_total"), ends.iter().sum::<f64>());
    assert_eq!((value("dispatched_total"), value("retries_total")), (7.0, 1.0));
    assert_eq!(value("latency_seconds_count"), 7.0);
    server.until_status("ends", "inFlight", 0);
    server.until_status("ends", "queued", 0);
}

#[test]
fn counts_outlive_a_replaced_version_and_end_with_the_function() {
    let server = Server::start(&[]);
    server.register(&warm("kept", "echo"));
    assert_eq!(server.invoke("kept", 1).output(), 1);
    let mut client = server.client();
    assert_eq!(client.put("/v1/functions/kept", warm("kept", "identity")).status, 200);
    eventually("the new version answers", || server.invoke("kept", 2).output()["pid"].is_u64().then_some(()));
    assert!(server.scrape().of_function("kept", "success_total") >= 2.0);
    assert_eq!(client.delete("/v1/functions/kept").status, 204);
    assert!(!server.scrape().text().contains("\"kept\""));
    server.register(&warm("kept", "echo"));
    assert_eq!(server.scrape().of_function("kept", "success_total"), 0.0);
    assert_eq!(server.function("kept")["status"]["inFlight"], json!(0));
}

#[test]
fn operators_have_a_page_that_calls_nobody_else_and_the_state_of_the_process() {
    let server = Server::start(&["--max-body", "4096"]);
    let mut operator = server.operator();
    let page = operator.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "it names another host");
    let state = operator.get("/debug/state").json();
    assert_eq!((&state["functions"], &state["draining"]), (&1.into(), &false.into()));
    let settings = &state["settings"];
    assert_eq!((&settings["max-body"], &settings["keep-alive"]), (&4096.into(), &75.into()), "{state}");
    assert_eq!((&settings["scheduler"], &settings["kubeconfig"]), (&"auto".into(), &Value::Null), "{state}");
    assert!(matches!(state["scheduler"]["policy"].as_str(), Some("spin" | "adaptive" | "park")), "{state}");
    assert!(!state.to_string().contains("Some(") && !state.to_string().contains("ServeArgs"), "{state}");
    assert_eq!(state["gateways"].as_array().unwrap().len(), 1);
    for path in ["/", "/debug/state"] {
        server.client().get(path).assert_refused(404, "NOT_FOUND", &["--management-listen"]);
    }
}

#[test]
fn histograms_reach_from_10_microseconds_to_300_seconds() {
    let server = Server::start(&[]);
    server.assert_others_are_served();
    let scrape = server.scrape();
    for name in ["latency", "queue_wait", "execution", "overhead", "cold_start"] {
        let prefix = format!("picofaas_function_{name}_seconds_bucket{{function=\"{BYSTANDER}\",le=\"");
        let bounds: Vec<f64> = scrape
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split('"').next()?.parse().ok())
            .collect();
        let (most, finite) = bounds.split_last().unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((finite.first(), finite.last()), (Some(&1e-5), Some(&300.0)), "{name}");
        assert!(most.is_infinite() && bounds.is_sorted(), "{bounds:?}");
    }
}
