//! Enqueueing, waiting and reading: the life of an execution as clients see it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

const STAGES: [&str; 5] = ["admit", "queue", "dispatch", "function", "reply"];

/// The sum of an execution's stages, in nanoseconds.
fn sum_ns(execution: &Value) -> u64 {
    let timings = execution["timings"].as_object().unwrap_or_else(|| panic!("no timings: {execution}"));
    assert_eq!(timings.len(), STAGES.len(), "{execution}");
    STAGES.iter().map(|stage| timings[*stage].as_u64().unwrap()).sum()
}

/// Milliseconds of the day of an RFC 3339 time in UTC.
fn ms_of_day(time: &Value) -> u64 {
    let text = time.as_str().unwrap();
    assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    ((number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19)) * 1000 + number(20, 23)
}

#[test]
fn an_enqueued_execution_is_read_queued_running_and_ended() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    let first = client.post("/v1/functions/held:enqueue", "{\"input\":1}");
    let first_id = first.json()["executionId"].as_str().unwrap().to_owned();
    assert_eq!((first.status, &first.json()["status"]), (202, &json!("queued")));
    assert_eq!(first.header("location"), Some(format!("/v1/executions/{first_id}").as_str()));
    let request = endpoint.next();
    let second = client.enqueue("held", 2);

    let running = client.get(&format!("/v1/executions/{first_id}")).json();
    assert_eq!((&running["status"], &running["attempt"]), (&json!("running"), &json!(1)));
    assert_eq!((&running["finishedAt"], &running["timings"]), (&Value::Null, &Value::Null));
    assert!(running["startedAt"].is_string(), "{running}");
    let queued = client.get(&format!("/v1/executions/{second}")).json();
    assert_eq!((&queued["status"], &queued["attempt"]), (&json!("queued"), &json!(0)));
    assert_eq!((&queued["startedAt"], &queued["function"]), (&Value::Null, &json!("held")));

    request.answer(200, "{\"the\":\"output\"}");
    let ended = client.ended(&first_id);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("success"), &json!({ "the": "output" })));
    assert_eq!((&ended["error"], &ended["executionId"]), (&Value::Null, &json!(first_id)));
    endpoint.next().answer(404, "{\"error\":{\"code\":\"GONE\",\"message\":\"it is gone\"}}");
    let failed = client.ended(&second);
    assert_eq!((&failed["status"], &failed["error"]["code"]), (&json!("error"), &json!("GONE")));
    // A terminal state never changes, and is read as often as one likes.
    assert_eq!(client.ended(&first_id), ended);
    assert_eq!(server.operator().get(&format!("/v1/executions/{first_id}")).json(), ended);
}

#[test]
fn a_wait_ends_with_the_execution_and_not_before_its_own_time() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()));
    let mut client = server.client();
    let id = client.enqueue("held", 1);
    let request = endpoint.next();
    let watch = Stopwatch::start();
    let still = client.get(&format!("/v1/executions/{id}?wait=1"));
    assert_eq!((still.status, &still.json()["status"]), (200, &json!("running")));
    assert!(watch.elapsed() >= Duration::from_secs(1), "{:?}", watch.elapsed());
    client.ask(&format!("GET /v1/executions/{id}?wait=60"), "", "");
    let mut other = server.client();
    other.ask(&format!("GET /v1/executions/{id}?wait=60"), "", "");
    // Both wait when the answer of a later request on the same thread has come.
    server.assert_others_are_served();
    request.answer(200, "1");
    assert_eq!(client.receive().json()["status"], "success");
    assert_eq!(other.receive().json()["status"], "success");
    for query in ["wait=61", "wait=soon", "wait=-1"] {
        let answer = client.get(&format!("/v1/executions/{id}?{query}"));
        answer.assert_refused(400, "BAD_REQUEST", &[query, "0 … 60"]);
    }
    let answer = client.get(&format!("/v1/executions/{id}?wiat=1"));
    answer.assert_refused(400, "BAD_REQUEST", &["\"wiat\"", "`wait`"]);
}

#[test]
fn an_id_that_never_was_is_told_from_one_of_an_earlier_boot() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let id = client.invoke(BYSTANDER, 1).header("x-execution-id").unwrap().to_owned();
    let mut read = |id: &str| client.get(&format!("/v1/executions/{id}"));
    assert_eq!(read(&id).json()["status"], "success");
    let incarnation = u32::from_str_radix(&id[..8], 16).unwrap();
    let earlier = format!("{:08x}{}", incarnation - 1, &id[8..]);
    read(&earlier).assert_refused(404, "EXECUTION_LOST_ON_RESTART", &["restarted"]);
    let later = format!("{:08x}{}", incarnation + 1, &id[8..]);
    read(&later).assert_refused(404, "EXECUTION_NOT_FOUND", &[&later]);
    // Its random part is wrong: nobody finds an execution by counting.
    let last = if id.ends_with('0') { '1' } else { '0' };
    let guessed = format!("{}{last}", &id[..39]);
    read(&guessed).assert_refused(404, "EXECUTION_NOT_FOUND", &[&guessed]);
    let unused = format!("{}ffffffff{}", &id[..8], &id[16..]);
    read(&unused).assert_refused(404, "EXECUTION_NOT_FOUND", &[&unused]);
    for malformed in ["12", "x", &id[..39], &id.to_uppercase().replace(char::is_numeric, "A")] {
        read(malformed).assert_refused(404, "EXECUTION_NOT_FOUND", &[malformed]);
    }
    server.assert_others_are_served();
}

#[test]
fn an_execution_expires_after_its_retention_and_says_so() {
    let server = Server::start(&["--retention", "5"]);
    let mut client = server.client();
    let waited_for = client.invoke(BYSTANDER, 1).header("x-execution-id").unwrap().to_owned();
    let promised = client.enqueue(BYSTANDER, 2);
    assert_eq!(client.ended(&promised)["output"], 2);
    for id in [waited_for, promised] {
        let gone = eventually("it expires", || {
            let answer = client.get(&format!("/v1/executions/{id}"));
            (answer.status != 200).then_some(answer)
        });
        gone.assert_refused(404, "EXECUTION_EXPIRED", &["--retention"]);
    }
    eventually("nothing is retained", || {
        (server.scrape().series("picofaas_executions_retained") == Some(0.0)).then_some(())
    });
}

#[test]
fn promises_beyond_the_room_for_them_are_refused_and_those_made_are_kept() {
    let server = Server::start(&["--max-executions", "64"]);
    let mut client = server.client();
    // Seven eighths of the slots can be promised.
    let ids: Vec<String> = (0..56).map(|input| client.enqueue(BYSTANDER, input)).collect();
    let refused = client.post(&format!("/v1/functions/{BYSTANDER}:enqueue"), "{\"input\":1}");
    refused.assert_refused(503, "RETENTION_FULL", &["--max-executions", "--retention"]);
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(server.scrape().refused(BYSTANDER, "retention_full"), 1.0);
    for _ in 0..100 {
        server.assert_others_are_served();
    }
    for (input, id) in ids.iter().enumerate() {
        assert_eq!(client.ended(id)["output"], input);
    }
}

#[test]
fn one_function_holds_at_most_half_of_the_bytes_that_others_leave() {
    let server = Server::start(&["--max-payload-bytes", "1048576"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("greedy", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    let input = format!("\"{}\"", "x".repeat(400_000));
    let id = client.enqueue("greedy", &input);
    let request = endpoint.next();
    let body = format!("{{\"input\":{input}}}");
    let refused = client.call("POST /v1/functions/greedy:enqueue", "", &body);
    refused.assert_refused(503, "PAYLOAD_BYTES_FULL", &["--max-payload-bytes"]);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(client.call("POST /v1/functions/bystander:invoke", "", "{\"input\":1}").output(), 1);
    // When it has ended its payload is let go.
    request.answer(200, "1");
    assert_eq!(client.ended(&id)["status"], "success");
    let second = client.enqueue("greedy", &input);
    endpoint.next().answer(200, "2");
    assert_eq!(client.ended(&second)["output"], 2);
}

#[test]
fn timings_are_the_time_from_admission_to_the_end() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("timed", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    let watch = Stopwatch::start();
    let ids = [client.enqueue("timed", 1), client.enqueue("timed", 2)];
    for _ in &ids {
        let request = endpoint.next();
        let_pass(Duration::from_millis(500));
        request.answer(200, "1");
    }
    let executions = ids.map(|id| client.ended(&id));
    let whole = u64::try_from(watch.elapsed().as_nanos()).unwrap();
    for execution in &executions {
        let sum = sum_ns(execution);
        assert!(sum <= whole, "{execution} took longer than {whole} ns");
        let day_ms = 86_400_000;
        let (from, to) = (ms_of_day(&execution["createdAt"]), ms_of_day(&execution["finishedAt"]));
        let told_ms = (to + day_ms - from) % day_ms;
        assert!(told_ms.abs_diff(sum / 1_000_000) <= 1, "{told_ms} ms are not {sum} ns");
    }
    let ns = |at: usize, stage: &str| executions[at]["timings"][stage].as_u64().unwrap();
    // Its beginning is stamped after the request has gone, on a busy machine a while after.
    assert!(ns(0, "function") >= 250_000_000, "{}", executions[0]);
    assert!(ns(1, "queue") >= 499_000_000, "{}", executions[1]);
}

#[test]
fn server_timing_has_the_five_stages_and_they_fit_into_what_the_client_saw() {
    let server = Server::start(&[]);
    server.register(&warm("sleeps", "sleep"));
    let mut client = server.client();
    assert_eq!(client.invoke("sleeps", "{\"ms\":0}").status, 200);
    let watch = Stopwatch::start();
    let answer = client.invoke("sleeps", "{\"ms\":50}");
    let whole_ms = watch.elapsed().as_secs_f64() * 1000.0;
    let text = answer.header("server-timing").unwrap().to_owned();
    let stages: Vec<(&str, f64)> = text
        .split(", ")
        .map(|stage| {
            let (name, duration) = stage.split_once(";dur=").unwrap_or_else(|| panic!("{text}"));
            assert_eq!(duration.split_once('.').unwrap().1.len(), 3, "not microseconds: {text}");
            (name, duration.parse().unwrap())
        })
        .collect();
    assert_eq!(stages.iter().map(|(name, _)| *name).collect::<Vec<_>>(), STAGES);
    let sum: f64 = stages.iter().map(|(_, ms)| ms).sum();
    assert!(sum <= whole_ms && stages[3].1 >= 50.0, "{text} of {whole_ms} ms");
    let read = client.ended(answer.header("x-execution-id").unwrap());
    assert!((sum - sum_ns(&read) as f64 / 1e6).abs() < 0.006, "{text} is not {read}");
}

#[test]
fn bodies_that_are_being_read_are_bounded_together_and_those_within_are_served() {
    let server = Server::start(&["--max-payload-bytes", "1048576"]);
    let body = format!("{{\"input\":\"{}\"}}", "x".repeat(460_000));
    let (begun, rest) = body.split_at(450_000);
    let length = body.len();
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = server.client();
            client.send(format!(
                "POST /v1/functions/{BYSTANDER}:invoke HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
            ));
            client.send_in_vain(begun);
            client
        })
        .collect();
    // Two thirds of them fit.
    let refused = eventually("one is refused", || clients.iter_mut().position(|client| client.has_answer()));
    let answer = clients.remove(refused).receive();
    answer.assert_refused(503, "PAYLOAD_BYTES_FULL", &["being read", "--max-payload-bytes"]);
    answer.assert_closing();
    for mut client in clients {
        client.send(rest);
        assert_eq!(client.receive().status, 200);
    }
    assert_eq!(
        server.scrape().series(&format!(
            "picofaas_function_rejected_total{{function=\"{BYSTANDER}\",reason=\"payload_bytes_full\"}}"
        )),
        Some(1.0)
    );
}
