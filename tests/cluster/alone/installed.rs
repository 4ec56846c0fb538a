//! The control plane in a pod, as `k8s/` installs it, and what its end costs whom.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::callers::{Callers, Seen};
use super::installation::{Installation, example};
use crate::pods::Pods;
use crate::stage::{command, kubeconfig};
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};

/// Callers at once.
const CALLERS: u32 = 4;

/// `f`, which is under load, `slow`, which takes its time, and `long`, which does as a `JOB`.
fn with_functions() -> Option<Installation> {
    let installation = Installation::new()?;
    installation.apply(
        "f",
        "WARM",
        "echo",
        &json!({ "replicas": { "min": 2, "max": 2 }, "concurrency": 16 }),
    );
    installation.apply("slow", "WARM", "sleep", &json!({ "timeoutMs": 120_000 }));
    installation.apply("long", "JOB", "sleep", &json!({ "timeoutMs": 120_000 }));
    installation.until_ready("f", 2);
    installation.until_ready("slow", 1);
    Some(installation)
}

/// Executions that are accepted and not over, or over and not read.
struct Accepted {
    ids: Vec<String>,
    words: String,
}

/// 10 that have ended and nobody has read, 4 that run in a warm pod, 3 that wait, one that runs in a Job.
fn accept(installation: &Installation) -> Accepted {
    let mut client = installation.client();
    let mut ids: Vec<String> = (0..10).map(|at| client.enqueue("f", at)).collect();
    ids.extend((0..7).map(|_| client.enqueue("slow", "{\"ms\":100000}")));
    ids.push(client.enqueue("long", "{\"ms\":100000}"));
    eventually("the Job runs", || {
        let pods = installation.objects(&["pods", "--selector", "picofaas.dev/function=long"]);
        pods.iter().any(|pod| pod["status"]["phase"] == "Running").then_some(())
    });
    eventually("what is short has ended", || {
        let status = &client.get("/v1/functions/f").json()["status"];
        (status["queued"] == 0 && status["inFlight"] == 0).then_some(())
    });
    Accepted { ids, words: "10 ended and unread, 7 in a warm pod or before it, 1 in a Job".to_owned() }
}

/// The answers to a read of each, and how often each comes.
fn read(installation: &Installation, ids: &[String]) -> BTreeMap<String, usize> {
    let mut client = installation.client();
    let mut said = BTreeMap::new();
    for id in ids {
        let answer = client.get(&format!("/v1/executions/{id}"));
        let json = answer.json();
        let text = json["error"]["code"].as_str().or(json["status"].as_str()).unwrap().to_owned();
        *said.entry(text).or_default() += 1;
    }
    said
}

/// The state of the installation before an end.
struct Before {
    warm: Pods,
    slow: Pods,
    pod: Value,
    jobs: Vec<Value>,
}

fn look(installation: &Installation) -> Before {
    Before {
        warm: installation.pods("f"),
        slow: installation.pods("slow"),
        pod: installation.pod(),
        jobs: installation.objects(&["jobs"]),
    }
}

/// Nothing was touched but what belonged to the process before.
#[track_caller]
fn assert_taken_over(installation: &Installation, before: &Before) {
    assert_eq!(installation.pods("f"), before.warm);
    assert_eq!(installation.pods("slow"), before.slow);
    assert_eq!(installation.holder(), installation.pod()["metadata"]["name"].as_str().unwrap());
    eventually("the Jobs of the process before are gone", || {
        let uids = |jobs: &[Value]| -> Vec<Value> {
            jobs.iter().map(|job| job["metadata"]["uid"].clone()).collect()
        };
        let before = uids(&before.jobs);
        uids(&installation.objects(&["jobs"])).iter().all(|uid| !before.contains(uid)).then_some(())
    });
    let mut client = installation.client();
    let answer = client.invoke("long", "{\"ms\":1}");
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn in_words(seen: &Seen) -> String {
    let all: Vec<String> = seen.troubles.iter().map(|(what, times)| format!("{times} {what}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// All that was accepted is lost, and reading it says so.
fn dies(name: &str, kill: impl FnOnce(&Installation)) -> Option<(Installation, Before)> {
    let installation = with_functions()?;
    let accepted = accept(&installation);
    let before = look(&installation);
    let callers = Callers::start(installation.clients, CALLERS);
    kill(&installation);
    installation.kubectl(&["wait", "--for=condition=Available", "deployment/picofaas", "--timeout=120s"]);
    callers.goes_on(200);
    let seen = callers.stop();
    assert!(!seen.troubles.contains_key("404 FUNCTION_NOT_FOUND"), "{:?}", seen.troubles);
    assert_taken_over(&installation, &before);
    let said = read(&installation, &accepted.ids);
    let count = accepted.ids.len();
    assert_eq!(said, BTreeMap::from([("EXECUTION_LOST_ON_RESTART".to_owned(), count)]));
    println!(
        "fault: {name} | outage {} ms for callers that try again; {} answers; refused or broken: {}; {count} of {count} accepted executions lost ({}), and reading one says so; warm pods untouched; Jobs of the process before removed",
        seen.outage_ms(),
        seen.answers.len(),
        in_words(&seen),
        accepted.words,
    );
    Some((installation, before))
}

#[test]
fn a_process_that_is_killed_in_its_pod_is_started_again_and_serves_with_the_pods_there_are() {
    let Some((installation, before)) =
        dies("control plane killed with SIGKILL in its pod", Installation::kill)
    else {
        return;
    };
    // It serves again sooner than its node tells that it was started anew.
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    let pod = eventually("the restart is told", || {
        Some(installation.pod()).filter(|pod| restarts(pod).is_some_and(|count| count > 0))
    });
    assert_eq!(pod["metadata"]["uid"], before.pod["metadata"]["uid"], "it is the same pod");
    assert_eq!(restarts(&pod), Some(1));
}

#[test]
fn a_pod_that_is_deleted_without_grace_is_replaced_by_one_that_takes_the_lease_over() {
    let kill = |installation: &Installation| {
        let pod = installation.pod();
        let name = pod["metadata"]["name"].as_str().unwrap();
        // The process first, so that it gives nothing back.
        installation.kill();
        installation.kubectl(&["delete", "pod", name, "--force", "--grace-period=0"]);
    };
    let Some((installation, before)) = dies("control plane's pod killed and replaced by another", kill)
    else {
        return;
    };
    assert_ne!(installation.pod()["metadata"]["uid"], before.pod["metadata"]["uid"]);
}

#[test]
fn a_rolling_restart_lets_end_what_was_accepted_and_answers_who_waits() {
    let Some(installation) = with_functions() else { return };
    let mut client = installation.client();
    let mut ids: Vec<String> = (0..4).map(|_| client.enqueue("slow", "{\"ms\":3000}")).collect();
    ids.push(client.enqueue("long", "{\"ms\":6000}"));
    eventually("the Job runs", || {
        let pods = installation.objects(&["pods", "--selector", "picofaas.dev/function=long"]);
        pods.iter().any(|pod| pod["status"]["phase"] == "Running").then_some(())
    });
    let before = look(&installation);
    let callers = Callers::start(installation.clients, CALLERS);
    // On connections that are there before: a Service leads new ones to no pod that is leaving.
    let readers: Vec<_> = ids
        .iter()
        .map(|id| {
            let (mut client, id) = (installation.client(), id.clone());
            // It is answered, so that the Service is known to have led it there.
            client.get("/healthz");
            thread::spawn(move || client.ended(&id))
        })
        .collect();
    let mut waits = installation.client();
    waits.ask_invoke("long", "", "{\"ms\":5000}");
    eventually("it runs, too", || {
        (client.get("/v1/functions/long").json()["status"]["inFlight"] == 2).then_some(())
    });
    restart(&installation);
    callers.goes_on(200);
    let seen = callers.stop();
    for reader in readers {
        let ended = reader.join().expect("it is answered");
        assert_eq!(ended["status"], "success", "{ended}");
    }
    assert_eq!(waits.receive().status, 200);
    assert_taken_over(&installation, &before);
    assert_ne!(installation.pod()["metadata"]["uid"], before.pod["metadata"]["uid"]);
    println!(
        "fault: kubectl rollout restart, everybody reads | outage {} ms for callers that try again; {} answers; refused or broken: {}; 0 of 6 accepted executions lost: 4 in a warm pod and 2 in Jobs ended in the drain and were read; warm pods untouched",
        seen.outage_ms(),
        seen.answers.len(),
        in_words(&seen),
    );
}

#[test]
fn a_rolling_restart_waits_for_results_that_nobody_reads_until_the_drain_is_over_and_they_are_lost() {
    let Some(installation) = with_functions() else { return };
    let mut client = installation.client();
    let ids: Vec<String> = (0..10).map(|at| client.enqueue("f", at)).collect();
    let before = look(&installation);
    let callers = Callers::start(installation.clients, CALLERS);
    restart(&installation);
    callers.goes_on(200);
    let seen = callers.stop();
    assert_taken_over(&installation, &before);
    let said = read(&installation, &ids);
    assert_eq!(said, BTreeMap::from([("EXECUTION_LOST_ON_RESTART".to_owned(), ids.len())]));
    println!(
        "fault: kubectl rollout restart, 10 results unread | outage {} ms for callers that try again, as the drain of 30 s waits for readers; {} answers; refused or broken: {}; 10 of 10 unread results lost by design; warm pods untouched",
        seen.outage_ms(),
        seen.answers.len(),
        in_words(&seen),
    );
}

fn restart(installation: &Installation) {
    installation.kubectl(&["rollout", "restart", "deployment/picofaas"]);
    installation.kubectl(&["rollout", "status", "deployment/picofaas", "--timeout=120s"]);
}

/// `kubectl port-forward` to a Service, for as long as this lives.
pub(super) struct Forward {
    kubectl: Child,
    pub(super) address: SocketAddr,
    /// Kept open: it says there when somebody connects, and would end where nobody reads.
    _said: BufReader<ChildStdout>,
}

impl Forward {
    pub(super) fn to(service: &str, port: u16) -> Self {
        let (service, port) = (format!("service/{service}"), format!(":{port}"));
        let arguments = ["--namespace", "picofaas", "port-forward", &service, &port];
        let mut kubectl = command(&kubeconfig(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(kubectl.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        // Forwarding from 127.0.0.1:34567 -> 8080
        let address = line.split(' ').nth(2).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { kubectl, address, _said: said }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Fails only if it has ended, which is what is wanted.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

#[test]
fn the_manifests_are_the_whole_install_and_an_example_is_applied_and_called() {
    let watch = Stopwatch::start();
    let Some(installation) = Installation::new() else { return };
    let ready = watch.elapsed();
    let watch = Stopwatch::start();
    installation.kubectl(&["apply", "--filename", example("word-stats-rust").to_str().unwrap()]);
    let forward = Forward::to("picofaas", 8080);
    let mut client = Client::connect(forward.address);
    eventually("it is known", || (client.get("/v1/functions/word-stats-rust").status == 200).then_some(()));
    let answer = client.invoke("word-stats-rust", "{\"text\":\"to be or not to be\",\"topN\":2}");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.output()["words"], 6, "{answer:?}");
    println!(
        "installed twice and ready after {:.1} s; an example was answered {:.1} s after it was applied",
        ready.as_secs_f64(),
        watch.elapsed().as_secs_f64()
    );
    // Writes are for operators, who come in elsewhere.
    let refused = client.put("/v1/functions/word-stats-rust", "{}");
    assert!(matches!(refused.status, 403 | 404), "{refused:?}");
    assert_eq!(installation.operator().get("/readyz").status, 200);
}
