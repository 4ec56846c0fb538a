//! Attempts whose pod is taken away, or goes on when it is not wanted any more.

use serde_json::{Value, json};

use crate::stage::{Stage, in_pods, reachable};
use crate::support::client::Client;
use crate::support::job;
use crate::support::patience::Stopwatch;
use crate::support::specification::With;

fn once(name: &str, handler: &str) -> Value {
    in_pods(name, "JOB", handler).with("maxRetries", 0)
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}

/// The token that a pod proves itself with.
fn token_of(pod: &Value) -> String {
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    let token = env.iter().find(|one| one["name"] == "PICOFAAS_TOKEN").expect("a pod has a token");
    token["value"].as_str().unwrap().to_owned()
}

#[test]
fn a_pod_that_the_cluster_takes_away_is_told_as_evicted_and_not_as_crashed() {
    let stage = Stage::new("evicted");
    let server = stage.server(&[]);
    server.register(&once("slow", "sleep"));
    let mut client = server.client();
    let id = client.enqueue("slow", "{\"ms\":600000}");
    let pods = stage.until("its pod runs", "pods", |pods| pods.len() == 1 && is_running(&pods[0]));
    let watch = Stopwatch::start();
    stage.evict(&name_of(&pods[0]));
    let ended = client.ended(&id);
    println!(
        "fault: eviction of a JOB pod by the API | {} after {:?}",
        ended["error"]["code"],
        watch.elapsed()
    );
    assert_eq!(ended["error"]["code"], "POD_EVICTED", "{ended}");

    // By kubelet, which looks every ten seconds: a container's log counts.
    let limits = json!({ "limits": { "ephemeral-storage": "1Mi" } });
    server.register(&once("fills", "write").with("resources", limits));
    let (line, watch) = ("x".repeat(1023), Stopwatch::start());
    let input = json!({ "to": "stdout", "text": line, "times": 4096, "ms": 600_000 });
    let id = client.enqueue("fills", input);
    let ended = client.ended(&id);
    println!(
        "fault: JOB pod over its ephemeral storage | {} after {:?}",
        ended["error"]["code"],
        watch.elapsed()
    );
    assert_eq!(ended["error"]["code"], "POD_EVICTED", "{ended}");
    assert!(ended["error"]["message"].as_str().unwrap().contains("1Mi"), "{ended}");
}

#[test]
fn a_retry_beside_the_pod_of_the_attempt_before_is_the_only_one_whose_result_counts() {
    let stage = Stage::new("beside");
    let runtime = reachable();
    let server = stage.server_at(runtime, &[]);
    server
        .register(&in_pods("twice", "JOB", "surroundings").with("maxRetries", 1).with("timeoutMs", 120_000));
    let mut client = server.client();
    let id = client.enqueue("twice", "{\"ms\":22000}");
    let first = stage.until("the first pod runs", "pods", |pods| pods.len() == 1 && is_running(&pods[0]));
    let (first, watch) = (&first[0], Stopwatch::start());
    // Its Job goes and leaves it behind: nobody ends it, and its attempt is given up.
    stage.kubectl(&["delete", "jobs", "--all", "--cascade=orphan"]);
    let both = stage
        .until("the second pod runs", "pods", |pods| pods.iter().filter(|one| is_running(one)).count() == 2);
    let began = watch.elapsed();
    let second = both.iter().find(|pod| name_of(pod) != name_of(first)).expect("there are two");

    // A post with the token of the first attempt is refused, and changes nothing.
    let post = |token: &str, output: &str| {
        job::post(&mut Client::connect(runtime), &id, token, &json!({ "success": true, "output": output }))
    };
    post(&token_of(first), "late").assert_refused(409, "ATTEMPT_SUPERSEDED", &[]);
    // So is the pod itself, which leaves it at that.
    stage.until("the first pod has ended", "pods", |pods| {
        pods.iter().any(|pod| name_of(pod) == name_of(first) && pod["status"]["phase"] == "Succeeded")
    });
    let running = client.get(&format!("/v1/executions/{id}")).json();
    assert_eq!((&running["status"], &running["attempt"]), (&json!("running"), &json!(2)), "{running}");
    let ended = client.ended(&id);
    assert_eq!((&ended["status"], &ended["output"]["attempt"]), (&json!("success"), &json!(2)), "{ended}");
    post(&token_of(second), "late").assert_refused(409, "ALREADY_TERMINAL", &[]);
    assert_eq!(client.ended(&id), ended);
    let scrape = server.scrape();
    let counted = ["success_total", "late_results_total"].map(|name| scrape.of_function("twice", name));
    println!(
        "fault: retry beside the first pod | the second began after {began:?}, 1 result, {} refused",
        counted[1]
    );
    assert_eq!(counted, [1.0, 3.0]);
}
