//! `Idempotency-Key`: one execution for many requests.

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

fn key(key: &str) -> String {
    format!("idempotency-key: {key}\r\n")
}

fn enqueue(client: &mut Client, name: &str, headers: &str, input: &str) -> Answer {
    client.call(&format!("POST /v1/functions/{name}:enqueue"), headers, format!("{{\"input\":{input}}}"))
}

fn execution(answer: &Answer) -> String {
    answer.json()["executionId"].as_str().unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned()
}

#[track_caller]
fn assert_replayed(answer: &Answer, is: bool) {
    assert_eq!(answer.header("idempotency-replayed"), is.then_some("true"), "{answer:?}");
}

#[test]
fn requests_with_one_key_join_the_execution_that_runs_and_replay_its_success() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("once", endpoint.url()));
    let (mut first, mut second, mut third) = (server.client(), server.client(), server.client());
    first.ask_invoke("once", &key("k"), 1);
    let request = endpoint.next();
    second.ask_invoke("once", &key("k"), 1);
    let joined = enqueue(&mut third, "once", &key("k"), "1");
    assert_eq!((joined.status, &joined.json()["status"]), (202, &json!("running")));
    assert_replayed(&joined, true);
    request.answer(200, "{\"charged\":true}");
    let (own, other) = (first.receive(), second.receive());
    assert_eq!(own.output(), json!({ "charged": true }));
    assert_eq!(own.body, other.body);
    assert_replayed(&own, false);
    assert_replayed(&other, true);
    assert_eq!(execution(&joined), execution(&own));
    // After its end, on either call, and after a new version too.
    for _ in 0..2 {
        let again = third.invoke_with("once", &key("k"), 1);
        assert_eq!(again.body, own.body);
        assert_replayed(&again, true);
        let queued = enqueue(&mut third, "once", &key("k"), "1");
        assert_eq!((execution(&queued), &queued.json()["status"]), (execution(&own), &json!("success")));
        assert_eq!(queued.header("location"), Some(format!("/v1/executions/{}", execution(&own)).as_str()));
        let put = third.put("/v1/functions/once", pool("once", endpoint.url()).with("timeoutMs", 9000));
        assert_eq!(put.status, 200, "{put:?}");
    }
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("once", "dispatched_total"), 1.0);
    assert_eq!(scrape.of_function("once", "enqueued_total"), 1.0);
}

#[test]
fn a_key_belongs_to_one_function_and_one_body() {
    let server = Server::start(&[]);
    server.register(&warm("other", "echo"));
    let mut client = server.client();
    let first = client.invoke_with(BYSTANDER, &key("k"), 1);
    assert_eq!(first.output(), 1);
    for answer in
        [client.invoke_with(BYSTANDER, &key("k"), 2), enqueue(&mut client, BYSTANDER, &key("k"), " 1")]
    {
        answer.assert_refused(422, "IDEMPOTENCY_MISMATCH", &["another body", "another key"]);
    }
    let elsewhere = client.invoke_with("other", &key("k"), 2);
    assert_eq!(elsewhere.output(), 2);
    assert_replayed(&elsewhere, false);
    assert_eq!(client.invoke_with(BYSTANDER, &key("K"), 3).output(), 3);
    assert_eq!(client.invoke_with(BYSTANDER, &key("k"), 1).body, first.body);
}

#[test]
fn the_functions_own_4xx_is_replayed_and_any_other_end_frees_the_key() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("moody", endpoint.url()).with("maxRetries", 0));
    let mut client = server.client();
    client.ask_invoke("moody", &key("refused"), 1);
    endpoint.next().answer(409, "{\"error\":{\"code\":\"SOLD_OUT\",\"message\":\"none left\"}}");
    let refused = client.receive();
    refused.assert_error(409, "SOLD_OUT", "function", &["none left"]);
    let again = client.invoke_with("moody", &key("refused"), 1);
    assert_eq!((again.status, &again.body), (409, &refused.body));
    assert_replayed(&again, true);

    // A failure, a time-out, a cancel: the next request is a new execution, also with another body.
    client.ask_invoke("moody", &key("k"), 1);
    endpoint.next().answer(500, "{\"error\":{\"code\":\"BROKEN\",\"message\":\"no\"}}");
    let failed = client.receive();
    failed.assert_error(500, "BROKEN", "function", &[]);
    // Long enough for a busy machine to have it begin.
    let headers = format!("{}x-timeout-ms: 2000\r\n", key("k"));
    client.ask("POST /v1/functions/moody:invoke", &headers, "{\"input\":2}");
    let held = endpoint.next();
    let late = client.receive();
    late.assert_error(504, "TIMEOUT", "gateway", &[]);
    assert_replayed(&late, false);
    held.until_closed();
    let id = execution(&enqueue(&mut client, "moody", &key("k"), "3"));
    let held = endpoint.next();
    assert_eq!(client.delete(&format!("/v1/executions/{id}")).status, 202);
    held.until_closed();
    client.ask_invoke("moody", &key("k"), 4);
    endpoint.next().answer(200, "\"at last\"");
    let last = client.receive();
    assert_eq!(last.output(), "at last");
    assert_replayed(&last, false);
    // A failed execution can still be read.
    assert_eq!(client.ended(&execution(&failed))["error"]["code"], "BROKEN");
}

#[test]
fn a_request_that_is_refused_claims_nothing() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1).with("queueSize", 1));
    let mut client = server.client();
    let first = client.enqueue("narrow", 1);
    let running = endpoint.next();
    let waiting = execution(&enqueue(&mut client, "narrow", &key("waits"), "2"));
    client.invoke_with("narrow", &key("k"), 3).assert_refused(429, "QUEUE_FULL", &[]);
    // One that joins needs no place in the queue.
    let joined = enqueue(&mut client, "narrow", &key("waits"), "2");
    assert_eq!((joined.status, execution(&joined)), (202, waiting.clone()));
    running.answer(200, "1");
    endpoint.next().answer(200, "2");
    assert_eq!(client.ended(&first)["output"], 1);
    assert_eq!(client.ended(&waiting)["output"], 2);
    // Another body than that of the refused one: nothing was claimed.
    client.ask_invoke("narrow", &key("k"), 4);
    endpoint.next().answer(200, "4");
    assert_eq!(client.receive().output(), 4);
}

#[test]
fn who_joins_waits_for_its_own_time_only_and_the_execution_goes_on() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("slow", endpoint.url()));
    let mut client = server.client();
    let id = execution(&enqueue(&mut client, "slow", &key("k"), "1"));
    let request = endpoint.next();
    let headers = format!("{}x-timeout-ms: 50\r\n", key("k"));
    let joined = client.call("POST /v1/functions/slow:invoke", &headers, "{\"input\":1}");
    joined.assert_error(504, "TIMEOUT", "gateway", &["goes on"]);
    assert_eq!((execution(&joined), &joined.json()["status"]), (id.clone(), &json!("running")));
    request.answer(200, "1");
    assert_eq!(client.ended(&id)["output"], 1);
}

#[test]
fn a_keyed_execution_whose_client_goes_is_there_for_the_next_one() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    client.enqueue("narrow", 1);
    let running = endpoint.next();
    let mut leaving = server.client();
    leaving.ask_invoke("narrow", &key("k"), 2);
    server.until_status("narrow", "queued", 1);
    leaving.hang_up();
    // Its going has been seen when a later request on the same thread is answered.
    server.assert_others_are_served();
    client.ask_invoke("narrow", &key("k"), 2);
    running.answer(200, "1");
    endpoint.next().answer(200, "2");
    let answer = client.receive();
    assert_eq!(answer.output(), 2);
    assert_replayed(&answer, true);
}

#[test]
fn a_deleted_function_takes_its_keys_with_it() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("f", endpoint.url()));
    let mut client = server.client();
    client.ask_invoke("f", &key("k"), 1);
    endpoint.next().answer(200, "\"old\"");
    assert_eq!(client.receive().output(), "old");
    assert_eq!(client.delete("/v1/functions/f").status, 204);
    server.register(&pool("f", endpoint.url()));
    client.ask_invoke("f", &key("k"), 1);
    endpoint.next().answer(200, "\"new\"");
    assert_eq!(client.receive().output(), "new");
}

#[test]
fn a_key_is_kept_for_the_retention_however_many_others_come_and_then_free() {
    let server = Server::start(&["--max-executions", "64", "--retention", "10"]);
    let mut client = server.client();
    let first = client.invoke_with(BYSTANDER, &key("k"), 1);
    for input in 0..100 {
        assert_eq!(client.invoke(BYSTANDER, input).output(), input);
    }
    let again = client.invoke_with(BYSTANDER, &key("k"), 1);
    assert_eq!(again.body, first.body, "an execution with a key went early");
    eventually("the key is free", || {
        let answer = client.invoke_with(BYSTANDER, &key("k"), 1);
        (execution(&answer) != execution(&first)).then_some(())
    });
}

#[test]
fn places_for_keyed_and_promised_outputs_are_reserved_in_bytes_too() {
    let server = Server::start(&["--max-payload-bytes", "1048576", "--reserved-output", "131072"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    // A function may hold half of what is free: four reservations of 128 KiB.
    let ids: Vec<String> = (0..4).map(|_| client.enqueue("held", 1)).collect();
    let refused = enqueue(&mut client, "held", "", "1");
    refused.assert_refused(503, "RETENTION_FULL", &["--reserved-output"]);
    assert!(refused.header("retry-after").is_some());
    let keyed = client.invoke_with("held", &key("k"), 1);
    keyed.assert_refused(503, "RETENTION_FULL", &["--reserved-output"]);
    for id in &ids {
        endpoint.next().answer(200, &format!("\"{}\"", "x".repeat(100_000)));
        assert_eq!(client.ended(id)["status"], "success");
    }
}

#[test]
fn a_promised_output_that_finds_no_room_ends_as_an_error_and_not_as_a_success_without_it() {
    let server = Server::start(&["--max-payload-bytes", "1048576", "--reserved-output", "1024"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("large", endpoint.url()).with("maxRetries", 0));
    let mut client = server.client();
    let output = format!("\"{}\"", "x".repeat(600_000));
    let ids: Vec<String> = (0..2).map(|_| client.enqueue("large", 1)).collect();
    endpoint.next().answer(200, &output);
    let first = eventually("one has ended", || {
        let ended: Vec<_> = ids
            .iter()
            .map(|id| client.get(&format!("/v1/executions/{id}")).json())
            .filter(|execution| execution["status"] != "running" && execution["status"] != "queued")
            .collect();
        ended.first().cloned()
    });
    assert_eq!(first["status"], "success");
    endpoint.next().answer(200, &output);
    let ends: Vec<_> = ids.iter().map(|id| client.ended(id)).collect();
    let failed = ends.iter().find(|end| end["status"] == "error").expect("one found no room");
    assert_eq!(failed["error"]["code"], "RETENTION_FULL");
    assert!(ends.iter().any(|end| end["status"] == "success" && end["output"].is_string()));
}
