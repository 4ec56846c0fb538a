//! Finished Jobs that make room: where a quota of the namespace is met, and where more are kept than are to be.

use serde_json::{Value, json};

use crate::pods::{put, until_ready, warm};
use crate::stage::{Stage, in_pods};
use crate::support::client::Client;
use crate::support::lines::texts;
use crate::support::patience::Stopwatch;
use crate::support::specification::With;

fn once(name: &str, handler: &str) -> Value {
    in_pods(name, "JOB", handler).with("maxRetries", 0)
}

/// A stage whose quota has these numbers.
fn stage_with(quota: &str) -> Stage {
    let stage = Stage::new("quotas");
    stage.kubectl(&["create", "quota", "few", &format!("--hard={quota}")]);
    stage
}

/// The execution ids of the Jobs that there are.
fn executions(jobs: &[Value]) -> Vec<&str> {
    jobs.iter().map(|job| job["metadata"]["labels"]["picofaas.dev/execution-id"].as_str().unwrap()).collect()
}

/// Invokes a function, which must succeed, and gives the id of the execution.
#[track_caller]
fn invoke(client: &mut Client, function: &str, input: Value) -> String {
    let answer = client.invoke(function, input);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-execution-id").unwrap().to_owned()
}

fn line(text: &str) -> Value {
    json!({ "to": "stdout", "text": text, "times": 1, "ms": 0 })
}

#[test]
fn where_a_quota_of_jobs_is_met_the_oldest_finished_one_goes_and_none_that_runs() {
    let stage = stage_with("count/jobs.batch=3");
    let server = stage.server(&[]);
    server.register(&once("slow", "sleep").with("timeoutMs", 300_000));
    server.register(&once("writes", "write"));
    server.register(&once("echo", "echo"));
    let mut client = server.client();
    let running = client.enqueue("slow", "{\"ms\":200000}");
    stage.until("it runs", "pods", |pods| pods.len() == 1 && pods[0]["status"]["phase"] == "Running");
    // Of several functions, more than the quota has room for.
    let first = invoke(&mut client, "writes", line("the first"));
    let watch = Stopwatch::start();
    let others: Vec<String> = (0..5).map(|at| invoke(&mut client, "echo", json!(at))).collect();
    println!("fault: a quota of Jobs that is met by finished ones | 5 calls took {:.1?}", watch.elapsed());
    let jobs = stage.objects("jobs");
    let left = executions(&jobs);
    assert!(left.len() <= 3 && left.contains(&running.as_str()), "{left:?}");
    assert!(left.contains(&others[4].as_str()) && !left.contains(&first.as_str()), "{left:?} of {others:?}");
    // Its log was read before it went.
    assert_eq!(texts(&mut client, &format!("/v1/executions/{first}/logs")), ["the first"]);

    let more = [(); 2].map(|()| client.enqueue("slow", "{\"ms\":200000}"));
    stage.until("three run", "pods", |pods| {
        pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count() == 3
    });
    // Its count may be late by what was deleted and made since.
    stage.until("the quota counts three", "resourcequotas", |quotas| {
        quotas[0]["status"]["used"]["count/jobs.batch"] == "3"
    });
    client.invoke("echo", 1).assert_error(503, "QUOTA_EXCEEDED", "gateway", &["few", "count/jobs.batch=3"]);
    let jobs = stage.objects("jobs");
    let left = executions(&jobs);
    for id in [&running, &more[0], &more[1]] {
        assert!(left.contains(&id.as_str()), "a running one was deleted: {left:?}");
    }
}

#[test]
fn where_a_quota_of_pods_as_objects_is_met_the_pods_of_finished_jobs_go_for_both_modes() {
    let stage = stage_with("count/pods=3");
    let server = stage.server(&[]);
    server.register(&once("echo", "echo"));
    let mut client = server.client();
    for at in 0..6 {
        invoke(&mut client, "echo", json!(at));
    }
    stage.until("as many have ended as may be", "pods", |pods| {
        pods.len() == 3 && pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded")
    });
    put(&server, &warm("stays", "echo", &json!({ "replicas": { "min": 1, "max": 1 } })));
    until_ready(&server, "stays", 1);
    assert_eq!(server.invoke("stays", 1).output(), 1);
}

#[test]
fn where_a_quota_of_running_pods_is_met_by_one_that_has_posted_its_result_its_end_is_waited_for() {
    let stage = stage_with("pods=1");
    let server = stage.server(&[]);
    server.register(&once("echo", "echo"));
    let mut client = server.client();
    // Each answer comes before the pod that gave it has ended.
    for at in 0..4 {
        invoke(&mut client, "echo", json!(at));
    }
    assert!(stage.objects("jobs").len() >= 3, "finished ones do not count, and are kept");
}

#[test]
fn no_more_finished_jobs_are_kept_than_are_to_be_and_their_lines_are() {
    let stage = Stage::new("kept");
    let server = stage.server(&["--finished-jobs-max", "2"]);
    server.register(&once("writes", "write"));
    let mut client = server.client();
    let ids: Vec<String> = (0..5).map(|at| invoke(&mut client, "writes", line(&format!("{at}")))).collect();
    let jobs = stage.until("two are kept", "jobs", |jobs| {
        jobs.len() == 2 && jobs.iter().all(|job| job["status"]["succeeded"] == 1)
    });
    let left = executions(&jobs);
    assert!(ids[3..].iter().all(|id| left.contains(&id.as_str())), "{left:?} of {ids:?}");
    assert_eq!(texts(&mut client, &format!("/v1/executions/{}/logs", ids[0])), ["0"]);
}
