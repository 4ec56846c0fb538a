//! A pod by what it says itself and what the watch shows.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::id::Token;

fn address() -> SocketAddr {
    "10.1.2.3:8080".parse().expect("an address")
}

/// A pod whose container is in `state` after `restarts`, the one before having ended in `last`.
fn pod(ready: bool, state: &Value, restarts: i32, last: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "fn-a-1", "labels": { "picofaas.dev/revision": "r1" } },
        "spec": { "containers": [{
            "name": "function",
            "env": [{ "name": "PICOFAAS_TOKEN", "value": "00000000000000010000000000000002" }],
            "resources": { "limits": { "memory": "64Mi" } },
        }] },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{
                "name": "function", "image": "i", "imageID": "", "ready": ready,
                "restartCount": restarts, "state": state, "lastState": last,
            }],
        },
    }))
    .expect("a pod")
}

fn seen(pod: &Pod) -> ObservedPod {
    ObservedPod::of(pod).expect("a pod of ours")
}

fn running() -> Value {
    json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } })
}

fn killed() -> Value {
    json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } })
}

const OUT_OF_MEMORY: Option<Exit> = Some(Exit::OutOfMemory { limit: 0 });

fn new() -> TrackedPod {
    TrackedPod::new("r1".to_owned())
}

#[test]
fn a_pod_serves_as_soon_as_either_says_so_and_the_other_changes_nothing() {
    let mut tracked = new();
    assert_eq!(tracked.announced(address()), PodChange::Up);
    assert_eq!(tracked.observe(seen(&pod(false, &running(), 0, &json!({})))), PodChange::Nothing);
    assert_eq!(tracked.observe(seen(&pod(true, &running(), 0, &json!({})))), PodChange::Nothing);
    assert_eq!(tracked.state, PodState::Serving);

    let mut tracked = new();
    assert_eq!(tracked.observe(seen(&pod(false, &running(), 0, &json!({})))), PodChange::Nothing);
    assert_eq!(tracked.observe(seen(&pod(true, &running(), 0, &json!({})))), PodChange::Up);
    assert_eq!(tracked.address, Some(address()));
}

#[test]
fn what_an_announcement_says_of_the_address_does_not_count_where_the_watch_has_shown_it() {
    let mut tracked = new();
    tracked.observe(seen(&pod(false, &running(), 0, &json!({}))));
    tracked.announced("10.9.9.9:1".parse().expect("an address"));
    assert_eq!(tracked.address, Some(address()));
    let mut tracked = new();
    tracked.announced("10.9.9.9:1".parse().expect("an address"));
    let change = tracked.observe(seen(&pod(false, &running(), 0, &json!({}))));
    assert_eq!((change, tracked.address), (PodChange::Restarted(None), Some(address())));
}

#[test]
fn a_container_that_was_killed_is_told_with_its_reason_and_serves_again_when_it_says_so() {
    let mut tracked = new();
    tracked.announced(address());
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    let change = tracked.observe(seen(&pod(false, &killed(), 0, &json!({}))));
    assert_eq!(change, PodChange::Down(OUT_OF_MEMORY));
    let problem = tracked.problem.clone().expect("a reason");
    assert!(problem.text.contains("64Mi") && !problem.permanent, "{problem:?}");
    assert_eq!(tracked.announced(address()), PodChange::Up);
    assert_eq!(tracked.problem, None);
}

#[test]
fn an_end_is_noticed_though_its_container_was_never_seen_to_run() {
    let mut tracked = new();
    tracked.announced(address());
    let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
    assert_eq!(tracked.observe(seen(&pod(false, &creating, 0, &json!({})))), PodChange::Nothing);
    let change = tracked.observe(seen(&pod(false, &killed(), 0, &json!({}))));
    assert_eq!(change, PodChange::Down(OUT_OF_MEMORY));
    // Nor is how it ended lost where it was lost for another reason before.
    let mut tracked = new();
    tracked.announced(address());
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    assert_eq!(tracked.observe(seen(&pod(false, &running(), 0, &json!({})))), PodChange::Down(None));
    let change = tracked.observe(seen(&pod(false, &killed(), 0, &json!({}))));
    assert_eq!(change, PodChange::ProblemChanged(OUT_OF_MEMORY));
}

#[test]
fn an_end_that_nobody_saw_is_known_by_the_restart() {
    let mut tracked = new();
    tracked.announced(address());
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    let change = tracked.observe(seen(&pod(false, &running(), 1, &killed())));
    assert_eq!(change, PodChange::Down(OUT_OF_MEMORY));
    assert_eq!(tracked.answered(), PodChange::Up);
    let change = tracked.observe(seen(&pod(true, &running(), 2, &killed())));
    assert_eq!(change, PodChange::Restarted(OUT_OF_MEMORY));
    assert_eq!(tracked.state, PodState::Serving);
}

#[test]
fn a_container_that_starts_anew_says_so_before_the_watch_does() {
    let mut tracked = new();
    tracked.announced(address());
    assert_eq!(tracked.announced(address()), PodChange::Restarted(None));
}

#[test]
fn a_pod_that_runs_and_has_not_said_so_is_asked_and_one_that_does_not_is_waited_for() {
    let mut tracked = new();
    tracked.observe(seen(&pod(false, &running(), 0, &json!({}))));
    assert!(tracked.may_serve());
    assert_eq!(tracked.answered(), PodChange::Up);
    assert!(!tracked.may_serve(), "it serves already");
    let mut tracked = new();
    tracked.observe(seen(&pod(false, &json!({ "waiting": { "reason": "PodInitializing" } }), 0, &json!({}))));
    assert!(!tracked.may_serve());
}

#[test]
fn a_pod_that_is_not_ready_any_more_is_lost_until_it_answers() {
    let mut tracked = new();
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    assert_eq!(tracked.observe(seen(&pod(false, &running(), 0, &json!({})))), PodChange::Down(None));
    assert_eq!(tracked.state, PodState::Unknown);
    assert!(tracked.stuck, "it runs and does not answer");
    assert_eq!(tracked.answered(), PodChange::Up);
    assert!(!tracked.stuck);
    // Started anew, it is no more stuck than any other that starts.
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    tracked.observe(seen(&pod(false, &running(), 0, &json!({}))));
    tracked.observe(seen(&pod(false, &running(), 1, &killed())));
    assert!(!tracked.stuck && tracked.state == PodState::Unknown);
}

#[test]
fn a_pod_that_serves_on_its_own_word_is_lost_where_it_does_not_answer() {
    let mut tracked = new();
    tracked.announced(address());
    tracked.observe(seen(&pod(false, &running(), 0, &json!({}))));
    assert!(tracked.needs_probe());
    assert_eq!(tracked.unanswered(), PodChange::Down(None));
    assert!(tracked.stuck && !tracked.needs_probe());
    let mut tracked = new();
    tracked.announced(address());
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    assert_eq!(tracked.unanswered(), PodChange::Nothing, "its node asks it");
}

#[test]
fn a_pod_beside_a_sidecar_that_is_not_ready_is_lost_where_it_does_not_answer_though_its_node_says_nothing() {
    let mut beside = pod(true, &running(), 0, &json!({}));
    let mut conditions = beside.status.take().expect("a status");
    let ready = &mut conditions.conditions.as_mut().expect("conditions")[0];
    ready.status = "False".to_owned();
    ready.reason = Some("ContainersNotReady".to_owned());
    beside.status = Some(conditions);
    let mut tracked = new();
    assert_eq!(tracked.observe(seen(&beside)), PodChange::Up, "another container is none of its affair");
    assert!(tracked.needs_probe(), "nothing would tell that its node is lost");
    assert_eq!(tracked.unanswered(), PodChange::Down(None));
    assert_eq!(tracked.observe(seen(&beside)), PodChange::Nothing, "it was told before that it was lost");
    assert_eq!(tracked.state, PodState::Unknown);
    assert_eq!(tracked.answered(), PodChange::Up);
    tracked.observe(seen(&pod(true, &running(), 0, &json!({}))));
    assert!(!tracked.needs_probe(), "its node asks it and would tell");
}

#[test]
fn a_pod_that_is_being_deleted_never_serves_again() {
    let mut tracked = new();
    tracked.announced(address());
    let mut leaving = pod(true, &running(), 0, &json!({}));
    let value = json!("2026-01-01T00:00:00Z");
    leaving.metadata.deletion_timestamp = serde_json::from_value(value).expect("a time");
    assert_eq!(tracked.observe(seen(&leaving)), PodChange::Down(None));
    assert_eq!(tracked.announced(address()), PodChange::Nothing);
    assert_eq!(tracked.observe(seen(&leaving)), PodChange::Nothing);
    assert!(!tracked.counts());
}

#[test]
fn why_a_pod_does_not_start_is_kept_until_it_does() {
    let mut tracked = new();
    let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
    assert_eq!(tracked.observe(seen(&pod(false, &waiting, 0, &json!({})))), PodChange::ProblemChanged(None));
    assert!(tracked.problem.as_ref().is_some_and(|problem| problem.permanent));
    assert_eq!(tracked.observe(seen(&pod(false, &waiting, 0, &json!({})))), PodChange::Nothing, "told twice");
    let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
    tracked.observe(seen(&pod(false, &creating, 0, &json!({}))));
    assert!(tracked.problem.is_some());
    assert_eq!(tracked.announced(address()), PodChange::Up);
    assert_eq!(tracked.problem, None);
}

#[test]
fn a_container_that_crashes_before_it_listens_is_hopeless_only_when_it_does_so_again_and_again() {
    let mut tracked = new();
    let crashed = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
    let exit = Some(Exit::Code(3));
    assert_eq!(tracked.observe(seen(&pod(false, &crashed, 0, &json!({})))), PodChange::ProblemChanged(exit));
    assert!(tracked.problem.as_ref().is_some_and(|problem| !problem.permanent));
    let looping = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    assert_eq!(tracked.observe(seen(&pod(false, &looping, 1, &crashed))), PodChange::ProblemChanged(exit));
    let problem = tracked.problem.clone().expect("a reason");
    assert!(problem.permanent && problem.text.contains("exit code 3"), "{problem:?}");
}

#[test]
fn what_no_deployment_of_ours_made_is_not_looked_at() {
    let mut other = pod(true, &running(), 0, &json!({}));
    other.metadata.labels = None;
    assert_eq!(ObservedPod::of(&other), None);
    assert_eq!(seen(&pod(true, &running(), 0, &json!({}))).token, Some(Token { high: 1, low: 2 }));
}
