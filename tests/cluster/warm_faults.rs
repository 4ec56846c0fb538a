//! What goes wrong with the pods of `WARM` functions, and what callers notice of it.

use serde_json::json;

use crate::crew::{condition, pods, put, until, until_ready, warm};
use crate::pressure::Pressure;
use crate::stage::Stage;
use crate::support::patience::eventually;

#[test]
fn an_image_that_is_not_there_leaves_the_version_before_serving_and_says_why() {
    let stage = Stage::new("no-image");
    let server = stage.server(&[]);
    put(&server, &warm("f", "echo", &json!({})));
    until_ready(&server, "f", 1);
    let pressure = Pressure::start(&server, "f", "1", 2);
    put(&server, &warm("f", "echo", &json!({ "image": "picofaas/there-is-no-such-image:1" })));
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
fn who_waits_for_the_first_pod_of_an_image_that_is_not_there_is_told_so_at_once() {
    let stage = Stage::new("never-starts");
    let server = stage.server(&[]);
    let different = json!({
        "image": "picofaas/there-is-no-such-image:1", "replicas": { "min": 0, "max": 1 },
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
fn a_program_that_ends_again_and_again_is_told_with_how_it_does() {
    let stage = Stage::new("crashes");
    let server = stage.server(&[]);
    put(&server, &warm("f", "exit-at-start", &json!({ "timeoutMs": 60_000, "maxRetries": 1 })));
    server.invoke("f", 1).assert_refused(502, "NO_INSTANCE", &["exit code 7"]);
}

#[test]
fn a_pod_that_is_deleted_under_load_costs_nobody_an_answer() {
    let stage = Stage::new("deleted-pod");
    let server = stage.server(&[]);
    let different = json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 8, "maxRetries": 0 });
    put(&server, &warm("f", "sleep", &different));
    until_ready(&server, "f", 2);
    let pressure = Pressure::start(&server, "f", "{\"ms\":10}", 4);
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
    let restarts: i64 = pods(&stage, "f").values().map(|(_, restarts)| restarts).sum();
    eventually("the pod was started again and not replaced", || {
        (restarts == 1 || pods(&stage, "f").values().any(|(_, restarts)| *restarts == 1)).then_some(())
    });
}
