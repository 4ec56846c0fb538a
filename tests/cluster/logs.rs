//! Logs of functions in pods.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::detour::Detour;
use crate::stage::{Stage, in_pods, reachable};
use crate::support::client::Client;
use crate::support::lines::{Followed, objects, texts};
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::specification::With;

fn once(name: &str, handler: &str) -> Value {
    in_pods(name, "JOB", handler).with("maxRetries", 0)
}

/// Lines that the handler `write` writes, and how long it runs after them.
fn lines(to: &str, text: &str, times: u32, ms: u32) -> Value {
    json!({ "to": to, "text": text, "times": times, "ms": ms })
}

fn numbered(text: &str, count: u32) -> Vec<String> {
    (0..count).map(|n| format!("{text} {n}")).collect()
}

#[test]
fn the_lines_of_a_job_are_read_by_execution_and_by_function_each_of_them_once() {
    let stage = Stage::new("logs");
    let server = stage.server(&["--retention", "1"]);
    server.register(&once("writes", "write"));
    let mut client = server.client();
    let answer = client.invoke("writes", lines("stderr", "first {n}", 20, 0));
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.header("x-execution-id").unwrap().to_owned();
    let path = format!("/v1/executions/{id}/logs");
    // At once: its pod may not have ended, and is read for us.
    assert_eq!(texts(&mut client, &path), numbered("first", 20));
    assert_eq!(client.invoke("writes", lines("stdout", "second {n}", 5, 0)).status, 200);
    let of_function = eventually("the lines of both are in the list of the function", || {
        let lines = texts(&mut client, "/v1/functions/writes/logs");
        (lines.len() >= 25).then_some(lines)
    });
    let mut all = [numbered("first", 20), numbered("second", 5)].concat();
    assert_eq!(of_function.iter().collect::<BTreeSet<_>>(), all.iter().collect());
    assert_eq!(of_function.len(), 25, "{of_function:?}");
    assert_eq!(texts(&mut client, &format!("{path}?tail=3")), all.drain(17..20).collect::<Vec<_>>());
    let pods = stage.until("the pods have ended", "pods", |pods| {
        pods.len() == 2 && pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded")
    });
    let of = |pod: &&Value| pod["metadata"]["labels"]["picofaas.dev/execution-id"] == id.as_str();
    let pod = pods.iter().find(of).unwrap()["metadata"]["name"].as_str().unwrap();
    eventually("the execution has gone", || {
        (client.get(&format!("/v1/executions/{id}")).status == 404).then_some(())
    });
    let line = &objects(&mut client, &path)[19];
    let time = line["time"].as_str().unwrap();
    assert_eq!(
        *line,
        json!({
            "time": time, "function": "writes", "executionId": id, "stream": "output", "instance": pod,
            "line": "first 19",
        })
    );
    let other = client.get(&format!("/v1/executions/{}/logs", id.replace(&id[30..], "0123456789")));
    assert_eq!(other.status, 404, "{other:?}");
}

#[test]
fn a_running_job_is_followed_and_the_answer_ends_with_its_last_line() {
    let stage = Stage::new("followed");
    let server = stage.server(&[]);
    server.register(&once("slow", "write"));
    let mut client = server.client();
    let id = client.enqueue("slow", lines("stderr", "line {n}", 3, 4000));
    let mut of_function = Followed::ask(server.client(), "/v1/functions/slow/logs?follow=true");
    let mut of_execution = Followed::ask(server.client(), &format!("/v1/executions/{id}/logs?follow=true"));
    assert_eq!(of_execution.next().as_deref(), Some("line 0"));
    let status = client.get(&format!("/v1/executions/{id}")).json()["status"].clone();
    assert_eq!(status, "running", "it is followed while it runs");
    assert_eq!(of_function.next().as_deref(), Some("line 0"));
    assert_eq!(of_execution.until_end(), ["line 1", "line 2"]);
    assert_eq!(client.ended(&id)["status"], "success");
    assert_eq!([of_function.next(), of_function.next()].map(Option::unwrap), ["line 1", "line 2"]);
}

#[test]
fn an_attempt_that_crashed_or_was_killed_tells_what_it_wrote_last() {
    let stage = Stage::new("finaloutput");
    let server = stage.server(&[]);
    let mut client = server.client();
    server.register(&once("crash", "exit-at-start"));
    let answer = client.invoke("crash", 1);
    assert_eq!(answer.json()["error"]["code"], "INSTANCE_CRASHED", "{answer:?}");
    let message = answer.message();
    let said = "it wrote: faulty: ending before listening, as told";
    assert!(message.contains("exit code 7") && message.contains(said), "{message}");
    server.register(&once("stuck", "write"));
    let answer = client.invoke_with(
        "stuck",
        "X-Timeout-Ms: 4000\r\n",
        lines("stdout", "before the end {n}", 2, 60_000),
    );
    assert_eq!(answer.status, 504, "{answer:?}");
    let id = answer.header("x-execution-id").unwrap().to_owned();
    // It ends at its own deadline, or is deleted before that.
    stage.until("its pod is gone or has ended", "pods", |pods| {
        let mut of_it =
            pods.iter().filter(|pod| pod["metadata"]["labels"]["picofaas.dev/function"] == "stuck");
        of_it.all(|pod| pod["status"]["phase"] == "Failed" || pod["status"]["phase"] == "Succeeded")
    });
    let lines = texts(&mut client, &format!("/v1/executions/{id}/logs"));
    // The runtime has its own words about the end.
    assert_eq!(lines[..2], numbered("before the end", 2));
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "doubled: {lines:?}");
}

/// Has the instance of a function write.
#[track_caller]
fn write(client: &mut Client, text: &str, times: u32) {
    let answer = client.invoke("talks", lines("stderr", text, times, 0));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_warm_pod_is_followed_and_no_line_is_lost_or_doubled_while_the_api_server_is_away() {
    let stage = Stage::new("warmlogs");
    let detour = Detour::to_api_server();
    let runtime = reachable();
    let server = stage.server_by(detour.kubeconfig(), runtime, &[]);
    server.register(&in_pods("talks", "WARM", "write"));
    let (mut writer, mut client) = (server.client(), server.client());
    write(&mut writer, "before {n}", 3);
    let mut written = |count: usize| {
        eventually("the lines have come", || {
            let lines = texts(&mut client, "/v1/functions/talks/logs");
            let lines: Vec<_> = lines.into_iter().filter(|line| !line.contains("listening")).collect();
            (lines.len() >= count).then_some(lines)
        })
    };
    assert_eq!(written(3), numbered("before", 3));
    detour.close();
    write(&mut writer, "meanwhile {n}", 50);
    // sleep: the outage has to last longer than the first attempts to read on.
    let_pass(Duration::from_secs(3));
    detour.open();
    write(&mut writer, "after {n}", 3);
    let all = [numbered("before", 3), numbered("meanwhile", 50), numbered("after", 3)].concat();
    assert_eq!(written(all.len()), all);
    // One that starts now has what was written before it was there.
    server.stop();
    let next = stage.server_at(runtime, &[]);
    let mut client = next.client();
    eventually("it knows the function", || (client.get("/v1/functions/talks").status == 200).then_some(()));
    let watch = Stopwatch::start();
    let lines = eventually("the next process has read the lines of a pod that is older", || {
        let lines = texts(&mut client, "/v1/functions/talks/logs?since=1h&tail=56");
        (lines.len() == 56).then_some(lines)
    });
    assert_eq!(lines, all, "after {:?}", watch.elapsed());
}
