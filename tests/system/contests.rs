//! Two who want different things at the same moment: one of them gets it, and both are told.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::patience::let_pass;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

const CALLERS: u32 = 8;

/// Answers of `call` to several callers at once, each on a connection of its own.
fn at_once(
    server: &Server,
    call: impl Fn(&mut Client, u32) -> Answer + Send + Sync + 'static,
) -> Vec<Answer> {
    let (call, start) = (Arc::new(call), Arc::new(Barrier::new(CALLERS as usize)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|at| {
            let (call, start, mut client) = (call.clone(), start.clone(), server.client());
            thread::spawn(move || {
                start.wait();
                call(&mut client, at)
            })
        })
        .collect();
    callers.into_iter().map(|caller| caller.join().unwrap()).collect()
}

/// The one answer of a status; all others are refused with a code.
#[track_caller]
fn the_only(answers: &[Answer], status: u16, refused: u16, code: &str) -> Value {
    let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == status).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(won.len(), 1, "{statuses:?}");
    for answer in answers.iter().filter(|answer| answer.status != status) {
        answer.assert_refused(refused, code, &[]);
    }
    won[0].json()
}

#[test]
fn of_many_who_create_one_name_at_once_one_does_and_its_function_is_the_one_that_is_there() {
    let server = Server::start(&[]);
    for round in 0..5 {
        let name = format!("wanted-{round}");
        let wanted = name.clone();
        let answers = at_once(&server, move |client, at| {
            let body = pool(&wanted, "http://127.0.0.1:9").with("timeoutMs", 1000 + at);
            client.post("/v1/functions", body)
        });
        let created = the_only(&answers, 201, 409, "FUNCTION_EXISTS");
        assert_eq!(server.function(&name)["timeoutMs"], created["timeoutMs"]);
    }
}

#[test]
fn of_many_who_replace_one_version_at_once_one_does() {
    let server = Server::start(&[]);
    let function = pool("guarded", "http://127.0.0.1:9");
    let etag = server.create(&function).header("etag").unwrap().to_owned();
    let answers = at_once(&server, move |client, at| {
        let body = function.clone().with("timeoutMs", 1000 + at).to_string();
        client.call("PUT /v1/functions/guarded", &format!("if-match: {etag}\r\n"), body)
    });
    let replaced = the_only(&answers, 200, 412, "VERSION_MISMATCH");
    assert_eq!(server.function("guarded")["timeoutMs"], replaced["timeoutMs"]);
}

#[test]
fn a_cancel_that_races_the_answer_of_an_endpoint_leaves_one_end_that_everybody_is_told() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("raced", endpoint.url()).with("concurrency", 1));
    let (mut client, mut canceller) = (server.client(), server.client());
    for round in 0..40 {
        client.ask_invoke("raced", "", 1);
        let request = endpoint.next();
        let id = request.header("x-execution-id").unwrap().to_owned();
        let cancel = format!("DELETE /v1/executions/{id}");
        if round % 2 == 0 {
            canceller.ask(&cancel, "", "");
            request.answer(200, "1");
        } else {
            request.answer(200, "1");
            canceller.ask(&cancel, "", "");
        }
        assert_one_end(&client.receive(), &canceller.receive(), &server.client().ended(&id));
    }
    assert_all_ended(&server, "raced", 40.0);
}

#[test]
fn a_cancel_that_races_the_answer_of_an_instance_leaves_one_end_that_everybody_is_told() {
    let server = Server::start(&[]);
    server.register(&warm("raced", "sleep").with("concurrency", 1));
    let (mut client, mut canceller) = (server.client(), server.client());
    assert_eq!(client.invoke("raced", "{\"ms\":0}").status, 200);
    for round in 0..40 {
        client.ask_invoke("raced", "", "{\"ms\":3}");
        let listed = loop {
            let listed = canceller.get("/v1/executions?function=raced&limit=1").json();
            if listed["executions"][0]["status"] == "running" {
                break listed;
            }
            // It may have ended already: then there is nothing left to race for.
            if client.has_answer() {
                break listed;
            }
        };
        let id = listed["executions"][0]["executionId"].as_str().unwrap().to_owned();
        let_pass(Duration::from_micros(round % 8 * 1500));
        let cancelled = canceller.delete(&format!("/v1/executions/{id}"));
        let answer = client.receive();
        if answer.header("x-execution-id") == Some(&id) {
            assert_one_end(&answer, &cancelled, &canceller.ended(&id));
        }
    }
    assert_all_ended(&server, "raced", 41.0);
}

#[track_caller]
fn assert_one_end(answer: &Answer, cancelled: &Answer, read: &Value) {
    match cancelled.status {
        202 => {
            answer.assert_error(503, "CANCELLED", "gateway", &[]);
            assert_eq!((&read["status"], &read["output"]), (&json!("cancelled"), &Value::Null), "{read}");
        }
        _ => {
            cancelled.assert_refused(409, "ALREADY_TERMINAL", &[]);
            assert_eq!((answer.status, &read["status"]), (200, &json!("success")), "{answer:?} {read}");
            assert_eq!(answer.json()["output"], read["output"]);
        }
    }
}

/// Each ended once, and its permit is free.
fn assert_all_ended(server: &Server, function: &str, executions: f64) {
    server.until_status(function, "inFlight", 0);
    let scrape = server.scrape();
    let ends = ["success_total", "cancelled_total", "error_total", "timeout_total"];
    let ended: f64 = ends.iter().map(|name| scrape.of_function(function, name)).sum();
    assert_eq!((ended, scrape.of_function(function, "enqueued_total")), (executions, executions));
    server.assert_others_are_served();
}

#[test]
fn a_client_that_goes_does_not_cancel_what_another_one_waits_for() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1));
    let (mut leaving, mut other) = (server.client(), server.client());
    let running = other.enqueue("narrow", 1);
    let request = endpoint.next();
    leaving.ask_invoke("narrow", "", "\"wanted by two\"");
    server.until_status("narrow", "queued", 1);
    let listed = other.get("/v1/executions?function=narrow&limit=1").json();
    let id = listed["executions"][0]["executionId"].as_str().unwrap().to_owned();
    assert_ne!(id, running);
    other.ask(&format!("GET /v1/executions/{id}?wait=60"), "", "");
    // It waits, and then the first one is gone, when later requests on the same thread are answered.
    server.assert_others_are_served();
    leaving.hang_up();
    server.assert_others_are_served();
    request.answer(200, "1");
    let request = endpoint.next();
    assert_eq!(request.body, "{\"input\":\"wanted by two\"}");
    request.answer(200, "2");
    assert_eq!(other.receive().json()["output"], 2);
    assert_eq!(server.function(BYSTANDER)["status"]["inFlight"], 0);
}
