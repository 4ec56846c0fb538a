//! Many at once: a function that is deleted while many run, and many Jobs asked for in one moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::pods::{until_ready, warm};
use crate::stage::{Stage, in_pods, kubectl};
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// How many run when their function is deleted.
const RUNNING: usize = 50;
/// How many wait for a turn then.
const WAITING: usize = 20;

/// The execution when it has ended, which may take some minutes.
fn ended(client: &mut Client, id: &str) -> Value {
    for _ in 0..24 {
        let answer = client.get(&format!("/v1/executions/{id}?wait=10"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let execution = answer.json();
        if execution["finishedAt"].is_string() {
            return execution;
        }
    }
    panic!("{id} has not ended");
}

/// How a crowd ended: `success`, or the code, each with how often.
fn ends(client: &mut Client, ids: &[String]) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for id in ids {
        let ended = ended(client, id);
        let end = ended["error"]["code"].as_str().or(ended["status"].as_str()).unwrap().to_owned();
        if ended["attempt"].as_u64() > Some(0) && end != "success" {
            println!("{ended}");
        }
        *ends.entry(end).or_default() += 1;
    }
    ends
}

fn by_http(server: &Server, _stage: &Stage) {
    assert_eq!(server.client().delete("/v1/functions/doomed").status, 204);
}

fn by_kubectl(_server: &Server, stage: &Stage) {
    stage.kubectl(&["delete", "functions.picofaas.dev", "doomed", "--wait=false"]);
}

/// A stage, and a control plane whose functions are really gone when they are deleted over HTTP.
fn staged() -> (Stage, Server) {
    let stage = Stage::new("doomed");
    let server = stage.server(&["--job-ttl-s", "1"]);
    // Functions may have been defined only just now, and then no name is free again for up to half a minute.
    server.register(&pool("first", "http://127.0.0.1:9/invoke"));
    assert_eq!(server.client().delete("/v1/functions/first").status, 204);
    stage.until("the garbage collector knows functions", "functions.picofaas.dev", <[_]>::is_empty);
    (stage, server)
}

/// Deletes `function` while many of its executions run, each for `ms`, and others wait, has another one of its name made
/// at once, and gives how they ended.
fn delete(function: &Value, ms: u32, next: &Value, delete: fn(&Server, &Stage)) -> BTreeMap<String, usize> {
    let mode = function["executionMode"].as_str().unwrap();
    let (stage, server) = staged();
    let mut client = server.client();
    server.register(function);
    if mode == "WARM" {
        until_ready(&server, "doomed", 2);
    }
    let ids: Vec<String> =
        (0..RUNNING + WAITING).map(|_| client.enqueue("doomed", json!({ "ms": ms }))).collect();
    server.until_status("doomed", "inFlight", RUNNING as u64);
    server.until_status("doomed", "queued", WAITING as u64);
    if mode == "JOB" {
        let jobs = stage.until("each has its Job", "jobs", |jobs| jobs.len() == RUNNING);
        // The garbage collector would take one of a function that is gone.
        assert!(jobs.iter().all(|job| job["metadata"]["ownerReferences"].is_null()), "{jobs:?}");
    }
    delete(&server, &stage);
    let watch = Stopwatch::start();
    eventually("another one of the name is made", || {
        let answer = client.post("/v1/functions", next);
        (answer.status != 409).then(|| assert_eq!(answer.status, 201, "{answer:?}"))
    });
    let made = watch.elapsed();
    let id = client.enqueue("doomed", "\"new\"");
    let answer = ended(&mut client, &id);
    assert_eq!(answer["output"], "new", "{answer}");
    let served = watch.elapsed();
    let ends = ends(&mut client, &ids);
    let over = watch.elapsed();
    assert_eq!(ends.values().sum::<usize>(), RUNNING + WAITING);
    server.until_status("doomed", "inFlight", 0);
    server.until_status("doomed", "queued", 0);
    assert_eq!(client.delete("/v1/functions/doomed").status, 204);
    for kind in ["pods", "jobs", "deployments", "functions.picofaas.dev"] {
        stage.until(&format!("no {kind} are left"), kind, <[_]>::is_empty);
    }
    println!(
        "fault: {mode} function deleted while {RUNNING} run and {WAITING} wait | {ends:?} after {over:.1?}; \
         the next of its name was made after {made:.1?} and answered after {served:.1?}; nothing is left"
    );
    ends
}

fn job(handler: &str) -> Value {
    in_pods("doomed", "JOB", handler).with("concurrency", RUNNING).with("timeoutMs", 240_000)
}

fn stays(handler: &str) -> Value {
    let different = json!({
        "concurrency": RUNNING, "timeoutMs": 50_000, "replicas": { "min": 2, "max": 2 },
    });
    warm("doomed", handler, &different)
}

fn counts(successes: usize, removed: usize) -> BTreeMap<String, usize> {
    let counts = [("success".to_owned(), successes), ("FUNCTION_REMOVED".to_owned(), removed)];
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn jobs_of_a_function_that_is_deleted_over_http_finish_and_who_waits_is_told() {
    assert_eq!(delete(&job("sleep"), 15_000, &job("echo"), by_http), counts(RUNNING, WAITING));
}

/// Jobs that are made in the moment in which their function goes.
#[test]
fn jobs_that_begin_while_their_function_is_deleted_finish() {
    const ROUNDS: usize = 5;
    const BEGIN: usize = 8;
    for delete in [by_http, by_kubectl] {
        let (stage, server) = staged();
        let mut client = server.client();
        for _ in 0..ROUNDS {
            server.register(&job("sleep"));
            let ids: Vec<String> = (0..BEGIN).map(|_| client.enqueue("doomed", "{\"ms\":3000}")).collect();
            server.until_status("doomed", "inFlight", BEGIN as u64);
            delete(&server, &stage);
            assert_eq!(ends(&mut client, &ids), counts(BEGIN, 0));
        }
    }
}

#[test]
fn a_running_job_of_a_deleted_function_is_read_and_cancelled_and_ends_where_its_job_is_deleted() {
    let (stage, server) = staged();
    let mut client = server.client();
    server.register(&job("sleep"));
    let ids = [(); 2].map(|()| client.enqueue("doomed", "{\"ms\":600000}"));
    stage.until("both run", "pods", |pods| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["phase"] == "Running")
    });
    by_kubectl(&server, &stage);
    eventually("the function is gone", || (client.get("/v1/functions/doomed").status == 404).then_some(()));
    assert_eq!(server.operator().get(&format!("/v1/executions/{}/logs", ids[0])).status, 200);
    assert_eq!(client.delete(&format!("/v1/executions/{}", ids[0])).status, 202);
    assert_eq!(client.ended(&ids[0])["status"], "cancelled");
    stage.until("the pod of the other one is left", "pods", |pods| pods.len() == 1);
    assert!(client.get(&format!("/v1/executions/{}", ids[1])).json()["finishedAt"].is_null());
    stage.kubectl(&["delete", "jobs", "-l", "picofaas.dev/function=doomed", "--wait=false"]);
    let error = client.ended(&ids[1])["error"].clone();
    assert_eq!(error["code"], "FUNCTION_REMOVED", "{error}");
    assert!(error["message"].as_str().unwrap().contains("INSTANCE_CRASHED"), "{error}");
    stage.until("no pods are left", "pods", <[_]>::is_empty);
}

#[test]
fn jobs_of_a_function_that_is_deleted_by_kubectl_finish_and_who_waits_is_told() {
    assert_eq!(delete(&job("sleep"), 15_000, &job("echo"), by_kubectl), counts(RUNNING, WAITING));
}

#[test]
fn warm_pods_of_a_function_that_is_deleted_over_http_finish_and_who_waits_is_told() {
    assert_eq!(delete(&stays("sleep"), 8000, &stays("echo"), by_http), counts(RUNNING, WAITING));
}

#[test]
fn warm_pods_of_a_function_that_is_deleted_by_kubectl_finish_and_who_waits_is_told() {
    assert_eq!(delete(&stays("sleep"), 8000, &stays("echo"), by_kubectl), counts(RUNNING, WAITING));
}

/// Memory of a process as the kernel tells it, in KiB.
fn memory_kib(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).expect("the kernel knows it");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Calls to the API server until now, by verb and resource.
fn calls(server: &Server) -> BTreeMap<String, u64> {
    let name = "picofaas_kube_request_seconds_count{";
    let text = server.operator().get("/metrics").text().to_owned();
    let series = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once("} "));
    series.map(|(labels, count)| (labels.to_owned(), count.parse::<f64>().unwrap() as u64)).collect()
}

#[test]
fn two_hundred_jobs_asked_for_at_once_succeed_each_once_with_its_own_input() {
    const JOBS: usize = 200;
    const WRITERS: usize = 10;
    let stage = Stage::new("crowd");
    let server = stage.server(&[]);
    let wide = |name: &str, handler: &str| {
        in_pods(name, "JOB", handler)
            .with("concurrency", JOBS)
            .with("queueSize", JOBS)
            .with("timeoutMs", 300_000)
    };
    server.register(&wide("crowd", "identity"));
    server.register(&wide("writers", "write"));
    let mut client = server.client();
    let (calls_before, memory_before) = (calls(&server), memory_kib(&server, "VmRSS:"));
    let (over, namespace) = (Arc::new(AtomicBool::new(false)), stage.namespace.clone());
    let is_over = over.clone();
    let most = thread::spawn(move || {
        let mut most = 0;
        while !is_over.load(Ordering::Acquire) {
            let list = kubectl(&["--namespace", &namespace, "get", "pods", "--no-headers"]);
            most = most.max(list.lines().filter(|line| !line.contains("Completed")).count());
            let_pass(Duration::from_secs(1));
        }
        most
    });
    let watch = Stopwatch::start();
    let ids: Vec<String> = (0..JOBS - WRITERS).map(|at| client.enqueue("crowd", at)).collect();
    let writers: Vec<String> = (0..WRITERS)
        .map(|at| client.enqueue("writers", json!({ "to": "stdout", "text": format!("{at} of {{id}}") })))
        .collect();
    let asked = watch.elapsed();
    for (at, id) in ids.iter().enumerate() {
        let ended = ended(&mut client, id);
        assert_eq!((&ended["status"], &ended["output"]["input"]), (&json!("success"), &json!(at)), "{ended}");
        assert_eq!((&ended["output"]["executionId"], &ended["attempt"]), (&json!(id), &json!(1)), "{ended}");
    }
    assert_eq!(ends(&mut client, &writers), counts(WRITERS, 0));
    let took = watch.elapsed();
    over.store(true, Ordering::Release);
    let most = most.join().unwrap();
    let scrape = server.scrape();
    let counted = |name: &str| scrape.of_function("crowd", name) + scrape.of_function("writers", name);
    assert_eq!(
        ["enqueued_total", "dispatched_total", "success_total", "late_results_total"].map(counted),
        [JOBS as f64, JOBS as f64, JOBS as f64, 0.0]
    );
    assert_eq!(stage.objects("jobs").len(), JOBS);
    for (at, id) in writers.iter().enumerate() {
        let lines = crate::support::lines::texts(&mut client, &format!("/v1/executions/{id}/logs"));
        assert_eq!(lines, [format!("{at} of {id}")]);
    }
    server.until_status("crowd", "inFlight", 0);
    let after = calls(&server);
    let made: BTreeMap<&String, u64> = after
        .iter()
        .map(|(call, count)| (call, count - calls_before.get(call).copied().unwrap_or(0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    println!(
        "fault: {JOBS} Jobs asked for at once | asked within {asked:.1?}, all succeeded after {took:.1?}, at most {most} \
         pods not ended at once, looked at each second, memory {memory_before} KiB before, {} KiB after, {} KiB at most, {:.2} calls per Job: {made:?}",
        memory_kib(&server, "VmRSS:"),
        memory_kib(&server, "VmHWM:"),
        made.values().sum::<u64>() as f64 / JOBS as f64,
    );
}
