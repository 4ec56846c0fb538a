//! `JOB` functions on one machine: a fresh process for each attempt.

use serde_json::{Value, json};

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::job::{Stage, fetch, post};
use crate::support::patience::eventually;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

fn failure(status: u16, code: &str) -> Value {
    json!({ "success": false, "error": { "code": code, "message": "told so" }, "status": status })
}

#[test]
fn a_job_fetches_what_was_sent_and_its_post_answers_the_caller_before_it_ends() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job").with("concurrency", 1));
    let mut client = server.client();
    let body = "{\"metadata\":{\"a\":\"b\"},  \"input\": [1, 2.50]}";
    let headers = "x-trace-id: 0af7651916cd43dd8448eb211c80319c\r\nidempotency-key: k1\r\n";
    client.ask("POST /v1/functions/job:invoke", headers, body);

    let process = stage.next();
    let status = server.function("job")["status"].clone();
    assert_eq!((&status["replicas"], &status["ready"]), (&json!(1), &json!(1)));
    assert_eq!(status["conditions"][0]["reason"], "ProcessPerAttempt");
    for (name, value) in [
        ("FUNCTION_NAME", "job"),
        ("EXECUTION_MODE", "JOB"),
        ("TIMEOUT_MS", "30000"),
        ("TRACE_ID", "0af7651916cd43dd8448eb211c80319c"),
    ] {
        assert_eq!(process.env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!process.env.contains_key("PICOFAAS_SOCKET"), "it was told to listen");
    assert!(process.env.values().all(|value| !value.contains("2.50")), "the payload is in the environment");
    let input = process.fetch();
    assert_eq!((input.status, input.text()), (200, body));
    let id = process.execution().to_owned();
    for (name, value) in [
        ("x-execution-id", id.as_str()),
        ("x-trace-id", "0af7651916cd43dd8448eb211c80319c"),
        ("x-attempt", "1"),
        ("idempotency-key", "k1"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(input.header(name), Some(value), "{name}");
    }
    assert!(input.header("traceparent").is_some_and(|value| value.starts_with("00-")), "{input:?}");
    let left: u64 = input.header("x-deadline-ms").unwrap().parse().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");

    process.succeed(json!({ "sum": 3.5 }));
    let answer = client.receive();
    assert_eq!(answer.output(), json!({ "sum": 3.5 }));
    assert_eq!(answer.header("x-execution-id"), Some(id.as_str()));
    assert_eq!(answer.header("x-attempts"), Some("1"));
    assert_eq!(answer.header("x-cold-start"), Some("true"));
    // Its permit is its own until it is gone: the next one waits.
    assert!(process.is_there());
    server.until_status("job", "inFlight", 1);
    client.ask_invoke("job", "", 2);
    server.until_status("job", "queued", 1);
    assert!(stage.is_empty(), "two processes at once with concurrency 1");
    process.exit(0);
    let second = stage.next();
    assert_ne!(second.execution(), id);
    assert_eq!(second.fetch().text(), "{\"input\":2}");
    second.succeed(2);
    assert_eq!(client.receive().output(), 2);
    second.exit(0);
    server.until_status("job", "inFlight", 0);
    server.until_status("job", "replicas", 0);
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("job", "success_total"), 2.0);
    assert_eq!(scrape.of_function("job", "cold_starts_total"), 2.0);
    assert_eq!(scrape.of_function("job", "retries_total"), 0.0);
}

#[test]
fn a_process_that_ends_without_a_post_is_noticed_at_once_and_another_one_tries() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job").with("maxRetries", 1));
    let mut client = server.client();
    // Without its timeout the caller would wait for 30 s.
    client.ask_invoke("job", "", 1);
    let first = stage.next();
    first.fetch();
    let (execution, token) = (first.execution().to_owned(), first.token().to_owned());
    let mut internal = first.client();
    first.exit(3);
    let second = stage.next();
    assert_eq!(second.execution(), execution, "a retry is the same execution");
    assert_ne!(second.token(), token, "a token is good for one attempt");
    assert_eq!(second.fetch().header("x-attempt"), Some("2"));
    // The first attempt's token is known and worth nothing.
    fetch(&mut internal, &execution, &token).assert_refused(409, "ATTEMPT_SUPERSEDED", &["over"]);
    let late = post(&mut internal, &execution, &token, &json!({ "success": true, "output": "late" }));
    late.assert_refused(409, "ATTEMPT_SUPERSEDED", &["over"]);
    // Says that it has posted, and has not.
    second.exit(0);
    let answer = client.receive();
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["exited with status 0", "before it posted"]);
    assert_eq!(answer.header("x-attempts"), Some("2"));
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("job", "retries_total"), 1.0);
    assert_eq!(scrape.of_function("job", "late_results_total"), 2.0);
}

#[test]
fn a_result_counts_once_and_only_with_the_token_of_its_own_attempt() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    let mut client = server.client();
    let ids = [client.enqueue("job", 1), client.enqueue("job", 2)];
    let (one, other) = (stage.next(), stage.next());
    let mut internal = one.client();
    let result = json!({ "success": true, "output": "stolen" });
    for token in [other.token(), "", "0123456789abcdef0123456789abcdef", &one.token().to_uppercase()] {
        let answer = post(&mut one.client(), one.execution(), token, &result);
        answer.assert_refused(401, "UNAUTHORIZED", &["PICOFAAS_TOKEN"]);
        answer.assert_closing();
        fetch(&mut internal, one.execution(), token).assert_refused(401, "UNAUTHORIZED", &["Bearer"]);
    }
    let answer = internal.call(&format!("GET /v1/internal/executions/{}/input", one.execution()), "", "");
    answer.assert_refused(401, "UNAUTHORIZED", &["Bearer"]);
    let unknown = one.execution().replace(|digit| digit != '0', "0");
    fetch(&mut internal, &unknown, one.token()).assert_refused(404, "EXECUTION_LOST_ON_RESTART", &[]);

    let broken = post(&mut internal, one.execution(), one.token(), &json!({ "output": 1 }));
    broken.assert_refused(422, "INVALID_COMPLETION", &["success"]);
    one.succeed("own");
    let again = one.post(&result);
    again.assert_refused(409, "ALREADY_TERMINAL", &["nothing to do"]);
    one.fetch().assert_refused(409, "ALREADY_TERMINAL", &[]);
    other.succeed("other's");
    for process in [one, other] {
        let wanted = if ids[0] == process.execution() { 0 } else { 1 };
        let ended = client.ended(&ids[wanted]);
        assert_eq!((&ended["status"], &ended["attempt"]), (&json!("success"), &json!(1)));
        assert!(ended["output"] != "stolen" && ended["timings"]["function"].is_u64(), "{ended}");
        process.exit(0);
    }
    server.until_status("job", "inFlight", 0);
}

#[test]
fn a_failure_is_answered_or_repeated_as_its_status_says() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job").with("maxRetries", 1));
    let mut client = server.client();
    client.ask_invoke("job", "", 1);
    let process = stage.next();
    assert_eq!(process.post(&failure(422, "NAME_EMPTY")).status, 204);
    client.receive().assert_error(422, "NAME_EMPTY", "function", &["told so"]);
    process.exit(0);

    client.ask_invoke("job", "", 2);
    let process = stage.next();
    assert_eq!(process.post(&failure(500, "BROKEN")).status, 204);
    // The next attempt begins when the process of this one is gone.
    server.until_status("job", "inFlight", 1);
    assert!(stage.is_empty());
    process.exit(0);
    let process = stage.next();
    assert_eq!(process.post(&failure(504, "SLOW")).status, 204);
    process.exit(0);
    let answer = client.receive();
    answer.assert_error(504, "SLOW", "function", &["told so"]);
    assert_eq!((answer.header("x-attempts"), &answer.json()["status"]), (Some("2"), &json!("timeout")));

    client.ask_invoke("job", "", 3);
    let process = stage.next();
    let large = "x".repeat(1 << 20);
    assert_eq!(process.post(&json!({ "success": true, "output": large })).status, 204);
    client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["--max-output"]);
    process.exit(0);
    // So large that not even its envelope is read.
    client.ask_invoke("job", "", 4);
    let process = stage.next();
    let mut internal = process.client();
    let (id, token, length) = (process.execution(), process.token(), 3 << 20);
    internal.send(format!(
        "POST /v1/internal/executions/{id}:complete HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    ));
    internal.receive().assert_refused(413, "BODY_TOO_LARGE", &[]);
    client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["--max-output"]);
    process.exit(1);
}

#[test]
fn a_cancelled_job_is_killed_with_all_its_group_and_its_permit_follows_it() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job").with("concurrency", 1));
    let mut client = server.client();
    while_others_are_served(&server, || {
        let running = client.enqueue("job", 1);
        let process = stage.next();
        let queued = client.enqueue("job", 2);
        let answer = client.delete(&format!("/v1/executions/{running}"));
        assert_eq!(answer.status, 202, "{answer:?}");
        process.until_gone();
        let ended = client.ended(&running);
        assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("cancelled"), &json!("CANCELLED")));
        // A post that comes too late changes nothing.
        let next = stage.next();
        assert_eq!(next.execution(), queued);
        let late =
            post(&mut next.client(), &running, process.token(), &json!({ "success": true, "output": 9 }));
        late.assert_refused(409, "ALREADY_TERMINAL", &[]);
        assert_eq!(client.ended(&running), ended);
        next.succeed(2);
        next.exit(0);
        assert_eq!(client.ended(&queued)["output"], 2);
    });
    server.until_status("job", "inFlight", 0);
}

#[test]
fn a_cancel_that_races_the_post_leaves_one_end() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    for _ in 0..20 {
        let mut client = server.client();
        let id = client.enqueue("job", 1);
        let process = stage.next();
        let (mut canceller, mut internal) = (server.client(), process.client());
        let header = format!("authorization: Bearer {}\r\n", process.token());
        canceller.ask(&format!("DELETE /v1/executions/{id}"), "", "");
        internal.ask(
            &format!("POST /v1/internal/executions/{id}:complete"),
            &header,
            "{\"success\":true,\"output\":1}",
        );
        let (cancelled, posted) = (canceller.receive().status, internal.receive().status);
        let ended = client.ended(&id);
        match (cancelled, posted) {
            (202, 409) => assert_eq!(ended["status"], "cancelled"),
            (409, 204) => {
                assert_eq!((&ended["status"], &ended["output"]), (&json!("success"), &json!(1)));
                process.exit(0);
            }
            other => panic!("both won or both lost: {other:?}, {ended}"),
        }
    }
    server.until_status("job", "inFlight", 0);
    server.until_status("job", "replicas", 0);
}

#[test]
fn a_job_over_its_time_is_killed_and_its_caller_answered_at_the_deadline() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    let mut client = server.client();
    client.ask("POST /v1/functions/job:invoke", "x-timeout-ms: 5000\r\n", "{\"input\":1}");
    let process = stage.next();
    let answer = client.receive();
    answer.assert_error(504, "TIMEOUT", "gateway", &["did not end within 5000 ms (X-Timeout-Ms)"]);
    process.until_gone();
    server.until_status("job", "inFlight", 0);

    // An attempt's own time: it is killed, and another one tries.
    server.register(&stage.function("impatient").with("attemptTimeoutMs", 5000).with("maxRetries", 1));
    client.ask_invoke("impatient", "", 1);
    let first = stage.next();
    first.until_gone();
    let second = stage.next();
    second.succeed("in time");
    assert_eq!(client.receive().output(), "in time");
    second.exit(0);
    server.until_status("impatient", "inFlight", 0);
}

#[test]
fn a_process_that_does_not_end_after_its_post_is_killed() {
    let (server, stage) = (Server::start(&["--stop-timeout-ms", "100"]), Stage::new());
    server.register(&stage.function("job"));
    let mut client = server.client();
    client.ask_invoke("job", "", 1);
    let process = stage.next();
    process.succeed(1);
    assert_eq!(client.receive().output(), 1);
    process.until_gone();
    server.until_status("job", "inFlight", 0);
}

#[test]
fn a_job_that_cannot_be_started_is_a_502_that_says_why() {
    let server = Server::start(&[]);
    let function = json!({
        "name": "job",
        "local": { "command": ["/no/such/program"] },
        "retryBackoffMs": 0,
        "retryMaxBackoffMs": 0,
    });
    server.register(&function);
    let answer = server.invoke("job", 1);
    answer.assert_error(502, "NO_INSTANCE", "gateway", &["/no/such/program", "could not be started"]);
    assert_eq!(answer.header("x-attempts"), Some("4"));
    let conditions = server.function("job")["status"]["conditions"].to_string();
    assert!(conditions.contains("Degraded") && conditions.contains("/no/such/program"), "{conditions}");
    server.assert_others_are_served();
}

#[test]
fn each_listener_serves_its_own_calls_only() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    let id = server.client().enqueue("job", 1);
    let process = stage.next();
    for mut client in [server.client(), server.operator()] {
        let answer = fetch(&mut client, &id, process.token());
        answer.assert_refused(404, "NOT_FOUND", &["--runtime-listen"]);
    }
    let mut internal = process.client();
    internal.invoke(BYSTANDER, 1).assert_refused(404, "NOT_FOUND", &["--listen"]);
    let mut internal = process.client();
    internal.get("/metrics").assert_refused(404, "NOT_FOUND", &["--management-listen"]);
    let foreign = "GET /v1/internal/executions/1/input HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    let mut internal = process.client();
    internal.send(foreign);
    internal.receive().assert_refused(403, "FOREIGN_HOST", &["evil.example"]);
    process.succeed(1);
    process.exit(0);
    assert_eq!(server.client().ended(&id)["output"], 1);
}

#[test]
fn a_new_version_lets_running_jobs_finish_and_a_deleted_function_too() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job").with("concurrency", 1));
    let mut client = server.client();
    let first = client.enqueue("job", 1);
    let old = stage.next();
    let second = client.enqueue("job", 2);
    let put =
        client.put("/v1/functions/job", stage.function("job").with("concurrency", 1).with("timeoutMs", 9000));
    assert_eq!(put.status, 200, "{put:?}");
    old.succeed("old");
    assert_eq!(client.ended(&first)["output"], "old");
    old.exit(0);
    let new = stage.next();
    assert_eq!((new.execution(), new.env["TIMEOUT_MS"].as_str()), (second.as_str(), "9000"));
    let third = client.enqueue("job", 3);
    server.until_status("job", "queued", 1);
    assert_eq!(client.delete("/v1/functions/job").status, 204);
    assert_eq!(client.ended(&third)["error"]["code"], "FUNCTION_REMOVED");
    new.succeed("new");
    assert_eq!(client.ended(&second)["output"], "new");
    new.exit(0);
    server.assert_others_are_served();
}

#[test]
fn a_drain_waits_for_jobs_and_its_end_kills_them() {
    let (server, stage) = (Server::start(&["--drain", "30"]), Stage::new());
    server.register(&stage.function("job"));
    let mut client = server.client();
    client.ask_invoke("job", "", 1);
    let process = stage.next();
    server.signal(rustix::process::Signal::TERM);
    eventually("it drains", || (server.operator().get("/readyz").status == 503).then_some(()));
    process.fetch();
    process.succeed("finished");
    assert_eq!(client.receive().output(), "finished");
    process.exit(0);
    assert_eq!(server.end().code, 0);

    let (server, stage) = (Server::start(&["--drain", "0"]), Stage::new());
    server.register(&stage.function("job"));
    let mut client = server.client();
    client.ask_invoke("job", "", 1);
    let process = stage.next();
    server.signal(rustix::process::Signal::TERM);
    client.receive().assert_error(503, "SHUTTING_DOWN", "gateway", &["--drain"]);
    assert_eq!(server.end().code, 0);
    process.until_gone();
}

#[test]
fn a_token_is_worth_nothing_to_an_attempt_at_an_instance_of_a_later_version() {
    let (server, stage, endpoint) = (Server::start(&[]), Stage::new(), Endpoint::listen());
    server.register(&stage.function("job"));
    let mut client = server.client();
    let id = client.enqueue("job", 1);
    let process = stage.next();
    let put = client.put("/v1/functions/job", pool("job", endpoint.url()));
    assert_eq!(put.status, 200, "{put:?}");
    server.until_status("job", "ready", 1);
    assert_eq!(process.post(&failure(500, "BROKEN")).status, 204);
    let (mut internal, token) = (process.client(), process.token().to_owned());
    process.exit(0);
    // The second attempt is at the endpoint, and the token of the first is the last that there was.
    let request = endpoint.next();
    let late = post(&mut internal, &id, &token, &json!({ "success": true, "output": "late" }));
    late.assert_refused(409, "ATTEMPT_SUPERSEDED", &["over"]);
    request.answer(200, "\"own\"");
    let ended = client.ended(&id);
    assert_eq!((&ended["output"], &ended["attempt"]), (&json!("own"), &json!(2)));
    server.until_status("job", "inFlight", 0);
}
