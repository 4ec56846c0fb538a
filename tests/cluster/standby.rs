//! `standby` of a `JOB`: pods of Jobs that are made ahead of the executions they take.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::detour::Detour;
use crate::pods::{self, put};
use crate::stage::{Stage, in_pods, kubectl, reachable};
use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::With;

pub(crate) fn standby(name: &str, handler: &str, min: u32, max: u32) -> Value {
    in_pods(name, "JOB", handler).with("standby", json!({ "min": min, "max": max })).with("maxRetries", 0)
}

/// Waits until so many instances wait for an execution.
pub(crate) fn until_ready(server: &Server, name: &str, wanted: u64) {
    eventually(&format!("{wanted} standby instances of {name} are ready"), || {
        (server.function(name)["status"]["standby"]["ready"] == wanted).then_some(())
    });
}

/// The condition about the reserve of a function, once it has this reason.
pub(crate) fn condition(server: &Server, name: &str, reason: &str) -> Value {
    eventually(&format!("the reserve of {name} is {reason}"), || {
        let all = server.function(name)["status"]["conditions"].as_array().unwrap().clone();
        all.into_iter().find(|one| one["type"] == "StandbyReady" && one["reason"] == reason)
    })
}

pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

#[test]
fn each_call_is_served_by_a_job_that_was_made_ahead_and_that_says_whose_it_became() {
    let stage = Stage::new("standby");
    let server = stage.server(&[]);
    server.register(&standby("ahead", "identity", 1, 1));
    let mut names = BTreeSet::new();
    for nth in 0..3 {
        until_ready(&server, "ahead", 1);
        let before: Vec<Value> =
            stage.objects("jobs").into_iter().filter(|job| job["status"]["succeeded"].is_null()).collect();
        assert!(before.iter().any(|job| name_of(job).starts_with("fn-ahead-s")), "{before:?}");
        let answer = server.invoke("ahead", nth);
        assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
        assert_eq!(answer.output()["input"], nth);
        let id = answer.header("x-execution-id").unwrap().to_owned();
        let is_its = |object: &&Value| object["metadata"]["labels"]["picofaas.dev/execution-id"] == *id;
        for kind in ["jobs", "pods"] {
            stage.until("the objects say whose they became", kind, |all| all.iter().any(|one| is_its(&one)));
        }
        let jobs = stage.objects("jobs");
        let job = jobs.iter().find(is_its).unwrap();
        assert!(names.insert(name_of(job).to_owned()), "a Job had two executions");
        let deadline = job["spec"]["activeDeadlineSeconds"].as_i64().unwrap();
        assert!((60..400).contains(&deadline), "{deadline}");
    }
    stage.until("those that were used have ended well", "jobs", |jobs| {
        names
            .iter()
            .all(|name| jobs.iter().any(|job| name_of(job) == name && job["status"]["succeeded"] == 1))
    });
}

#[test]
fn an_execution_finds_nothing_that_one_before_it_left() {
    let stage = Stage::new("standby-isolated");
    let server = stage.server(&[]);
    server.register(&standby("isolated", "residue", 1, 1));
    for _ in 0..3 {
        until_ready(&server, "isolated", 1);
        let found = server.invoke("isolated", "\"isolated\"").output();
        let nothing = json!({ "memory": 0, "threads": 0, "processes": 0, "directory": false, "file": false });
        assert_eq!(found, nothing);
    }
}

#[test]
fn a_call_that_waits_for_a_pod_is_told_where_its_wait_went() {
    let stage = Stage::new("standby-phases");
    let server = stage.server(&[]);
    server.register(&standby("single", "identity", 0, 1));
    server.register(&in_pods("stays", "WARM", "identity").with("replicas", json!({ "min": 0, "max": 1 })));
    for name in ["single", "stays"] {
        let answer = server.invoke(name, 1);
        assert_eq!((answer.status, answer.header("x-cold-start")), (200, Some("true")), "{answer:?}");
        let timing = answer.header("server-timing").unwrap();
        let read = server.client().ended(answer.header("x-execution-id").unwrap());
        let cold = read["cold"].as_object().unwrap_or_else(|| panic!("{read}"));
        for phase in ["asked", "created", "scheduled", "container", "runtime", "handler", "announced"] {
            assert!(cold.contains_key(phase), "{name} is not told {phase}: {read}");
            assert!(timing.contains(&format!(", cold-{phase};dur=")), "{name}: {timing}");
        }
        let sum: u64 = cold.values().map(|ns| ns.as_u64().unwrap()).sum();
        assert!(sum <= read["timings"]["queue"].as_u64().unwrap(), "{read}");
        // A node has to set the pod up, whatever the machine.
        assert!(cold["container"].as_u64().unwrap() > 10_000_000, "{read}");
    }
}

#[test]
fn a_burst_beyond_the_reserve_fails_nobody_and_leaves_the_reserve() {
    let stage = Stage::new("standby-burst");
    let server = stage.server(&[]);
    server.register(&standby("burst", "identity", 2, 2).with("concurrency", 8));
    until_ready(&server, "burst", 2);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke("burst", "", 1);
    }
    let answers: Vec<_> = clients.iter_mut().map(Client::receive).collect();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let ahead = answers.iter().filter(|answer| answer.header("x-standby").is_some()).count();
    assert!(ahead >= 2, "{ahead} of 8 found an instance ready");
    until_ready(&server, "burst", 2);
    // Deleting a function takes what waits for nobody along.
    assert_eq!(server.client().delete("/v1/functions/burst").status, 204);
    stage.until("no pod runs", "pods", |pods| {
        pods.iter().all(|pod| ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase))
    });
}

#[test]
fn an_instance_that_is_killed_while_it_waits_or_runs_is_told_apart() {
    let stage = Stage::new("standby-killed");
    let (server, gate) = (stage.server(&[]), Gate::new());
    server.register(&standby("killed", "gate", 1, 1));
    until_ready(&server, "killed", 1);
    // While it waits: nobody is told an error.
    let first = stage.objects("pods");
    stage.kubectl(&["delete", "pod", name_of(&first[0]), "--wait=false"]);
    let mut client = server.client();
    client.ask_invoke("killed", "", json!({ "file": "/proc/self/status" }));
    assert_eq!(client.receive().status, 200);
    // While it runs: its attempt has failed.
    until_ready(&server, "killed", 1);
    client.ask_invoke("killed", "", gate.input());
    server.until_status("killed", "inFlight", 1);
    // The pod of the call before may still seem to run.
    let id = server.client().get("/v1/executions").json()["executions"][0]["executionId"].clone();
    let running = |pods: &[Value]| {
        let is_its = |pod: &&Value| pod["metadata"]["labels"]["picofaas.dev/execution-id"] == id;
        pods.iter().filter(is_its).find(|pod| pod["status"]["phase"] == "Running").cloned()
    };
    let pods = stage.until("its pod is known", "pods", |pods| running(pods).is_some());
    let victim = running(&pods).unwrap();
    stage.kubectl(&["delete", "pod", name_of(&victim), "--wait=false"]);
    let answer = client.receive();
    assert_eq!(answer.json()["error"]["code"], "INSTANCE_CRASHED", "{answer:?}");
    until_ready(&server, "killed", 1);
}

#[test]
fn a_program_that_wants_its_execution_at_its_start_has_a_job_made_for_each_call() {
    let stage = Stage::new("standby-foreign");
    let server = stage.server(&[]);
    server.register(&standby("foreign", "exit-at-start", 1, 1));
    let told = condition(&server, "foreign", "StandbyFailed");
    assert!(told["message"].as_str().unwrap().contains("exit code 7"), "{told}");
    // As a JOB without standby: the attempt has a Job of its own, which fails in its own words.
    let answer = server.invoke("foreign", 1);
    assert_eq!(answer.json()["error"]["code"], "INSTANCE_CRASHED", "{answer:?}");
}

#[test]
fn where_a_quota_is_met_an_instance_that_waits_makes_room_for_a_call_of_another_function() {
    let stage = Stage::new("standby-quota");
    stage.kubectl(&["create", "quota", "few", "--hard=pods=2"]);
    let server = stage.server(&[]);
    server.register(&standby("waits", "identity", 2, 2));
    until_ready(&server, "waits", 2);
    server.register(&in_pods("other", "JOB", "identity").with("maxRetries", 0));
    let answer = server.invoke("other", 1);
    assert_eq!(answer.status, 200, "{answer:?}");
    until_ready(&server, "waits", 2);
}

/// Waits until a control plane knows a function that was there before it.
pub(crate) fn until_read(server: &Server, name: &str) {
    let path = format!("/v1/functions/{name}");
    eventually("the functions are read", || (server.client().get(&path).status == 200).then_some(()));
}

/// Whether a Job waits for an execution.
pub(crate) fn is_waiting(job: &&Value) -> bool {
    !job["metadata"]["labels"]["picofaas.dev/standby"].is_null()
}

/// Names of the Jobs that wait for an execution.
pub(crate) fn waiting(stage: &Stage) -> BTreeSet<String> {
    stage.objects("jobs").iter().filter(is_waiting).map(|job| name_of(job).to_owned()).collect()
}

#[test]
fn the_next_control_plane_takes_the_reserve_over_after_a_drain_and_after_a_crash() {
    let stage = Stage::new("standby-restart");
    let mut server = stage.server(&[]);
    server.register(&standby("kept", "identity", 4, 4));
    for ends_well in [true, false] {
        until_ready(&server, "kept", 4);
        let before = waiting(&stage);
        assert_eq!(before.len(), 4);
        if ends_well {
            server.stop();
        } else {
            server.signal(rustix::process::Signal::KILL);
            server.end();
        }
        assert_eq!(waiting(&stage), before, "an end of the control plane took them along");
        server = stage.server(&[]);
        until_read(&server, "kept");
        until_ready(&server, "kept", 4);
        assert_eq!(waiting(&stage), before, "others were made");
        for _ in 0..2 {
            let answer = server.invoke("kept", 1);
            assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
        }
    }
    // A version that is made otherwise takes none of them.
    until_ready(&server, "kept", 4);
    let before = waiting(&stage);
    server.stop();
    let server = stage.server(&[]);
    let other =
        standby("kept", "identity", 1, 1).with("resources", json!({ "limits": { "memory": "99Mi" } }));
    until_read(&server, "kept");
    assert_eq!(server.client().put("/v1/functions/kept", &other).status, 200);
    eventually("only those of the new version are left", || {
        let now = waiting(&stage);
        (now.len() == 1 && now.is_disjoint(&before)).then_some(())
    });
}

/// Whether the objects of a kind say each that they became one of these executions.
fn have(objects: &[Value], ids: &[String]) -> bool {
    let of = |id: &String| {
        objects.iter().any(|one| one["metadata"]["labels"]["picofaas.dev/execution-id"] == **id)
    };
    ids.iter().all(of)
}

#[test]
fn while_the_api_server_is_away_what_is_ready_serves_and_when_it_is_back_the_reserve_is_filled() {
    let stage = Stage::new("standby-away");
    let detour = Detour::to_api_server();
    let server = stage.server_by(detour.kubeconfig(), reachable(), &[]);
    server.register(&standby("away", "identity", 2, 2).with("timeoutMs", 120_000));
    until_ready(&server, "away", 2);
    detour.close();
    let mut client = server.client();
    let mut ids = Vec::new();
    for nth in 0..2 {
        let answer = client.invoke("away", nth);
        assert_eq!((answer.status, answer.header("x-standby")), (200, Some("true")), "{answer:?}");
        ids.push(answer.header("x-execution-id").unwrap().to_owned());
    }
    // None is ready any more: these wait.
    let late = [0; 2].map(|input| client.enqueue("away", input));
    let_pass(Duration::from_secs(4));
    detour.open();
    let watch = Stopwatch::start();
    for id in &late {
        let ended = client.ended(id);
        assert_eq!((&ended["status"], &ended["attempt"]), (&json!("success"), &json!(1)), "{ended}");
    }
    let served = watch.elapsed();
    until_ready(&server, "away", 2);
    println!(
        "fault: API server away from a reserve that is used up | what waited had ended {served:.1?} after its return, the reserve was full after {:.1?}",
        watch.elapsed()
    );
    ids.extend(late);
    // Also that of an execution which has ended meanwhile.
    for kind in ["jobs", "pods"] {
        stage.until("the objects say whose they became", kind, |all| have(all, &ids));
    }
    let left =
        stage.until("the reserve alone waits", "jobs", |jobs| jobs.iter().filter(is_waiting).count() == 2);
    assert_eq!(left.len(), 6, "a Job was made for nobody: {left:?}");
}

#[test]
fn a_new_version_has_its_reserve_before_it_takes_over_and_a_deletion_leaves_none() {
    let stage = Stage::new("standby-rolled");
    let server = stage.server(&[]);
    server.register(&standby("rolled", "identity", 2, 2));
    until_ready(&server, "rolled", 2);
    let before = waiting(&stage);
    let other =
        standby("rolled", "identity", 1, 1).with("resources", json!({ "limits": { "memory": "99Mi" } }));
    put(&server, &other);
    let mut served = 0;
    eventually("the new version serves", || {
        let answer = server.invoke("rolled", served);
        assert_eq!((answer.status, answer.header("x-attempts")), (200, Some("1")), "{answer:?}");
        served += 1;
        let status = server.function("rolled")["status"].clone();
        (served > 3 && pods::condition(&status, "Progressing").is_none()).then_some(())
    });
    eventually("only those of the new version are left", || {
        let now = waiting(&stage);
        (now.len() == 1 && now.is_disjoint(&before)).then_some(())
    });
    assert_eq!(server.client().delete("/v1/functions/rolled").status, 204);
    eventually("none is left", || waiting(&stage).is_empty().then_some(()));
}

/// Room on the only node that this test alone counts, in a resource of its own; gone when this is dropped.
struct Seats {
    resource: String,
    node: String,
}

impl Seats {
    fn new(stage: &Stage, count: u32) -> Self {
        let node = name_of(&stage.objects("nodes")[0]).to_owned();
        let seats = Self { resource: format!("{}.invalid/seat", stage.namespace), node };
        seats.patch(|path| json!({ "op": "add", "path": path, "value": count.to_string() }));
        seats
    }

    /// Changes both counts of the node. The second one would follow the first within ten seconds.
    fn patch(&self, step: impl Fn(String) -> Value) {
        let path = |count: &str| format!("/status/{count}/{}", self.resource.replace('/', "~1"));
        let steps = json!([step(path("capacity")), step(path("allocatable"))]).to_string();
        kubectl(&["patch", "node", &self.node, "--subresource=status", "--type=json", "--patch", &steps]);
    }

    /// A function of which each pod takes one.
    fn taken_by(&self, function: Value) -> Value {
        let one = json!({ &*self.resource: "1" });
        function.with("resources", json!({ "requests": one, "limits": one }))
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.patch(|path| json!({ "op": "remove", "path": path }));
    }
}

#[test]
fn where_no_node_has_room_the_instances_of_those_that_are_idle_make_it_for_a_call() {
    let stage = Stage::new("standby-full");
    let seats = Seats::new(&stage, 3);
    let server = stage.server(&[]);
    server.register(&seats.taken_by(standby("called", "identity", 1, 1)));
    until_ready(&server, "called", 1);
    assert_eq!(server.invoke("called", 1).status, 200);
    until_ready(&server, "called", 1);
    server.register(&seats.taken_by(standby("idle", "identity", 3, 3)));
    until_ready(&server, "idle", 2);
    let kept = |stage: &Stage| -> BTreeSet<String> {
        waiting(stage).into_iter().filter(|name| name.starts_with("fn-called-")).collect()
    };
    let before = kept(&stage);
    // Of the third that is to be ready there is a pod, too, which must not have the room.
    let mut client = server.client();
    server.register(&seats.taken_by(in_pods("once", "JOB", "sleep").with("maxRetries", 0)));
    let watch = Stopwatch::start();
    let id = client.enqueue("once", "{\"ms\":600000}");
    stage.until("it runs", "pods", |pods| {
        let is_its = |pod: &&Value| pod["metadata"]["labels"]["picofaas.dev/execution-id"] == *id;
        pods.iter().filter(is_its).any(|pod| pod["status"]["phase"] == "Running")
    });
    let for_job = watch.elapsed();
    server.register(&seats.taken_by(standby("ahead", "identity", 0, 1)));
    let watch = Stopwatch::start();
    let answer = server.invoke("ahead", 1);
    println!(
        "fault: no node has room for a call's pod | an idle instance made it: the pod of a JOB ran after {for_job:.1?}, a call that found no instance ready was served after {:.1?}",
        watch.elapsed()
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(kept(&stage), before, "a function that was called made room before one that was not");
    assert_eq!(client.delete(&format!("/v1/executions/{id}")).status, 202);
}
