//! `WARM` functions: from zero, under load, from one version to the next, over a restart, to the end.

use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::pods::{pods, put, until, until_ready, warm};
use crate::pressure::Pressure;
use crate::stage::{Stage, reachable, with_dollars};
use crate::support::dollars;
use crate::support::patience::{Stopwatch, eventually};

#[test]
fn from_zero_everybody_is_held_and_answered_when_the_pod_says_that_it_listens() {
    let stage = Stage::new("from-zero");
    let server = stage.server(&[]);
    put(&server, &warm("f", "echo", &json!({ "replicas": { "min": 0, "max": 1 }, "concurrency": 50 })));
    let watch = Stopwatch::start();
    let callers: Vec<_> = (0..50)
        .map(|at| {
            let mut client = server.client();
            thread::spawn(move || client.invoke("f", at).output())
        })
        .collect();
    for (at, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.join().expect("it is answered"), at);
    }
    println!("50 were answered {:?} after the first was sent to a function without a pod", watch.elapsed());
    assert_eq!(pods(&stage, "f").len(), 1);
}

#[test]
fn a_dollar_in_a_manifest_is_a_dollar_in_a_warm_pod() {
    let stage = Stage::new("dollars");
    let server = stage.server(&[]);
    put(&server, &with_dollars(&stage, "stays", "WARM"));
    until_ready(&server, "stays", 1);
    dollars::assert_seen_as_written(&server, "stays", false);
}

#[test]
fn load_brings_more_pods_and_idleness_takes_them_away_and_nobody_notices() {
    let stage = Stage::new("scaling");
    let server = stage.server(&[]);
    let different = json!({
        "replicas": { "min": 1, "max": 3 }, "concurrency": 16, "instanceConcurrency": 1, "idleTimeoutMs": 1000,
    });
    put(&server, &warm("f", "sleep", &different));
    until_ready(&server, "f", 1);
    let pressure = Pressure::start(&server, "f", "{\"ms\":20}", 4);
    until_ready(&server, "f", 3);
    pressure.goes_on(50);
    pressure.stop();
    until_ready(&server, "f", 1);
    eventually("one pod is left", || (pods(&stage, "f").len() == 1).then_some(()));
    // Where one that starts is there to go first, none that serves does.
    assert_eq!(server.invoke("f", "{\"ms\":1}").status, 200);
}

#[test]
fn a_pod_is_idle_beside_a_busy_one_where_headroom_asks_for_it_and_goes_when_no_calls_come() {
    let stage = Stage::new("headroom");
    let server = stage.server(&[]);
    let different = json!({
        "replicas": { "min": 1, "max": 3 }, "headroom": 1, "concurrency": 4, "instanceConcurrency": 1,
        "idleTimeoutMs": 1000,
    });
    put(&server, &warm("f", "sleep", &different));
    until_ready(&server, "f", 1);
    let mut client = server.client();
    // Long enough for a pod to start on a busy machine.
    client.ask_invoke("f", "", "{\"ms\":10000}");
    until_ready(&server, "f", 2);
    let answer = server.invoke("f", "{\"ms\":1}");
    let timing = answer.header("server-timing").unwrap_or_default();
    assert!(answer.status == 200 && !timing.contains("cold-"), "it waited for a start: {answer:?}");
    assert_eq!(client.receive().status, 200);
    until_ready(&server, "f", 1);
    eventually("one pod is left", || (pods(&stage, "f").len() == 1).then_some(()));
}

#[test]
fn another_revision_rolls_under_load_without_a_failed_request() {
    let stage = Stage::new("rolls");
    let server = stage.server(&[]);
    let different = json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 8, "maxRetries": 0 });
    put(&server, &warm("f", "identity", &different));
    until_ready(&server, "f", 2);
    let before = pods(&stage, "f");
    let pressure = Pressure::start(&server, "f", "7", 4);
    put(&server, &warm("f", "echo", &different));
    until_ready(&server, "f", 2);
    eventually("no pod of before is left", || {
        let pods = pods(&stage, "f");
        (pods.len() == 2 && pods.keys().all(|pod| !before.contains_key(pod))).then_some(())
    });
    pressure.goes_on(50);
    let answers = pressure.stop();
    assert_eq!(answers.len(), 2, "both revisions answered, and nothing else did: {answers:?}");
    assert_eq!(server.invoke("f", 7).output(), 7);
}

#[test]
fn a_version_that_needs_no_other_pods_keeps_those_there_are() {
    let stage = Stage::new("keeps");
    let server = stage.server(&[]);
    put(&server, &warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 4 } })));
    until_ready(&server, "f", 2);
    let before = pods(&stage, "f");
    let pressure = Pressure::start(&server, "f", "1", 2);
    put(&server, &warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 3 }, "timeoutMs": 7000 })));
    until_ready(&server, "f", 2);
    pressure.goes_on(50);
    pressure.stop();
    assert_eq!(pods(&stage, "f"), before);
}

#[test]
fn a_control_plane_that_comes_back_serves_with_the_pods_that_are_there() {
    let stage = Stage::new("restart");
    let runtime = reachable();
    let server = stage.server_at(runtime, &[]);
    let function = warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 4 } }));
    put(&server, &function);
    until_ready(&server, "f", 2);
    let before = pods(&stage, "f");
    let generation = || stage.objects("deployments")[0]["metadata"]["generation"].clone();
    let written = generation();

    server.signal(Signal::KILL);
    server.end();
    let server = stage.server_at(runtime, &[]);
    let watch = Stopwatch::start();
    put(&server, &function);
    assert_eq!(server.invoke("f", 1).output(), 1);
    println!("answered {:?} after it was registered again", watch.elapsed());
    until_ready(&server, "f", 2);

    assert_eq!(server.stop().code, 0);
    let server = stage.server_at(runtime, &[]);
    put(&server, &function);
    until_ready(&server, "f", 2);
    assert_eq!(server.invoke("f", 2).output(), 2);
    assert_eq!(pods(&stage, "f"), before);
    assert_eq!(generation(), written, "the Deployment was written again");
}

#[test]
fn pods_of_the_revision_before_serve_on_where_a_new_control_plane_brings_another() {
    let stage = Stage::new("restart-rolls");
    let runtime = reachable();
    let server = stage.server_at(runtime, &[]);
    put(&server, &warm("f", "identity", &json!({})));
    until_ready(&server, "f", 1);
    server.signal(Signal::KILL);
    server.end();
    let server = stage.server_at(runtime, &[]);
    let broken = json!({ "image": "picofaas.invalid/there-is-no-such-image:1" });
    put(&server, &warm("f", "identity", &broken));
    assert_eq!(server.invoke("f", 1).output()["input"], 1);
    put(&server, &warm("f", "echo", &json!({})));
    eventually("the new one serves", || (server.invoke("f", 2).output() == 2).then_some(()));
}

#[test]
fn a_function_that_is_deleted_takes_its_deployment_along_after_what_runs() {
    let stage = Stage::new("deleted");
    let server = stage.server(&[]);
    put(&server, &warm("f", "sleep", &json!({})));
    until_ready(&server, "f", 1);
    let mut client = server.client();
    // Long enough to be seen running on a busy machine.
    client.ask_invoke("f", "", "{\"ms\":5000}");
    until(&server, "f", "it runs", |status| status["inFlight"] == 1);
    assert_eq!(server.client().delete("/v1/functions/f").status, 204);
    assert_eq!(client.receive().status, 200, "what ran was not let finish");
    eventually("the Deployment is gone", || stage.objects("deployments").is_empty().then_some(()));
    // Another one of the name is not the one before.
    put(&server, &warm("f", "echo", &json!({})));
    assert_eq!(server.invoke("f", "\"new\"").output(), "new");
}
