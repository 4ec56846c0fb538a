//! `WARM` functions: from zero, under load, from one version to the next, over a restart, to the end.

use std::thread;

use serde_json::json;

use crate::support::load::Load;
use crate::support::namespace::Namespace;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::plane::{Plane, warm};

#[test]
fn from_zero_everybody_is_held_and_answered_when_the_pod_says_that_it_listens() {
    let Some(namespace) = Namespace::new("from-zero") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "echo", &json!({ "replicas": { "min": 0, "max": 1 }, "concurrency": 50 })));
    let watch = Stopwatch::start();
    let callers: Vec<_> = (0..50)
        .map(|at| {
            let mut client = plane.client();
            thread::spawn(move || client.invoke("f", at).output())
        })
        .collect();
    for (at, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.join().expect("it is answered"), at);
    }
    println!("50 were answered {:?} after the first was sent to a function without a pod", watch.elapsed());
    assert_eq!(namespace.pods("f").len(), 1);
}

#[test]
fn load_brings_more_pods_and_idleness_takes_them_away_and_nobody_notices() {
    let Some(namespace) = Namespace::new("scaling") else { return };
    let plane = Plane::start(&namespace);
    let different = json!({
        "replicas": { "min": 1, "max": 3 }, "concurrency": 16, "instanceConcurrency": 1, "idleTimeoutMs": 1000,
    });
    plane.put(&warm("f", "sleep", &different));
    plane.until_ready("f", 1);
    let load = Load::start(&plane, "f", "{\"ms\":20}", 4);
    plane.until_ready("f", 3);
    load.goes_on(50);
    load.stop();
    plane.until_ready("f", 1);
    eventually("one pod is left", || (namespace.pods("f").len() == 1).then_some(()));
    // Where one that starts is there to go first, none that serves does.
    assert_eq!(plane.invoke("f", "{\"ms\":1}").status, 200);
}

#[test]
fn another_revision_rolls_under_load_without_a_failed_request() {
    let Some(namespace) = Namespace::new("rolls") else { return };
    let plane = Plane::start(&namespace);
    let different = json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 8, "maxRetries": 0 });
    plane.put(&warm("f", "identity", &different));
    plane.until_ready("f", 2);
    let before = namespace.pods("f");
    let load = Load::start(&plane, "f", "7", 4);
    plane.put(&warm("f", "echo", &different));
    plane.until_ready("f", 2);
    eventually("no pod of before is left", || {
        let pods = namespace.pods("f");
        (pods.len() == 2 && pods.keys().all(|pod| !before.contains_key(pod))).then_some(())
    });
    load.goes_on(50);
    let answers = load.stop();
    assert_eq!(answers.len(), 2, "both revisions answered, and nothing else did: {answers:?}");
    assert_eq!(plane.invoke("f", 7).output(), 7);
}

#[test]
fn a_version_that_needs_no_other_pods_keeps_those_there_are() {
    let Some(namespace) = Namespace::new("keeps") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 4 } })));
    plane.until_ready("f", 2);
    let before = namespace.pods("f");
    let load = Load::start(&plane, "f", "1", 2);
    plane.put(&warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 3 }, "timeoutMs": 7000 })));
    plane.until_ready("f", 2);
    load.goes_on(50);
    load.stop();
    assert_eq!(namespace.pods("f"), before);
}

#[test]
fn a_control_plane_that_comes_back_serves_with_the_pods_that_are_there() {
    let Some(namespace) = Namespace::new("restart") else { return };
    let plane = Plane::start(&namespace);
    let function = warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 4 } }));
    plane.put(&function);
    plane.until_ready("f", 2);
    let before = namespace.pods("f");
    let generation = |namespace: &Namespace| {
        namespace.try_get("deployment/fn-f").expect("it is there")["metadata"]["generation"].clone()
    };
    let written = generation(&namespace);

    let plane = plane.killed_and_started_again(&namespace);
    let watch = Stopwatch::start();
    plane.put(&function);
    assert_eq!(plane.invoke("f", 1).output(), 1);
    println!("answered {:?} after it was registered again", watch.elapsed());
    plane.until_ready("f", 2);

    let plane = plane.stopped_and_started_again(&namespace);
    plane.put(&function);
    plane.until_ready("f", 2);
    assert_eq!(plane.invoke("f", 2).output(), 2);
    assert_eq!(namespace.pods("f"), before);
    assert_eq!(generation(&namespace), written, "the Deployment was written again");
}

#[test]
fn pods_of_the_revision_before_serve_on_where_a_new_control_plane_brings_another() {
    let Some(namespace) = Namespace::new("restart-rolls") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "identity", &json!({})));
    plane.until_ready("f", 1);
    let plane = plane.killed_and_started_again(&namespace);
    let broken = json!({ "image": "docker.io/picofaas/none:0" });
    plane.put(&warm("f", "identity", &broken));
    assert_eq!(plane.invoke("f", 1).output()["input"], 1);
    plane.put(&warm("f", "echo", &json!({})));
    eventually("the new one serves", || (plane.invoke("f", 2).output() == 2).then_some(()));
}

#[test]
fn a_function_that_is_deleted_takes_its_deployment_along_after_what_runs() {
    let Some(namespace) = Namespace::new("deleted") else { return };
    let plane = Plane::start(&namespace);
    plane.put(&warm("f", "sleep", &json!({})));
    plane.until_ready("f", 1);
    let mut client = plane.client();
    client.ask_invoke("f", "", "{\"ms\":700}");
    plane.until("f", "it runs", |status| status["inFlight"] == 1);
    assert_eq!(plane.client().delete("/v1/functions/f").status, 204);
    assert_eq!(client.receive().status, 200, "what ran was not let finish");
    eventually("the Deployment is gone", || namespace.try_get("deployment/fn-f").is_none().then_some(()));
    // Another one of the name is not the one before.
    plane.put(&warm("f", "echo", &json!({})));
    assert_eq!(plane.invoke("f", "\"new\"").output(), "new");
}
