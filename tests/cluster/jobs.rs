//! `JOB`: a Job of Kubernetes for each attempt, and why one ends without a result.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Stage, in_pods, with_dollars};
use crate::support::client::Answer;
use crate::support::dollars;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::specification::With;

fn once(name: &str, handler: &str) -> Value {
    in_pods(name, "JOB", handler).with("maxRetries", 0)
}

/// Asserts that an attempt ended long before its deadline, with a code of the contract.
#[track_caller]
fn assert_ended_at_once(answer: &Answer, took: Duration, code: &str, parts: &[&str]) {
    let error = &answer.json()["error"];
    assert_eq!(error["code"], code, "{answer:?}");
    for part in parts {
        assert!(error["message"].as_str().unwrap().contains(part), "no {part:?} in {error}");
    }
    assert!(took < Duration::from_secs(25), "after {took:?}");
}

#[test]
fn an_invocation_runs_in_a_job_of_its_own_whose_objects_say_what_they_are_for() {
    let stage = Stage::new("job");
    let server = stage.server(&[]);
    server.register(&in_pods("identity", "JOB", "identity"));
    let answer = server.invoke("identity", "{\"a\":1}");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.output()["input"], json!({ "a": 1 }));
    assert_eq!(answer.header("x-cold-start"), Some("true"));
    let id = answer.json()["executionId"].as_str().unwrap().to_owned();
    let jobs = stage.objects("jobs");
    assert_eq!(jobs.len(), 1);
    let (metadata, spec) = (&jobs[0]["metadata"], &jobs[0]["spec"]);
    let name = metadata["name"].as_str().unwrap();
    assert!(name.starts_with("fn-identity-") && name.ends_with("-1"), "{name}");
    for labels in [&metadata["labels"], &spec["template"]["metadata"]["labels"]] {
        assert_eq!(labels["app.kubernetes.io/managed-by"], "picofaas");
        assert_eq!(labels["picofaas.dev/function"], "identity");
        assert_eq!(labels["picofaas.dev/execution-id"], id.as_str());
    }
    assert_eq!(spec["backoffLimit"], 0);
    assert_eq!(spec["ttlSecondsAfterFinished"], 600);
    assert_eq!(spec["template"]["spec"]["automountServiceAccountToken"], false);
    let whole = jobs[0].to_string();
    assert!(!whole.contains("{\\\"a\\\":1}"), "the payload is in the Job: {whole}");
    stage.until("the Job is complete", "jobs", |jobs| jobs[0]["status"]["succeeded"] == 1);
}

#[test]
fn a_dollar_in_a_manifest_or_from_a_client_is_a_dollar_in_the_pod_of_a_job() {
    let stage = Stage::new("dollars");
    let server = stage.server(&[]);
    server.register(&with_dollars(&stage, "once", "JOB"));
    dollars::assert_seen_as_written(&server, "once", true);
}

#[test]
fn each_attempt_has_a_job_and_a_failure_of_the_function_is_tried_again() {
    let stage = Stage::new("attempts");
    let server = stage.server(&[]);
    server.register(&in_pods("fails", "JOB", "status").with("maxRetries", 1));
    let answer = server.invoke("fails", "{\"status\":500,\"code\":\"BROKEN\",\"message\":\"m\"}");
    assert_eq!(answer.status, 500, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "BROKEN");
    assert_eq!(answer.header("x-attempts"), Some("2"));
    let names: Vec<String> = stage
        .objects("jobs")
        .iter()
        .map(|job| job["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].ends_with("-1") && names[1].ends_with("-2"), "{names:?}");
}

#[test]
fn a_pod_that_will_not_run_or_dies_ends_its_attempt_at_once_and_the_code_says_why() {
    let stage = Stage::new("deaths");
    let server = stage.server(&[]);
    let missing = once("missing", "echo").with("image", "picofaas.invalid/there-is-no-such-image:1");
    let command = once("command", "echo").with("command", json!(["/no/such/program"]));
    let memory = once("memory", "big").with("resources", json!({ "limits": { "memory": "64Mi" } }));
    let secret = once("secret", "echo").with(
        "env",
        json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "no-such", "key": "k" } } }]),
    );
    for (function, input, code, parts) in [
        (missing, "1", "IMAGE_UNAVAILABLE", ["there-is-no-such-image", ""]),
        (once("crash", "exit"), "1", "INSTANCE_CRASHED", ["exit code 3", ""]),
        (command, "1", "CONTAINER_CONFIG", ["/no/such/program", "no such file"]),
        (memory, "{\"bytes\":300000000}", "OUT_OF_MEMORY", ["64Mi", "resources.limits.memory"]),
        // A node that is busy says that it waits for the secret, and not which one.
        (secret, "1", "CONTAINER_CONFIG", ["secret", ""]),
    ] {
        server.register(&function);
        let watch = Stopwatch::start();
        let answer = server.invoke(function["name"].as_str().unwrap(), input);
        assert_ended_at_once(&answer, watch.elapsed(), code, &parts);
    }
}

#[test]
fn a_quota_and_an_admission_rule_end_an_attempt_at_once_in_the_words_of_the_api_server() {
    let stage = Stage::new("quota");
    stage.kubectl(&["create", "quota", "few", "--hard=pods=0"]);
    let server = stage.server(&[]);
    server.register(&once("over", "echo"));
    let watch = Stopwatch::start();
    let answer = server.invoke("over", "1");
    assert_ended_at_once(&answer, watch.elapsed(), "QUOTA_EXCEEDED", &["few", "pods=1"]);
    stage.kubectl(&["delete", "quota", "few"]);
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": { "name": "small" },
        "spec": { "limits": [{ "type": "Container", "max": { "memory": "16Mi" } }] },
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), range.to_string()).unwrap();
    stage.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
    server.register(&once("large", "echo"));
    let watch = Stopwatch::start();
    let answer = server.invoke("large", "1");
    assert_ended_at_once(&answer, watch.elapsed(), "ADMISSION_REFUSED", &["memory", "16Mi"]);
}

#[test]
fn a_time_out_a_cancellation_and_a_deletion_by_hand_reach_the_pod() {
    let stage = Stage::new("ends");
    let server = stage.server(&[]);
    server.register(&once("slow", "sleep"));
    let mut client = server.client();

    let answer = client.invoke_with("slow", "X-Timeout-Ms: 3000\r\n", "{\"ms\":600000}");
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (504, Some("TIMEOUT")),
        "{answer:?}"
    );
    // The runtime keeps the deadline, too: it may have ended by itself before it was told to.
    let is_over = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    stage.until("no pod of a time-out runs", "pods", |pods| pods.iter().all(is_over));
    stage.kubectl(&["delete", "jobs", "--all"]);

    let id = client.enqueue("slow", "{\"ms\":600000}");
    stage.until("its pod runs", "pods", |pods| pods.len() == 1 && pods[0]["status"]["phase"] == "Running");
    assert_eq!(client.delete(&format!("/v1/executions/{id}")).status, 202);
    assert_eq!(client.ended(&id)["status"], "cancelled");
    stage.until("the pod of a cancelled execution is gone", "pods", <[_]>::is_empty);

    let id = client.enqueue("slow", "{\"ms\":600000}");
    stage.until("its pod runs", "pods", |pods| pods.len() == 1 && pods[0]["status"]["phase"] == "Running");
    stage.kubectl(&["delete", "job", "--all", "--wait=false"]);
    let ended = client.ended(&id);
    assert_eq!(ended["error"]["code"], "INSTANCE_CRASHED", "{ended}");
    eventually("nothing is in flight", || (server.function("slow")["status"]["inFlight"] == 0).then_some(()));
}

#[test]
fn a_job_that_is_deleted_without_its_pod_is_missed_and_its_attempt_ends() {
    let stage = Stage::new("orphan");
    let server = stage.server(&[]);
    server.register(&once("slow", "sleep").with("timeoutMs", 600_000));
    let mut client = server.client();
    let id = client.enqueue("slow", "{\"ms\":600000}");
    stage.until("its pod runs", "pods", |pods| pods.len() == 1 && pods[0]["status"]["phase"] == "Running");
    let watch = Stopwatch::start();
    stage.kubectl(&["delete", "job", "--all", "--cascade=orphan"]);
    let ended = client.ended(&id);
    assert_eq!(ended["error"]["code"], "INSTANCE_CRASHED", "{ended}");
    let message = ended["error"]["message"].as_str().unwrap();
    assert!(message.contains("the Job was deleted"), "{message}");
    println!(
        "fault: a Job is deleted without its pod | its attempt ended after {:.2} s",
        watch.elapsed().as_secs_f64()
    );
}
