//! An API server that is away for 30 s under load: hanging, and gone.

use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::xtask;
use crate::pods::{Pods, pods, put, until_ready, warm};
use crate::pressure::Pressure;
use crate::stage::{Stage, in_pods, reachable};
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::With;

/// How long it is away.
const OUTAGE: Duration = Duration::from_secs(30);

/// An API server that is away for some time, whatever becomes of the test.
struct Outage {
    xtask: Child,
    said: Lines<BufReader<ChildStdout>>,
    watch: Stopwatch,
}

impl Outage {
    /// Returns when it is away.
    fn begin(mut xtask: Command, way: &str) -> Self {
        let seconds = OUTAGE.as_secs().to_string();
        let mut xtask = xtask
            .args(["cluster", "outage", "--way", way, "--seconds", &seconds])
            // It outlives a signal that ends this test: the API server is to come back.
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(xtask.stdout.take().unwrap()).lines();
        let line = said.next().expect("it says that the API server is away").unwrap();
        assert_eq!(line, "the API server is away");
        Self { xtask, said, watch: Stopwatch::start() }
    }

    /// Waits until it is ready again, and gives how long it was not.
    fn over(mut self) -> Duration {
        let line = self.said.next().expect("it says that the API server is back").unwrap();
        assert!(line.starts_with("the API server is back"), "{line}");
        assert!(self.xtask.wait().unwrap().success());
        self.watch.elapsed()
    }
}

/// A `JOB` with time to wait for the API server.
fn patient(name: &str, handler: &str) -> Value {
    in_pods(name, "JOB", handler).with("timeoutMs", 120_000)
}

/// Waits until an execution has ended well. After a restart of the API server the cluster's own controllers take up
/// to a minute until all of them watch again.
#[track_caller]
fn succeeds(client: &mut Client, id: &str) {
    let ended = (0..6).find_map(|_| {
        let execution = client.get(&format!("/v1/executions/{id}?wait=20")).json();
        (!matches!(execution["status"].as_str(), Some("queued" | "running"))).then_some(execution)
    });
    let ended = ended.expect("it ends by its deadline");
    assert_eq!(ended["status"], "success", "{ended}");
}

fn lease(stage: &Stage) -> Value {
    stage.objects("leases")[0]["spec"].clone()
}

/// The state when the API server goes.
struct BeforeOutage {
    warm: Pods,
    lease: Value,
    /// Executions that run: one that ends while it is away, and one that ends after it.
    ends_meanwhile: String,
    ends_after: String,
}

fn prepare(stage: &Stage, server: &Server) -> BeforeOutage {
    put(server, &warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 2 }, "maxRetries": 0 })));
    let grows = json!({ "replicas": { "min": 1, "max": 3 }, "concurrency": 16, "instanceConcurrency": 1 });
    put(server, &warm("grows", "sleep", &grows));
    let from_zero = json!({ "replicas": { "min": 0, "max": 1 }, "timeoutMs": 120_000 });
    put(server, &warm("from-zero", "echo", &from_zero));
    server.register(&patient("short", "echo"));
    server.register(&patient("long", "sleep").with("maxRetries", 0));
    until_ready(server, "f", 2);
    until_ready(server, "grows", 1);
    let mut client = server.client();
    // The first runs of an image on a node take their time.
    assert_eq!(client.invoke("short", 1).status, 200);
    // Its permit is held until its pod's end is told, which nobody does while the API server is away.
    eventually("its pod has ended", || (server.function("short")["status"]["inFlight"] == 0).then_some(()));
    let ends_meanwhile = client.enqueue("long", "{\"ms\":15000}");
    let ends_after = client.enqueue("long", "{\"ms\":50000}");
    stage.until("both run", "pods", |pods| {
        let runs = |pod: &&Value| {
            pod["metadata"]["labels"]["picofaas.dev/function"] == "long"
                && pod["status"]["phase"] == "Running"
        };
        pods.iter().filter(runs).count() == 2
    });
    BeforeOutage { warm: pods(stage, "f"), lease: lease(stage), ends_meanwhile, ends_after }
}

/// The calls while it is away.
struct Meanwhile {
    write: Duration,
    refused: Duration,
    jobs: Vec<String>,
    from_zero: String,
}

fn ask_meanwhile(server: &Server, before: &BeforeOutage) -> Meanwhile {
    let mut client = server.client();
    let watch = Stopwatch::start();
    let answer = client.put("/v1/functions/f", warm("f", "identity", &json!({})));
    answer.assert_refused(503, "KUBE_UNAVAILABLE", &["API server"]);
    let write = watch.elapsed();

    let jobs = (0..3).map(|at| client.enqueue("short", at)).collect();
    let from_zero = client.enqueue("from-zero", "\"held\"");
    let watch = Stopwatch::start();
    let answer = client.invoke_with("short", "X-Timeout-Ms: 6000\r\n", 7);
    let refused = watch.elapsed();
    answer.assert_refused(503, "KUBE_UNAVAILABLE", &["until the deadline"]);
    // It has 6 s, and a busy machine some more.
    assert!(refused < Duration::from_secs(15), "{refused:?}");

    succeeds(&mut client, &before.ends_meanwhile);
    assert_eq!(server.operator().get("/readyz").status, 200);
    Meanwhile { write, refused, jobs, from_zero }
}

/// All of it, with an API server that is away in one way or the other.
fn survives(way: &str) {
    let Some(xtask) = xtask() else { return };
    let stage = Stage::new(way);
    let server = stage.server_at(reachable(), &[]);
    let before = prepare(&stage, &server);
    let pressure = Pressure::start(&server, "f", "1", 2);
    let outage = Outage::begin(xtask, way);
    let meanwhile = ask_meanwhile(&server, &before);
    assert!(
        outage.watch.elapsed() < OUTAGE,
        "it was away for too short a time: {:?}",
        outage.watch.elapsed()
    );
    let away = outage.over();

    let mut client = server.client();
    let watch = Stopwatch::start();
    for id in meanwhile.jobs.iter().chain([&meanwhile.from_zero]) {
        succeeds(&mut client, id);
    }
    let waited = watch.elapsed();
    succeeds(&mut client, &before.ends_after);

    // The watches go on, and so does all that writes.
    let watch = Stopwatch::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut spec = in_pods("new", "JOB", "identity");
    spec.as_object_mut().unwrap().remove("name");
    let object = json!({
        "apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": { "name": "new" }, "spec": spec,
    });
    std::fs::write(file.path(), object.to_string()).unwrap();
    stage.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
    eventually("a function that is applied is served", || {
        (client.get("/v1/functions/new").status == 200).then_some(())
    });
    let applied = watch.elapsed();
    assert_eq!(client.invoke("new", 3).output()["input"], 3);
    let load = Pressure::start(&server, "grows", "{\"ms\":20}", 4);
    until_ready(&server, "grows", 3);
    load.stop();
    // A call that the API server found when it was back made no Job that nobody waits for.
    stage.until("no Job is left that has not ended", "jobs", |jobs| {
        jobs.iter().all(|job| job["status"]["succeeded"] == 1)
    });

    let answers: u32 = pressure.stop().values().sum();
    assert_eq!(pods(&stage, "f"), before.warm);
    let after = lease(&stage);
    assert_eq!(after["holderIdentity"], before.lease["holderIdentity"]);
    assert_ne!(after["renewTime"], before.lease["renewTime"]);
    let end = server.stop();
    assert_eq!(end.code, 0, "{}", end.stderr);
    println!(
        "fault: the API server is away for {:.1} s ({way}) | WARM: {answers} answers, none of them not 200, pods untouched; JOB with a deadline of 6 s: KUBE_UNAVAILABLE after {:.2} s; 3 JOBs and one from zero that waited: answered {:.1} s after its return; function write: 503 after {:.2} s; function by kubectl afterwards: served after {:.2} s",
        away.as_secs_f64(),
        meanwhile.refused.as_secs_f64(),
        waited.as_secs_f64(),
        meanwhile.write.as_secs_f64(),
        applied.as_secs_f64(),
    );
}

#[test]
fn an_api_server_that_hangs_for_30_s_costs_no_answer_of_warm_and_jobs_wait_for_it() {
    survives("hangs");
}

#[test]
fn an_api_server_that_is_killed_and_comes_back_costs_no_answer_of_warm_and_jobs_wait_for_it() {
    survives("gone");
}
