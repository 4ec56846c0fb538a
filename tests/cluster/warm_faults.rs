//! What goes wrong with the pods of `WARM` functions, and what callers notice of it.

use serde_json::json;

use crate::support::load::Load;
use crate::support::namespace::Namespace;
use crate::support::patience::eventually;
use crate::support::plane::{Plane, condition, warm};

#[test]
fn an_image_that_is_not_there_leaves_the_version_before_serving_and_says_why() {
    let Some(namespace) = Namespace::new("no-image") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "echo", &json!({})));
    plane.until_ready("f", 1);
    let load = Load::start(&plane, "f", "1", 2);
    plane.put(&warm("f", "echo", &json!({ "image": "docker.io/picofaas/none:0" })));
    plane.until("f", "the status says why", |status| {
        condition(status, "Progressing").is_some()
            && condition(status, "Degraded").is_some_and(|one| one["message"].to_string().contains("Image"))
    });
    load.goes_on(50);
    load.stop();
    plane.put(&warm("f", "identity", &json!({})));
    plane.until_ready("f", 1);
    assert_eq!(plane.invoke("f", 1).output()["input"], 1);
}

#[test]
fn who_waits_for_the_first_pod_of_an_image_that_is_not_there_is_told_so_at_once() {
    let Some(namespace) = Namespace::new("never-starts") else { return };
    let plane = Plane::start(&namespace);
    let different = json!({
        "image": "docker.io/picofaas/none:0", "replicas": { "min": 0, "max": 1 },
        "timeoutMs": 60_000, "maxRetries": 1,
    });
    plane.put(&warm("f", "echo", &different));
    plane.invoke("f", 1).assert_refused(503, "NO_INSTANCE", &["Image"]);
}

#[test]
fn who_waits_for_a_pod_that_a_quota_forbids_is_told_so_and_served_when_it_does_not_any_more() {
    let Some(namespace) = Namespace::new("quota") else { return };
    namespace.kubectl(&["create", "quota", "none", "--hard=pods=0"]);
    let plane = Plane::start(&namespace);
    let different = json!({ "replicas": { "min": 0, "max": 1 }, "timeoutMs": 60_000, "maxRetries": 1 });
    plane.put(&warm("f", "echo", &different));
    plane.invoke("f", 1).assert_refused(503, "NO_INSTANCE", &["exceeded quota"]);
    namespace.kubectl(&["delete", "quota", "none"]);
    eventually("it is served", || (plane.invoke("f", 1).status == 200).then_some(()));
}

#[test]
fn a_program_that_ends_again_and_again_is_told_with_how_it_does() {
    let Some(namespace) = Namespace::new("crashes") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "exit-at-start", &json!({ "timeoutMs": 60_000, "maxRetries": 1 })));
    plane.invoke("f", 1).assert_refused(503, "NO_INSTANCE", &["exit code 7"]);
}

#[test]
fn a_pod_that_is_deleted_under_load_costs_nobody_an_answer() {
    let Some(namespace) = Namespace::new("deleted-pod") else { return };
    let plane = Plane::start(&namespace);
    let different = json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 8, "maxRetries": 0 });
    plane.put(&warm("f", "sleep", &different));
    plane.until_ready("f", 2);
    let load = Load::start(&plane, "f", "{\"ms\":10}", 4);
    let before = namespace.pods("f");
    let first = before.keys().next().expect("there are two");
    namespace.kubectl(&["delete", "pod", first, "--wait=true"]);
    plane.until_ready("f", 2);
    load.goes_on(50);
    load.stop();
    assert!(!namespace.pods("f").contains_key(first));
}

#[test]
fn a_pod_that_goes_over_its_memory_is_told_as_that_and_serves_again() {
    let Some(namespace) = Namespace::new("out-of-memory") else { return };
    let plane = Plane::start(&namespace);
    let different = json!({
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "32Mi" } },
        "replicas": { "min": 1, "max": 1 }, "maxRetries": 0,
    });
    plane.put(&warm("f", "big", &different));
    plane.until_ready("f", 1);
    plane.invoke("f", "{\"bytes\":300000000}").assert_error(500, "OUT_OF_MEMORY", "function", &["32 MiB"]);
    assert_eq!(plane.invoke("f", "{\"bytes\":3}").output(), "xxx");
    let restarts: i64 = namespace.pods("f").values().map(|(_, restarts)| restarts).sum();
    eventually("the pod was started again and not replaced", || {
        (restarts == 1 || namespace.pods("f").values().any(|(_, restarts)| *restarts == 1)).then_some(())
    });
}
