//! `GET /v1/executions?slowest=N`: which executions were slow, and in which stage.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::job::Stage;
use crate::support::patience::{eventually, let_pass};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, faulty, pool, warm};

/// Time that a stage takes where a test holds it up: long beside all that the other stages take.
const HELD_UP: Duration = Duration::from_millis(400);

/// The slowest executions, slowest first.
#[track_caller]
fn slowest(client: &mut Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/executions?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    assert_eq!((page.as_object().unwrap().len(), &page["nextCursor"]), (3, &Value::Null), "{page}");
    assert!(page["notRecorded"].is_u64(), "{page}");
    let executions = page["executions"].as_array().unwrap().clone();
    let times: Vec<u64> = executions.iter().map(whole).collect();
    // They are ordered by their ends; the reply comes after that.
    let replies = |execution: &Value| execution["stages"]["reply"].as_u64().unwrap();
    for pair in executions.windows(2) {
        assert!(whole(&pair[0]) + replies(&pair[1]) >= whole(&pair[1]), "not slowest first: {times:?}");
    }
    executions
}

/// The slowest execution of a function.
#[track_caller]
fn the_slowest(server: &Server, function: &str) -> Value {
    slowest(&mut server.client(), &format!("slowest=1&function={function}")).remove(0)
}

/// The sum of all stages (ns).
fn whole(execution: &Value) -> u64 {
    execution["stages"].as_object().unwrap().values().map(|ns| ns.as_u64().unwrap()).sum()
}

/// The stage that took more than all others together.
#[track_caller]
fn long_stage(execution: &Value) -> &str {
    let stages = execution["stages"].as_object().unwrap();
    let long = stages.iter().find(|(_, ns)| ns.as_u64().unwrap() > whole(execution) / 2);
    long.unwrap_or_else(|| panic!("no stage stands out: {execution}")).0
}

/// Nanoseconds of a stage.
fn stage(execution: &Value, name: &str) -> u64 {
    execution["stages"][name].as_u64().unwrap_or_else(|| panic!("no stage {name}: {execution}"))
}

fn id(execution: &Value) -> &str {
    execution["executionId"].as_str().unwrap()
}

#[test]
fn a_slow_call_among_fast_ones_is_found_with_the_stage_that_took_its_time() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("held", endpoint.url()).with("maxRetries", 0));
    let mut client = server.client();
    for _ in 0..20 {
        client.ask_invoke("held", "", 1);
        endpoint.next().answer(200, "1");
        assert_eq!(client.receive().status, 200);
    }
    client.ask_invoke("held", "x-trace-id: the slow one\r\n", 1);
    let request = endpoint.next();
    // sleep: the time that the function takes is what is looked for
    let_pass(HELD_UP);
    request.answer(409, r#"{"error":{"code":"SOLD_OUT","message":"no more"}}"#);
    let answer = client.receive();
    assert_eq!(answer.status, 409, "{answer:?}");

    let found = slowest(&mut client, "slowest=3&function=held");
    assert_eq!(found.len(), 3);
    let slow = &found[0];
    assert_eq!(Some(id(slow)), answer.header("x-execution-id"));
    assert_eq!(long_stage(slow), "function");
    assert!(stage(slow, "function") >= HELD_UP.as_nanos() as u64, "{slow}");
    assert!(stage(slow, "connect") > 0 && stage(slow, "reply") > 0, "{slow}");
    assert!(whole(&found[1]) < whole(slow), "{found:?}");
    for (name, value) in [
        ("function", json!("held")),
        ("executionMode", json!("POOL")),
        ("status", json!("error")),
        ("error", json!({ "code": "SOLD_OUT", "message": "no more" })),
        ("traceId", json!("the slow one")),
        ("attempt", json!(1)),
        ("dispatched", json!(1)),
        ("coldStart", json!(false)),
        ("initMs", Value::Null),
        ("version", json!(server.client().get("/v1/functions/held").header("etag"))),
    ] {
        assert_eq!(slow[name], value, "{name}");
    }
    let instance = &slow["instance"];
    assert_eq!((&instance["name"], &instance["place"]), (&json!(endpoint.url()), &json!(0)));
    // It is what a read of it says, with more.
    let read = client.get(&format!("/v1/executions/{}", id(slow))).json();
    for (name, value) in read.as_object().unwrap().iter().filter(|(name, _)| *name != "output") {
        assert_eq!(&slow[name], value, "{name}");
    }
    assert_eq!(slow.get("output"), None, "an output is told");
    assert_eq!(stage(slow, "queue") + stage(slow, "start"), read["timings"]["queue"].as_u64().unwrap());
    assert_eq!(slowest(&mut client, "slowest=500")[0], *slow);
    assert_eq!(slowest(&mut server.operator(), "function=nobody&slowest=1"), [Value::Null; 0]);
}

#[test]
fn who_waited_in_the_queue_is_told_so() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("single", endpoint.url()).with("concurrency", 1));
    let (mut first, mut second) = (server.client(), server.client());
    first.ask_invoke("single", "", 1);
    let request = endpoint.next();
    second.ask_invoke("single", "", 2);
    server.until_status("single", "queued", 1);
    // sleep: the time that the second one waits is what is looked for
    let_pass(HELD_UP);
    request.answer(200, "1");
    assert_eq!(first.receive().status, 200);
    endpoint.next().answer(200, "2");
    let answer = second.receive();
    let found = slowest(&mut server.client(), "slowest=2&function=single");
    assert_eq!(found.len(), 2);
    let waited = found.iter().find(|slow| Some(id(slow)) == answer.header("x-execution-id")).unwrap();
    assert_eq!(long_stage(waited), "queue");
    assert!(stage(waited, "queue") >= HELD_UP.as_nanos() as u64, "{waited}");
    let ran = found.iter().find(|slow| Some(id(slow)) != answer.header("x-execution-id")).unwrap();
    assert_eq!(long_stage(ran), "function");
}

#[test]
fn who_waited_for_an_instance_is_told_when_that_was_wanted_and_was_ready() {
    let server = Server::start(&[]);
    let late = json!({ "command": ["/bin/sh", "-c", "sleep 0.4; exec \"$0\"", faulty()] });
    let specification = warm("cold", "identity").with("replicas", json!({ "min": 0, "max": 1 }));
    server.register(&specification.with("local", late));
    let cold = server.invoke("cold", 1);
    assert_eq!(cold.header("x-cold-start"), Some("true"), "{cold:?}");
    let warm = server.invoke("cold", 1);
    let found = slowest(&mut server.client(), "slowest=2&function=cold");
    let slow = &found[0];
    assert_eq!(Some(id(slow)), cold.header("x-execution-id"));
    assert_eq!((&slow["coldStart"], long_stage(slow)), (&json!(true), "start"));
    assert!(slow["initMs"].is_u64() && stage(slow, "start") >= HELD_UP.as_nanos() as u64, "{slow}");
    let instance = &slow["instance"];
    assert_eq!(instance["name"], cold.output()["pid"].to_string());
    let at = |name: &str| instance[name].as_str().unwrap().to_owned();
    let times = [at("wantedAt"), at("startedAt"), at("readyAt")];
    assert!(times.is_sorted(), "{times:?}");
    assert!(slow["createdAt"].as_str().unwrap() <= times[0].as_str(), "{slow}");
    // The next one found it ready.
    assert_eq!(Some(id(&found[1])), warm.header("x-execution-id"));
    assert_eq!((stage(&found[1], "startWait"), stage(&found[1], "start")), (0, 0));
    assert_eq!(found[1]["instance"], *instance);
}

#[test]
fn an_attempt_that_failed_is_told_as_the_time_before_the_last_one() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("retried", endpoint.url()).with("maxRetries", 2));
    let mut client = server.client();
    client.ask_invoke("retried", "", 1);
    let request = endpoint.next();
    // sleep: the time that the failed attempt takes is what is looked for
    let_pass(HELD_UP);
    request.answer(500, "{}");
    endpoint.next().answer(200, "1");
    assert_eq!(client.receive().header("x-attempts"), Some("2"));
    let slow = the_slowest(&server, "retried");
    assert_eq!((&slow["attempt"], &slow["dispatched"], &slow["error"]), (&json!(2), &json!(2), &Value::Null));
    assert_eq!(long_stage(&slow), "retry");
}

#[test]
fn an_answer_that_takes_long_is_told_apart_from_the_function_that_gave_it() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("dripping", endpoint.url()));
    let mut client = server.client();
    client.ask_invoke("dripping", "", 1);
    let request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntr");
    // sleep: the time between the halves of the answer is what is looked for
    let_pass(HELD_UP);
    drop(request.answer_raw("ue"));
    assert_eq!(client.receive().output(), true);
    let slow = the_slowest(&server, "dripping");
    assert_eq!(long_stage(&slow), "answer");
    assert!(stage(&slow, "function") > 0, "{slow}");
}

#[test]
fn a_job_is_told_with_the_start_of_its_process_and_an_end_by_its_deadline_with_where_it_was() {
    let (server, stage_of_job) = (Server::start(&[]), Stage::new());
    server.register(&stage_of_job.function("job"));
    let mut client = server.client();
    client.ask_invoke("job", "", 1);
    let process = stage_of_job.next();
    // sleep: the time until the process fetches its input is what is looked for
    let_pass(HELD_UP);
    assert_eq!(process.fetch().status, 200);
    process.succeed(1);
    assert_eq!(client.receive().output(), 1);
    process.exit(0);
    let slow = the_slowest(&server, "job");
    assert_eq!((&slow["executionMode"], &slow["instance"]), (&json!("JOB"), &Value::Null));
    assert_eq!((&slow["coldStart"], long_stage(&slow), stage(&slow, "connect")), (&json!(true), "start", 0));

    client.ask_invoke("job", "x-timeout-ms: 1500\r\n", 2);
    let process = stage_of_job.next();
    assert_eq!(process.fetch().status, 200);
    assert_eq!(client.receive().status, 504);
    process.until_gone();
    let slow = the_slowest(&server, "job");
    assert_eq!((&slow["status"], &slow["error"]["code"]), (&json!("timeout"), &json!("TIMEOUT")));
    assert!(whole(&slow) >= 1_500_000_000 && stage(&slow, "function") > 0, "{slow}");
}

#[test]
fn an_enqueued_execution_is_recorded_as_one_that_is_waited_for() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("later", endpoint.url()));
    let mut client = server.client();
    let enqueued = client.enqueue("later", 1);
    endpoint.next().answer(200, "1");
    client.ended(&enqueued);
    assert_eq!(id(&the_slowest(&server, "later")), enqueued);
}

#[test]
fn records_survive_a_new_version_and_go_with_their_function() {
    let server = Server::start(&[]);
    server.register(&warm("renewed", "echo"));
    let mut client = server.client();
    let tag = |client: &mut Client| client.get("/v1/functions/renewed").header("etag").unwrap().to_owned();
    let (first, first_tag) = (client.invoke("renewed", 1), tag(&mut client));
    let second_version = warm("renewed", "echo").with("timeoutMs", 1234);
    assert_eq!(client.put("/v1/functions/renewed", second_version).status, 200);
    eventually("the new version serves", || {
        let status = server.function("renewed")["status"].clone();
        (status["conditions"]
            .as_array()?
            .iter()
            .all(|condition| condition["type"] != "Progressing" || condition["status"] != "True"))
        .then_some(())
    });
    let (second, second_tag) = (client.invoke("renewed", 2), tag(&mut client));
    assert_ne!(first_tag, second_tag);
    let found = slowest(&mut client, "slowest=9&function=renewed");
    let mut versions: Vec<_> = found
        .iter()
        .map(|slow| (id(slow).to_owned(), slow["version"].as_str().unwrap().to_owned()))
        .collect();
    versions.sort_unstable();
    let id_of = |answer: &crate::support::client::Answer| answer.header("x-execution-id").unwrap().to_owned();
    let mut expected = vec![(id_of(&first), first_tag), (id_of(&second), second_tag)];
    expected.sort_unstable();
    assert_eq!(versions, expected);

    assert_eq!(client.delete("/v1/functions/renewed").status, 204);
    assert_eq!(slowest(&mut client, "slowest=9&function=renewed"), [Value::Null; 0]);
    // Another function of the name begins with none.
    server.register(&warm("renewed", "echo"));
    assert_eq!(slowest(&mut client, "slowest=9&function=renewed"), [Value::Null; 0]);
    let third = client.invoke("renewed", 3);
    assert_eq!(id(&the_slowest(&server, "renewed")), id_of(&third));
}

#[test]
fn a_wrong_parameter_is_named_with_what_would_be_right() {
    let server = Server::start(&[]);
    for (query, parts) in [
        ("slowest=", ["slowest= ", "1 … 500"]),
        ("slowest=0", ["slowest=0", "1 … 500"]),
        ("slowest=501", ["slowest=501", "1 … 500"]),
        ("slowest=-1&function=f", ["slowest=-1", "1 … 500"]),
        ("slowest=all", ["slowest=all", "1 … 500"]),
        ("slowest=1&slowest=2", ["`slowest`", "twice"]),
        ("slowest=1&function=F", ["function=F", "lower-case"]),
        ("function=a&slowest=1&function=b", ["`function`", "twice"]),
        ("slowest=1&limit=1", ["`limit` does not go with `slowest`", "leave one of them out"]),
        ("status=success&slowest=1", ["`status` does not go with `slowest`", "`function` alone"]),
        ("slowest=1&cursor=x", ["`cursor` does not go with `slowest`", "leave one of them out"]),
        ("slowest=1&since=5m", ["\"since\"", "`cursor` and `slowest`"]),
    ] {
        for client in [&mut server.client(), &mut server.operator()] {
            client.get(&format!("/v1/executions?{query}")).assert_refused(400, "BAD_REQUEST", &parts);
        }
    }
    server.assert_others_are_served();
}

#[test]
fn the_records_of_several_gateways_are_one_list() {
    let server = Server::start(&["--gateway-threads", "3"]);
    let mut clients: [Option<Client>; 3] = [const { None }; 3];
    let gateway_of = |id: &str| usize::from_str_radix(&id[8..10], 16).unwrap();
    eventually("every gateway has got a connection", || {
        let mut client = server.client();
        let answer = client.invoke(BYSTANDER, 1);
        clients[gateway_of(answer.header("x-execution-id").unwrap())].get_or_insert(client);
        clients.iter().all(Option::is_some).then_some(())
    });
    let endpoint = Endpoint::listen();
    server.register(&pool("spread", endpoint.url()));
    let mut expected = Vec::new();
    // Slower and slower, so that the order is not that of the gateways.
    for at in [1, 0, 2] {
        let client = clients[at].as_mut().unwrap();
        client.ask_invoke("spread", "", at);
        let request = endpoint.next();
        // sleep: that each takes longer than the one before is what the order is of
        let_pass(HELD_UP * (expected.len() as u32 + 1));
        request.answer(200, "1");
        expected.insert(0, client.receive().header("x-execution-id").unwrap().to_owned());
    }
    for client in clients.iter_mut().flatten().chain([&mut server.operator()]) {
        let found = slowest(client, "slowest=3&function=spread");
        assert_eq!(found.iter().map(id).collect::<Vec<_>>(), expected);
        assert_eq!(slowest(client, "slowest=2&function=spread"), found[..2]);
        assert_eq!(slowest(client, "slowest=2"), found[..2]);
    }
}

#[test]
fn at_most_sixteen_are_kept_of_a_function_on_a_gateway_however_many_end() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for input in 0..100 {
        assert_eq!(client.invoke(BYSTANDER, input).status, 200);
    }
    let found = slowest(&mut client, &format!("slowest=500&function={BYSTANDER}"));
    // The first window lasts longer than this test, unless the machine stands still.
    assert!((8..=16).contains(&found.len()), "{} are kept", found.len());
}

#[test]
fn beyond_loopback_the_slowest_are_for_operators_or_with_leave_and_tell_no_tag_of_hidden_values() {
    let secret = |name: &str| {
        let env =
            json!([{ "name": "HANDLER", "value": "echo" }, { "name": "PASSWORD", "value": "open sesame" }]);
        warm(name, "echo").with("env", env)
    };
    let closed = Server::start_at("0.0.0.0:0", &["--allow-local-exec"]);
    let answer = closed.client().get("/v1/executions?slowest=5");
    answer.assert_refused(403, "LISTING_DISABLED", &["--allow-writes", "management listener"]);
    assert_eq!(slowest(&mut closed.operator(), "slowest=5&function=nobody"), [Value::Null; 0]);

    let open = Server::start_at("0.0.0.0:0", &["--allow-local-exec", "--allow-writes"]);
    assert_eq!(open.operator().post("/v1/functions", secret("secret")).status, 201);
    assert_eq!(open.invoke("secret", 1).status, 200);
    let versions = [open.client(), open.operator()].map(|mut client| {
        let tag = client.get("/v1/functions/secret").header("etag").unwrap().to_owned();
        let slow = slowest(&mut client, "slowest=1&function=secret").remove(0);
        assert_eq!(slow["version"], tag);
        assert!(!slow.to_string().contains("sesame"), "{slow}");
        tag
    });
    assert_ne!(versions[0], versions[1], "values are hidden from clients and their tag is not");
}
