//! Faults of the pods of `WARM` functions, as callers notice them.

use serde_json::json;

use crate::pods::{condition, pods, pods_in, put, until, until_ready, warm};
use crate::pressure::Pressure;
use crate::stage::Stage;
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;

#[test]
fn an_image_that_is_not_there_leaves_the_version_before_serving_and_says_why() {
    let stage = Stage::new("no-image");
    let server = stage.server(&[]);
    put(&server, &warm("f", "echo", &json!({})));
    until_ready(&server, "f", 1);
    let pressure = Pressure::start(&server, "f", "1", 2);
    put(&server, &warm("f", "echo", &json!({ "image": "picofaas.invalid/there-is-no-such-image:1" })));
    until(&server, "f", "the status says why", |status| {
        condition(status, "Progressing").is_some()
            && condition(status, "Degraded").is_some_and(|one| one["message"].to_string().contains("Image"))
    });
    pressure.goes_on(50);
    pressure.stop();
    put(&server, &warm("f", "identity", &json!({})));
    until_ready(&server, "f", 1);
    assert_eq!(server.invoke("f", 1).output()["input"], 1);
}

#[test]
fn a_version_that_has_just_taken_over_serves_on_where_the_next_one_cannot_start() {
    let stage = Stage::new("just-ready");
    let server = stage.server(&[]);
    put(&server, &warm("f", "identity", &json!({})));
    until_ready(&server, "f", 1);
    until_probed(&stage);
    put(&server, &warm("f", "echo", &json!({})));
    eventually("the second version serves", || (server.invoke("f", 1).output() == 1).then_some(()));
    // At once: its pod says sooner that it listens than its node does.
    put(&server, &warm("f", "echo", &json!({ "image": "picofaas.invalid/there-is-no-such-image:1" })));
    until(&server, "f", "the status says why", |status| {
        condition(status, "Degraded").is_some_and(|one| one["message"].to_string().contains("Image"))
    });
    stage.until("one pod serves, and one cannot start", "pods", |all| {
        pods_in(all, "f").len() == 2 && all.len() == 2
    });
    assert_eq!(server.invoke("f", 2).output(), 2, "the pod of the version in service was taken away");
}

#[test]
fn who_waits_for_the_first_pod_of_an_image_that_is_not_there_is_told_so_at_once() {
    let stage = Stage::new("never-starts");
    let server = stage.server(&[]);
    let different = json!({
        "image": "picofaas.invalid/there-is-no-such-image:1", "replicas": { "min": 0, "max": 1 },
        "timeoutMs": 60_000, "maxRetries": 1,
    });
    put(&server, &warm("f", "echo", &different));
    server.invoke("f", 1).assert_refused(502, "NO_INSTANCE", &["Image"]);
}

#[test]
fn who_waits_for_a_pod_that_a_quota_forbids_is_told_so_and_served_when_it_does_not_any_more() {
    let stage = Stage::new("quota");
    stage.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    let server = stage.server(&[]);
    let different = json!({ "replicas": { "min": 0, "max": 1 }, "timeoutMs": 60_000, "maxRetries": 1 });
    put(&server, &warm("f", "echo", &different));
    server.invoke("f", 1).assert_refused(502, "NO_INSTANCE", &["exceeded quota"]);
    stage.kubectl(&["delete", "quota", "none"]);
    eventually("it is served", || (server.invoke("f", 1).status == 200).then_some(()));
}

#[test]
fn a_warm_pod_that_dies_tells_neither_a_caller_nor_a_reader_of_its_function_what_it_wrote() {
    let stage = Stage::new("dies");
    let server = stage.server(&[]);
    put(&server, &warm("f", "exit", &json!({ "maxRetries": 1 })));
    until_ready(&server, "f", 1);
    let answer = server.invoke("f", 1);
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &[]);
    // Its log has it, and whoever operates the function reads it there.
    let said = "ending in the middle of a request, as told";
    eventually("the function's log has it", || {
        assert!(!server.function("f").to_string().contains(said), "{}", server.function("f"));
        server.client().get("/v1/functions/f/logs").text().contains(said).then_some(())
    });
    assert!(!answer.text().contains(said), "{}", answer.text());
}

#[test]
fn a_program_that_ends_again_and_again_is_told_with_how_it_does() {
    let stage = Stage::new("crashes");
    let server = stage.server(&[]);
    put(&server, &warm("f", "exit-at-start", &json!({ "timeoutMs": 60_000, "maxRetries": 1 })));
    server.invoke("f", 1).assert_refused(502, "NO_INSTANCE", &["exit code 7"]);
}

/// A function with two pods, four callers that do not stop, and nobody who tries again for them.
fn two_pods_under_load(server: &Server) -> Pressure {
    let different = json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 8, "maxRetries": 0 });
    put(server, &warm("f", "sleep", &different));
    until_ready(server, "f", 2);
    Pressure::start(server, "f", "{\"ms\":10}", 4)
}

#[test]
fn a_pod_that_is_deleted_under_load_costs_nobody_an_answer() {
    let stage = Stage::new("deleted-pod");
    let server = stage.server(&[]);
    let pressure = two_pods_under_load(&server);
    let before = pods(&stage, "f");
    let first = before.keys().next().expect("there are two");
    stage.kubectl(&["delete", "pod", first, "--wait=true"]);
    until_ready(&server, "f", 2);
    pressure.goes_on(50);
    pressure.stop();
    assert!(!pods(&stage, "f").contains_key(first));
}

#[test]
fn a_pod_that_goes_over_its_memory_is_told_as_that_and_serves_again() {
    let stage = Stage::new("out-of-memory");
    let server = stage.server(&[]);
    let different = json!({
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "32Mi" } },
        "replicas": { "min": 1, "max": 1 }, "maxRetries": 0,
    });
    put(&server, &warm("f", "big", &different));
    until_ready(&server, "f", 1);
    server.invoke("f", "{\"bytes\":300000000}").assert_error(500, "OUT_OF_MEMORY", "function", &["32 MiB"]);
    assert_eq!(server.invoke("f", "{\"bytes\":3}").output(), "xxx");
    eventually("the pod was started again and not replaced", || {
        pods(&stage, "f").values().any(|(_, restarts)| *restarts == 1).then_some(())
    });
}

#[test]
fn a_warm_pod_that_is_evicted_costs_nobody_an_answer_and_is_replaced() {
    let stage = Stage::new("evicted-warm");
    let server = stage.server(&[]);
    let pressure = two_pods_under_load(&server);
    let before = pods(&stage, "f");
    let (first, watch) = (before.keys().next().expect("there are two"), Stopwatch::start());
    stage.evict(first);
    eventually("another pod serves in its place", || {
        let now = pods(&stage, "f");
        (now.len() == 2 && !now.contains_key(first)).then_some(())
    });
    until_ready(&server, "f", 2);
    let replaced = watch.elapsed();
    pressure.goes_on(50);
    let answers: u32 = pressure.stop().values().sum();
    println!("fault: warm pod evicted | {answers} answers, none failed, 2 pods again after {replaced:?}");
}

/// Waits until kubelet, too, has found every pod ready, which is later than we do.
fn until_probed(stage: &Stage) {
    stage.until("every pod was found ready", "pods", |pods| {
        pods.iter().all(|pod| pod["status"]["containerStatuses"][0]["ready"] == true)
    });
}

/// Which pod answers.
fn pod_of(client: &mut Client) -> String {
    let answer = client.invoke("f", "{\"variables\":[\"HOSTNAME\"]}");
    answer.output()["variables"]["HOSTNAME"].as_str().unwrap().to_owned()
}

#[test]
fn a_pod_that_is_stuck_gets_no_more_requests_and_is_restarted_while_the_other_serves() {
    let stage = Stage::new("stuck");
    let server = stage.server(&[]);
    let different = json!({
        "replicas": { "min": 2, "max": 2 }, "concurrency": 16, "attemptTimeoutMs": 5000, "timeoutMs": 60_000,
    });
    put(&server, &warm("f", "surroundings", &different));
    until_ready(&server, "f", 2);
    until_probed(&stage);
    let pressure = Pressure::start(&server, "f", "{\"ms\":10}", 4);
    let (mut frozen, watch) = (server.client(), Stopwatch::start());
    frozen.ask_invoke("f", "", "{\"freeze\":true}");
    until(&server, "f", "one of them is not ready", |status| status["ready"] == 1);
    let noticed = watch.elapsed();
    let mut client = server.client();
    let healthy = pod_of(&mut client);
    for _ in 0..50 {
        assert_eq!(pod_of(&mut client), healthy);
    }
    let answer = frozen.receive();
    assert_eq!(answer.status, 200, "{answer:?}");
    let (answered, attempts) = (watch.elapsed(), answer.header("x-attempts").unwrap().to_owned());
    eventually("its container was started again", || {
        pods(&stage, "f").iter().any(|(pod, (_, restarts))| *pod != healthy && *restarts == 1).then_some(())
    });
    until_ready(&server, "f", 2);
    let restarted = watch.elapsed();
    eventually("it serves again", || (pod_of(&mut client) != healthy).then_some(()));
    let answers: u32 = pressure.stop().values().sum();
    println!(
        "fault: warm pod stuck | noticed after {noticed:.1?}, restarted after {restarted:.1?}; the request that \
         froze it was answered after {answered:.1?} by attempt {attempts}; {answers} others were, none failed"
    );
}

#[test]
fn the_only_pod_of_a_function_that_is_stuck_is_helped_by_another() {
    let stage = Stage::new("only-stuck");
    let server = stage.server(&[]);
    let different =
        json!({ "replicas": { "min": 1, "max": 2 }, "attemptTimeoutMs": 5000, "timeoutMs": 60_000 });
    put(&server, &warm("f", "surroundings", &different));
    until_ready(&server, "f", 1);
    until_probed(&stage);
    let (mut frozen, watch) = (server.client(), Stopwatch::start());
    let stuck = pod_of(&mut server.client());
    frozen.ask_invoke("f", "", "{\"freeze\":true}");
    until(&server, "f", "it is not ready", |status| status["ready"] == 0);
    let helper = pod_of(&mut server.client());
    let helped = watch.elapsed();
    assert_ne!(helper, stuck);
    assert_eq!(frozen.receive().status, 200);
    assert_eq!(pods(&stage, "f")[&stuck].1, 0, "it was restarted before anybody was served");
    println!("fault: only warm pod stuck | another one served after {helped:.1?}");
}

#[test]
fn a_pod_that_is_stuck_before_its_node_has_found_it_ready_is_noticed_by_us() {
    let stage = Stage::new("early-stuck");
    let server = stage.server(&[]);
    let different =
        json!({ "replicas": { "min": 0, "max": 2 }, "attemptTimeoutMs": 5000, "timeoutMs": 60_000 });
    put(&server, &warm("f", "surroundings", &different));
    let watch = Stopwatch::start();
    let answer = server.invoke("f", "{\"freeze\":true,\"variables\":[\"HOSTNAME\"]}");
    let answered = watch.elapsed();
    let helper = answer.output()["variables"]["HOSTNAME"].as_str().unwrap().to_owned();
    let pods = pods(&stage, "f");
    assert_eq!(pods.len(), 2, "{pods:?}");
    assert!(pods.values().all(|(_, restarts)| *restarts == 0), "{pods:?}");
    assert!(pods.contains_key(&helper), "{pods:?}");
    let attempts = answer.header("x-attempts").unwrap();
    println!(
        "fault: warm pod stuck by its first request | attempt {attempts}, by another pod, after {answered:.1?}"
    );
}
