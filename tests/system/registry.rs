//! Creating, reading, replacing and deleting functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn every_fault_of_a_specification_is_listed_and_nothing_is_registered() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        let specification = pool("wrong", "https://host")
            .with("timeoutMs", 0)
            .with("concurency", 4)
            .with("queueSize", "many")
            .with("maxRetries", 11);
        for answer in
            [server.create(&specification), server.client().put("/v1/functions/wrong", &specification)]
        {
            answer.assert_refused(422, "INVALID_FUNCTION", &["5 faults", "nothing was registered"]);
            let details = answer.details();
            for start in [
                "timeoutMs: must be",
                "concurency: ",
                "queueSize: must be",
                "maxRetries: must be",
                "endpointUrl: ",
            ] {
                assert!(details.iter().any(|detail| detail.starts_with(start)), "no {start} in {details:?}");
            }
            assert!(
                details.iter().any(|detail| detail.contains("concurrency")),
                "no suggestion: {details:?}"
            );
        }
        server.client().get("/v1/functions/wrong").assert_refused(404, "FUNCTION_NOT_FOUND", &["\"wrong\""]);
    });
}

#[test]
fn a_specification_that_is_not_json_is_told_where() {
    let server = Server::start(&[]);
    let answer = server.client().post("/v1/functions", "{\"name\":\"x\",\n}");
    answer.assert_refused(400, "INVALID_JSON", &["line 2"]);
    server.assert_others_are_served();
}

#[test]
fn a_function_that_cannot_run_here_is_refused_with_what_it_lacks() {
    let server = Server::start(&[]);
    let answer = server.create(&json!({ "name": "job", "image": "registry.example/job:1" }));
    answer.assert_refused(422, "INVALID_FUNCTION", &[]);
    assert!(answer.details()[0].starts_with("local.command: is required"), "{answer:?}");
    let answer =
        server.create(&json!({ "name": "w", "executionMode": "WARM", "image": "registry.example/w:1" }));
    assert!(answer.details()[0].starts_with("local.command: is required"), "{answer:?}");

    let node = json!({ "fieldRef": { "fieldPath": "spec.nodeName" } });
    let label = json!({ "fieldRef": { "fieldPath": "metadata.labels['x']" } });
    let specification =
        json!({ "name": "clustered", "executionMode": "WARM", "local": { "command": ["true"] } })
            .with(
                "env",
                json!([{ "name": "NODE", "valueFrom": node }, { "name": "L-1", "valueFrom": label }]),
            )
            .with("envFrom", json!([{ "secretRef": { "name": "s" } }]))
            .with("secrets", json!(["s"]))
            .with("podTemplate", json!({ "serviceAccountName": "a" }));
    let answer = server.create(&specification);
    answer.assert_refused(422, "INVALID_FUNCTION", &["cannot run"]);
    let details = answer.details();
    let fields: Vec<&str> = details.iter().filter_map(|detail| detail.split(": ").next()).collect();
    assert_eq!(fields, ["envFrom[0].secretRef", "env[1].valueFrom", "secrets[0]"]);
    assert!(details.iter().all(|detail| detail.contains("to a file that --env-file names")), "{details:?}");
    server.client().get("/v1/functions/clustered").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    server.assert_others_are_served();
}

#[test]
fn a_function_is_created_read_listed_replaced_and_deleted() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let first = pool("crud", NOWHERE);
    let created = client.post("/v1/functions", &first);
    assert_eq!((created.status, created.header("location")), (201, Some("/v1/functions/crud")));
    let etag = created.header("etag").unwrap().to_owned();

    let again = client.post("/v1/functions", &first);
    again.assert_refused(409, "FUNCTION_EXISTS", &["\"crud\"", "PUT /v1/functions/crud"]);

    let read = client.get("/v1/functions/crud");
    assert_eq!((read.status, read.header("etag")), (200, Some(etag.as_str())));
    assert_eq!((&read.json()["timeoutMs"], &read.json()["status"]["inFlight"]), (&json!(30000), &json!(0)));
    let listed = client.get("/v1/functions").json();
    let names: Vec<_> = listed["functions"].as_array().unwrap().iter().map(|f| f["name"].clone()).collect();
    assert_eq!(names, [BYSTANDER, "crud"]);

    let replaced = client.put("/v1/functions/crud", first.clone().with("timeoutMs", 5));
    let new_etag = replaced.header("etag").unwrap().to_owned();
    assert_eq!((replaced.status, &replaced.json()["timeoutMs"]), (200, &json!(5)));
    assert_ne!(new_etag, etag);
    let new = client.put("/v1/functions/other", pool("other", NOWHERE));
    assert_eq!(new.status, 201, "{new:?}");
    let elsewhere = client.put("/v1/functions/crud", pool("other", NOWHERE));
    assert_eq!((elsewhere.status, elsewhere.details().len()), (422, 1), "{elsewhere:?}");

    let deleted = client.delete("/v1/functions/crud");
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    client.get("/v1/functions/crud").assert_refused(404, "FUNCTION_NOT_FOUND", &["\"crud\""]);
    client.delete("/v1/functions/crud").assert_refused(404, "FUNCTION_NOT_FOUND", &["\"crud\""]);
    client.invoke("crud", 1).assert_refused(404, "FUNCTION_NOT_FOUND", &["\"crud\""]);
    server.assert_others_are_served();
}

#[test]
fn a_function_says_the_same_of_itself_wherever_it_is_read() {
    let server = Server::start(&[]);
    server.register(&warm("described", "echo"));
    server.until_status("described", "ready", 1);
    for mut client in [server.client(), server.operator()] {
        let read = client.get("/v1/functions/described").json();
        let listed = client.get("/v1/functions").json();
        let listed = listed["functions"].as_array().unwrap().iter().find(|f| f["name"] == "described");
        assert_eq!(listed, Some(&read));
        let status = read["status"].as_object().unwrap();
        let mut fields: Vec<&String> = status.keys().collect();
        fields.sort();
        assert_eq!(fields, ["backend", "conditions", "inFlight", "queued", "ready", "replicas"]);
        let kinds = status["conditions"].as_array().unwrap().iter();
        let ready: Vec<_> = kinds.filter(|condition| condition["type"] == "Ready").collect();
        assert_eq!((ready.len(), &ready[0]["status"]), (1, &json!("True")), "{read}");
    }
}

#[test]
fn a_put_with_another_version_in_if_match_changes_nothing() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let specification = pool("guarded", NOWHERE);
    let etag = client.post("/v1/functions", &specification).header("etag").unwrap().to_owned();
    let mut put = |if_match: &str, timeout_ms: u32| {
        let body = specification.clone().with("timeoutMs", timeout_ms).to_string();
        client.call("PUT /v1/functions/guarded", &format!("if-match: {if_match}\r\n"), body)
    };
    let refused = put("\"another\"", 1);
    refused.assert_refused(412, "VERSION_MISMATCH", &["another", &etag.replace('"', "")]);
    let taken = put(&etag, 2);
    assert_eq!(taken.status, 200, "{taken:?}");
    put(&etag, 3).assert_refused(412, "VERSION_MISMATCH", &[]);
    assert_eq!(put("*", 4).status, 200);
    assert_eq!(server.function("guarded")["timeoutMs"], 4);
    let absent = server.client().call(
        "PUT /v1/functions/absent",
        "if-match: *\r\n",
        pool("absent", NOWHERE).to_string(),
    );
    absent.assert_refused(412, "VERSION_MISMATCH", &["none of the name"]);
    server.client().get("/v1/functions/absent").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
}

#[test]
fn replacing_a_function_under_load_fails_no_request() {
    let server = Server::start(&[]);
    let specification = warm("changing", "identity").with("replicas", json!({ "min": 1, "max": 2 }));
    server.register(&specification);
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (mut client, over) = (server.client(), over.clone());
            thread::spawn(move || {
                let mut served = 0;
                while !over.load(Ordering::Acquire) {
                    let answer = client.invoke("changing", served);
                    assert_eq!(answer.output()["input"], served, "{answer:?}");
                    assert_eq!(answer.header("x-attempts"), Some("1"));
                    served += 1;
                    // Leaves the machine to the start of the next version.
                    thread::park_timeout(Duration::from_millis(1));
                }
                served
            })
        })
        .collect();
    let mut client = server.client();
    let mut pid = client.invoke("changing", 0).output()["pid"].clone();
    for timeout_ms in [10_001, 10_002, 10_003] {
        let put = client.put("/v1/functions/changing", specification.clone().with("timeoutMs", timeout_ms));
        assert_eq!(put.status, 200, "{put:?}");
        pid = eventually("another process answers", || {
            let now = client.invoke("changing", 0).output()["pid"].clone();
            (now != pid).then_some(now)
        });
    }
    over.store(true, Ordering::Release);
    for caller in callers {
        assert!(caller.join().expect("every request is answered") > 0);
    }
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("changing", "error_total"), 0.0);
    // Nothing is left of the versions before.
    server.until_status("changing", "replicas", 1);
}

#[test]
fn what_waits_while_a_function_is_replaced_keeps_its_place_and_what_runs_finishes() {
    let server = Server::start(&[]);
    let (old, new) = (Endpoint::listen(), Endpoint::listen());
    server.register(&pool("moving", old.url()).with("concurrency", 1));
    let mut running = server.client();
    running.ask_invoke("moving", "", 0);
    let request = old.next();
    let mut client = server.client();
    let ids = [1, 2, 3].map(|input| client.enqueue("moving", input));
    let moved = pool("moving", new.url()).with("concurrency", 1);
    assert_eq!(client.put("/v1/functions/moving", &moved).status, 200);
    // The permit is still with the version before.
    server.until_status("moving", "queued", 3);
    request.answer(200, "\"by the old one\"");
    assert_eq!(running.receive().output(), "by the old one");
    for (id, input) in ids.iter().zip(1..) {
        let request = new.next();
        assert_eq!(request.body, format!("{{\"input\":{input}}}"));
        request.answer(200, &input.to_string());
        assert_eq!(client.ended(id)["output"], input);
    }
    server.assert_others_are_served();
}

#[test]
fn a_version_that_does_not_start_never_takes_over() {
    let server = Server::start(&[]);
    server.register(&warm("steady", "echo"));
    assert_eq!(server.invoke("steady", 1).output(), 1);
    while_others_are_served(&server, || {
        let put = server.client().put("/v1/functions/steady", warm("steady", "exit-at-start"));
        assert_eq!(put.status, 200, "{put:?}");
        eventually("the new version's reason shows", || {
            let function = server.function("steady").to_string();
            function.contains("exited with status 7").then_some(())
        });
        assert_eq!(server.invoke("steady", 2).output(), 2);
        let mended = server.client().put("/v1/functions/steady", warm("steady", "identity"));
        assert_eq!(mended.status, 200, "{mended:?}");
        eventually("the mended version answers", || {
            server.invoke("steady", 3).output()["pid"].is_u64().then_some(())
        });
    });
}

#[test]
fn an_attempt_that_fails_after_its_function_was_deleted_is_the_last_and_is_told() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("doomed", endpoint.url()));
    let mut running = server.client();
    running.ask_invoke("doomed", "", 1);
    let request = endpoint.next();
    assert_eq!(server.client().delete("/v1/functions/doomed").status, 204);
    request.answer(500, "\"no luck\"");
    let last = ["deleted before", "HANDLER_ERROR", "no luck"];
    running.receive().assert_error(500, "FUNCTION_REMOVED", "gateway", &last);
    // One that would have been the last anyway ends by itself.
    server.register(&pool("doomed", endpoint.url()).with("maxRetries", 0));
    running.ask_invoke("doomed", "", 1);
    let request = endpoint.next();
    assert_eq!(server.client().delete("/v1/functions/doomed").status, 204);
    request.answer(500, "\"no luck\"");
    running.receive().assert_error(500, "HANDLER_ERROR", "function", &["no luck"]);
}

#[test]
fn deleting_a_function_ends_what_waits_and_lets_finish_what_runs() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("doomed", endpoint.url()).with("concurrency", 1));
    let (mut running, mut waiting, mut other) = (server.client(), server.client(), server.client());
    while_others_are_served(&server, || {
        running.ask_invoke("doomed", "", 1);
        let request = endpoint.next();
        waiting.ask_invoke("doomed", "", 2);
        let id = other.enqueue("doomed", 3);
        server.until_status("doomed", "queued", 2);
        assert_eq!(server.client().delete("/v1/functions/doomed").status, 204);
        let answer = waiting.receive();
        answer.assert_error(500, "FUNCTION_REMOVED", "gateway", &["deleted"]);
        assert_eq!(answer.json()["status"], "error");
        assert_eq!(other.ended(&id)["error"]["code"], "FUNCTION_REMOVED");
        request.answer(200, "\"done\"");
        assert_eq!(running.receive().output(), "done");
        server.invoke("doomed", 4).assert_refused(404, "FUNCTION_NOT_FOUND", &["\"doomed\""]);
    });
    assert!(!server.scrape().text().contains("doomed"), "its series are still there");
}

#[test]
fn replicas_are_set_until_the_next_put_and_only_where_there_are_any() {
    let server = Server::start(&[]);
    let mut client = server.client();
    server.register(&warm("wide", "echo").with("replicas", json!({ "min": 1, "max": 3 })));
    server.register(&pool("pooled", NOWHERE));
    let set = client.put("/v1/functions/wide/replicas", json!({ "replicas": 3 }));
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(set.json()["replicas"], json!({ "min": 3, "max": 3 }));
    server.until_status("wide", "ready", 3);
    let above = client.put("/v1/functions/wide/replicas", json!({ "replicas": 4 }));
    above.assert_refused(422, "INVALID_FUNCTION", &["out of range"]);
    assert_eq!(above.details(), ["replicas: must be between 0 and replicas.max, which is 3, is 4"]);
    let wrong = client.put("/v1/functions/wide/replicas", json!({ "replicas": "two" }));
    wrong.assert_refused(422, "INVALID_FUNCTION", &["{\"replicas\": N}"]);
    let pooled = client.put("/v1/functions/pooled/replicas", json!({ "replicas": 1 }));
    pooled.assert_refused(409, "NOT_SCALABLE", &["pooled is POOL", "WARM"]);
    let nobody = client.put("/v1/functions/nobody/replicas", json!({ "replicas": 1 }));
    nobody.assert_refused(404, "FUNCTION_NOT_FOUND", &["\"nobody\""]);
    let again = client.put("/v1/functions/wide", warm("wide", "echo").with("timeoutMs", 1000));
    assert_eq!(again.json()["replicas"], json!({ "min": 1, "max": 1 }));
    server.until_status("wide", "ready", 1);
    server.assert_others_are_served();
}

#[test]
fn a_thousand_functions_are_registered_quickly_and_the_last_one_is_served() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    let mut client = server.client();
    while_others_are_served(&server, || {
        let watch = Stopwatch::start();
        for at in 0..1000 {
            let answer = client.post("/v1/functions", pool(&format!("f-{at}"), endpoint.url()));
            assert_eq!(answer.status, 201, "{answer:?}");
        }
        assert!(watch.elapsed() < Duration::from_secs(100), "it took {:?}", watch.elapsed());
        let listed = client.get("/v1/functions").json();
        assert_eq!(listed["functions"].as_array().unwrap().len(), 1001);
        client.ask_invoke("f-999", "", 1);
        endpoint.next().answer(200, "\"the last\"");
        assert_eq!(client.receive().output(), "the last");
    });
}

#[test]
fn the_places_of_all_queues_are_bounded_together_and_come_back_with_their_version() {
    let server = Server::start(&["--max-queue-slots", "250"]);
    let sized = |name: &str, queue_size: u32| pool(name, NOWHERE).with("queueSize", queue_size);
    // The one that every server of these tests has takes 100.
    server.register(&sized("first", 100));
    let mut client = server.client();
    let refused = client.post("/v1/functions", sized("second", 51));
    refused.assert_refused(503, "FUNCTIONS_FULL", &["queueSize 51", "200 of 250", "--max-queue-slots"]);
    assert_eq!(client.get("/v1/functions/second").status, 404, "it was registered");
    server.register(&sized("second", 50));
    let put = client.put("/v1/functions/first", sized("first", 1));
    put.assert_refused(503, "FUNCTIONS_FULL", &["queueSize 1 ", "250 of 250"]);
    assert_eq!(client.delete("/v1/functions/second").status, 204);
    eventually("the places of the deleted function are free", || {
        (client.put("/v1/functions/first", sized("first", 50)).status == 200).then_some(())
    });
}

#[test]
fn there_are_no_more_functions_than_the_flag_allows() {
    let server = Server::start(&["--max-functions", "2"]);
    server.register(&pool("second", NOWHERE));
    let answer = server.create(&pool("third", NOWHERE));
    answer.assert_refused(503, "FUNCTIONS_FULL", &["2 functions", "--max-functions"]);
    assert_eq!(server.client().delete("/v1/functions/second").status, 204);
    server.register(&pool("third", NOWHERE));
    server.assert_others_are_served();
}
